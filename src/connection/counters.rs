//! What is counted on connections.
//!
//! One worker writes a [`Counters`], anybody may read it. The sums always add up: accepted = closed by reason + open;
//! requests read = answered + refused + abandoned by reason + still under way.

use std::sync::atomic::{AtomicU64, Ordering};

use super::close_reason::CloseReason;
use crate::protocol::RequestCounts;

const REASONS: usize = CloseReason::ALL.len();

/// A number that one thread raises and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Raises it by `n`. Only the thread that owns it may: load and store are cheaper than an atomic addition.
    pub fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One worker's counters.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections closed, by [`CloseReason`].
    pub closed: [Counter; REASONS],
    /// Requests that were there whole.
    pub requests: Counter,
    /// Requests whose answers the kernel has taken.
    pub answered: Counter,
    /// Requests whose error answers the kernel has taken.
    pub refused: Counter,
    /// Requests that were read and not answered, by the [`CloseReason`] of their connection.
    pub abandoned: [Counter; REASONS],
    /// Records decoded.
    pub records: Counter,
    /// Bytes read from clients.
    pub bytes_in: Counter,
    /// Bytes that the kernel took for clients.
    pub bytes_out: Counter,
    /// Calls of accept(2) that failed because a client was gone already.
    pub accept_lost: Counter,
    /// Times that a listener was switched off because the system had nothing left.
    pub accept_paused: Counter,
}

impl Counters {
    /// The answers to these requests have been taken by the kernel.
    pub fn sent(&self, tally: RequestCounts) {
        self.answered.add(tally.answered.into());
        self.refused.add(tally.refused.into());
    }

    /// A connection ended, with so many requests unanswered.
    pub fn close(&self, reason: CloseReason, unanswered: u64) {
        self.closed[reason as usize].add(1);
        self.abandoned[reason as usize].add(unanswered);
    }
}
