//! `echo-prefix`: each chunk back, behind `Echo: `.

use crate::protocol::chunk;
use crate::protocol::contract::{CallContext, Exchange, Needed, Progress, Protocol};

const PREFIX: &[u8] = b"Echo: ";

/// A connection.
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
            let (rest, spare) = exchange.input_and_remaining();
            spare[..PREFIX.len()].copy_from_slice(PREFIX);
            spare[PREFIX.len()..][..length].copy_from_slice(&rest[..length]);
            exchange.consume(length);
            exchange.advance(PREFIX.len() + length);
            chunk::count(exchange, "echo-prefix", length);
        }
    }
}
