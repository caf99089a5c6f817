//! `discard`: drops all input and sends nothing (RFC 863).

use crate::protocol::client_side::{ClientSide, ConnectionUse};
use crate::protocol::contract::{CallContext, Exchange, Needed, Passthrough, Progress, Protocol};
use crate::protocol::example::Example;
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "discard",
    port: Some(9),
    summary: "drops all input, sends nothing",
    rfc: Some(863),
    input: Input::Stream,
    socket_unit: SocketUnit { port: 9, description: "Discard service, RFC 863" },
    new: |_, _| Box::new(Discard),
    client: ClientSide { connection_use: ConnectionUse::NoReply, ..ClientSide::DEFAULT },
    examples: &[Example::stream("anything", b"anything", b"")],
    try_it: "echo hello | nc -N localhost {port}",
};

/// The server's side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Protocol for Discard {
    fn process(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        let length = exchange.input().len();
        exchange.consume(length);
        Progress::NeedInput(Needed::default())
    }

    fn passthrough(&self) -> Option<Passthrough> {
        Some(Passthrough::Discard)
    }
}
