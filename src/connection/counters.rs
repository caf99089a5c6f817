//! What is counted on connections.
//!
//! One worker writes its [`Counters`], any thread may read them. The sums add up: accepted = closed by reason + open;
//! requests = answered + refused + abandoned by reason + in flight.

use std::fmt::Debug;
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

/// What a counter adds to the sum over all workers: a number, or one for each [`CloseReason`].
pub trait Summand {
    /// The sum.
    type Sum: Clone + Debug + Default + Eq;

    /// Adds the current value.
    fn add_to(&self, sum: &mut Self::Sum);
}

impl Summand for Counter {
    type Sum = u64;

    fn add_to(&self, sum: &mut u64) {
        *sum += self.get();
    }
}

impl Summand for [Counter; REASONS] {
    type Sum = [u64; REASONS];

    fn add_to(&self, sums: &mut Self::Sum) {
        self.iter().zip(sums).for_each(|(one, sum)| one.add_to(sum));
    }
}

/// The table of all counters: each with its help text, its name and its type. Everything else about them derives from
/// it.
macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident: $counter:ty,)+) => {
        /// One worker's counters.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[doc = $help])+ pub $name: $counter,)+ }

        /// The sums of all workers' counters.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Totals { $($(#[doc = $help])+ pub $name: <$counter as Summand>::Sum,)+ }

        impl Totals {
            /// The sums of `counters`, which are read one after another.
            pub fn of<'a>(counters: impl IntoIterator<Item = &'a Counters>) -> Self {
                let mut totals = Self::default();
                for one in counters {
                    $(one.$name.add_to(&mut totals.$name);)+
                }
                totals
            }
        }
    };
}

counters! {
    /// Connections accepted.
    accepted: Counter,
    /// Connections closed, by [`CloseReason`].
    closed: [Counter; REASONS],
    /// Requests that arrived in full, or were rejected before that.
    requests: Counter,
    /// Requests whose replies the kernel has taken.
    answered: Counter,
    /// Requests whose error replies the kernel has taken.
    refused: Counter,
    /// Requests that were read and not replied to, by the [`CloseReason`] of their connection.
    abandoned: [Counter; REASONS],
    /// Records decoded.
    records: Counter,
    /// Bytes read from clients.
    bytes_in: Counter,
    /// Bytes that the kernel has taken for clients.
    bytes_out: Counter,
    /// Clients that had gone before they were accepted.
    accept_lost: Counter,
    /// Times that a listener backed off because the system had no descriptors or memory left.
    accept_paused: Counter,
    /// Times that a worker stopped accepting from a listener because its clients came faster than `--max-rate`.
    accept_over_rate: Counter,
}

impl Counters {
    /// The kernel has taken the replies to these requests.
    pub fn sent(&self, counts: RequestCounts) {
        self.answered.add(counts.answered.into());
        self.refused.add(counts.refused.into());
    }

    /// A connection has closed, with `unanswered` requests that were read and not replied to.
    pub fn close(&self, reason: CloseReason, unanswered: u64) {
        self.closed[reason as usize].add(1);
        self.abandoned[reason as usize].add(unanswered);
    }
}
