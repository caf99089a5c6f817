//! The protocol that `retort` speaks: a name, and the client's side from the list of protocols.
//!
//! The protocols describe requests and replies themselves, in [`client_side`](crate::protocol::client_side). This
//! module adds what is a client's own decision: how much of a wrong reply to read.

#![allow(clippy::cast_possible_truncation, reason = "the length of a reply is at most 32 bits on the wire")]

use crate::protocol::services::frame;
use crate::protocol::{self, ProtocolInfo};
use crate::transform::Action;

pub use crate::protocol::client_side::{ConnectionUse, ReplyFraming};

/// A protocol, as a client speaks it.
#[derive(Clone, Copy, Debug)]
pub struct ClientProtocol {
    info: &'static ProtocolInfo,
}

/// The reply of frame protocols and `text` to a request that they reject.
pub const ERROR_TEXT: &[u8] = frame::ERROR_TEXT;

/// The longest message of a frame, in bytes.
pub const MAX_LENGTH: usize = frame::MAX_LENGTH;

/// How much longer than the correct reply a wrong one may be to be read and shown, in bytes. Chosen: more than the
/// words and line ends that servers add.
const MAX_EXCESS: usize = 4096;

/// The longest reply that is read from a service that speaks first, in bytes. Chosen: the RFCs have 512 characters, a
/// line and 32 bits; quotes are often longer.
const MAX_SPOKEN_REPLY: usize = 64 << 10;

