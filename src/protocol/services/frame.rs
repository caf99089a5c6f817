//! `frame`: text transforms in length-prefixed binary frames.
//!
//! A request is a header of 32 bits (5 of action, 27 of length) and a message; a reply is a length of 32 bits and the
//! text. `frame-2021` differs in the action codes alone. The state of a connection is its unconsumed input, so it takes
//! no memory of its own.

#![allow(clippy::cast_possible_truncation, reason = "a length is at most MAX_LENGTH, 27 bits")]

use std::ops::ControlFlow::Break;

use crate::protocol::client_side::{Actions, ClientSide, ConnectionUse, ReplyFraming, transformed};
use crate::protocol::contract::{
    CallContext, CloseCause, Exchange, InvalidState, MAX_MESSAGE, Needed, Progress, Protocol, ProtocolState, Refusal,
    RequestLimits, Unconsumed,
};
use crate::protocol::example::Example;
use crate::protocol::framed_text::{self, Framing, RequestHead};
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};
use crate::transform::Action;

pub use crate::protocol::framed_text::ERROR_TEXT;

/// Length of a header, of a request and of a reply, in bytes. A part of the protocol.
pub const HEADER: usize = 4;

/// The longest message that a header can announce, in bytes. Derived: the protocol has 27 bits for it.
pub const MAX_LENGTH: usize = MAX_MESSAGE;

const EDITION: Edition = Edition::Current;

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "frame",
    port: Some(8083),
    summary: "framed text transforms",
    rfc: None,
    input: Input::Stream,
    socket_unit: SocketUnit { port: 8083, description: "Framed text transforms" },
    new: |_, _| Box::new(Frame),
    client: ClientSide {
        connection_use: ConnectionUse::Pipelined,
        actions: Some(Actions { known: EDITION.actions(), parse: |word| EDITION.parse(word), have_codes: true }),
        max_message: MAX_LENGTH,
        write_request: |action, message, wire| EDITION.write_request(action, message, wire),
        framing: |_| ReplyFraming::Length32,
        expected: |action, message| EDITION.expected(action, message),
        ..ClientSide::DEFAULT
    },
    examples: &[
        Example::stream("reverse", b"\x20\0\0\x13The LAN Before Time", b"\0\0\0\x13emiT erofeB NAL ehT"),
        Example::stream("uppercase", b"\x08\0\0\x16Pretty Fly for a Wi-Fi", b"\0\0\0\x16PRETTY FLY FOR A WI-FI"),
        Example::stream("lowercase", b"\x10\0\0\x18WI-FIght the inevitable?", b"\0\0\0\x18wi-fight the inevitable?"),
        Example::stream("action 6 does not exist", b"\x30\0\0\x13The LAN Before Time", b"\0\0\0\x05error"),
        Example::stream("action 0 does not exist", b"\0\0\0\x01x\x08\0\0\x01x", b"\0\0\0\x05error\0\0\0\x01X"),
        Example::stream("action 31 does not exist", b"\xf8\0\0\0\x08\0\0\x01x", b"\0\0\0\x05error\0\0\0\x01X"),
        Example::stream(
            "a bad request between two good ones",
            b"\x10\0\0\x11I HOPE THIS WORKS\x18\0\0\x04what\x08\0\0\x0ait worked!",
            b"\0\0\0\x11i hope this works\0\0\0\x05error\0\0\0\x0aIT WORKED!",
        ),
        Example::stream("nothing", b"", b""),
        Example::stream(
            "empty messages",
            b"\x08\0\0\0\x10\0\0\0\x20\0\0\0\x40\0\0\0\x80\0\0\0",
            b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        ),
        Example::stream("shuffle of one code point", b"\x40\0\0\x02\xc3\xa9", b"\0\0\0\x02\xc3\xa9"),
        Example::stream("shuffle of equal letters", b"\x40\0\0\x05aaaaa", b"\0\0\0\x05aaaaa"),
        Example::stream(
            "text that grows in upper case",
            b"\x08\0\0\x07stra\xc3\x9fe\x08\0\0\x03\xef\xac\x83\x08\0\0\x02\xce\x90",
            b"\0\0\0\x07STRASSE\0\0\0\x03FFI\0\0\0\x06\xce\x99\xcc\x88\xcc\x81",
        ),
        Example::stream(
            "final sigma in lower case",
            b"\x10\0\0\x08\xce\x9f\xce\x94\xce\x9f\xce\xa3",
            b"\0\0\0\x08\xce\xbf\xce\xb4\xce\xbf\xcf\x82",
        ),
        Example::stream(
            "reverse acts on code points",
            b"\x20\0\0\x0aa\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
            b"\0\0\0\x0a\xf0\x9f\x98\x80\xe2\x82\xac\xc3\xa9a",
        ),
        Example::stream(
            "text that is not UTF-8, then service as usual",
            b"\x08\0\0\x03a\xffb\x20\0\0\x02\xc3(\x20\0\0\x03abc",
            b"\0\0\0\x05error\0\0\0\x05error\0\0\0\x03cba",
        ),
        Example::stream(
            "surrogates, overlong forms and cut code points are not UTF-8",
            b"\x20\0\0\x03\xed\xa0\x80\x20\0\0\x02\xc0\xaf\x20\0\0\x03\xf0\x9f\x98",
            b"\0\0\0\x05error\0\0\0\x05error\0\0\0\x05error",
        ),
        Example::stream(
            "ASCII and other text in turns",
            b"\x20\0\0\x02ab\x20\0\0\x03\xc3\xa9a\x20\0\0\x02ab\xb8\0\0\x01x\x20\0\0\x02ab",
            b"\0\0\0\x02ba\0\0\0\x03a\xc3\xa9\0\0\0\x02ba\0\0\0\x05error\0\0\0\x02ba",
        ),
        Example::stream("NUL, newline and ESC are text", b"\x20\0\0\x03\0\n\x1b", b"\0\0\0\x03\x1b\n\0"),
        Example::stream("an end inside a header", b"\x20\0\0\x01a\x08\0", b"\0\0\0\x01a\0\0\0\x05error"),
        Example::stream("an end behind a header", b"\x20\0\0\x01a\x08\0\0\x05", b"\0\0\0\x01a\0\0\0\x05error"),
        Example::stream("an end inside a message", b"\x08\0\0\x05abcd", b"\0\0\0\x05error"),
        Example::stream("an end inside a refused message", b"\x18\0\0\x05abcd", b"\0\0\0\x05error"),
    ],
    try_it: r"printf '\x08\0\0\2hi' | nc -N localhost {port} | xxd",
};

