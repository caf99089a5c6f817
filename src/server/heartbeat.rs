//! Whether each worker's loop is still running: a worker acknowledges each heartbeat when it drains its mailbox.

use std::sync::atomic::{AtomicU64, Ordering};

/// The last heartbeat that each worker has acknowledged.
#[derive(Debug)]
pub struct Heartbeats {
    acked: Vec<AtomicU64>,
}

impl Heartbeats {
    /// No heartbeats yet, of this number of workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { acked: (0..workers).map(|_| AtomicU64::new(0)).collect() }
    }

    /// A worker acknowledges a heartbeat; heartbeats are numbered in ascending order.
    pub fn acknowledge(&self, worker: usize, number: u64) {
        self.acked[worker].store(number, Ordering::Relaxed);
    }

    /// Whether every worker has acknowledged this heartbeat or a later one.
    #[must_use]
    pub fn all_acked(&self, number: u64) -> bool {
        self.acked.iter().all(|acked| acked.load(Ordering::Relaxed) >= number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_counts_when_the_last_worker_has_acknowledged_it() {
        let heartbeats = Heartbeats::new(2);
        heartbeats.acknowledge(0, 1);
        assert!(!heartbeats.all_acked(1));
        heartbeats.acknowledge(1, 2);
        assert!(heartbeats.all_acked(1) && !heartbeats.all_acked(2));
    }
}
