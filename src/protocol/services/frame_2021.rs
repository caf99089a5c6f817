//! `frame-2021`: `frame` with the action codes of the 2021 edition.

use crate::protocol::client_side::{Actions, ClientSide};
use crate::protocol::contract::{
    CallContext, CloseCause, Exchange, InvalidState, Needed, Progress, Protocol, ProtocolState, RequestLimits,
    Unconsumed,
};
use crate::protocol::example::Example;
use crate::protocol::framed_text::{self, Framing};
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};
use crate::protocol::services::frame::{self, Binary, Edition};

const EDITION: Edition = Edition::Of2021;

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "frame-2021",
    port: None,
    summary: "framed text transforms, with the action codes of 2021",
    rfc: None,
    input: Input::Stream,
    socket_unit: SocketUnit { port: 8084, description: "Framed text transforms, edition 2021" },
    new: |_, _| Box::new(Frame2021),
    client: ClientSide {
        actions: Some(Actions { known: EDITION.actions(), parse: |word| EDITION.parse(word), have_codes: true }),
        // servers of this edition use the port of the current one
        port: frame::INFO.port,
        write_request: |action, message, wire| EDITION.write_request(action, message, wire),
        expected: |action, message| EDITION.expected(action, message),
        ..frame::INFO.client
    },
    examples: &[
        Example::stream("reverse", b"\x40\0\0\x13The LAN Before Time", b"\0\0\0\x13emiT erofeB NAL ehT"),
        Example::stream("title-case", b"\x20\0\0\x0bit's a TRAP", b"\0\0\0\x0bIt'S A Trap"),
        Example::stream("uppercase and lowercase", b"\x08\0\0\x01a\x10\0\0\x01B", b"\0\0\0\x01A\0\0\0\x01b"),
        Example::stream("shuffle", b"\x80\0\0\x03aaa", b"\0\0\0\x03aaa"),
        Example::stream("action 5 does not exist", b"\x28\0\0\x01a", b"\0\0\0\x05error"),
    ],
    try_it: r"printf '\x20\0\0\7old man' | nc -N localhost {port} | xxd",
};

/// The server's side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame2021;

impl Protocol for Frame2021 {
    fn process(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        frame::process(EDITION, exchange, context)
    }

    fn on_skipped(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) {
        exchange.reply(Binary::ERROR_REPLY);
    }

    fn on_eof(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> CloseCause {
        framed_text::truncated::<Binary>(exchange)
    }

    fn restore(&mut self, state: &ProtocolState, unconsumed: Unconsumed<'_>) -> Result<(), InvalidState> {
        framed_text::restore(frame::head(EDITION, unconsumed.input), state, unconsumed)
    }

    fn offload_again(&self, input: &[u8], limits: RequestLimits) -> Option<Needed> {
        framed_text::offload_again::<Binary>(frame::head(EDITION, input), input, limits)
    }
}
