//! Verifies the body of a reply while it arrives, without keeping it.
//!
//! A wrong byte is an error at once. What is kept of a body is a position, a count for each byte value, and the first
//! bytes of a character that has not arrived in full.

use super::body::{ReplyBody, WrongContent};
use crate::client::client_protocol::ERROR_TEXT;

/// How often each byte value occurs. 32 bits: the longest message has 2^27 - 1 bytes.
type Histogram = [u32; 256];

/// The bodies that are correct.
#[derive(Debug)]
pub enum ExpectedContent {
    /// Any body.
    Anything,
    /// Any body but [`ERROR_TEXT`], the reply to a request that is rejected.
    NotRefused,
    /// These bytes.
    Exactly(Vec<u8>),
    /// Text of these bytes in any order, each as often as it is counted here.
    Permutation(Box<Histogram>),
    /// Text of the bytes that are counted here, each any number of times.
    Selection(Box<Histogram>),
}

/// How far the body of one connection's current reply has been verified.
#[derive(Debug, Default)]
pub struct ContentState {
    /// [`ExpectedContent::Exactly`]: bytes that have arrived. [`ExpectedContent::NotRefused`]: bytes that have arrived
    /// if they are the first ones of [`ERROR_TEXT`], otherwise `usize::MAX`.
    position: usize,
    /// [`ExpectedContent::Permutation`]: bytes that have not arrived; made for the first reply.
    missing: Option<Box<Histogram>>,
    text: TextState,
}

/// A body that is verified.
#[derive(Debug)]
pub struct ContentCheck<'a> {
    /// The expected content.
    pub expected: &'a ExpectedContent,
    /// How far it has been verified.
    pub state: &'a mut ContentState,
}

impl ExpectedContent {
    /// Text of the bytes of `message` in any order.
    #[must_use]
    pub fn permutation(message: &[u8]) -> Self {
        Self::Permutation(histogram(message))
    }

    /// Text of characters of `message`.
    #[must_use]
    pub fn selection(message: &[u8]) -> Self {
        Self::Selection(histogram(message))
    }
}

impl ReplyBody for ContentCheck<'_> {
    fn push(&mut self, part: &[u8]) -> Result<(), WrongContent> {
        match self.expected {
            ExpectedContent::Anything => Ok(()),
            ExpectedContent::NotRefused => {
                let rest = ERROR_TEXT.get(self.state.position..);
                let equal = rest.is_some_and(|rest| rest.starts_with(part));
                self.state.position = if equal { self.state.position + part.len() } else { usize::MAX };
                Ok(())
            }
            ExpectedContent::Exactly(bytes) => {
                let rest = bytes.get(self.state.position..).unwrap_or_default();
                self.state.position += part.len();
                if rest.starts_with(part) { Ok(()) } else { Err(WrongContent) }
            }
            ExpectedContent::Permutation(counts) => {
                let missing = self.state.missing.get_or_insert_with(|| counts.clone());
                for &byte in part {
                    let left = &mut missing[usize::from(byte)];
                    *left = left.checked_sub(1).ok_or(WrongContent)?;
                }
                self.state.text.push(part)
            }
            ExpectedContent::Selection(counts) => {
                if part.iter().any(|&byte| counts[usize::from(byte)] == 0) {
                    return Err(WrongContent);
                }
                self.state.text.push(part)
            }
        }
    }

    fn finish(&mut self) -> Result<(), WrongContent> {
        let complete = match self.expected {
            ExpectedContent::Anything => true,
            ExpectedContent::NotRefused => std::mem::take(&mut self.state.position) != ERROR_TEXT.len(),
            ExpectedContent::Exactly(bytes) => std::mem::take(&mut self.state.position) == bytes.len(),
            ExpectedContent::Permutation(counts) => {
                let missing = self.state.missing.get_or_insert_with(|| counts.clone());
                let complete = missing.iter().all(|&left| left == 0);
                missing.copy_from_slice(counts.as_slice());
                complete && self.state.text.is_complete()
            }
            ExpectedContent::Selection(_) => self.state.text.is_complete(),
        };
        if complete { Ok(()) } else { Err(WrongContent) }
    }
}

