//! `length-prefix`: sends each message back as it came, behind its length in four bytes.
//!
//! A message is the reply to itself and stays where it is in the input. It is sent when it is complete. A message over
//! the limit closes the connection.

#![allow(clippy::cast_possible_truncation, reason = "the length of a message is at most 32 bits on the wire")]

use crate::protocol::client_side::{ClientSide, ConnectionUse, ReplyFraming};
use crate::protocol::contract::{CallContext, CloseCause, Exchange, Needed, Progress, Protocol, RequestRecord};
use crate::protocol::example::Example;
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};
use crate::protocol::services::frame;

/// Size of the length, in bytes. A part of the protocol.
pub const PREFIX: usize = 4;

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "length-prefix",
    port: None,
    summary: "each message back, after its length in four bytes",
    rfc: None,
    input: Input::Stream,
    socket_unit: SocketUnit { port: 8090, description: "Echo of length-prefixed messages" },
    new: |_, _| Box::new(LengthPrefix),
    client: ClientSide {
        connection_use: ConnectionUse::Pipelined,
        // the format allows 4 GiB; no server of ours takes more than this
        max_message: frame::MAX_LENGTH,
        write_request: |_, message, wire| {
            wire.extend_from_slice(&(message.len() as u32).to_be_bytes());
            wire.extend_from_slice(message);
            Ok(())
        },
        framing: |_| ReplyFraming::Length32,
        expected: |_, message| Some(message.to_vec()),
        ..ClientSide::DEFAULT
    },
    examples: &[
        Example::stream("two messages", b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c", b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c"),
        Example::stream("an end inside a message", b"\0\0\0\x01a\0\0\0\x02b", b"\0\0\0\x01a"),
        Example::stream("longer than any limit", b"\0\0\0\x01a\xff\xff\xff\xffb", b"\0\0\0\x01a"),
    ],
    try_it: r"printf '\0\0\0\2hi' | nc -N localhost {port} | xxd",
};

/// The server's side of a connection. Its state is its unconsumed input.
#[derive(Clone, Copy, Debug, Default)]
pub struct LengthPrefix;

impl Protocol for LengthPrefix {
    fn process(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        while let Some(prefix) = exchange.input().first_chunk::<PREFIX>() {
            let length = u32::from_be_bytes(*prefix) as usize;
            let needed = Needed { request_len: length.saturating_add(PREFIX), ..Needed::default() };
            if let Err(refusal) = context.limits.check(length, needed) {
                return Progress::Close(CloseCause::ProtocolError(refusal));
            }
            if exchange.input().len() < needed.request_len {
                return Progress::NeedInput(needed);
            }
            exchange.reply_in_place(needed.request_len);
            exchange.count_request(RequestRecord { action: "length-prefix", length, refusal: None });
        }
        Progress::NeedInput(Needed::default())
    }
}