/// A set of action codes.
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

    /// The action of a word in a client's request: a name, or a number from 0 to 31.
    #[must_use]
    pub fn parse(self, word: &str) -> Option<Action> {
        self.parse_code(word).ok().and_then(|code| self.action(code))
    }

    /// The code of an action's name, or of a number from 0 to 31.
    fn parse_code(self, word: &str) -> Result<u8, String> {
        if let Some(code) = Action::from_name(word).and_then(|action| self.code(action)) {
            return Ok(code);
        }
        let number = match word.strip_prefix("0x") {
            Some(digits) => u8::from_str_radix(digits, 16).ok(),
            None => word.parse().ok(),
        };
        number.filter(|&code| code < 32).ok_or_else(|| {
            let known = Action::ALL.iter().filter(|&&action| self.code(action).is_some());
            let names: Vec<_> = known.map(|action| action.name()).collect();
            format!("no such action: {} (one of {}, or a number from 0 to 31)", word.escape_debug(), names.join(", "))
        })
    }

    /// [`ClientSide::write_request`] of this edition.
    pub(super) fn write_request(self, action: &str, message: &[u8], wire: &mut Vec<u8>) -> Result<(), String> {
        wire.extend_from_slice(&header(self.parse_code(action)?, message.len()));
        wire.extend_from_slice(message);
        Ok(())
    }

    /// [`ClientSide::expected`] of this edition.
    pub(super) fn expected(self, action: &str, message: &[u8]) -> Option<Vec<u8>> {
        match self.parse(action) {
            Some(action) => transformed(action, message),
            None => Some(ERROR_TEXT.to_vec()),
        }
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

/// The server's side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame;

impl Protocol for Frame {
    fn process(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        process(EDITION, exchange, context)
    }

    fn on_skipped(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) {
        exchange.reply(Binary::ERROR_REPLY);
    }

    fn on_eof(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> CloseCause {
        framed_text::truncated::<Binary>(exchange)
    }

    fn restore(&mut self, state: &ProtocolState, unconsumed: Unconsumed<'_>) -> Result<(), InvalidState> {
        framed_text::restore(head(EDITION, unconsumed.input), state, unconsumed)
    }

    fn offload_again(&self, input: &[u8], limits: RequestLimits) -> Option<Needed> {
        framed_text::offload_again::<Binary>(head(EDITION, input), input, limits)
    }
}

/// The head of the request at the front of `input`, if it is complete and has an action.
pub(super) fn head(edition: Edition, input: &[u8]) -> Option<RequestHead> {
    let (code, length) = parse_header(*input.first_chunk()?);
    edition.action(code).map(|action| RequestHead { action, header: HEADER, length })
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
            None => framed_text::reject_unknown::<Binary>(exchange, HEADER, length, Refusal::UnknownCode(code)),
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
    fn codes_of_both_editions() {
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
    fn headers_are_parsed_as_they_were_written() {
        assert_eq!(header(0x04, 19), *b"\x20\0\0\x13");
        assert_eq!(header(0x1f, MAX_LENGTH), [0xff; 4]);
        for (code, length) in [(0, 0), (1, MAX_LENGTH), (0x10, 0x0123_4567), (0x1f, 1)] {
            assert_eq!(parse_header(header(code, length)), (code, length));
        }
    }
}
