//! What a conversation looks like in each protocol, from the client's side: how a request is written, where its answer
//! ends, and what a correct answer is.
//!
//! Pure: no socket, no clock. The formats themselves are [`protocol`](mod@crate::protocol)'s and the transforms
//! [`transform`](mod@crate::transform)'s; everything in `client` that speaks to a server goes through here.

use crate::protocol;
use crate::protocol::services::frame::{self, Edition};
use crate::transform::{Action, Placed, RandomSource};

/// A protocol, as a client speaks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientProtocol {
    name: &'static str,
    shape: Shape,
    connection_use: ConnectionUse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// 32-bit header of action and length; answers with a 32-bit length.
    Frame(Edition),
    /// `ACTION LENGTH MESSAGE`; answers `LENGTH MESSAGE`.
    Text,
    /// A 32-bit length on both sides.
    LengthPrefix,
    /// The message back, with words before it.
    Back(&'static str),
    /// `Response: ` and the message in upper case.
    Respond,
    /// These words, whatever was sent.
    Words(&'static str),
    /// The message stripped and in upper case; `true`: it must end its line.
    Upper(bool),
    /// Whatever the server has to say.
    Speaks,
    /// Nothing comes back.
    Discard,
}

/// How requests follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionUse {
    /// Any number may be under way on one connection.
    Pipelined,
    /// One connection, but a request only after the answer to the one before: answers have no mark between them.
    Sequential,
    /// A connection for each request.
    PerRequest,
    /// One connection; the server never ends its answer.
    Streaming,
    /// One connection; the server never answers.
    NoReply,
}

/// Where an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyFraming {
    /// After as many bytes as the 32-bit big-endian number in front of it says.
    Length32,
    /// After as many bytes as the decimal number in front of it, and a space, say.
    DecimalLength,
    /// After so many bytes.
    Fixed(usize),
    /// Where the server closes.
    CloseDelimited,
}

/// The frame protocols' and `text`'s answer to what they refuse.
pub const REFUSAL: &[u8] = frame::ERROR_TEXT;

/// The longest message of a frame, in bytes.
pub const MAX_LENGTH: usize = frame::MAX_LENGTH;

/// How much longer than the right answer a wrong one may be to be read and shown, in bytes. Chosen: more than the words
/// and line ends that servers add.
const BEYOND: usize = 4096;

/// The longest answer that is read of a service that is asked nothing, in bytes. Chosen: the RFCs have 512 characters,
/// a line and 32 bits; quotes are often longer.
const SPEECH: usize = 64 << 10;

/// The most that `echo-prefix` and `respond` take as one chunk, in bytes.
const CHUNK: usize = 1024;

const DIALOGUES: &[ClientProtocol] = &[
    ClientProtocol::new("frame", Shape::Frame(Edition::Current), ConnectionUse::Pipelined),
    ClientProtocol::new("frame-2021", Shape::Frame(Edition::Of2021), ConnectionUse::Pipelined),
    ClientProtocol::new("text", Shape::Text, ConnectionUse::Pipelined),
    ClientProtocol::new("echo", Shape::Back(""), ConnectionUse::Pipelined),
    ClientProtocol::new("echo-prefix", Shape::Back("Echo: "), ConnectionUse::Sequential),
    ClientProtocol::new("ack", Shape::Words("Message received!"), ConnectionUse::PerRequest),
    ClientProtocol::new("respond", Shape::Respond, ConnectionUse::Sequential),
    ClientProtocol::new("upper", Shape::Upper(false), ConnectionUse::PerRequest),
    ClientProtocol::new("upper-line", Shape::Upper(true), ConnectionUse::PerRequest),
    ClientProtocol::new("length-prefix", Shape::LengthPrefix, ConnectionUse::Pipelined),
    // A record, which nobody answers, would be next: so each message has a connection of its own.
    ClientProtocol::new("record", Shape::Back(""), ConnectionUse::PerRequest),
    ClientProtocol::new("discard", Shape::Discard, ConnectionUse::NoReply),
    ClientProtocol::new("chargen", Shape::Speaks, ConnectionUse::Streaming),
    ClientProtocol::new("qotd", Shape::Speaks, ConnectionUse::PerRequest),
    ClientProtocol::new("daytime", Shape::Speaks, ConnectionUse::PerRequest),
    ClientProtocol::new("time", Shape::Speaks, ConnectionUse::PerRequest),
];

