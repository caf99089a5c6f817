//! What came of a run of the client, and its judgment.
//!
//! Guarantees: a failure shows what the server sent, what was expected, and what was received, on standard output, on
//! the connection or as the end of the client.

use std::time::Duration;

use super::mistakes;
use super::plan::Plan;
use super::wire;
use crate::client::client_protocol::ClientProtocol;
use crate::client::judge::excerpt::{Excerpt, SHOWN, escaped};
use crate::client::judge::mismatch::Mismatch;
use crate::units::counted;

/// A run of the client that has ended.
#[derive(Debug)]
pub struct Observation {
    /// What was prepared.
    pub plan: Plan,
    /// The protocol that the client should speak.
    pub protocol: ClientProtocol,
    /// Standard output of the client; at most one megabyte more than a correct one has.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub end: ClientEnd,
    /// The connections that it made, in order.
    pub connections: Vec<ConnectionRecord>,
    /// What the server sent.
    pub sent: Excerpt,
    /// How long the client ran until it made its first connection.
    pub startup: Option<Duration>,
}

/// How a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientEnd {
    /// By itself, with this exit code.
    Code(i32),
    /// By this signal, which the judge did not send.
    Signal(i32),
    /// Not by itself: nothing happened for this time.
    Hung(Duration),
    /// Not by itself: something still happened when the time of the scenario was up, this time.
    OutOfTime(Duration),
    /// Not by itself: it printed far more than a correct client does.
    Excess,
    /// Not by itself: the server ended the run, because the client sent wrong bytes.
    WrongRequest,
}

/// One connection of a client.
#[derive(Debug, Default)]
pub struct ConnectionRecord {
    /// All bytes that arrived; at most one megabyte more than a correct client sends.
    pub received: Vec<u8>,
    /// How the client ended it; none if it is open.
    pub end: Option<ConnectionEnd>,
}

/// How a client ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// It closed or half-closed it.
    Closed,
    /// It reset it.
    Reset,
}

impl Observation {
    /// Judges a client that has nothing but replies to expect: the requests, the output, and the end.
    ///
    /// # Errors
    /// One of them is not that of a correct client.
    pub fn expect_all(&self) -> Result<(), Mismatch> {
        self.expect_requests()?;
        self.expect_output(&self.plan.output())?;
        self.expect_success()
    }

    /// All bytes that arrived, of all connections.
    #[must_use]
    pub fn received(&self) -> Vec<u8> {
        self.connections.iter().flat_map(|connection| &connection.received).copied().collect()
    }

    /// Expects that the client sent nothing but the requests of the plan, as many of them as it could.
    ///
    /// # Errors
    /// It did.
    pub fn expect_no_wrong_request(&self) -> Result<(), Mismatch> {
        let is_beginning = self.plan.requests(self.protocol).starts_with(&self.received());
        if is_beginning { Ok(()) } else { self.expect_requests() }
    }

    /// Expects that the client sent the requests of the plan, and nothing else.
    ///
    /// # Errors
    /// It did not.
    pub fn expect_requests(&self) -> Result<(), Mismatch> {
        let (expected, received) = (self.plan.requests(self.protocol), self.received());
        if expected == received {
            return Ok(());
        }
        if received.is_empty() {
            return Err(self.failure(format!("the requests: {}", shown(&expected, 0)), self.nothing_sent()));
        }
        let start = first_shown(&expected, &received);
        let about = wire::difference(self.protocol, &self.plan.exchanges, &received);
        let cut = expected.starts_with(&received).then(|| format!(", then nothing more; {}", self.described_end()));
        let got = format!("{}{}", shown(&received, start), cut.unwrap_or_default());
        let (expected, got) = match about {
            Some((expected_words, words)) => {
                (format!("{expected_words}: {}", shown(&expected, start)), format!("{words}: {got}"))
            }
            None => (format!("the requests: {}", shown(&expected, start)), got),
        };
        let hint = mistakes::in_requests(self.protocol, &self.plan.exchanges, &received).or(self.hint_if_busy());
        Err(Mismatch { hint: hint.unwrap_or_default().into(), ..self.failure(expected, got) })
    }

