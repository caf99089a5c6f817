//! `echo`: every byte back, unchanged and in order (RFC 862).

use crate::protocol::chunk;
use crate::protocol::contract::{CallContext, Exchange, Needed, Progress, Protocol};

/// A connection.
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

    fn is_passthrough(&self) -> bool {
        true
    }
}
