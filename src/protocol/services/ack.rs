//! `ack`: acknowledges the first chunk, then closes.

use crate::protocol::chunk;
use crate::protocol::client_side::ClientSide;
use crate::protocol::contract::{CallContext, CloseCause, Exchange, Needed, Progress, Protocol};
use crate::protocol::example::Example;
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};

const REPLY: &[u8] = b"Message received!";

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "ack",
    port: None,
    summary: "`Message received!` to the first chunk, then close",
    rfc: None,
    input: Input::Chunks,
    socket_unit: SocketUnit { port: 8086, description: "Acknowledging service" },
    new: |_, _| Box::new(Ack),
    client: ClientSide { expected: |_, _| Some(REPLY.to_vec()), ..ClientSide::DEFAULT },
    examples: &[Example::stream("anything", b"anything", b"Message received!"), Example::stream("nothing", b"", b"")],
    try_it: "echo hello | nc localhost {port}",
};

/// The server's side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ack;

impl Protocol for Ack {
    fn process(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        let length = chunk::next(exchange);
        if length == 0 {
            return Progress::NeedInput(Needed::default());
        }
        exchange.consume(length);
        exchange.reply(REPLY);
        chunk::count(exchange, "ack", length);
        Progress::Close(CloseCause::Complete)
    }
}
