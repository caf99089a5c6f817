//! One connection to the server under judgement.
//!
//! Owns a non-blocking socket, what was received and not yet judged, and the memory of what was sent. Guarantees:
//! sending receives too, so that a server that answers while it reads is never stuck; every wait ends, when nothing
//! moves for the patience, or when the check's time is up however much moves; what comes wrong is noticed at the first
//! wrong byte, without waiting for the rest.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::flaw::{Excerpt, Flaw, Seen, State};
use crate::client::dialogue::Ending;
use crate::client::poll::{self, Interest};

/// A connection, with deadlines and a memory.
#[derive(Debug)]
pub struct Probe {
    stream: TcpStream,
    patience: Duration,
    deadline: Instant,
    sent: Excerpt,
    received: Vec<u8>,
    judged: usize,
    state: State,
}

/// How long to go on collecting after a wrong byte, so that what came can be shown.
const GRACE: Duration = Duration::from_millis(50);

impl Probe {
    /// Takes over a connection; waits at most `patience` for any progress, and not beyond `deadline`.
    pub fn new(stream: TcpStream, patience: Duration, deadline: Instant) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        let (sent, received) = (Excerpt::default(), Vec::new());
        Ok(Self { stream, patience, deadline, sent, received, judged: 0, state: State::Open })
    }

    /// What has come and was not yet judged.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.received[self.judged..]
    }

    /// How the connection stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Sends it all. A server that stops reading is a flaw; one that closes is found out when its answer is missing.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Flaw> {
        self.sent.push(bytes);
        let mut rest = bytes;
        while !rest.is_empty() {
            let wanted = Interest { read: self.state == State::Open, write: true };
            let Some(ready) = self.wait(wanted, self.patience)? else {
                self.state = State::Silent;
                let finding = format!("it took {} of {} bytes and no more", bytes.len() - rest.len(), bytes.len());
                return Err(self.flaw("a server that goes on reading", finding));
            };
            if ready.read {
                self.receive();
            }
            if ready.write || ready.read {
                match self.stream.write(rest) {
                    Ok(n) => rest = &rest[n..],
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                    Err(_) => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// Sends it in two or more parts, each of which the server gets to see alone.
    pub fn send_in_parts(&mut self, parts: &[&[u8]]) -> Result<(), Flaw> {
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.pause(PART_PAUSE)?;
            }
            self.send(part)?;
        }
        Ok(())
    }

    /// Lets so much time pass, receiving what comes.
    pub fn pause(&mut self, time: Duration) -> Result<(), Flaw> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if self.state != State::Open {
                // Nothing can come any more; what is left of the pause would tell nothing.
                return Ok(());
            }
            if self.wait(Interest { read: true, write: false }, left)?.is_some() {
                self.receive();
            }
        }
    }

    /// Ends our side: the server sees the end of its input.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Leaves with a reset.
    pub fn reset(self) {
        poll::reset(self.stream);
    }

    /// Exactly these bytes come next.
    pub fn expect(&mut self, expected: &[u8]) -> Result<(), Flaw> {
        let mut same = 0;
        loop {
            // Only what is new: long answers come in thousands of portions.
            let come = self.unread().len().min(expected.len());
            if self.unread()[same..come] != expected[same..come] {
                self.collect();
                break;
            }
            same = come;
            if same == expected.len() || !self.more()? {
                break;
            }
        }
        if same == expected.len() {
            self.judged += expected.len();
            // Judged bytes are of no more use, and there may be many.
            self.received.drain(..std::mem::take(&mut self.judged));
            return Ok(());
        }
        Err(Flaw { expected: Seen::Bytes(expected.to_vec()), ..self.flaw("", "") })
    }

    /// An answer of any content comes next.
    pub fn answer(&mut self, ending: Ending) -> Result<Vec<u8>, Flaw> {
        loop {
            match measure(self.unread(), ending) {
                Measure::Whole(range) => {
                    let answer = self.unread()[range.clone()].to_vec();
                    self.judged += range.end;
                    return Ok(answer);
                }
                Measure::Nonsense => return Err(self.flaw("an answer that begins with its length", "")),
                Measure::Unknown if ending == Ending::Close && self.state == State::Closed => {
                    self.judged = self.received.len();
                    return Ok(self.received.clone());
                }
                Measure::Unknown => {
                    let ended = !self.more()?;
                    if ended && (ending != Ending::Close || self.state != State::Closed) {
                        return Err(self.flaw("a whole answer", ""));
                    }
                }
            }
        }
    }

    /// The server closes, and sends nothing before.
    pub fn expect_close(&mut self) -> Result<(), Flaw> {
        while self.unread().is_empty() && self.more()? {}
        if self.unread().is_empty() && self.state == State::Closed {
            return Ok(());
        }
        self.collect();
        Err(self.flaw("the server closes the connection, and nothing before", ""))
    }

    /// Nothing comes for so long, and the connection stays.
    pub fn expect_silence(&mut self, time: Duration) -> Result<(), Flaw> {
        self.pause(time)?;
        if self.unread().is_empty() && self.state == State::Open {
            return Ok(());
        }
        Err(self.flaw("nothing, and an open connection", ""))
    }

    /// Whether anything comes within this time, be it the end.
    pub fn anything_within(&mut self, time: Duration) -> Result<bool, Flaw> {
        if self.unread().is_empty() && self.state == State::Open {
            if self.wait(Interest { read: true, write: false }, time)?.is_none() {
                return Ok(false);
            }
            self.receive();
        }
        Ok(true)
    }

    /// At least so many bytes are there to be read.
    pub fn gather(&mut self, length: usize) -> Result<(), Flaw> {
        while self.unread().len() < length {
            if !self.more()? {
                return Err(self.flaw(format!("at least {length} bytes"), format!("{} bytes", self.unread().len())));
            }
        }
        Ok(())
    }

    /// A flaw of this conversation, as it stands; without a `finding`, what came and was not judged is it.
    pub fn flaw(&self, expected: impl Into<String>, finding: impl Into<String>) -> Flaw {
        let mut flaw = Flaw::in_words(expected, finding);
        if flaw.came == Seen::Words(String::new()) {
            flaw.came = Seen::Bytes(self.unread().to_vec());
        }
        Flaw { sent: self.sent.clone(), state: self.state, ..flaw }
    }

    /// Waits for more; false when there will be none, or none came in time.
    fn more(&mut self) -> Result<bool, Flaw> {
        if matches!(self.state, State::Closed | State::Reset) {
            return Ok(false);
        }
        if self.wait(Interest { read: true, write: false }, self.patience)?.is_none() {
            self.state = State::Silent;
            return Ok(false);
        }
        Ok(self.receive())
    }

    fn collect(&mut self) {
        while self.state == State::Open
            && matches!(self.wait(Interest { read: true, write: false }, GRACE), Ok(Some(_)))
            && self.receive()
        {}
    }

    /// Takes what has come; false when that is the end.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 16_384];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.state = State::Closed,
            Ok(n) => {
                self.state = State::Open;
                self.received.extend_from_slice(&buffer[..n]);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.state = State::Reset,
        }
        self.state == State::Open
    }

    fn wait(&self, interest: Interest, at_most: Duration) -> Result<Option<Interest>, Flaw> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        poll::ready(&self.stream, interest, at_most.min(left))
            .map_err(|error| self.flaw("", format!("cannot wait for the socket: {error}")))
    }
}

