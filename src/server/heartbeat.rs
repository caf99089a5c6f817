//! Whether each worker's loop is still running: a worker acknowledges each heartbeat when it drains its mailbox.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::sys::EventFd;

/// The heartbeats that were sent, and the last one that each worker has acknowledged.
#[derive(Debug)]
pub struct Heartbeats {
    sent: AtomicU64,
    acked: Vec<AtomicU64>,
    /// Becomes readable with every acknowledgement.
    on_ack: OnceLock<Arc<EventFd>>,
}

impl Heartbeats {
    /// No heartbeats yet, of this number of workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let acked = (0..workers).map(|_| AtomicU64::new(0)).collect();
        Self { sent: AtomicU64::new(0), acked, on_ack: OnceLock::new() }
    }

    /// The number of a new heartbeat, from 1 on. Threads may send theirs in another order.
    pub fn next(&self) -> u64 {
        self.sent.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Makes this descriptor readable with every acknowledgement from now on. A later call has no effect.
    pub fn notify(&self, on_ack: Arc<EventFd>) {
        let _ = self.on_ack.set(on_ack);
    }

    /// A worker acknowledges a heartbeat.
    pub fn acknowledge(&self, worker: usize, number: u64) {
        self.acked[worker].fetch_max(number, Ordering::Relaxed);
        if let Some(on_ack) = self.on_ack.get() {
            on_ack.notify();
        }
    }

    /// A worker has ended: no heartbeat waits for it.
    pub fn worker_ended(&self, worker: usize) {
        self.acknowledge(worker, u64::MAX);
    }

    /// The workers that have acknowledged neither this heartbeat nor a later one.
    #[must_use]
    pub fn silent_workers(&self, number: u64) -> Vec<usize> {
        let acked = self.acked.iter().map(|acked| acked.load(Ordering::Relaxed));
        acked.enumerate().filter(|(_, acked)| *acked < number).map(|(worker, _)| worker).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::is_readable;

    #[test]
    fn a_heartbeat_counts_when_the_last_worker_has_acknowledged_it() {
        let heartbeats = Heartbeats::new(2);
        assert_eq!([heartbeats.next(), heartbeats.next()], [1, 2]);
        heartbeats.acknowledge(0, 1);
        assert_eq!(heartbeats.silent_workers(1), [1]);
        heartbeats.acknowledge(1, 2);
        assert_eq!((heartbeats.silent_workers(1), heartbeats.silent_workers(2)), (vec![], vec![0]));
        heartbeats.acknowledge(1, 1);
        assert_eq!(heartbeats.silent_workers(2), [0], "an older one may come later");
        heartbeats.worker_ended(0);
        assert_eq!(heartbeats.silent_workers(3), [1]);
    }

    #[test]
    fn acknowledgements_notify() {
        let heartbeats = Heartbeats::new(1);
        let event = Arc::new(EventFd::new().expect("an eventfd"));
        heartbeats.acknowledge(0, 1);
        heartbeats.notify(Arc::clone(&event));
        assert!(!is_readable(&*event));
        heartbeats.acknowledge(0, 2);
        assert!(is_readable(&*event));
    }
}
