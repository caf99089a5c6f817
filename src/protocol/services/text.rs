//! `text`: the transforms of `frame`, with requests in words.
//!
//! A request is `ACTION LENGTH MESSAGE`, a reply `LENGTH MESSAGE`; nothing separates requests. Input that cannot be a
//! header closes the connection as soon as that is certain, because the start of the next request is unknown.

use std::io::Write;
use std::ops::ControlFlow::{self, Break};

use crate::protocol::client_side::{Actions, ClientSide, ConnectionUse, ReplyFraming, transformed};
use crate::protocol::contract::{
    CallContext, CloseCause, Exchange, InvalidState, Needed, Progress, Protocol, ProtocolState, Refusal, RequestLimits,
    RequestRecord, Unconsumed,
};
use crate::protocol::example::Example;
use crate::protocol::framed_text::{self, ERROR_TEXT, Framing, RequestHead};
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};
use crate::protocol::services::frame::MAX_LENGTH;
use crate::transform::Action;

/// The longest request header with both its spaces, in bytes. A part of the protocol.
const MAX_REQUEST_HEADER: usize = 32;

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "text",
    port: Some(8082),
    summary: "text transforms with requests in words: ACTION LENGTH MESSAGE",
    rfc: None,
    input: Input::Stream,
    socket_unit: SocketUnit { port: 8082, description: "Text transforms with decimal lengths" },
    new: |_, _| Box::new(Text),
    client: ClientSide {
        connection_use: ConnectionUse::Pipelined,
        actions: Some(Actions { known: &Action::ALL, parse: Action::from_name, have_codes: false }),
        max_message: MAX_LENGTH,
        write_request,
        framing: |_| ReplyFraming::DecimalLength,
        expected: |action, message| match Action::from_name(action) {
            Some(action) => transformed(action, message),
            None => Some(ERROR_TEXT.to_vec()),
        },
        ..ClientSide::DEFAULT
    },
    examples: &[
        Example::stream(
            "two requests, nothing between them",
            b"reverse 11 Hello Worlduppercase 11 Hello World",
            b"11 dlroW olleH11 HELLO WORLD",
        ),
        Example::stream(
            "every action",
            b"uppercase 1 alowercase 1 Atitle-case 5 ab cdshuffle 2 aareverse 2 abrandom 0 ",
            b"1 A1 a5 Ab Cd2 aa2 ba0 ",
        ),
        Example::stream(
            "text that grows",
            "uppercase 2 ßuppercase 2 ΐlowercase 1 A".as_bytes(),
            b"2 SS6 \xce\x99\xcc\x88\xcc\x811 a",
        ),
        Example::stream("an unknown action is consumed", b"scream 5 helloreverse 2 ab", b"5 error2 ba"),
        Example::stream("names are written in small letters", b"Reverse 2 ab 2 xyreverse 2 ab", b"5 error5 error2 ba"),
        Example::stream("text that is not UTF-8", b"reverse 2 \xc3(reverse 2 ab", b"5 error2 ba"),
        Example::stream("a length that is none ends it", b"reverse x abreverse 2 ab", b"5 error"),
        Example::stream("a missing length ends it", b"reverse  abreverse 2 ab", b"5 error"),
        Example::stream("a negative length ends it", b"reverse 2 abreverse -2 ab", b"2 ba5 error"),
        Example::stream("a length over the limit ends it", b"reverse 134217728 ab", b"5 error"),
        Example::stream("no space in 32 bytes ends it", b"abcdefghijklmnopqrstuvwxyzabcdef 2 ab", b"5 error"),
        Example::stream("leading zeros", b"reverse 0000000002 abreverse 2 cd", b"2 ba2 dc"),
        Example::stream("an end inside a header", b"reverse 2 abreverse 2", b"2 ba5 error"),
        Example::stream("an end inside a message", b"reverse 3 ab", b"5 error"),
        Example::stream("an end inside a message of an unknown action", b"scream 3 ab", b"5 error"),
        Example::stream("nothing", b"", b""),
    ],
    try_it: "printf 'reverse 5 Hello' | nc -N localhost {port}",
};

fn write_request(action: &str, message: &[u8], wire: &mut Vec<u8>) -> Result<(), String> {
    if action.is_empty() || action.contains(' ') {
        return Err("an action is one word".into());
    }
    wire.extend_from_slice(format!("{action} {} ", message.len()).as_bytes());
    wire.extend_from_slice(message);
    Ok(())
}

/// The server's side of a connection. Its state is its unconsumed input.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text;

/// The front of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Header<'a> {
    /// A complete header. Lengths are bytes.
    Complete {
        /// The name of the action.
        name: &'a [u8],
        /// The length of the message.
        length: usize,
        /// The length of the header.
        header: usize,
    },
    /// The beginning of a header.
    Partial,
    /// Bytes that no header begins with.
    Bad(Refusal),
}

impl Header<'_> {
    fn parse(input: &[u8]) -> Header<'_> {
        let window = &input[..input.len().min(MAX_REQUEST_HEADER)];
        let mut fields = window.splitn(3, |byte| *byte == b' ');
        let (name, length, head) = (fields.next().unwrap_or_default(), fields.next(), fields.next());
        let Some(digits) = length else { return Self::unfinished(window) };
        match (number(digits), head) {
            (Ok(length), Some(_)) => Header::Complete { name, length, header: name.len() + digits.len() + 2 },
            (Ok(_), None) => Self::unfinished(window),
            (Err(_), None) if digits.is_empty() => Self::unfinished(window),
            (Err(refusal), _) => Header::Bad(refusal),
        }
    }

    fn unfinished(window: &[u8]) -> Header<'_> {
        if window.len() < MAX_REQUEST_HEADER { Header::Partial } else { Header::Bad(Refusal::NoHeader) }
    }
}

