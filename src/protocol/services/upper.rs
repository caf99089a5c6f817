//! `upper`: sends the first chunk back in ASCII upper case, without white space at both ends, then closes.

use crate::protocol::chunk;
use crate::protocol::client_side::ClientSide;
use crate::protocol::contract::{CallContext, CloseCause, Exchange, Needed, Progress, Protocol};
use crate::protocol::example::Example;
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "upper",
    port: None,
    summary: "the first chunk back, stripped and in upper case, then close",
    rfc: None,
    input: Input::Chunks,
    socket_unit: SocketUnit { port: 8088, description: "One-shot upper-casing of a chunk" },
    new: |_, _| Box::new(Upper),
    client: ClientSide {
        expected: |_, message| Some(message[chunk::stripped(message)].to_ascii_uppercase()),
        ..ClientSide::DEFAULT
    },
    examples: &[
        Example::chunk("white space is stripped", b" \t\n\x0b\x0c\rab c\xe9\r\n", b"AB C\xe9"),
        Example::chunk("nothing but white space", b" \n", b""),
        Example::chunk("one chunk", b"a\nb", b"A\nB"),
    ],
    try_it: "echo ' hello ' | nc localhost {port}",
};

/// The server's side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Upper;

impl Protocol for Upper {
    fn process(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        let length = chunk::next(exchange);
        if length == 0 {
            return Progress::NeedInput(Needed::default());
        }
        exchange.input()[..length].make_ascii_uppercase();
        chunk::reply_stripped(exchange, "upper", length);
        Progress::Close(CloseCause::Complete)
    }
}
