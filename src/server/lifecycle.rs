//! How far the workers of a server are: accepting, running, ended, and the reason if one failed.
//!
//! The phases of a single worker (running, draining, stopped) are in `worker/drain.rs`; here is the part that the others see.

use std::sync::atomic::Ordering;

use super::channels::Channels;
use super::message::WorkerMessage;
use super::notifier::Notifier;
use super::sync::{AtomicUsize, Mutex, lock};
use crate::sys::EventFd;

/// The number of workers that still accept, and that still run.
#[derive(Debug)]
pub struct Lifecycle<N = EventFd> {
    channels: Channels<N>,
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
            accepting: AtomicUsize::new(workers),
            running: AtomicUsize::new(workers),
            failure: Mutex::default(),
        }
    }

    /// A worker accepts no more connections. When the last one does not, all are woken: a worker that drains may end only
    /// then, because until then another could still hand it a connection ([`Lifecycle::any_accepting`]).
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

    /// Whether every worker has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.running.load(Ordering::SeqCst) == 0
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
        for failure in [None, Some("first"), Some("second")] {
            assert!(!lifecycle.has_ended());
            lifecycle.worker_ended(failure.map(Into::into));
        }
        assert!(lifecycle.has_ended());
        assert_eq!(lifecycle.failure().as_deref(), Some("first"));
    }
}