/// Long enough for the part before to arrive alone, and to be read alone by a server that has nothing else to do.
const PART_PAUSE: Duration = Duration::from_millis(3);

enum Measure {
    Whole(std::ops::Range<usize>),
    Unknown,
    Nonsense,
}

/// Where the first answer stands in these bytes.
fn measure(bytes: &[u8], ending: Ending) -> Measure {
    let (start, length) = match ending {
        Ending::Exactly(length) => (0, length),
        Ending::Close => return Measure::Unknown,
        Ending::BinaryLength => match bytes.first_chunk::<4>() {
            Some(&header) => (4, u32::from_be_bytes(header) as usize),
            None => return Measure::Unknown,
        },
        Ending::DecimalLength => {
            let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
            match bytes.get(digits) {
                Some(b' ') if (1..=10).contains(&digits) => {
                    (digits + 1, bytes[..digits].iter().fold(0, |n, digit| n * 10 + usize::from(digit - b'0')))
                }
                None if digits <= 10 => return Measure::Unknown,
                _ => return Measure::Nonsense,
            }
        }
    };
    if bytes.len() < start + length { Measure::Unknown } else { Measure::Whole(start..start + length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn pair() -> (Probe, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let patience = Duration::from_millis(100);
        (Probe::new(client, patience, Instant::now() + Duration::from_secs(10)).unwrap(), server)
    }

    #[test]
    fn what_is_expected_is_judged_and_forgotten() {
        let (mut probe, mut server) = pair();
        server.write_all(b"abcdef").unwrap();
        probe.expect(b"abc").unwrap();
        probe.expect(b"def").unwrap();
        drop(server);
        probe.expect_close().unwrap();
    }

    #[test]
    fn a_wrong_byte_is_noticed_before_the_rest_has_come() {
        let (mut probe, mut server) = pair();
        server.write_all(b"abX").unwrap();
        let flaw = probe.expect(&vec![b'a'; 1_000_000]).unwrap_err();
        assert_eq!((flaw.came, flaw.state), (Seen::Bytes(b"abX".to_vec()), State::Open));
    }

    #[test]
    fn silence_and_the_end_are_told_apart() {
        let (mut probe, server) = pair();
        assert_eq!(probe.expect(b"abc").unwrap_err().state, State::Silent);
        drop(server);
        assert_eq!(probe.expect(b"abc").unwrap_err().state, State::Closed);
    }

    #[test]
    fn answers_are_measured() {
        let (mut probe, mut server) = pair();
        server.write_all(b"\0\0\0\x02ab12 abcdefghijklrest").unwrap();
        assert_eq!(probe.answer(Ending::BinaryLength).unwrap(), b"ab");
        assert_eq!(probe.answer(Ending::DecimalLength).unwrap(), b"abcdefghijkl");
        drop(server);
        assert_eq!(probe.answer(Ending::Exactly(4)).unwrap(), b"rest");
    }

    #[test]
    fn sending_does_not_wait_for_a_server_that_waits_for_us() {
        let (mut probe, server) = pair();
        let echo = std::thread::spawn(move || std::io::copy(&mut &server, &mut &server));
        let much = vec![b'x'; 16 << 20];
        probe.send(&much).unwrap();
        probe.finish();
        probe.expect(&much).unwrap();
        assert_eq!(echo.join().unwrap().unwrap(), much.len() as u64);
    }
}
