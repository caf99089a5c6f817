//! `text`: the transforms of `frame`, asked for in words.
//!
//! A request is `ACTION LENGTH MESSAGE`, an answer `LENGTH MESSAGE`; nothing stands between requests. A header that
//! cannot be one ends the connection, as soon as that is certain: where the next request would start is unknown.

use crate::protocol::contract::{CallContext, CloseCause, Exchange, Needed, Progress, Protocol, RequestRecord};
use std::io::Write;
use std::ops::ControlFlow::{self, Break};

use crate::protocol::framed_text::{self, Framing, RequestHead};
use crate::protocol::services::frame::MAX_LENGTH;
use crate::transform::Action;

/// The most bytes that a request's header takes, with both its spaces.
const MAX_REQUEST_HEADER: usize = 32;

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
        let window = &input[..input.len().min(MAX_REQUEST_HEADER)];
        let mut fields = window.splitn(3, |byte| *byte == b' ');
        let (name, length, head) = (fields.next().unwrap_or_default(), fields.next(), fields.next());
        let Some(digits) = length else { return Self::unfinished(window) };
        match (number(digits), head) {
            (Some(length), Some(_)) => Header::Whole(name, length, name.len() + digits.len() + 2),
            (Some(_), None) => Self::unfinished(window),
            (None, None) if digits.is_empty() => Self::unfinished(window),
            (None, _) => Header::Bad,
        }
    }

    fn unfinished(window: &[u8]) -> Header<'_> {
        if window.len() < MAX_REQUEST_HEADER { Header::Partial } else { Header::Bad }
    }
}

/// The decimal number, if it is one that a length can be.
fn number(digits: &[u8]) -> Option<usize> {
    let decimal = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit))?;
    decimal.parse().ok().filter(|length| *length <= MAX_LENGTH)
}

fn answer(exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> ControlFlow<Progress> {
    let (name, length, header) = match Header::parse(exchange.input()) {
        Header::Whole(name, length, header) if length <= context.limits.message => (name, length, header),
        Header::Partial => return Break(Progress::NeedInput(Needed::default())),
        Header::Whole(..) | Header::Bad => return Break(reject(exchange)),
    };
    match std::str::from_utf8(name).ok().and_then(Action::from_name) {
        Some(action) => framed_text::reply::<Words>(exchange, context, RequestHead { action, header, length }),
        None => framed_text::reject::<Words>(exchange, "unknown", header, length),
    }
}

/// Answers what cannot be a header.
fn reject(exchange: &mut Exchange<'_>) -> Progress {
    if exchange.remaining() < Words::ERROR_REPLY.len() {
        return Progress::NeedOutput;
    }
    exchange.count_request(RequestRecord { action: "unknown", length: 0, refused: true });
    exchange.reply(Words::ERROR_REPLY);
    Progress::Close(CloseCause::ProtocolError("no header: ACTION LENGTH MESSAGE was expected"))
}

impl Protocol for Text {
    fn process(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        loop {
            if let Break(progress) = answer(exchange, context) {
                return progress;
            }
        }
    }

    fn on_skipped(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) {
        exchange.reply(Words::ERROR_REPLY);
    }

    fn on_eof(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) {
        framed_text::truncated::<Words>(exchange);
    }
}

/// An answer behind its length in decimal and a space.
struct Words;

impl Framing for Words {
    const MAX_LENGTH: usize = MAX_LENGTH;
    const MAX_REPLY_HEADER: usize = 10;
    const ERROR_REPLY: &'static [u8] = b"5 error";

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
            assert!(header.len() <= Words::MAX_REPLY_HEADER);
        }
    }
}