    fn hint_if_busy(&self) -> Option<&'static str> {
        matches!(self.end, ClientEnd::OutOfTime(_)).then_some(mistakes::TOO_SLOW)
    }

    /// Expects exactly this on standard output.
    ///
    /// # Errors
    /// It is something else.
    pub fn expect_output(&self, expected: &[u8]) -> Result<(), Mismatch> {
        let printed = &self.stdout[..];
        if printed == expected {
            return Ok(());
        }
        let start = first_shown(expected, printed);
        let line = expected.iter().zip(printed).take_while(|(one, other)| one == other);
        let line = line.filter(|(byte, _)| **byte == b'\n').count() + 1;
        let place = if expected.is_empty() { String::new() } else { format!(", line {line}") };
        let mut received = format!("on standard output: {}", shown(printed, start));
        if self.end != ClientEnd::Code(0) {
            received = format!("{received}; {}", self.described_end());
        }
        let hint = mistakes::in_output(expected, printed).or(self.hint_if_busy()).unwrap_or_default().into();
        let failure = self.failure(format!("on standard output{place}: {}", shown(expected, start)), received);
        Err(Mismatch { hint, ..failure })
    }

    /// Expects that a client that has printed all replies ended by itself, with exit code 0.
    ///
    /// # Errors
    /// It did not.
    pub fn expect_success(&self) -> Result<(), Mismatch> {
        let hint = match self.end {
            ClientEnd::Code(0) => return Ok(()),
            ClientEnd::Hung(_) | ClientEnd::OutOfTime(_) => mistakes::NO_END,
            _ => "",
        };
        Err(Mismatch { hint: hint.into(), ..self.failure("exit code 0", self.described_end()) })
    }

    /// Expects that the client ended by itself with an exit code other than 0, and a message on standard error.
    ///
    /// # Errors
    /// It did not.
    pub fn expect_failure(&self) -> Result<(), Mismatch> {
        let expected = "an exit code other than 0, and a message on standard error";
        match self.end {
            ClientEnd::Code(0) => Err(Mismatch {
                hint: "report the failure: print a message on standard error, and end with sys.exit(1)".into(),
                ..self.failure(expected, self.described_end())
            }),
            ClientEnd::Code(_) if self.stderr.iter().all(u8::is_ascii_whitespace) => Err(Mismatch {
                hint: "say on standard error what went wrong, not only by the exit code".into(),
                ..self.failure(expected, format!("{}, and nothing on standard error", self.described_end()))
            }),
            ClientEnd::Code(_) => Ok(()),
            _ => Err(self.failure(expected, self.described_end())),
        }
    }

    /// Expects that the client ended by itself, with any exit code.
    ///
    /// # Errors
    /// It did not, or a signal ended it.
    pub fn expect_end(&self) -> Result<(), Mismatch> {
        match self.end {
            ClientEnd::Code(_) => Ok(()),
            _ => Err(self.failure("the client ends by itself", self.described_end())),
        }
    }

    /// A failure of this run.
    pub fn failure(&self, expected: impl Into<String>, received: impl Into<String>) -> Mismatch {
        let sent = (self.sent.total > 0).then(|| self.sent.shown());
        Mismatch { sent, ..Mismatch::in_words(expected, received, "") }
    }

    /// The end of the client, in words.
    #[must_use]
    pub fn described_end(&self) -> String {
        let end = match self.end {
            ClientEnd::Code(code) => format!("exit code {code}"),
            ClientEnd::Signal(signal) => format!("signal {signal} ended the client"),
            ClientEnd::Hung(time) => format!("the client did nothing for {time:.1?} and was killed"),
            ClientEnd::OutOfTime(time) => format!("the client had not ended after {time:.1?} and was killed"),
            ClientEnd::Excess => String::from("the client printed far more than all replies and was killed"),
            ClientEnd::WrongRequest => String::from("the client was killed because of it"),
        };
        let message = self.last_message();
        if message.is_empty() { end } else { format!("{end}; on standard error: {message}") }
    }

    /// The last line on standard error, which has the reason in most languages.
    fn last_message(&self) -> String {
        let mut lines = self.stderr.split(|byte| *byte == b'\n').rev();
        let line = lines.find(|line| !line.iter().all(u8::is_ascii_whitespace)).unwrap_or_default();
        if line.is_empty() { String::new() } else { escaped(line, line.len(), 0) }
    }

    fn nothing_sent(&self) -> String {
        let connected = match self.connections.len() {
            0 => String::from("no connection"),
            number => format!("{}, and no bytes on it", counted(number, "connection")),
        };
        format!("{connected}; {}", self.described_end())
    }
}

