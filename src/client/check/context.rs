//! The interface of a check: connections to the server, requests and their replies.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::connection::TestConnection;
use super::failure::{CheckFailure, ConnectionState};
use crate::client::client_protocol::{ClientProtocol, ERROR_TEXT, MAX_LENGTH, ReplyFraming};
use crate::client::failure::reason;
use crate::client::target::{Target, lacks_descriptors};

/// The server, and the time that one check may take.
#[derive(Debug)]
pub struct CheckContext<'a> {
    target: &'a Target,
    protocol: ClientProtocol,
    /// Whether to send the longest message.
    pub large: bool,
    patience: Duration,
    time: Cell<CheckTime>,
}

/// The time that a check may take.
#[derive(Clone, Copy, Debug)]
struct CheckTime {
    /// The most time that the check waits for any progress.
    patience: Duration,
    /// The end of the check.
    deadline: Instant,
}

/// The time of a whole check, in multiples of its patience. Chosen: the slowest correct server needs a few waits per
/// check, and a server that sends a byte now and then must not hold it up.
const PATIENCE_MULTIPLE: u32 = 5;

/// The least time of a whole check, whatever its patience is. Derived: a check pauses for less than a second altogether,
/// and the deadline is meant to end waits for the server, not these pauses.
const MIN_CHECK_TIME: Duration = Duration::from_secs(2);

/// The time of the check of the longest message. Derived: 134 MB in each direction, at 10 MB/s.
const LONGEST_MESSAGE_TIME: Duration = Duration::from_secs(30);

/// The most time for a server that has refused a connection to listen again. Chosen: a supervisor restarts a crashed
/// server in less.
const RESTART_TIME: Duration = Duration::from_millis(300);

impl<'a> CheckContext<'a> {
    /// A context for one check, which waits at most `patience` for any progress.
    #[must_use]
    pub fn new(target: &'a Target, protocol: ClientProtocol, patience: Duration, large: bool) -> Self {
        let deadline = Instant::now() + (patience * PATIENCE_MULTIPLE).max(MIN_CHECK_TIME);
        Self { target, protocol, large, patience, time: Cell::new(CheckTime { patience, deadline }) }
    }

    /// The same context, with the whole time of a check.
    #[must_use]
    pub fn renewed(&self) -> Self {
        Self::new(self.target, self.protocol, self.patience, self.large)
    }

    /// The protocol that the server should speak.
    #[must_use]
    pub fn protocol(&self) -> ClientProtocol {
        self.protocol
    }

    /// The most time to wait for any progress, before [`CheckContext::allow_longest_message`] changes it.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Gives this check the time that the longest message takes.
    pub fn allow_longest_message(&self) {
        let deadline = Instant::now() + LONGEST_MESSAGE_TIME;
        self.time.set(CheckTime { patience: LONGEST_MESSAGE_TIME, deadline });
    }

    /// A new connection. A server that refuses it is given 300 ms and a second chance.
    ///
    /// # Errors
    /// The server refuses both attempts, or does not accept within the patience; or this client has no free descriptor.
    pub fn connect(&self) -> Result<TestConnection, CheckFailure> {
        let stream = self.target.connect(self.patience).or_else(|error| {
            if lacks_descriptors(&error) {
                return Err(error);
            }
            std::thread::sleep(RESTART_TIME);
            self.target.connect(self.patience)
        });
        let time = self.time.get();
        let connection = stream.and_then(|stream| TestConnection::new(stream, time.patience, time.deadline));
        connection.map_err(|error| {
            if lacks_descriptors(&error) {
                let failure = CheckFailure::in_words("a connection", self.target.unreachable(&error).to_string());
                return CheckFailure { state: ConnectionState::NoDescriptor, ..failure };
            }
            let failure = CheckFailure::in_words("a connection", format!("cannot connect: {}", reason(&error)));
            CheckFailure { state: ConnectionState::Refused, ..failure }.with_hint(
                "the server has stopped: an error of one client must not end it; look at what it printed last",
            )
        })
    }

    /// The bytes of a request; protocols without actions ignore the action.
    #[must_use]
    pub fn request(&self, action: &str, message: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        let written = self.protocol.write_request(action, message, &mut wire);
        debug_assert_eq!(written, Ok(()), "a check sends a request that the protocol does not have");
        wire
    }

    /// The bytes of the correct reply; empty where chance decides.
    #[must_use]
    pub fn reply(&self, action: &str, message: &[u8]) -> Vec<u8> {
        self.protocol.wire_reply(&self.protocol.expected(action, message).unwrap_or_default())
    }

    /// How the reply to a message is delimited.
    #[must_use]
    pub fn framing(&self, message: &[u8]) -> ReplyFraming {
        self.protocol.framing(message)
    }

    /// The most bytes that the body of a correct reply has, or of a refusal.
    #[must_use]
    pub fn max_reply_len(&self, action: &str, message: &[u8]) -> usize {
        self.protocol.expected_length(action, message).map_or(MAX_LENGTH, |length| length.max(ERROR_TEXT.len()))
    }

    /// Sends `request` on a connection of its own, and expects exactly `reply`.
    ///
    /// # Errors
    /// The server refuses the connection, or its reply is another one.
    pub fn exchange(&self, request: &[u8], reply: &[u8]) -> Result<(), CheckFailure> {
        let mut connection = self.connect()?;
        connection.send(request)?;
        connection.expect(reply)
    }

    /// Sends a request on a connection of its own, and expects its correct reply.
    ///
    /// # Errors
    /// As [`CheckContext::exchange`].
    pub fn request_and_expect(&self, action: &str, message: &[u8]) -> Result<(), CheckFailure> {
        self.exchange(&self.request(action, message), &self.reply(action, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::options::AddressFamily;

    /// Written out by hand: what a server is checked against must not change with the code that describes a protocol.
    #[test]
    fn requests_and_replies_are_those_of_the_specification() {
        let frame = ClientProtocol::by_name("frame").unwrap();
        let target = Target::resolve(&"127.0.0.1:1".parse().unwrap(), frame, AddressFamily::default()).unwrap();
        for (name, request, reply) in [
            ("frame", b"\x20\0\0\x03abc".as_slice(), b"\0\0\0\x03cba".as_slice()),
            ("frame-2021", b"\x40\0\0\x03abc", b"\0\0\0\x03cba"),
            ("text", b"reverse 3 abc", b"3 cba"),
            ("length-prefix", b"\0\0\0\x03abc", b"\0\0\0\x03abc"),
            ("echo", b"abc", b"abc"),
        ] {
            let protocol = ClientProtocol::by_name(name).unwrap();
            let context = CheckContext::new(&target, protocol, Duration::from_secs(1), false);
            assert_eq!(context.request("reverse", b"abc"), request, "{name}");
            assert_eq!(context.reply("reverse", b"abc"), reply, "{name}");
        }
    }
}