/// Whether the bytes so far are UTF-8, but for a character whose end is missing.
#[derive(Debug, Default)]
struct TextState {
    /// The first bytes of a character that has not arrived in full; at most three.
    begun: Vec<u8>,
}

impl TextState {
    fn push(&mut self, part: &[u8]) -> Result<(), WrongContent> {
        let mut rest = part;
        while !self.begun.is_empty() {
            let Some((&byte, behind)) = rest.split_first() else { return Ok(()) };
            rest = behind;
            self.begun.push(byte);
            match std::str::from_utf8(&self.begun) {
                Ok(_) => self.begun.clear(),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(WrongContent),
            }
        }
        match std::str::from_utf8(rest) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_none() => {
                self.begun.extend_from_slice(&rest[error.valid_up_to()..]);
                Ok(())
            }
            Err(_) => Err(WrongContent),
        }
    }

    fn is_complete(&self) -> bool {
        self.begun.is_empty()
    }
}

fn histogram(bytes: &[u8]) -> Box<Histogram> {
    let mut counts = Box::new([0; 256]);
    for &byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `body` is correct; the result must not depend on the portions.
    fn verified(expected: &ExpectedContent, body: &[u8]) -> bool {
        let mut state = ContentState::default();
        let mut check = |size| {
            let mut check = ContentCheck { expected, state: &mut state };
            let ended = body.chunks(size).try_for_each(|part| check.push(part)).and_then(|()| check.finish());
            if ended.is_err() {
                state = ContentState::default();
            }
            ended.is_ok()
        };
        let whole = check(body.len().max(1));
        for size in 1..body.len() {
            assert_eq!(check(size), whole, "in portions of {size}");
        }
        whole
    }

    #[test]
    fn exact_bodies_are_compared_to_their_end() {
        let exact = ExpectedContent::Exactly(b"abc".to_vec());
        assert!(verified(&exact, b"abc"));
        for wrong in ["", "ab", "abX", "abcd"] {
            assert!(!verified(&exact, wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn a_refusal_is_wrong_content() {
        assert!(!verified(&ExpectedContent::NotRefused, b"error"));
        for right in ["", "erro", "errors", "errol", "xerror", "error error"] {
            assert!(verified(&ExpectedContent::NotRefused, right.as_bytes()), "{right}");
        }
    }

    #[test]
    fn permutations_have_every_byte_as_often_and_are_text() {
        let text = ExpectedContent::permutation("aab\u{e9}".as_bytes());
        assert!(verified(&text, "\u{e9}aba".as_bytes()));
        for wrong in [b"aab\xa9\xc3".as_slice(), b"aab", b"abb\xc3\xa9", b"aabx\xc3\xa9"] {
            assert!(!verified(&text, wrong), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn selections_have_bytes_of_the_message_and_are_text() {
        let text = ExpectedContent::selection("a\u{6f22}".as_bytes());
        for right in ["", "aaaa", "\u{6f22}\u{6f22}a"] {
            assert!(verified(&text, right.as_bytes()), "{right}");
        }
        for wrong in [b"b".as_slice(), b"\xe6\xbc", b"a\xbc", b"\xe6\xe6\xbc\xa2"] {
            assert!(!verified(&text, wrong), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn of_a_long_body_only_a_split_character_is_kept() {
        let expected = ExpectedContent::selection("\u{6f22}".as_bytes());
        let mut state = ContentState::default();
        let mut push = |part: &[u8]| {
            ContentCheck { expected: &expected, state: &mut state }.push(part).unwrap();
            state.text.begun.len()
        };
        assert_eq!(push(b"\xe6"), 1);
        for _ in 0..1000 {
            assert_eq!(push(b"\xbc\xa2\xe6"), 1);
        }
    }
}
