//! What one connection may take.

use std::num::NonZero;

use super::memory::Budget;
use super::millis::Millis;
use crate::protocol::RequestLimits;

/// What one connection may take; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest message, in bytes.
    pub message: usize,
    /// A connection without a request in progress closes after this time.
    pub idle: Option<Millis>,
    /// A request must be complete after this time, longer by what has arrived at [`Limits::REQUEST_RATE`].
    pub request: Option<Millis>,
    /// A client must take a part of its pending replies in this time.
    pub write: Option<Millis>,
    /// The longest line, in bytes, where a request is a line; `None`: that of a message.
    pub line: Option<usize>,
    /// Bytes a second that a client must take of a reply above 16 KiB, once other clients have waited for memory for
    /// five seconds.
    pub min_rate: Option<NonZero<u64>>,
}

impl Limits {
    /// Bytes a second at which a client may go on sending one request without end. Chosen without tuning: 131 kbit/s.
    pub const REQUEST_RATE: NonZero<u64> = NonZero::new(16 * 1024).unwrap();

    /// What one request may take under these limits.
    pub(super) fn of_request(&self, budget: &Budget) -> RequestLimits {
        RequestLimits { message: self.message, memory: budget.largest_request(), line: self.line }
    }
}
