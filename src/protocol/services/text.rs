//! `text`: the transforms of `frame`, asked for in words.
//!
//! A request is `ACTION LENGTH MESSAGE`, an answer `LENGTH MESSAGE`; nothing stands between requests. A header that
//! cannot be one ends the connection, as soon as that is certain: where the next request would start is unknown.

use std::io::Write;

use crate::protocol::framed_text::{self, Framing, MAX_LENGTH, Message};
use crate::protocol::{Ending, Env, Need, Protocol, Request, Step, Turn};
use crate::transform::Action;

/// The most bytes that a request's header takes, with both its spaces.
const HEADER_MOST: usize = 32;

/// A connection; its unread input is all its state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text;

/// What the front of the input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Header<'a> {
    /// A header: the action's name, the message's length, and the size of the header itself.
    Whole(&'a [u8], usize, usize),
    /// The beginning of a header.
    Partial,
    /// Nothing that a header begins with.
    Bad,
}

impl Header<'_> {
    fn parse(input: &[u8]) -> Header<'_> {
        let window = &input[..input.len().min(HEADER_MOST)];
        let mut fields = window.splitn(3, |byte| *byte == b' ');
        let (name, length, message) = (fields.next().unwrap_or_default(), fields.next(), fields.next());
        let Some(digits) = length else { return Self::unfinished(window) };
        match (number(digits), message) {
            (Some(length), Some(_)) => Header::Whole(name, length, name.len() + digits.len() + 2),
            (Some(_), None) => Self::unfinished(window),
            (None, None) if digits.is_empty() => Self::unfinished(window),
            (None, _) => Header::Bad,
        }
    }

    fn unfinished(window: &[u8]) -> Header<'_> {
        if window.len() < HEADER_MOST { Header::Partial } else { Header::Bad }
    }
}

/// The decimal number, if it is one that a length can be.
fn number(digits: &[u8]) -> Option<usize> {
    let decimal = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit))?;
    decimal.parse().ok().filter(|length| *length <= MAX_LENGTH)
}

fn answer(turn: &mut Turn<'_>, env: &mut Env<'_>) -> Result<(), Step> {
    let (name, length, header) = match Header::parse(turn.rest()) {
        Header::Whole(name, length, header) if length <= env.limits.message => (name, length, header),
        Header::Partial => return Err(Step::More(Need::default())),
        Header::Whole(..) | Header::Bad => return Err(reject(turn)),
    };
    match std::str::from_utf8(name).ok().and_then(Action::from_name) {
        Some(action) => framed_text::answer::<Words>(turn, env, Message { action, header, length }),
        None => framed_text::refuse::<Words>(turn, "unknown", header, length),
    }
}

/// Answers what cannot be a header.
fn reject(turn: &mut Turn<'_>) -> Step {
    if turn.room() < Words::REFUSED.len() {
        return Step::Full;
    }
    turn.request(Request { action: "unknown", length: 0, refused: true });
    turn.answer(Words::REFUSED);
    Step::Close(Ending::Violation("no header: ACTION LENGTH MESSAGE was expected"))
}

impl Protocol for Text {
    fn advance(&mut self, turn: &mut Turn<'_>, env: &mut Env<'_>) -> Step {
        loop {
            if let Err(step) = answer(turn, env) {
                return step;
            }
        }
    }

    fn skipped(&mut self, turn: &mut Turn<'_>, _env: &mut Env<'_>) {
        turn.answer(Words::REFUSED);
    }

    fn end(&mut self, turn: &mut Turn<'_>, _env: &mut Env<'_>) {
        framed_text::truncated::<Words>(turn);
    }
}

/// An answer behind its length in decimal and a space.
struct Words;

impl Framing for Words {
    const HEADER_MOST: usize = 10;
    const REFUSED: &'static [u8] = b"5 error";

    fn header_size(length: usize) -> usize {
        length.checked_ilog10().unwrap_or(0) as usize + 2
    }

    fn write_header(length: usize, mut to: &mut [u8]) {
        write!(to, "{length} ").expect("the slice has the header's size");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_told_from_their_beginnings_and_from_what_is_none() {
        for (input, expect) in [
            (&b"reverse 11 Hello"[..], Header::Whole(b"reverse", 11, 11)),
            (b"title-case 134217727 ", Header::Whole(b"title-case", MAX_LENGTH, 21)),
            (b"x 007 ", Header::Whole(b"x", 7, 6)),
            (b" 1 ", Header::Whole(b"", 1, 3)),
            (b"", Header::Partial),
            (b"reverse", Header::Partial),
            (b"reverse ", Header::Partial),
            (b"reverse 11", Header::Partial),
            (b"reverse  ", Header::Bad),
            (b"reverse 1x", Header::Bad),
            (b"reverse -1 ", Header::Bad),
            (b"reverse +1 ", Header::Bad),
            (b"reverse 134217728", Header::Bad),
            (b"reverse 99999999999999999999999", Header::Bad),
            (b"0123456789012345678901234567890", Header::Partial),
            (b"01234567890123456789012345678901", Header::Bad),
            (b"0123456789012345678901234567 1 ", Header::Whole(b"0123456789012345678901234567", 1, 31)),
            (b"0123456789012345678901234567 12 ", Header::Whole(b"0123456789012345678901234567", 12, 32)),
            (b"0123456789012345678901234567 123 ", Header::Bad),
        ] {
            assert_eq!(Header::parse(input), expect, "{}", input.escape_ascii());
        }
    }

    #[test]
    fn answer_headers_have_the_size_that_they_say() {
        for length in [0, 1, 9, 10, 99, 100, MAX_LENGTH, 3 * MAX_LENGTH] {
            let text = format!("{length} ");
            let mut header = vec![0; Words::header_size(length)];
            Words::write_header(length, &mut header);
            assert_eq!(header, text.as_bytes());
            assert!(header.len() <= Words::HEADER_MOST);
        }
    }
}
