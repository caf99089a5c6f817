//! `echo`: sends every byte back, unchanged and in order (RFC 862).

use crate::protocol::chunk;
use crate::protocol::client_side::{ClientSide, ConnectionUse, ReplyFraming};
use crate::protocol::contract::{CallContext, Exchange, Needed, Passthrough, Progress, Protocol};
use crate::protocol::example::Example;
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "echo",
    port: Some(7),
    summary: "every byte back, unchanged",
    rfc: Some(862),
    input: Input::Stream,
    socket_unit: SocketUnit { port: 7, description: "Echo service, RFC 862" },
    new: |_, _| Box::new(Echo),
    client: ClientSide {
        connection_use: ConnectionUse::Pipelined,
        framing: |message| ReplyFraming::Fixed(message.len()),
        expected: |_, message| Some(message.to_vec()),
        ..ClientSide::DEFAULT
    },
    examples: &[
        Example::stream("every byte value matters", b"\0\x01\n\r\x7f\x80\xff text", b"\0\x01\n\r\x7f\x80\xff text"),
        Example::stream("nothing", b"", b""),
    ],
    try_it: "echo hello | nc -N localhost {port}",
};

/// The server's side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Protocol for Echo {
    fn process(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        let length = exchange.input().len();
        if length > 0 {
            exchange.reply_in_place(length);
            chunk::count(exchange, "echo", length);
        }
        Progress::NeedInput(Needed::default())
    }

    fn passthrough(&self) -> Option<Passthrough> {
        Some(Passthrough::Echo)
    }
}
