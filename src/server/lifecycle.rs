//! The phase of the server, and how far its workers are: accepting, running, ended, and the reason if one failed.
//!
//! A worker has phases of its own (`worker/drain.rs`): it enters one when it handles the message of that phase.

use std::sync::atomic::Ordering;

use super::channels::Channels;
use super::message::WorkerMessage;
use super::notifier::Notifier;
use super::sync::{AtomicUsize, Mutex, lock};
use crate::sys::EventFd;

/// The phase of the whole server. Phases only advance, in this order; one may be skipped.
///
/// A hand-over to a successor has no phase: the workers wait for their owner meanwhile, and end in `Stopping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It accepts and serves connections, until its owner begins another phase.
    Running,
    /// It is about to drain: it accepts and serves connections, and balancers should send new clients elsewhere.
    Lameduck,
    /// It accepts no more connections, and replies to the requests that it has read.
    Draining,
    /// It closes every connection at once.
    Stopping,
    /// Every worker has ended.
    Stopped,
}

impl Phase {
    /// Whether new clients should be sent here.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self == Self::Running
    }
}

/// The phase, and the number of workers that still accept, and that still run.
#[derive(Debug)]
pub struct Lifecycle<N = EventFd> {
    channels: Channels<N>,
    /// The last phase that the owner has begun.
    begun: Mutex<Phase>,
    accepting: AtomicUsize,
    running: AtomicUsize,
    failure: Mutex<Option<String>>,
}

impl<N: Notifier> Lifecycle<N> {
    /// All workers run and accept.
    #[must_use]
    pub fn new(workers: usize, channels: Channels<N>) -> Self {
        Self {
            channels,
            begun: Mutex::new(Phase::Running),
            accepting: AtomicUsize::new(workers),
            running: AtomicUsize::new(workers),
            failure: Mutex::default(),
        }
    }

    /// The owner begins a phase; without effect if that one or a later one has begun.
    pub fn begin(&self, phase: Phase) {
        let mut begun = lock(&self.begun);
        *begun = phase.max(*begun);
    }

    /// The phase. Even if every worker has failed, it stays [`Phase::Running`] or [`Phase::Lameduck`] until the owner
    /// sees the failure and begins another.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let begun = *lock(&self.begun);
        let has_ended = self.running.load(Ordering::SeqCst) == 0;
        if has_ended && begun >= Phase::Draining { Phase::Stopped } else { begun }
    }

    /// A worker has stopped accepting. When the last one has, all are woken: a worker that drains may end only then,
    /// because until then another could still hand it a connection ([`Lifecycle::any_accepting`]).
    pub fn worker_stopped_accepting(&self) {
        if self.accepting.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.channels.send_all(|| WorkerMessage::SlotsFreed);
        }
    }

    /// Whether a worker may still hand a connection to another.
    #[must_use]
    pub fn any_accepting(&self) -> bool {
        self.accepting.load(Ordering::SeqCst) > 0
    }

    /// A worker has ended, with a reason if it failed. Notifies the owner.
    pub fn worker_ended(&self, failure: Option<String>) {
        if let Some(failure) = failure {
            lock(&self.failure).get_or_insert(failure);
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        self.channels.notify_owner();
    }

    /// The reason of the first worker that failed.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_worker_that_stops_accepting_wakes_all() {
        let channels = Channels::new(2).expect("eventfds");
        let lifecycle = Lifecycle::new(2, channels.clone());
        lifecycle.worker_stopped_accepting();
        assert!(lifecycle.any_accepting() && channels.mailbox(0).is_empty());
        lifecycle.worker_stopped_accepting();
        assert!(!lifecycle.any_accepting());
        for worker in 0..2 {
            assert!(matches!(channels.mailbox(worker).drain()[..], [WorkerMessage::SlotsFreed]), "worker {worker}");
        }
    }

    #[test]
    fn the_first_failure_is_kept_until_all_have_ended() {
        let lifecycle = Lifecycle::new(3, Channels::new(3).expect("eventfds"));
        lifecycle.begin(Phase::Draining);
        for failure in [None, Some("first"), Some("second")] {
            assert_eq!(lifecycle.phase(), Phase::Draining);
            lifecycle.worker_ended(failure.map(Into::into));
        }
        assert_eq!(lifecycle.phase(), Phase::Stopped);
        assert_eq!(lifecycle.failure().as_deref(), Some("first"));
    }

    #[test]
    fn phases_only_advance() {
        let lifecycle = Lifecycle::new(1, Channels::new(1).expect("eventfds"));
        let begin = |phase| {
            lifecycle.begin(phase);
            lifecycle.phase()
        };
        assert!(lifecycle.phase().is_ready());
        assert_eq!(begin(Phase::Lameduck), Phase::Lameduck);
        assert!(!lifecycle.phase().is_ready());
        assert_eq!([Phase::Draining, Phase::Lameduck].map(begin), [Phase::Draining; 2]);
        assert_eq!([Phase::Stopping, Phase::Draining].map(begin), [Phase::Stopping; 2]);
        assert!(!lifecycle.phase().is_ready());
    }

    #[test]
    fn the_owner_ends_the_accepting_phases_of_failed_workers() {
        let lifecycle = Lifecycle::new(1, Channels::new(1).expect("eventfds"));
        lifecycle.worker_ended(Some("failed".into()));
        assert_eq!(lifecycle.phase(), Phase::Running);
        lifecycle.begin(Phase::Lameduck);
        assert_eq!(lifecycle.phase(), Phase::Lameduck);
        lifecycle.begin(Phase::Draining);
        assert_eq!(lifecycle.phase(), Phase::Stopped);
    }
}
