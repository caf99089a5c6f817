//! Which connections are admitted, and which worker serves them.
//!
//! A connection is admitted in two steps. It takes a slot before accept(2) ([`Admission::take_slot`]): the limit on
//! connections is never exceeded, not even for a moment. When its peer is known, the worker that serves it admits its
//! source ([`Admission::admit_source`]): right after accept(2), or after a handshake that announces another peer, where
//! a listener has one. Slot and source are given back when it closes.
//!
//! At the limit a worker unregisters its listener and waits for [`WorkerMessage::SlotsFreed`]. No such message is lost:
//! the condition `at_limit` is set before the worker looks at the number of connections a second time, and a connection
//! that closes lowers that number before it looks at the condition.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use log::warn;

use super::channels::Channels;
use super::clock::Clock;
use super::condition::{Condition, Due};
use super::config::ServerLimits;
use super::message::WorkerMessage;
use super::notifier::Notifier;
use super::peer::SourceKey;
use super::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, lock};
use crate::connection::Millis;
use crate::sys::EventFd;

/// An atomic limit that is none.
const UNLIMITED: usize = usize::MAX;
/// A worker keeps the connections that it accepts until another one has fewer by 1 and by the part of its own that this
/// number divides. Chosen without tuning: handing over costs a wake-up, and a difference of 6% is not noticed.
const SLACK_DIVISOR: usize = 16;

/// Whether one more connection may be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// It has a slot; give it back by [`Admission::release_slot`] or [`Admission::connection_closed`].
    Granted,
    /// All slots are taken. [`WorkerMessage::SlotsFreed`] will come.
    AtLimit,
}

/// The limits on connections, and the connections that count towards them.
#[derive(Debug)]
pub struct Admission<N = EventFd> {
    clock: Clock,
    channels: Channels<N>,
    max_connections: AtomicUsize,
    max_per_source: AtomicUsize,
    /// Bits of an IPv6 address that make a source.
    source_prefix: AtomicUsize,
    /// Slots that are taken.
    taken: AtomicUsize,
    /// A listener is unregistered because all slots are taken.
    at_limit: Condition,
    connections_per_source: Mutex<HashMap<SourceKey, usize>>,
    connections_per_worker: Vec<AtomicUsize>,
    /// Connections served so far, those that were adopted included.
    numbered: AtomicU64,
    /// A connection was adopted: the owner is notified when connections close.
    has_adopted: AtomicBool,
}

impl<N: Notifier> Admission<N> {
    /// No connections yet, on this number of workers.
    pub fn new(workers: usize, limits: &ServerLimits, clock: Clock, channels: Channels<N>) -> Self {
        Self {
            clock,
            channels,
            max_connections: AtomicUsize::new(limits.max_connections.unwrap_or(UNLIMITED)),
            max_per_source: AtomicUsize::new(limits.max_per_source.unwrap_or(UNLIMITED)),
            source_prefix: AtomicUsize::new(limits.source_prefix.into()),
            taken: AtomicUsize::new(0),
            at_limit: Condition::default(),
            connections_per_source: Mutex::default(),
            connections_per_worker: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            numbered: AtomicU64::new(0),
            has_adopted: AtomicBool::new(false),
        }
    }

    /// Applies changed limits. Connections above them stay open; listeners that are at the limit try again.
    pub fn set_limits(&self, limits: &ServerLimits) {
        self.max_connections.store(limits.max_connections.unwrap_or(UNLIMITED), Ordering::SeqCst);
        self.max_per_source.store(limits.max_per_source.unwrap_or(UNLIMITED), Ordering::Relaxed);
        self.source_prefix.store(limits.source_prefix.into(), Ordering::Relaxed);
        self.end_at_limit();
        self.channels.send_all(|| WorkerMessage::SlotsFreed);
    }