impl ClientProtocol {
    const fn new(name: &'static str, shape: Shape, connection_use: ConnectionUse) -> Self {
        Self { name, shape, connection_use }
    }

    /// The protocol of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        DIALOGUES.iter().copied().find(|dialogue| dialogue.name == name)
    }

    /// All names, for a message.
    #[must_use]
    pub fn names() -> String {
        DIALOGUES.iter().map(|dialogue| dialogue.name).collect::<Vec<_>>().join(", ")
    }

    /// The protocol's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// How requests follow one another.
    #[must_use]
    pub fn connection_use(self) -> ConnectionUse {
        self.connection_use
    }

    /// Where people expect it; the older edition of a protocol lives where the newer one does.
    #[must_use]
    pub fn port(self) -> Option<u16> {
        let listed = protocol::by_name(self.name).and_then(|entry| entry.port);
        listed.or_else(|| protocol::by_name(self.name.split('-').next()?)?.port)
    }

    /// Whether a request names an action.
    #[must_use]
    pub fn has_actions(self) -> bool {
        matches!(self.shape, Shape::Frame(_) | Shape::Text)
    }

    /// Whether a request has a message at all; the others only listen.
    #[must_use]
    pub fn takes_messages(self) -> bool {
        self.shape != Shape::Speaks
    }

    /// The edition, if this is a frame protocol.
    #[must_use]
    pub fn edition(self) -> Option<Edition> {
        match self.shape {
            Shape::Frame(edition) => Some(edition),
            _ => None,
        }
    }

    /// The actions that a request may name.
    pub fn actions(self) -> impl Iterator<Item = Action> {
        Action::ALL.iter().copied().filter(move |&action| match self.shape {
            Shape::Frame(edition) => edition.code(action).is_some(),
            Shape::Text => true,
            _ => false,
        })
    }

    /// Appends a request to `wire`; the error says what cannot be asked for.
    pub fn write_request(self, action: &str, message: &[u8], wire: &mut Vec<u8>) -> Result<(), String> {
        self.check_length(message.len())?;
        match self.shape {
            Shape::Frame(edition) => {
                wire.extend_from_slice(&frame::header(frame_code(edition, action)?, message.len()));
            }
            Shape::Text => wire.extend_from_slice(text_header(action, message.len())?.as_bytes()),
            Shape::LengthPrefix => wire.extend_from_slice(&(message.len() as u32).to_be_bytes()),
            _ => {}
        }
        wire.extend_from_slice(message);
        if self.shape == Shape::Upper(true) {
            wire.push(b'\n');
        }
        Ok(())
    }

    fn check_length(self, length: usize) -> Result<(), String> {
        let most = match self.shape {
            Shape::Frame(_) | Shape::Text | Shape::LengthPrefix => MAX_LENGTH,
            Shape::Back("Echo: ") | Shape::Respond => CHUNK,
            _ => usize::MAX,
        };
        if length > most {
            Err(format!("the message has {length} bytes, and {} takes {most}", self.name))
        } else {
            Ok(())
        }
    }

    /// Where the answer to this message ends.
    #[must_use]
    pub fn framing(self, message: &[u8]) -> ReplyFraming {
        match self.shape {
            Shape::Frame(_) | Shape::LengthPrefix => ReplyFraming::Length32,
            Shape::Text => ReplyFraming::DecimalLength,
            Shape::Back(words) => ReplyFraming::Fixed(words.len() + message.len()),
            Shape::Respond => ReplyFraming::Fixed(respond(message).len()),
            Shape::Words(_) | Shape::Upper(_) | Shape::Speaks | Shape::Discard => ReplyFraming::CloseDelimited,
        }
    }

    /// The answer to be given, without what marks its length; nothing where chance or the server's clock decides.
    #[must_use]
    pub fn expected(self, action: &str, message: &[u8]) -> Option<Vec<u8>> {
        match self.shape {
            Shape::Frame(edition) => match frame_code(edition, action).ok().and_then(|code| edition.action(code)) {
                Some(action) => transformed(action, message),
                None => Some(REFUSAL.to_vec()),
            },
            Shape::Text => match Action::from_name(action) {
                Some(action) => transformed(action, message),
                None => Some(REFUSAL.to_vec()),
            },
            Shape::LengthPrefix => Some(message.to_vec()),
            Shape::Back(words) => Some([words.as_bytes(), message].concat()),
            Shape::Respond => Some(respond(message)),
            Shape::Words(words) => Some(words.into()),
            Shape::Upper(_) => transformed(Action::Uppercase, message.trim_ascii()),
            Shape::Speaks | Shape::Discard => None,
        }
    }

    /// How long the answer must be, in bytes, where that is known although its content may not be.
    #[must_use]
    pub fn expected_length(self, action: &str, message: &[u8]) -> Option<usize> {
        match self.action(action) {
            Some(Action::Random) => None,
            Some(Action::Shuffle | Action::Reverse) if std::str::from_utf8(message).is_ok() => Some(message.len()),
            _ => self.expected(action, message).map(|answer| answer.len()),
        }
    }

    /// How many bytes of an answer are worth reading, where it must have `expected` bytes, if that is known.
    #[must_use]
    pub fn longest_answer(self, expected: Option<usize>) -> usize {
        match expected {
            Some(length) => length.saturating_add(BEYOND),
            None if self.shape == Shape::Speaks => SPEECH,
            None => MAX_LENGTH,
        }
    }

    /// The action that a request would name.
    #[must_use]
    pub fn action(self, action: &str) -> Option<Action> {
        match self.shape {
            Shape::Frame(edition) => frame_code(edition, action).ok().and_then(|code| edition.action(code)),
            Shape::Text => Action::from_name(action),
            _ => None,
        }
    }

    /// The bytes on the wire for this answer.
    #[must_use]
    pub fn wire_answer(self, answer: &[u8]) -> Vec<u8> {
        match self.framing(b"") {
            ReplyFraming::Length32 => [&(answer.len() as u32).to_be_bytes(), answer].concat(),
            ReplyFraming::DecimalLength => [answer.len().to_string().as_bytes(), b" ", answer].concat(),
            ReplyFraming::Fixed(_) | ReplyFraming::CloseDelimited => answer.to_vec(),
        }
    }

    /// The answer in a form that people read; only `time` has another than its bytes.
    #[must_use]
    pub fn readable(self, answer: Vec<u8>) -> Vec<u8> {
        match <[u8; 4]>::try_from(answer.as_slice()) {
            Ok(seconds) if self.name == "time" => u32::from_be_bytes(seconds).to_string().into_bytes(),
            _ => answer,
        }
    }
}

