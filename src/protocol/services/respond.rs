//! `respond`: sends each chunk back as text in upper case, after `Response: `.
//!
//! A code point that the end of a chunk splits is held back and completed by the next chunk. The reply to a chunk that
//! is not UTF-8, and to a code point that the client never completes, is an error text.

use crate::protocol::chunk::{self, CHUNK};
use crate::protocol::client_side::{ClientSide, ConnectionUse, ReplyFraming, transformed};
use crate::protocol::contract::{
    CallContext, CloseCause, Exchange, Needed, Progress, Protocol, Refusal, RequestRecord,
};
use crate::protocol::example::Example;
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};
use crate::transform::{Action, InvalidUtf8, Placed};

const PREFIX: &[u8] = b"Response: ";
const INVALID: &[u8] = b"Error: Invalid UTF-8 encoding";

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "respond",
    port: None,
    summary: "each chunk back in upper case, after `Response: `",
    rfc: None,
    input: Input::Chunks,
    socket_unit: SocketUnit { port: 8087, description: "Upper-casing responder" },
    new: |_, _| Box::new(Respond),
    client: ClientSide {
        connection_use: ConnectionUse::Sequential,
        max_message: CHUNK,
        framing: |message| ReplyFraming::Fixed(expected(message).len()),
        expected: |_, message| Some(expected(message)),
        ..ClientSide::DEFAULT
    },
    examples: &[
        Example::chunk("upper case", b"hello\n", b"Response: HELLO\n"),
        Example::chunk("all of Unicode", "straße ŉ".as_bytes(), "Response: STRASSE ʼN".as_bytes()),
        Example::chunk("not UTF-8", b"a\xffb", b"Error: Invalid UTF-8 encoding"),
        Example::chunk(
            "a code point that is never completed",
            b"a\xe2\x82",
            b"Response: AError: Invalid UTF-8 encoding",
        ),
        Example::stream("a code point in pieces", "€".as_bytes(), "Response: €".as_bytes()),
    ],
    try_it: "echo grüße | nc -N localhost {port}",
};

fn expected(message: &[u8]) -> Vec<u8> {
    match transformed(Action::Uppercase, message) {
        Some(reply) if std::str::from_utf8(message).is_ok() => [PREFIX, &reply].concat(),
        _ => INVALID.to_vec(),
    }
}

/// The server's side of a connection. A code point that is held back remains in the input.
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
            let max_reply_len = PREFIX.len() + Action::Uppercase.max_output_len(length, length).max(INVALID.len());
            if exchange.remaining() < max_reply_len {
                return Progress::NeedOutput;
            }
            if reply_upper(exchange, context, length).is_ok() {
                chunk::count(exchange, "respond", length);
            } else {
                reject(exchange, length, Refusal::NotUtf8);
            }
        }
    }

    fn on_eof(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> CloseCause {
        let length = exchange.input().len();
        reject(exchange, length, Refusal::Truncated);
        CloseCause::Truncated
    }
}

/// Replies to the next `length` bytes. The caller has made sure of the reply space.
fn reply_upper(exchange: &mut Exchange<'_>, context: &mut CallContext<'_>, length: usize) -> Result<(), InvalidUtf8> {
    let (input, reply) = exchange.input_and_remaining();
    let (prefix, out) = reply.split_at_mut(PREFIX.len());
    let text = &mut input[..length];
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

fn reject(exchange: &mut Exchange<'_>, length: usize, refusal: Refusal) {
    exchange.consume(length);
    exchange.reply(INVALID);
    exchange.count_request(RequestRecord { action: "respond", length, refusal: Some(refusal) });
}

/// Number of bytes at the end of `chunk`, at most 3, that are the beginning of a code point.
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
    fn only_an_incomplete_code_point_is_held_back() {
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
