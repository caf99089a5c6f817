//! What one connection may take.

use super::memory::Budget;
use crate::protocol::RequestLimits;

/// A time that never comes, in milliseconds.
pub const NEVER: u64 = u64::MAX;

/// What one connection may take; times in milliseconds, [`NEVER`] for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest message, in bytes.
    pub message: usize,
    /// A connection without a request in progress closes after this time.
    pub idle: u64,
    /// A request must be complete after this time, longer by what has arrived at [`Limits::REQUEST_RATE`].
    pub request: u64,
    /// A client must take a part of its pending replies in this time.
    pub write: u64,
    /// The longest line, in bytes, where a request is a line.
    pub line: usize,
    /// Bytes a second that a client must take of a reply above 16 KiB, once other clients have waited for memory for five
    /// seconds; 0 for no such limit.
    pub min_rate: u64,
}

impl Limits {
    /// Bytes a second at which a client may go on sending one request without end. Chosen: a slow modem link keeps it.
    pub const REQUEST_RATE: u64 = 16 * 1024;

    /// What one request may take under these limits.
    pub(super) fn of_request(&self, budget: &Budget) -> RequestLimits {
        let memory = budget.largest_request();
        RequestLimits { message: self.message, memory, line: self.line.min(memory) }
    }
}
