//! A request, and what its reply must look like.

use std::fmt;
use std::mem;
use std::rc::Rc;

use crate::client::client_protocol::{ClientProtocol, ERROR_TEXT};
use crate::client::reply::decoder::{BodyLength, ReplyFormat};
use crate::transform::Action;
use crate::units::counted;

/// A request, ready to be sent.
#[derive(Debug)]
pub struct SendRequest {
    /// Its name in messages.
    pub label: RequestLabel,
    /// Its bytes on the wire; none once [`take_wire`](Self::take_wire) was called.
    wire: Vec<u8>,
    /// Where its reply ends, and how much of it is read.
    pub format: ReplyFormat,
    /// The length that its reply must have, in bytes, if that is known.
    pub reply_length: Option<usize>,
    /// Whether the word that a refusal is could also be the reply of the action.
    pub may_reply_error: bool,
}

/// The longest message that `random` may have reduced to `error`, in bytes. Derived: it drops a character with a chance
/// of 1/6, and turns a longer message into that word less than once in ten million requests.
const MAX_REDUCED: usize = 20;

/// Names a request in messages.
#[derive(Clone, Debug)]
pub struct RequestLabel {
    /// From 1.
    pub number: u64,
    action: String,
    length: usize,
}

impl SendRequest {
    /// The request number `number`, from 1, for this action and message; the error says why there is no such request.
    pub fn new(protocol: ClientProtocol, number: u64, action: &str, message: &[u8]) -> Result<Self, String> {
        // More than any request's header has.
        let mut wire = Vec::with_capacity(message.len() + 32);
        protocol.write_request(action, message, &mut wire)?;
        let reply_length = protocol.expected_length(action, message);
        let length = BodyLength::AtMost(protocol.max_reply_len(reply_length));
        Ok(Self {
            label: RequestLabel { number, action: action.to_owned(), length: message.len() },
            wire,
            format: ReplyFormat { framing: protocol.framing(message), length },
            reply_length,
            may_reply_error: may_reply_error(protocol, action, message, reply_length),
        })
    }

    /// Its bytes on the wire, which it holds no longer.
    pub fn take_wire(&mut self) -> Rc<Vec<u8>> {
        Rc::new(mem::take(&mut self.wire))
    }
}

/// Whether the action can turn the message into `error`. An unknown action and invalid UTF-8 must be refused: with them
/// that word is a refusal although it is the correct reply.
fn may_reply_error(protocol: ClientProtocol, action: &str, message: &[u8], reply_length: Option<usize>) -> bool {
    let Some(known) = protocol.action(action).filter(|_| std::str::from_utf8(message).is_ok()) else { return false };
    match known {
        Action::Shuffle => is_permutation(message, ERROR_TEXT),
        Action::Random => message.len() <= MAX_REDUCED && can_become(message, ERROR_TEXT),
        _ if reply_length == Some(ERROR_TEXT.len()) => {
            protocol.expected(action, message).as_deref() == Some(ERROR_TEXT)
        }
        _ => false,
    }
}

fn is_permutation(message: &[u8], word: &[u8]) -> bool {
    let sorted = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes.sort_unstable();
        bytes
    };
    message.len() == word.len() && sorted(message) == sorted(word)
}

/// Whether some characters of the message, in their order and each as often as one likes, are the word.
fn can_become(message: &[u8], word: &[u8]) -> bool {
    let mut left = message.iter();
    word.chunk_by(|one, next| one == next).all(|run| left.any(|byte| *byte == run[0]))
}

impl fmt::Display for RequestLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {} (", self.number)?;
        if !self.action.is_empty() {
            write!(f, "{}, ", self.action.escape_debug())?;
        }
        write!(f, "{})", counted(self.length, "byte"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_reply_of_an_action_may_be_error() {
        for (protocol, action, message, may_reply_error) in [
            ("frame", "lowercase", "ERROR", true),
            ("frame", "2", "Error", true),
            ("frame", "reverse", "rorre", true),
            ("frame", "reverse", "error", false),
            ("frame", "uppercase", "hello world", false),
            ("frame", "lowercase", "hello", false),
            ("frame", "6", "error", false),
            ("text", "nonsense", "hello world", false),
            ("frame", "shuffle", "orrer", true),
            ("frame", "shuffle", "eerro", false),
            ("frame", "shuffle", "hello world", false),
            ("frame", "random", "eror", true),
            ("frame", "random", "better orders", true),
            ("frame", "random", "roe", false),
            ("frame", "random", "hello world", false),
            ("frame", "random", "better orders than these", false),
            ("echo", "", "error", false),
        ] {
            let protocol = ClientProtocol::by_name(protocol).unwrap();
            let request = SendRequest::new(protocol, 1, action, message.as_bytes()).unwrap();
            assert_eq!(request.may_reply_error, may_reply_error, "{action} {message}");
        }
        let frame = ClientProtocol::by_name("frame").unwrap();
        for action in ["lowercase", "shuffle", "random"] {
            assert!(!SendRequest::new(frame, 1, action, b"erro\xff").unwrap().may_reply_error, "{action}");
        }
    }

    #[test]
    fn a_request_gives_its_bytes_away() {
        let frame = ClientProtocol::by_name("frame").unwrap();
        let mut request = SendRequest::new(frame, 1, "reverse", b"abc").unwrap();
        assert_eq!(*request.take_wire(), b"\x20\0\0\x03abc");
        assert_eq!(request.wire.capacity(), 0);
    }
}
