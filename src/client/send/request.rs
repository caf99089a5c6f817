//! A request, and what its reply must look like.

use std::fmt;
use std::mem;
use std::rc::Rc;

use crate::client::client_protocol::ClientProtocol;
use crate::client::reply::collector::ReplyExpectation;
use crate::units::counted;

/// A request, ready to be sent.
#[derive(Debug)]
pub struct SendRequest {
    /// Its name in messages.
    pub label: RequestLabel,
    /// Its bytes on the wire; none once [`take_wire`](Self::take_wire) was called.
    wire: Vec<u8>,
    /// Where its reply ends, and how much of it is read.
    pub expectation: ReplyExpectation,
    /// The length that its reply must have, in bytes, if that is known.
    pub reply_length: Option<usize>,
    /// Whether a correct reply could be the word that a refusal is.
    pub may_reply_error: bool,
}

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
        let limit = protocol.max_reply_len(reply_length);
        Ok(Self {
            label: RequestLabel { number, action: action.to_owned(), length: message.len() },
            wire,
            expectation: ReplyExpectation { framing: protocol.framing(message), limit },
            reply_length,
            may_reply_error: may_reply_error(message),
        })
    }

    /// Its bytes on the wire, which it holds no longer.
    pub fn take_wire(&mut self) -> Rc<Vec<u8>> {
        Rc::new(mem::take(&mut self.wire))
    }
}

/// Whether an action can turn the message into `error`, the word that a refusal is.
///
/// Errs towards true: `random` drops a character with a chance of 1/6, and practically never reduces more than 64 bytes
/// to the five of that word.
fn may_reply_error(message: &[u8]) -> bool {
    message.len() <= 64 && b"ero".iter().all(|letter| message.to_ascii_lowercase().contains(letter))
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
    fn messages_that_can_become_error() {
        assert!(may_reply_error(b"ERROR"));
        assert!(may_reply_error(b"rorre"));
        assert!(!may_reply_error(b"hello"));
    }

    #[test]
    fn a_request_gives_its_bytes_away() {
        let frame = ClientProtocol::by_name("frame").unwrap();
        let mut request = SendRequest::new(frame, 1, "reverse", b"abc").unwrap();
        assert_eq!(*request.take_wire(), b"\x20\0\0\x03abc");
        assert_eq!(request.wire.capacity(), 0);
    }
}