/// The action of this name.
fn action(name: &[u8]) -> Option<Action> {
    Action::from_name(std::str::from_utf8(name).ok()?)
}

/// The value of `digits`, if it is a length that a message can have.
fn number(digits: &[u8]) -> Result<usize, Refusal> {
    let is_decimal = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let decimal = std::str::from_utf8(digits).ok().filter(|_| is_decimal).ok_or(Refusal::NoHeader)?;
    decimal.parse().ok().filter(|length| *length <= MAX_LENGTH).ok_or(Refusal::LongerThanProtocol)
}

/// The head of the request at the front of `input`, if it is complete and has an action.
fn head(input: &[u8]) -> Option<RequestHead> {
    let Header::Complete { name, length, header } = Header::parse(input) else { return None };
    action(name).map(|action| RequestHead { action, header, length })
}

fn reply(exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> ControlFlow<Progress> {
    let (name, length, header) = match Header::parse(exchange.input()) {
        Header::Complete { name, length, header } if length <= context.limits.message => (name, length, header),
        Header::Partial => return Break(Progress::NeedInput(Needed::default())),
        Header::Complete { length, .. } => return Break(reject(exchange, length, Refusal::MessageTooLong)),
        Header::Bad(refusal) => return Break(reject(exchange, 0, refusal)),
    };
    match action(name) {
        Some(action) => framed_text::reply::<Words>(exchange, context, RequestHead { action, header, length }),
        None => framed_text::reject_unknown::<Words>(exchange, header, length, Refusal::UnknownName),
    }
}

/// Replies to input that cannot be a header, or announces a message of `length` bytes that is too long.
fn reject(exchange: &mut Exchange<'_>, length: usize, refusal: Refusal) -> Progress {
    if exchange.remaining() < Words::ERROR_REPLY.len() {
        return Progress::NeedOutput;
    }
    let input = exchange.input();
    let window = &input[..input.len().min(MAX_REQUEST_HEADER)];
    let first = window.split(|byte| *byte == b' ').next().and_then(action);
    let action = first.map_or("unknown", |action| action.name());
    exchange.count_request(RequestRecord { action, length, refusal: Some(refusal) });
    exchange.reply(Words::ERROR_REPLY);
    Progress::Close(CloseCause::ProtocolError(refusal))
}

impl Protocol for Text {
    fn process(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        loop {
            if let Break(progress) = reply(exchange, context) {
                return progress;
            }
        }
    }

    fn on_skipped(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) {
        exchange.reply(Words::ERROR_REPLY);
    }

    fn on_eof(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> CloseCause {
        framed_text::truncated::<Words>(exchange)
    }

    fn restore(&mut self, state: &ProtocolState, unconsumed: Unconsumed<'_>) -> Result<(), InvalidState> {
        framed_text::restore(head(unconsumed.input), state, unconsumed)
    }

    fn offload_again(&self, input: &[u8], limits: RequestLimits) -> Option<Needed> {
        framed_text::offload_again::<Words>(head(input), input, limits)
    }
}

/// A reply behind its length in decimal and a space.
struct Words;

impl Framing for Words {
    const MAX_LENGTH: usize = MAX_LENGTH;
    // derived: MAX_LENGTH has nine digits, and a space follows
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
    fn complete_partial_and_bad_headers() {
        let complete = |name, length, header| Header::Complete { name, length, header };
        for (input, expect) in [
            (&b"reverse 11 Hello"[..], complete(&b"reverse"[..], 11, 11)),
            (b"title-case 134217727 ", complete(b"title-case", MAX_LENGTH, 21)),
            (b"x 007 ", complete(b"x", 7, 6)),
            (b" 1 ", complete(b"", 1, 3)),
            (b"", Header::Partial),
            (b"reverse", Header::Partial),
            (b"reverse ", Header::Partial),
            (b"reverse 11", Header::Partial),
            (b"reverse  ", Header::Bad(Refusal::NoHeader)),
            (b"reverse 1x", Header::Bad(Refusal::NoHeader)),
            (b"reverse -1 ", Header::Bad(Refusal::NoHeader)),
            (b"reverse +1 ", Header::Bad(Refusal::NoHeader)),
            (b"reverse 134217728", Header::Bad(Refusal::LongerThanProtocol)),
            (b"reverse 99999999999999999999999", Header::Bad(Refusal::LongerThanProtocol)),
            (b"0123456789012345678901234567890", Header::Partial),
            (b"01234567890123456789012345678901", Header::Bad(Refusal::NoHeader)),
            (b"0123456789012345678901234567 1 ", complete(b"0123456789012345678901234567", 1, 31)),
            (b"0123456789012345678901234567 12 ", complete(b"0123456789012345678901234567", 12, 32)),
            (b"0123456789012345678901234567 123 ", Header::Bad(Refusal::NoHeader)),
        ] {
            assert_eq!(Header::parse(input), expect, "{}", input.escape_ascii());
        }
    }

    #[test]
    fn reply_headers_have_the_announced_size() {
        for length in [0, 1, 9, 10, 99, 100, MAX_LENGTH, 3 * MAX_LENGTH] {
            let text = format!("{length} ");
            let mut header = vec![0; Words::header_size(length)];
            Words::write_header(length, &mut header);
            assert_eq!(header, text.as_bytes());
            assert!(header.len() <= Words::MAX_REPLY_HEADER);
        }
    }
}
