//! `respond`: each chunk back as text in upper case, behind `Response: `.
//!
//! A code point that a chunk's end has split is held back for the next chunk. A chunk that is not UTF-8 is answered
//! with an error, and so is a code point that the client never completes.

use crate::protocol::chunk;
use crate::protocol::contract::{CallContext, Exchange, Needed, Progress, Protocol, RequestRecord};
use crate::transform::{Action, InvalidUtf8, Placed};

const PREFIX: &[u8] = b"Response: ";
const INVALID: &[u8] = b"Error: Invalid UTF-8 encoding";

/// A connection; a code point held back stays in its unread input.
#[derive(Clone, Copy, Debug, Default)]
pub struct Respond;

impl Protocol for Respond {
    fn process(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        loop {
            let chunk = chunk::next(exchange);
            let length = chunk - split_tail(&exchange.input()[..chunk]);
            if length == 0 {
                return Progress::NeedInput(Needed::default());
            }
            let most = PREFIX.len() + Action::Uppercase.answer_bound(length, length).max(INVALID.len());
            if exchange.remaining() < most {
                return Progress::NeedOutput;
            }
            if upper(exchange, context, length).is_ok() {
                chunk::count(exchange, "respond", length);
            } else {
                refuse(exchange, length);
            }
        }
    }

    fn on_eof(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) {
        let length = exchange.input().len();
        refuse(exchange, length);
    }
}

/// Answers the next `length` bytes, which have room.
fn upper(exchange: &mut Exchange<'_>, context: &mut CallContext<'_>, length: usize) -> Result<(), InvalidUtf8> {
    let (rest, spare) = exchange.input_and_remaining();
    let (prefix, out) = spare.split_at_mut(PREFIX.len());
    let text = &mut rest[..length];
    let size = match Action::Uppercase.apply(text, out, context.random.current_request(), length)? {
        Placed::Out(size) => size,
        Placed::InPlace => {
            out[..length].copy_from_slice(text);
            length
        }
    };
    prefix.copy_from_slice(PREFIX);
    exchange.consume(length);
    exchange.advance(PREFIX.len() + size);
    Ok(())
}

fn refuse(exchange: &mut Exchange<'_>, length: usize) {
    exchange.consume(length);
    exchange.reply(INVALID);
    exchange.count_request(RequestRecord { action: "respond", length, refused: true });
}

/// How many bytes at the end begin a code point that more bytes could complete.
fn split_tail(chunk: &[u8]) -> usize {
    let is_split = |n: &usize| {
        let tail = &chunk[chunk.len() - n..];
        std::str::from_utf8(tail).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (1..=chunk.len().min(3)).find(is_split).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::split_tail;

    #[test]
    fn only_what_can_still_become_a_code_point_is_held_back() {
        for (chunk, held) in [
            (&b""[..], 0),
            (b"a", 0),
            ("aé".as_bytes(), 0),
            (b"a\xc3", 1),
            (b"\xe2\x82", 2),
            (b"\xe2", 1),
            (b"\xf0\x9f\x98", 3),
            (b"\xf0\x9f\x98\x80", 0),
            (b"\x80\x80\x80", 0),
            (b"\xed\xa0", 0),
            (b"\xff", 0),
            (b"\xc3\xc3", 1),
        ] {
            assert_eq!(split_tail(chunk), held, "{}", chunk.escape_ascii());
        }
    }
}
