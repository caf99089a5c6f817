//! What is counted on connections.
//!
//! One worker writes its [`Counters`], any thread may read them. The sums add up: accepted = closed by reason + open;
//! requests = answered + refused + abandoned by reason + in flight. They do so at every moment, for the connections of
//! each listener: a worker counts a cause before its effects, and a reader reads the effects first.

use std::fmt::Debug;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::close_reason::CloseReason;
use super::counter::{Counter, Summand};
use super::counts_by_name::{ImpairmentKinds, ProxyResults, Reasons};
use super::durations::Durations;
use super::impairment::ImpairmentKind;
use super::proxy_result::ProxyResult;
use crate::protocol::RequestCounts;

const REASONS: usize = CloseReason::ALL.len();
const IMPAIRMENT_KINDS: usize = ImpairmentKind::ALL.len();
const PROXY_RESULTS: usize = ProxyResult::ALL.len();

/// The table of all counters: each with its help text, its name and its type. Everything else about them derives from
/// it. They are read in this order.
macro_rules! counters {
    ($($(#[doc = $help:literal])+ $(#[serde($names:meta)])? $name:ident: $counter:ty,)+) => {
        /// One worker's counters, of one listener.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[doc = $help])+ pub $name: $counter,)+ }

        /// Sums of counters. A successor continues them: they are saved by name; one that was not saved begins at 0.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Totals {
            $($(#[doc = $help])+ $(#[serde($names)])? pub $name: <$counter as Summand>::Sum,)+
        }

        impl Totals {
            /// Adds the current values of `counters`, which are read one after another.
            pub fn read(&mut self, counters: &Counters) {
                $(counters.$name.add_to(&mut self.$name);)+
            }

            /// Adds other sums.
            pub fn add(&mut self, other: &Totals) {
                $(other.$name.add_to(&mut self.$name);)+
            }
        }
    };
}

// effects before their causes
counters! {
    /// Connections closed, by [`CloseReason`].
    #[serde(with = "Reasons")]
    closed: [Counter; REASONS],
    /// Connections on which an impairment has acted, by [`ImpairmentKind`], once each.
    #[serde(with = "ImpairmentKinds")]
    impaired: [Counter; IMPAIRMENT_KINDS],
    /// Connections accepted.
    accepted: Counter,
    /// Requests that were read and not replied to, by the [`CloseReason`] of their connection.
    #[serde(with = "Reasons")]
    abandoned: [Counter; REASONS],
    /// Durations of the requests whose replies the kernel has taken, error replies too.
    durations: Durations,
    /// Requests whose replies the kernel has taken.
    answered: Counter,
    /// Requests whose error replies the kernel has taken.
    refused: Counter,
    /// Requests that arrived in full, or were rejected before that.
    requests: Counter,
    /// Records decoded.
    records: Counter,
    /// Bytes read from clients.
    bytes_in: Counter,
    /// Bytes that the kernel has taken for clients.
    bytes_out: Counter,
    /// Requests handed to the offload pool.
    offloaded: Counter,
    /// Clients that had gone before they were accepted.
    accept_lost: Counter,
    /// Times that a listener backed off because the system had no descriptors or memory left.
    accept_paused: Counter,
    /// Times that a worker stopped accepting from a listener because its clients came faster than `--max-rate`.
    accept_over_rate: Counter,
    /// Times that a worker stopped accepting from a listener because there were as many connections as allowed.
    connections_full: Counter,
    /// Connections of listeners that expect a PROXY header, by [`ProxyResult`]; counted when the header is complete, or
    /// when the connection ends before that.
    #[serde(with = "ProxyResults")]
    proxy: [Counter; PROXY_RESULTS],
}

impl Counters {
    /// The kernel has taken the replies to these requests.
    pub fn sent(&self, counts: RequestCounts) {
        self.answered.add(counts.answered.into());
        self.refused.add(counts.refused.into());
    }

    /// A connection has closed, with `unanswered` requests that were read and not replied to.
    pub fn close(&self, reason: CloseReason, unanswered: u64) {
        self.abandoned[reason as usize].add(unanswered);
        self.closed[reason as usize].add(1);
    }
}

impl Totals {
    /// The sums of the current values of `counters`.
    #[must_use]
    pub fn of<'a>(counters: impl IntoIterator<Item = &'a Counters>) -> Self {
        let mut totals = Self::default();
        counters.into_iter().for_each(|one| totals.read(one));
        totals
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.accepted - self.closed.iter().sum::<u64>()
    }

    /// Requests that were read, and that are neither answered nor abandoned yet.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.requests - (self.answered + self.refused + self.abandoned.iter().sum::<u64>())
    }
}

/// One worker's counters: a table for each listener. Those of the listener of the connection in hand are what this
/// dereferences to, at no more cost than one table would have.
#[derive(Clone, Debug)]
pub struct WorkerCounters {
    tables: Arc<[Arc<Counters>]>,
    selected: usize,
    /// The table that is selected.
    current: Arc<Counters>,
}

impl WorkerCounters {
    /// Counters for this number of listeners, or for one if that is 0.
    #[must_use]
    pub fn new(listeners: usize) -> Self {
        let tables: Arc<[Arc<Counters>]> = (0..listeners.max(1)).map(|_| Arc::default()).collect();
        Self { selected: 0, current: Arc::clone(&tables[0]), tables }
    }

    /// Whether the table of the listener with this index is selected.
    #[inline]
    #[must_use]
    pub fn is_selected(&self, listener: usize) -> bool {
        listener == self.selected
    }

    /// Selects the table of the listener with this index.
    pub fn select(&mut self, listener: usize) {
        self.selected = listener;
        self.current = Arc::clone(&self.tables[listener]);
    }

    /// The counters of the listener with this index.
    #[must_use]
    pub fn of(&self, listener: usize) -> &Counters {
        &self.tables[listener]
    }
}

impl Default for WorkerCounters {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Deref for WorkerCounters {
    type Target = Counters;

    fn deref(&self) -> &Counters {
        &self.current
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    /// Fails for a reader that reads a cause before its effect: more effects than causes are seen then.
    #[test]
    fn the_sums_add_up_and_no_counter_falls_while_a_worker_counts() {
        const CONNECTIONS: u64 = 200_000;
        let (counters, has_ended) = (Counters::default(), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..CONNECTIONS {
                    counters.accepted.add(1);
                    counters.requests.add(2);
                    counters.sent(RequestCounts { answered: 1, refused: 0, events: 0 });
                    counters.close(CloseReason::Reset, 1);
                }
                has_ended.store(true, Ordering::Release);
            });
            let mut before = Totals::default();
            while !has_ended.load(Ordering::Acquire) {
                let totals = Totals::of([&counters]);
                let ended = [&totals.closed, &totals.abandoned].map(|reasons| reasons.iter().sum::<u64>());
                assert!(ended[0] <= totals.accepted, "{totals:?}");
                assert!(ended[1] + totals.answered <= totals.requests, "{totals:?}");
                let fell = [(before.accepted, totals.accepted), (before.requests, totals.requests)];
                assert!(fell.iter().all(|(before, now)| before <= now), "{before:?}, then {totals:?}");
                before = totals;
            }
        });
        let totals = Totals::of([&counters]);
        assert_eq!((totals.accepted, totals.open(), totals.in_flight()), (CONNECTIONS, 0, 0));
    }

    #[test]
    fn what_is_counted_for_the_connection_in_hand_is_in_the_table_of_its_listener() {
        let mut counters = WorkerCounters::new(2);
        counters.select(1);
        counters.accepted.add(1);
        counters.of(0).bytes_in.add(5);
        let totals = [0, 1].map(|listener| Totals::of([counters.of(listener)]));
        assert_eq!([totals[0].accepted, totals[1].accepted], [0, 1]);
        assert_eq!([totals[0].bytes_in, totals[1].bytes_in], [5, 0]);
    }
}
