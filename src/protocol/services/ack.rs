//! `ack`: says that the first chunk has arrived, then closes.

use crate::protocol::chunk;
use crate::protocol::contract::{CallContext, CloseCause, Exchange, Needed, Progress, Protocol};

/// A connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ack;

impl Protocol for Ack {
    fn process(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        let length = chunk::next(exchange);
        if length == 0 {
            return Progress::NeedInput(Needed::default());
        }
        exchange.consume(length);
        exchange.reply(b"Message received!");
        chunk::count(exchange, "ack", length);
        Progress::Close(CloseCause::Complete)
    }
}