/// The index of the first byte to show, so that the first difference is among those shown.
fn first_shown(expected: &[u8], received: &[u8]) -> usize {
    let equal = expected.iter().zip(received).take_while(|(one, other)| one == other).count();
    if equal < SHOWN { 0 } else { equal - SHOWN / 4 }
}

fn shown(bytes: &[u8], start: usize) -> String {
    escaped(bytes, bytes.len(), start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::check_client::plan::Exchange;

    fn observation(received: &[u8], stdout: &[u8], stderr: &[u8], end: ClientEnd) -> Observation {
        Observation {
            plan: Plan::scripted(vec![Exchange::new("reverse", "abc", "cba")], Vec::new()),
            protocol: ClientProtocol::by_name("frame").unwrap(),
            stdout: stdout.to_vec(),
            stderr: stderr.to_vec(),
            end,
            connections: vec![ConnectionRecord { received: received.to_vec(), end: None }],
            sent: Excerpt::default(),
            startup: None,
        }
    }

    const REQUEST: &[u8] = b"\x20\0\0\x03abc";

    #[test]
    fn a_correct_client_passes() {
        assert_eq!(observation(REQUEST, b"cba\n", b"a log", ClientEnd::Code(0)).expect_all(), Ok(()));
    }

    #[test]
    fn each_flaw_is_described() {
        let hung = ClientEnd::Hung(Duration::from_secs(2));
        let busy = ClientEnd::OutOfTime(Duration::from_secs(9));
        for (received, stdout, end, words, hint) in [
            (b"".as_slice(), b"cba\n".as_slice(), hung, "no bytes on it; the client did nothing for 2.0s", ""),
            (b"\x20\0\0\x04abcd", b"cba\n", ClientEnd::Code(0), "request 1, reverse of 4 bytes (abcd)", ""),
            (b"\x20\0", b"", ClientEnd::Code(0), "then nothing more; exit code 0", ""),
            (REQUEST, b"cba", ClientEnd::Code(0), "on standard output: cba", "no newline at its end"),
            (REQUEST, b"b'cba'\n", ClientEnd::Code(0), "b'cba'", "reply.decode()"),
            (REQUEST, b"c ba\n", ClientEnd::Code(0), "c ba", "only white space differs"),
            (REQUEST, b"", ClientEnd::Code(1), "nothing; exit code 1; on standard error: last", ""),
            (REQUEST, b"cba\n", ClientEnd::Signal(11), "signal 11 ended the client", ""),
            (REQUEST, b"cba\n", hung, "was killed", "close after the last one"),
            (b"\x20\0", b"", busy, "had not ended after 9.0s", "still busy"),
            (REQUEST, b"", busy, "had not ended after 9.0s", "still busy"),
        ] {
            let failure = observation(received, stdout, b"first\nlast\n\n", end).expect_all().unwrap_err();
            assert!(failure.received.contains(words), "{failure:?}");
            assert!(failure.hint.contains(hint) && failure.hint.is_empty() == hint.is_empty(), "{failure:?}");
        }
    }

    #[test]
    fn a_failure_needs_an_exit_code_and_a_message() {
        let failure = |stderr: &[u8], end| observation(b"", b"", stderr, end).expect_failure();
        assert_eq!(failure(b"refused", ClientEnd::Code(1)), Ok(()));
        assert!(failure(b"refused", ClientEnd::Code(0)).unwrap_err().hint.contains("sys.exit(1)"));
        assert!(failure(b" \n", ClientEnd::Code(1)).unwrap_err().received.ends_with("and nothing on standard error"));
        assert!(failure(b"refused", ClientEnd::Signal(6)).is_err());
        assert_eq!(observation(b"", b"", b"", ClientEnd::Code(7)).expect_end(), Ok(()));
        assert!(observation(b"", b"", b"", ClientEnd::Excess).expect_end().is_err());
    }
}
