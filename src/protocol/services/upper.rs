//! `upper`: the first chunk back, without white space at its ends and in ASCII upper case, then closes.

use crate::protocol::chunk;
use crate::protocol::contract::{CallContext, CloseCause, Exchange, Needed, Progress, Protocol};

/// A connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Upper;

impl Protocol for Upper {
    fn process(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        let length = chunk::next(exchange);
        if length == 0 {
            return Progress::NeedInput(Needed::default());
        }
        exchange.input()[..length].make_ascii_uppercase();
        chunk::answer_stripped(exchange, "upper", length);
        Progress::Close(CloseCause::Complete)
    }
}
