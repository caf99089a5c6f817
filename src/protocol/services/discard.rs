//! `discard`: takes whatever comes and answers nothing (RFC 863).

use crate::protocol::contract::{CallContext, Exchange, Needed, Progress, Protocol};

/// A connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Protocol for Discard {
    fn process(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        let length = exchange.input().len();
        exchange.consume(length);
        Progress::NeedInput(Needed::default())
    }

    fn is_passthrough(&self) -> bool {
        true
    }
}
