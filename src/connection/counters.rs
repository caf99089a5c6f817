//! What is counted on connections.
//!
//! One worker writes its [`Counters`], any thread may read them. The sums add up: accepted = closed by reason + open;
//! requests = answered + refused + abandoned by reason + in flight.

use std::sync::atomic::{AtomicU64, Ordering};

use super::close_reason::CloseReason;
use crate::protocol::RequestCounts;

const REASONS: usize = CloseReason::ALL.len();

/// A number that one thread increases and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only one thread may call it: a load and a store are cheaper than an atomic addition.
    pub fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Ordering::Relaxed);
    }

    /// The current value.
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
    /// Requests that arrived in full, or were rejected before that.
    pub requests: Counter,
    /// Requests whose replies the kernel has taken.
    pub answered: Counter,
    /// Requests whose error replies the kernel has taken.
    pub refused: Counter,
    /// Requests that were read and not replied to, by the [`CloseReason`] of their connection.
    pub abandoned: [Counter; REASONS],
    /// Records decoded.
    pub records: Counter,
    /// Bytes read from clients.
    pub bytes_in: Counter,
    /// Bytes that the kernel has taken for clients.
    pub bytes_out: Counter,
    /// Clients that had gone before they were accepted.
    pub accept_lost: Counter,
    /// Times that a listener backed off because the system had no descriptors or memory left.
    pub accept_paused: Counter,
}

impl Counters {
    /// The kernel has taken the replies to these requests.
    pub fn sent(&self, tally: RequestCounts) {
        self.answered.add(tally.answered.into());
        self.refused.add(tally.refused.into());
    }

    /// A connection has closed, with `unanswered` requests that were read and not replied to.
    pub fn close(&self, reason: CloseReason, unanswered: u64) {
        self.closed[reason as usize].add(1);
        self.abandoned[reason as usize].add(unanswered);
    }
}
