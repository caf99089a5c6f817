//! `frame` and `frame-2021`: text transforms in length-prefixed binary frames.
//!
//! A request is a header of 32 bits (5 of action, 27 of length) and a message; an answer is a length of 32 bits and
//! the text. The two editions differ in their action codes only. The state of a connection is its unread input, so
//! it takes no memory of its own.

use std::ops::ControlFlow::Break;

use crate::protocol::contract::{CallContext, Exchange, Needed, Progress, Protocol};
use crate::protocol::framed_text::{self, Framing, RequestHead};
use crate::transform::Action;

pub use crate::protocol::framed_text::ERROR_TEXT;

/// Length of a header, of a request and of a reply, in bytes.
pub const HEADER: usize = 4;

/// The longest message that a header can announce, in bytes: 27 bits.
pub const MAX_LENGTH: usize = (1 << 27) - 1;

/// Which action codes are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// The codes of `frame`.
    Current,
    /// The codes of `frame-2021`.
    Of2021,
}

impl Edition {
    /// The actions, by the number of the bit that is set in their code.
    #[must_use]
    pub const fn actions(self) -> &'static [Action; 5] {
        match self {
            Self::Current => &[Action::Uppercase, Action::Lowercase, Action::Reverse, Action::Shuffle, Action::Random],
            Self::Of2021 => {
                &[Action::Uppercase, Action::Lowercase, Action::TitleCase, Action::Reverse, Action::Shuffle]
            }
        }
    }

    /// The action of that code.
    #[must_use]
    pub fn action(self, code: u8) -> Option<Action> {
        let bit = code.is_power_of_two().then(|| code.trailing_zeros())?;
        self.actions().get(bit as usize).copied()
    }

    /// The code of that action, if this edition has it.
    #[must_use]
    pub fn code(self, action: Action) -> Option<u8> {
        self.actions().iter().position(|each| *each == action).map(|bit| 1 << bit)
    }
}

/// The header of a request. Only the low 5 bits of `code` and the low 27 of `length` are sent.
#[must_use]
pub fn header(code: u8, length: usize) -> [u8; HEADER] {
    (u32::from(code) << 27 | (length & MAX_LENGTH) as u32).to_be_bytes()
}

/// The action code and the length that a request's header announces.
#[must_use]
pub fn parse_header(header: [u8; HEADER]) -> (u8, usize) {
    let word = u32::from_be_bytes(header);
    ((word >> 27) as u8, word as usize & MAX_LENGTH)
}

/// The server's side of `frame`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame;

impl Protocol for Frame {
    fn process(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        process(Edition::Current, exchange, context)
    }

    fn on_skipped(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) {
        exchange.reply(Binary::ERROR_REPLY);
    }

    fn on_eof(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) {
        framed_text::truncated::<Binary>(exchange);
    }
}

/// [`Protocol::process`] of both editions.
#[expect(clippy::inline_always, reason = "the edition is a constant of each caller, and each request looks it up")]
#[inline(always)]
pub(super) fn process(edition: Edition, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
    while let Some(bytes) = exchange.input().first_chunk() {
        let (code, length) = parse_header(*bytes);
        let outcome = match edition.action(code) {
            Some(action) => {
                framed_text::reply::<Binary>(exchange, context, RequestHead { action, header: HEADER, length })
            }
            None => framed_text::reject::<Binary>(exchange, "unknown", HEADER, length),
        };
        if let Break(progress) = outcome {
            return progress;
        }
    }
    Progress::NeedInput(Needed::default())
}

/// A reply behind its length in 32 bits.
pub(super) struct Binary;

impl Framing for Binary {
    const MAX_LENGTH: usize = MAX_LENGTH;
    const MAX_REPLY_HEADER: usize = HEADER;
    const ERROR_REPLY: &'static [u8] = b"\0\0\0\x05error";

    fn header_size(_length: usize) -> usize {
        HEADER
    }

    fn write_header(length: usize, to: &mut [u8]) {
        to.copy_from_slice(&(length as u32).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_both_editions() {
        use Action::{Lowercase, Random, Reverse, Shuffle, TitleCase, Uppercase};
        for (code, current, of_2021) in [
            (0x01, Some(Uppercase), Some(Uppercase)),
            (0x02, Some(Lowercase), Some(Lowercase)),
            (0x04, Some(Reverse), Some(TitleCase)),
            (0x08, Some(Shuffle), Some(Reverse)),
            (0x10, Some(Random), Some(Shuffle)),
        ] {
            assert_eq!(Edition::Current.action(code), current);
            assert_eq!(Edition::Of2021.action(code), of_2021);
            assert_eq!(Edition::Current.code(current.unwrap()), Some(code));
            assert_eq!(Edition::Of2021.code(of_2021.unwrap()), Some(code));
        }
        let known = |edition: Edition| (0..=u8::MAX).filter(|code| edition.action(*code).is_some()).count();
        assert_eq!((known(Edition::Current), known(Edition::Of2021)), (5, 5));
        assert_eq!((Edition::Current.code(TitleCase), Edition::Of2021.code(Random)), (None, None));
    }

    #[test]
    fn headers_go_both_ways() {
        assert_eq!(header(0x04, 19), *b"\x20\0\0\x13");
        assert_eq!(header(0x1f, MAX_LENGTH), [0xff; 4]);
        for (code, length) in [(0, 0), (1, MAX_LENGTH), (0x10, 0x0123_4567), (0x1f, 1)] {
            assert_eq!(parse_header(header(code, length)), (code, length));
        }
    }
}