    /// Takes a slot for a connection that is about to be accepted.
    pub fn take_slot(&self) -> Slot {
        let max = self.max_connections.load(Ordering::SeqCst);
        let taken =
            self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |taken| (taken < max).then(|| taken + 1));
        if taken.is_ok() {
            return Slot::Granted;
        }
        if let Some(times) = self.at_limit.begin(self.clock.now()) {
            warn!("there are {max} connections, as many as allowed: further clients wait in the backlog{times}");
        }
        // a slot may have been released between the two looks, by a worker that did not see the condition yet
        if self.taken.load(Ordering::SeqCst) < self.max_connections.load(Ordering::SeqCst) {
            self.wake_waiting();
        }
        Slot::AtLimit
    }

    /// Gives back a slot whose connection was not accepted.
    pub fn release_slot(&self) {
        self.taken.fetch_sub(1, Ordering::SeqCst);
        self.wake_waiting();
    }

    /// Chooses the worker that serves a connection that `accepting` has accepted, and counts it there: `accepting`
    /// itself, unless another worker has clearly fewer connections.
    pub fn choose_worker(&self, accepting: usize) -> usize {
        let connections = |worker: usize| self.connections_per_worker[worker].load(Ordering::Relaxed);
        let own = connections(accepting);
        let least = (0..self.connections_per_worker.len()).min_by_key(|worker| connections(*worker));
        let is_clearly_less = |worker: &usize| own > connections(*worker) + 1 + own / SLACK_DIVISOR;
        let chosen = least.filter(is_clearly_less).unwrap_or(accepting);
        self.connections_per_worker[chosen].fetch_add(1, Ordering::Relaxed);
        chosen
    }

    /// Counts a connection that no listener accepted, for `worker`. From now on the owner is notified when one closes.
    pub fn adopt(&self, worker: usize) {
        self.take_over(worker);
        self.notify_of_closed_connections();
    }

    /// From now on the owner is notified when a connection closes.
    pub fn notify_of_closed_connections(&self) {
        self.has_adopted.store(true, Ordering::Relaxed);
    }

    /// Counts a connection of a predecessor for `worker`, also above the limit.
    pub fn take_over(&self, worker: usize) {
        self.taken.fetch_add(1, Ordering::SeqCst);
        self.connections_per_worker[worker].fetch_add(1, Ordering::Relaxed);
    }

    /// Gives back the slot of a connection that counted for `worker`.
    pub fn connection_closed(&self, worker: usize) {
        self.connections_per_worker[worker].fetch_sub(1, Ordering::Relaxed);
        self.release_slot();
        if self.has_adopted.load(Ordering::Relaxed) {
            self.channels.notify_owner();
        }
    }

    /// The number of open connections.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        self.connections_per_worker.iter().map(|connections| connections.load(Ordering::Relaxed) as u64).sum()
    }

    /// The number of a connection that begins to be served, counted from 1.
    pub fn next_number(&self) -> u64 {
        self.numbered.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Connections served so far.
    #[must_use]
    pub fn numbered(&self) -> u64 {
        self.numbered.load(Ordering::Relaxed)
    }

    /// Continues to count behind the connections that a predecessor has served.
    pub fn continue_numbers(&self, numbered: u64) {
        self.numbered.store(numbered, Ordering::Relaxed);
    }

    /// The bits of an IPv6 address that make a source.
    #[must_use]
    pub fn source_prefix(&self) -> u8 {
        u8::try_from(self.source_prefix.load(Ordering::Relaxed)).unwrap_or(u8::MAX)
    }

    /// Whether the number of connections from one source is limited.
    #[must_use]
    pub fn limits_sources(&self) -> bool {
        self.max_per_source.load(Ordering::Relaxed) != UNLIMITED
    }

    /// Counts one more connection from `source`; false if that has as many as allowed.
    #[must_use]
    pub fn admit_source(&self, source: SourceKey) -> bool {
        let max = self.max_per_source.load(Ordering::Relaxed);
        let mut sources = lock(&self.connections_per_source);
        let connections = sources.entry(source).or_default();
        let is_admitted = *connections < max;
        *connections += usize::from(is_admitted);
        is_admitted
    }

    /// Counts a connection of a predecessor, also above the limit.
    pub fn take_over_source(&self, source: SourceKey) {
        *lock(&self.connections_per_source).entry(source).or_default() += 1;
    }

    /// A connection that [`Admission::admit_source`] admitted, or that was taken over, has closed.
    pub fn release_source(&self, source: SourceKey) {
        let mut sources = lock(&self.connections_per_source);
        if let Some(connections) = sources.get_mut(&source) {
            *connections -= 1;
            if *connections == 0 {
                sources.remove(&source);
            }
        }
    }

    /// When to call [`Admission::log_recovery`].
    #[must_use]
    pub fn recovery_due(&self) -> Millis {
        self.at_limit.due()
    }

    /// Logs that there are free slots again, once that has lasted.
    pub fn log_recovery(&self) {
        if let Some(past) = self.at_limit.check_ended(self.clock.now()) {
            warn!("there is room for connections again{past}");
        }
    }

    /// The limit on connections.
    #[must_use]
    pub fn connections_limit(&self) -> Option<u64> {
        let max = self.max_connections.load(Ordering::Relaxed);
        (max != UNLIMITED).then_some(max as u64)
    }

    /// Whether there are as many connections as allowed. A slot that is taken for an attempt to accept does not count.
    #[must_use]
    pub fn is_at_limit(&self) -> bool {
        self.connections_limit().is_some_and(|max| self.open_connections() >= max)
    }

    /// Whether a worker waits for a slot.
    #[cfg(test)]
    pub fn has_waiting_worker(&self) -> bool {
        self.at_limit.is_on()
    }

    fn wake_waiting(&self) {
        if self.at_limit.is_on() && self.end_at_limit() {
            self.channels.send_all(|| WorkerMessage::SlotsFreed);
        }
    }

    /// Ends the condition; whether it was on.
    fn end_at_limit(&self) -> bool {
        let ended = self.at_limit.end(self.clock.now());
        if ended == Some(Due::Sooner) {
            self.channels.notify_owner();
        }
        ended.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    fn admission(workers: usize, connections: usize, per_source: Option<usize>) -> Admission {
        let limits =
            ServerLimits { max_connections: Some(connections), max_per_source: per_source, ..ServerLimits::UNLIMITED };
        let channels = Channels::new(workers).expect("eventfds");
        Admission::new(workers, &limits, Clock::start(), channels)
    }

    #[test]
    fn a_source_is_forgotten_with_its_last_connection() {
        let admission = admission(1, 1, Some(2));
        let source = SourceKey::of_address([192, 0, 2, 1].into(), 64);
        let admitted: Vec<bool> = (0..3).map(|_| admission.admit_source(source)).collect();
        assert_eq!(admitted, [true, true, false]);
        for left in [1, 0] {
            admission.release_source(source);
            assert_eq!(lock(&admission.connections_per_source).len(), left);
        }
    }

    #[test]
    fn sources_are_limited_only_by_a_limit() {
        assert!(!admission(1, 1, None).limits_sources());
        let admission = admission(1, 1, Some(1));
        assert!(admission.limits_sources());
        admission.set_limits(&ServerLimits::UNLIMITED);
        assert!(!admission.limits_sources());
    }

    #[test]
    fn the_prefix_of_sources_can_be_changed() {
        let admission = admission(1, 1, None);
        assert_eq!(admission.source_prefix(), 64);
        admission.set_limits(&ServerLimits { source_prefix: 128, ..ServerLimits::UNLIMITED });
        assert_eq!(admission.source_prefix(), 128);
    }

    #[test]
    fn at_the_limit_a_free_slot_is_announced_once() {
        let admission = admission(2, 1, None);
        let messages = || [0, 1].map(|worker| admission.channels.mailbox(worker).drain().len());
        assert_eq!(admission.take_slot(), Slot::Granted);
        assert_eq!([admission.take_slot(), admission.take_slot()], [Slot::AtLimit; 2]);
        assert_eq!(messages(), [0, 0]);
        admission.release_slot();
        assert_eq!(messages(), [1, 1]);
        assert_eq!(admission.take_slot(), Slot::Granted);
        admission.release_slot();
        assert_eq!(messages(), [0, 0], "no worker waits");
    }

    #[test]
    fn a_lowered_limit_keeps_connections_and_admits_no_more() {
        let admission = admission(1, 2, None);
        assert_eq!([admission.take_slot(), admission.take_slot()], [Slot::Granted; 2]);
        admission.set_limits(&ServerLimits { max_connections: Some(1), ..ServerLimits::UNLIMITED });
        admission.release_slot();
        assert_eq!(admission.take_slot(), Slot::AtLimit);
        admission.release_slot();
        assert_eq!(admission.take_slot(), Slot::Granted);
    }

    #[test]
    fn threads_that_take_slots_at_once_never_exceed_the_limit() {
        const LIMIT: usize = 3;
        let admission = Arc::new(admission(4, LIMIT, None));
        let open = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let served: usize = thread::scope(|scope| {
            let serve = |worker| {
                let (admission, open) = (Arc::clone(&admission), Arc::clone(&open));
                move || {
                    let mut served = 0;
                    for _ in 0..5000 {
                        if admission.take_slot() == Slot::Granted {
                            let chosen = admission.choose_worker(worker);
                            assert!(open.fetch_add(1, Ordering::SeqCst) < LIMIT);
                            open.fetch_sub(1, Ordering::SeqCst);
                            admission.connection_closed(chosen);
                            served += 1;
                        }
                    }
                    served
                }
            };
            let threads: Vec<_> = (0..4).map(|worker| scope.spawn(serve(worker))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert!(served >= 5000, "{served}: of all threads at least one has a slot");
        assert_eq!((admission.open_connections(), admission.taken.load(Ordering::SeqCst)), (0, 0));
    }

    #[test]
    fn a_connection_stays_with_its_worker_unless_another_has_clearly_fewer() {
        let admission = admission(2, 100, None);
        let first: Vec<usize> = (0..5).map(|_| admission.choose_worker(0)).collect();
        assert_eq!(first, [0, 0, 1, 0, 1], "one more than the other is no reason");
        assert_eq!(admission.open_connections(), 5);
    }

    #[test]
    fn the_owner_hears_of_closed_connections_after_one_was_adopted() {
        let admission = admission(1, 1, None);
        let is_notified = || {
            let owner = std::os::fd::AsFd::as_fd(admission.channels.owner());
            let mut ready = [nix::poll::PollFd::new(owner, nix::poll::PollFlags::POLLIN)];
            nix::poll::poll(&mut ready, 0u16) == Ok(1)
        };
        assert_eq!(admission.take_slot(), Slot::Granted);
        admission.choose_worker(0);
        admission.connection_closed(0);
        assert!(!is_notified());
        admission.adopt(0);
        assert_eq!(admission.take_slot(), Slot::AtLimit, "it has a slot");
        admission.connection_closed(0);
        assert!(is_notified());
    }
}