/// The code of an action's name, or of a number from 0 to 31.
fn frame_code(edition: Edition, action: &str) -> Result<u8, String> {
    if let Some(code) = Action::from_name(action).and_then(|action| edition.code(action)) {
        return Ok(code);
    }
    let number = match action.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => action.parse().ok(),
    };
    number.filter(|&code| code < 32).ok_or_else(|| {
        let known = Action::ALL.iter().filter(|&&action| edition.code(action).is_some());
        let names: Vec<_> = known.map(|action| action.name()).collect();
        format!("no such action: {} (one of {}, or a number from 0 to 31)", action.escape_debug(), names.join(", "))
    })
}

fn text_header(action: &str, length: usize) -> Result<String, String> {
    if action.is_empty() || action.contains(' ') {
        return Err("an action is one word".into());
    }
    Ok(format!("{action} {length} "))
}

fn respond(message: &[u8]) -> Vec<u8> {
    match transformed(Action::Uppercase, message) {
        Some(answer) if std::str::from_utf8(message).is_ok() => [b"Response: ".as_slice(), &answer].concat(),
        _ => b"Error: Invalid UTF-8 encoding".to_vec(),
    }
}

/// What the action makes of a message, refusal included; nothing where chance decides.
#[must_use]
pub fn transformed(action: Action, message: &[u8]) -> Option<Vec<u8>> {
    let mut text = message.to_vec();
    if matches!(action, Action::Shuffle | Action::Random) {
        return std::str::from_utf8(message).is_err().then(|| REFUSAL.to_vec());
    }
    let mut out = vec![0; action.answer_bound(text.len(), MAX_LENGTH)];
    match action.apply(&mut text, &mut out, &mut NoChance, MAX_LENGTH) {
        Ok(Placed::InPlace) => Some(text),
        Ok(Placed::Out(length)) => {
            out.truncate(length);
            Some(out)
        }
        Err(_) => Some(REFUSAL.to_vec()),
    }
}

