//! `echo-prefix`: sends each chunk back, after `Echo: `.

use crate::protocol::chunk::{self, CHUNK};
use crate::protocol::client_side::{ClientSide, ConnectionUse, ReplyFraming};
use crate::protocol::contract::{CallContext, Exchange, Needed, Progress, Protocol};
use crate::protocol::example::Example;
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};

const PREFIX: &[u8] = b"Echo: ";

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "echo-prefix",
    port: None,
    summary: "each chunk back, after `Echo: `",
    rfc: None,
    input: Input::Chunks,
    socket_unit: SocketUnit { port: 8085, description: "Echo service with a prefix" },
    new: |_, _| Box::new(EchoPrefix),
    client: ClientSide {
        connection_use: ConnectionUse::Sequential,
        max_message: CHUNK,
        framing: |message| ReplyFraming::Fixed(PREFIX.len() + message.len()),
        expected: |_, message| Some([PREFIX, message].concat()),
        ..ClientSide::DEFAULT
    },
    examples: &[Example::chunk("a chunk", b"hello\n", b"Echo: hello\n")],
    try_it: "echo hello | nc -N localhost {port}",
};

/// The server's side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct EchoPrefix;

impl Protocol for EchoPrefix {
    fn process(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        loop {
            let length = chunk::next(exchange);
            if length == 0 {
                return Progress::NeedInput(Needed::default());
            }
            if exchange.remaining() < PREFIX.len() + length {
                return Progress::NeedOutput;
            }
            let (input, reply) = exchange.input_and_remaining();
            reply[..PREFIX.len()].copy_from_slice(PREFIX);
            reply[PREFIX.len()..][..length].copy_from_slice(&input[..length]);
            exchange.consume(length);
            exchange.advance(PREFIX.len() + length);
            chunk::count(exchange, "echo-prefix", length);
        }
    }
}