impl ClientProtocol {
    /// The protocol called `name`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        protocol::by_name(name).map(|info| Self { info })
    }

    /// All protocols.
    pub fn all() -> impl Iterator<Item = Self> {
        protocol::PROTOCOLS.iter().map(|info| Self { info })
    }

    /// All names, for a message.
    #[must_use]
    pub fn names() -> String {
        Self::all().map(Self::name).collect::<Vec<_>>().join(", ")
    }

    /// The protocol's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.info.name
    }

    /// How requests share a connection.
    #[must_use]
    pub fn connection_use(self) -> ConnectionUse {
        self.info.client.connection_use
    }

    /// The port of a server if the user names none.
    #[must_use]
    pub fn port(self) -> Option<u16> {
        self.info.client.port.or(self.info.port)
    }

    /// Whether a request names an action.
    #[must_use]
    pub fn has_actions(self) -> bool {
        self.info.client.actions.is_some()
    }

    /// Whether a request names its action by a code, as in a frame's header.
    #[must_use]
    pub fn has_action_codes(self) -> bool {
        self.info.client.actions.is_some_and(|actions| actions.have_codes)
    }

    /// Whether a request has a message; otherwise the server speaks first.
    #[must_use]
    pub fn takes_messages(self) -> bool {
        !self.info.speaks_first()
    }

    /// Whether the length of a reply precedes it.
    #[must_use]
    pub fn has_reply_length(self) -> bool {
        matches!(self.framing(b""), ReplyFraming::Length32 | ReplyFraming::DecimalLength)
    }

    /// The actions that a request may name.
    pub fn actions(self) -> impl Iterator<Item = Action> {
        let known = self.info.client.actions.map_or(&[][..], |actions| actions.known);
        Action::ALL.iter().copied().filter(move |action| known.contains(action))
    }

    /// The names of [`actions`](Self::actions), for a message.
    #[must_use]
    pub fn action_names(self) -> String {
        self.actions().map(Action::name).collect::<Vec<_>>().join(", ")
    }

    /// Checks that a request may name this action, although a server may refuse it.
    ///
    /// # Errors
    /// As [`write_request`](Self::write_request).
    pub fn check_action(self, action: &str) -> Result<(), String> {
        self.write_request(action, b"", &mut Vec::new())
    }

    /// Checks that a server accepts this action.
    ///
    /// # Errors
    /// The action is unknown to the protocol.
    pub fn check_accepted_action(self, action: &str) -> Result<(), String> {
        match self.action(action) {
            Some(_) => Ok(()),
            None => Err(format!("no such action: {} (one of {})", action.escape_debug(), self.action_names())),
        }
    }

    /// Checks that a message of `size` bytes has a reply that ends, so that its time can be measured.
    ///
    /// # Errors
    /// There is no such reply.
    pub fn check_round_trip(self, size: usize) -> Result<(), String> {
        let name = self.name();
        match self.connection_use() {
            ConnectionUse::NoReply => Err(format!("{name} has no replies: there is no round trip to measure")),
            ConnectionUse::Streaming => {
                Err(format!("{name} has replies without end: there is no round trip to measure"))
            }
            _ if size == 0 && self.framing(b"") == ReplyFraming::Fixed(0) => {
                Err(format!("an empty message has no reply in {name}: give a --size"))
            }
            _ => Ok(()),
        }
    }

    /// Appends a request to `wire`; the error says why there is no such request.
    ///
    /// # Errors
    /// The action is unknown to the protocol, or the message is too long for it.
    pub fn write_request(self, action: &str, message: &[u8], wire: &mut Vec<u8>) -> Result<(), String> {
        let (length, max_length) = (message.len(), self.info.client.max_message);
        if length > max_length {
            return Err(format!("the message has {length} bytes, and {} takes {max_length}", self.name()));
        }
        (self.info.client.write_request)(action, message, wire)
    }

    /// Where the reply to this message ends.
    #[must_use]
    pub fn framing(self, message: &[u8]) -> ReplyFraming {
        (self.info.client.framing)(message)
    }

    /// The correct reply, without its length field; `None` where chance or the server's clock decides.
    #[must_use]
    pub fn expected(self, action: &str, message: &[u8]) -> Option<Vec<u8>> {
        (self.info.client.expected)(action, message)
    }

    /// The length of the correct reply, in bytes, where that is known although its content may not be.
    #[must_use]
    pub fn expected_length(self, action: &str, message: &[u8]) -> Option<usize> {
        match self.action(action) {
            Some(Action::Random) => None,
            Some(Action::Shuffle | Action::Reverse) if std::str::from_utf8(message).is_ok() => Some(message.len()),
            _ => self.expected(action, message).map(|reply| reply.len()),
        }
    }

    /// The most bytes of a reply to read; `expected` is the length of the correct one, if that is known.
    #[must_use]
    pub fn max_reply_len(self, expected: Option<usize>) -> usize {
        match expected {
            Some(length) => length.saturating_add(MAX_EXCESS),
            None if self.info.speaks_first() => MAX_SPOKEN_REPLY,
            None => MAX_LENGTH,
        }
    }

    /// The action that a word in a request names.
    #[must_use]
    pub fn action(self, action: &str) -> Option<Action> {
        (self.info.client.actions?.parse)(action)
    }

    /// The bytes on the wire for this reply.
    #[must_use]
    pub fn wire_reply(self, reply: &[u8]) -> Vec<u8> {
        match self.framing(b"") {
            ReplyFraming::Length32 => [&(reply.len() as u32).to_be_bytes(), reply].concat(),
            ReplyFraming::DecimalLength => [reply.len().to_string().as_bytes(), b" ", reply].concat(),
            ReplyFraming::Fixed(_) | ReplyFraming::CloseDelimited => reply.to_vec(),
        }
    }

    /// The reply in a form that people read.
    #[must_use]
    pub fn readable(self, reply: Vec<u8>) -> Vec<u8> {
        (self.info.client.display)(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_protocol(name: &str) -> ClientProtocol {
        ClientProtocol::by_name(name).unwrap()
    }

    fn request(name: &str, action: &str, message: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        client_protocol(name).write_request(action, message, &mut wire).unwrap();
        wire
    }

    #[test]
    fn an_action_may_be_one_that_servers_refuse() {
        for (name, action, is_writable, is_accepted) in [
            ("frame", "reverse", true, true),
            ("frame", "1", true, true),
            ("frame", "6", true, false),
            ("frame", "nonsense", false, false),
            ("text", "nonsense", true, false),
        ] {
            let protocol = client_protocol(name);
            let (writable, accepted) = (protocol.check_action(action), protocol.check_accepted_action(action));
            assert_eq!((writable.is_ok(), accepted.is_ok()), (is_writable, is_accepted), "{name} {action}");
            for error in [writable, accepted].into_iter().filter_map(Result::err) {
                assert!(error.starts_with(&format!("no such action: {action} (one of uppercase, ")), "{error}");
            }
        }
    }

    #[test]
    fn a_round_trip_needs_a_reply_that_ends() {
        for (name, size, words) in [
            ("discard", 1, "discard has no replies: "),
            ("chargen", 1, "chargen has replies without end: "),
            ("echo", 0, "an empty message has no reply in echo: "),
        ] {
            let error = client_protocol(name).check_round_trip(size).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
        for (name, size) in [("echo", 1), ("frame", 0), ("daytime", 0), ("respond", 0)] {
            assert_eq!(client_protocol(name).check_round_trip(size), Ok(()), "{name}");
        }
    }

    #[test]
    fn every_protocol_has_a_client_side() {
        for info in protocol::PROTOCOLS {
            let protocol = client_protocol(info.name);
            assert_eq!(protocol.name(), info.name);
            let action = protocol.actions().next().map_or("", Action::name);
            protocol.write_request(action, b"abc", &mut Vec::new()).unwrap();
        }
    }

    #[test]
    fn requests_on_the_wire() {
        assert_eq!(request("frame", "reverse", b"abc"), b"\x20\0\0\x03abc");
        assert_eq!(request("frame-2021", "reverse", b"abc"), b"\x40\0\0\x03abc");
        assert_eq!(request("frame", "6", b"abc"), b"\x30\0\0\x03abc");
        assert_eq!(request("frame", "0x1f", b""), b"\xf8\0\0\0");
        assert_eq!(request("text", "reverse", b"abc"), b"reverse 3 abc");
        assert_eq!(request("length-prefix", "", b"abc"), b"\0\0\0\x03abc");
        assert_eq!(request("echo", "", b"abc"), b"abc");
        assert_eq!(request("upper-line", "", b"abc"), b"abc\n");
    }

    #[test]
    fn impossible_requests_are_errors() {
        let mut wire = Vec::new();
        for (name, action, message) in [
            ("frame", "title-case", b"x".to_vec()),
            ("frame-2021", "random", b"x".to_vec()),
            ("frame", "32", b"x".to_vec()),
            ("text", "", b"x".to_vec()),
            ("respond", "", vec![b'x'; 1025]),
            ("frame", "reverse", vec![b'x'; MAX_LENGTH + 1]),
        ] {
            assert!(client_protocol(name).write_request(action, &message, &mut wire).is_err(), "{name} {action}");
        }
    }

    #[test]
    fn correct_replies() {
        for (name, action, message, reply) in [
            ("frame", "uppercase", "stra\u{df}e", "STRASSE"),
            ("frame", "6", "abc", "error"),
            ("text", "nonsense", "abc", "error"),
            ("echo", "", "abc", "abc"),
            ("echo-prefix", "", "abc", "Echo: abc"),
            ("respond", "", "abc", "Response: ABC"),
            ("ack", "", "abc", "Message received!"),
            ("upper", "", " abc ", "ABC"),
        ] {
            let expected = client_protocol(name).expected(action, message.as_bytes());
            assert_eq!(expected.as_deref(), Some(reply.as_bytes()), "{name} {action}");
        }
        assert_eq!(client_protocol("frame").expected("reverse", b"\xff"), Some(ERROR_TEXT.to_vec()));
        assert_eq!(client_protocol("frame").expected("shuffle", b"abc"), None);
        assert_eq!(client_protocol("frame").expected_length("shuffle", b"abc"), Some(3));
        assert_eq!(client_protocol("frame").expected_length("random", b"abc"), None);
    }

    #[test]
    fn lengths_on_the_wire() {
        assert_eq!(client_protocol("frame").wire_reply(b"abc"), b"\0\0\0\x03abc");
        assert_eq!(client_protocol("text").wire_reply(b"abc"), b"3 abc");
        assert_eq!(client_protocol("echo").wire_reply(b"abc"), b"abc");
    }

    #[test]
    fn default_ports() {
        assert_eq!(client_protocol("frame").port(), Some(8083));
        assert_eq!(client_protocol("frame-2021").port(), Some(8083));
        assert_eq!(client_protocol("length-prefix").port(), None);
        assert_eq!(client_protocol("echo-prefix").port(), None);
    }
}