/// The random source of transforms that do not ask for one.
struct NoChance;

impl RandomSource for NoChance {
    fn below(&mut self, _bound: usize) -> usize {
        0
    }

    fn unit(&mut self) -> f64 {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialogue(name: &str) -> ClientProtocol {
        ClientProtocol::by_name(name).unwrap()
    }

    fn request(name: &str, action: &str, message: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        dialogue(name).write_request(action, message, &mut wire).unwrap();
        wire
    }

    #[test]
    fn every_protocol_of_the_table_can_be_spoken() {
        for entry in protocol::PROTOCOLS {
            assert_eq!(dialogue(entry.name).name(), entry.name);
        }
        assert_eq!(DIALOGUES.len(), protocol::PROTOCOLS.len());
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
    fn what_cannot_be_asked_for() {
        let mut wire = Vec::new();
        for (name, action, message) in [
            ("frame", "title-case", b"x".to_vec()),
            ("frame-2021", "random", b"x".to_vec()),
            ("frame", "32", b"x".to_vec()),
            ("text", "", b"x".to_vec()),
            ("respond", "", vec![b'x'; CHUNK + 1]),
            ("frame", "reverse", vec![b'x'; MAX_LENGTH + 1]),
        ] {
            assert!(dialogue(name).write_request(action, &message, &mut wire).is_err(), "{name} {action}");
        }
    }

    #[test]
    fn answers_to_expect() {
        for (name, action, message, answer) in [
            ("frame", "uppercase", "stra\u{df}e", "STRASSE"),
            ("frame", "6", "abc", "error"),
            ("text", "nonsense", "abc", "error"),
            ("echo", "", "abc", "abc"),
            ("echo-prefix", "", "abc", "Echo: abc"),
            ("respond", "", "abc", "Response: ABC"),
            ("ack", "", "abc", "Message received!"),
            ("upper", "", " abc ", "ABC"),
        ] {
            let expected = dialogue(name).expected(action, message.as_bytes());
            assert_eq!(expected.as_deref(), Some(answer.as_bytes()), "{name} {action}");
        }
        assert_eq!(dialogue("frame").expected("reverse", b"\xff"), Some(REFUSAL.to_vec()));
        assert_eq!(dialogue("frame").expected("shuffle", b"abc"), None);
        assert_eq!(dialogue("frame").expected_length("shuffle", b"abc"), Some(3));
        assert_eq!(dialogue("frame").expected_length("random", b"abc"), None);
    }

    #[test]
    fn lengths_on_the_wire() {
        assert_eq!(dialogue("frame").wire_answer(b"abc"), b"\0\0\0\x03abc");
        assert_eq!(dialogue("text").wire_answer(b"abc"), b"3 abc");
        assert_eq!(dialogue("echo").wire_answer(b"abc"), b"abc");
    }

    #[test]
    fn ports_are_those_of_the_table() {
        assert_eq!(dialogue("frame").port(), Some(8083));
        assert_eq!(dialogue("frame-2021").port(), Some(8083));
        assert_eq!(dialogue("length-prefix").port(), None);
    }
}
