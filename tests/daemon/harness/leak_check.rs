//! The descriptors and the memory of a daemon before a test, which it must not exceed after the test.

use super::{Daemon, Statistics, rss_limit, wait_until};

/// Descriptors and memory of a daemon with only idle clients.
#[derive(Debug)]
pub struct LeakCheck {
    descriptors: usize,
    /// Resident memory, in bytes.
    pub rss: u64,
}

impl LeakCheck {
    /// Measures after one client of each listener was served, so that one-time allocations do not count.
    pub fn begin(daemon: &Daemon) -> Self {
        Self::begin_with(daemon, 0)
    }

    /// Like [`Self::begin`], with this number of clients connected already, all of whom have been accepted.
    pub fn begin_with(daemon: &Daemon, clients: u64) -> Self {
        let warm = daemon.listening().len() as u64;
        daemon.listening().iter().for_each(|(protocol, _)| drop(daemon.connect(protocol)));
        daemon.statistics_when(|statistics| statistics.accepted == warm + clients && statistics.open == clients);
        Self { descriptors: daemon.descriptors(), rss: daemon.rss() }
    }

    /// Waits until all connections are closed, and until descriptors and memory are back where they were.
    pub fn end(self, daemon: &Daemon) -> Statistics {
        let statistics = daemon.statistics_at_rest();
        wait_until("descriptors are back", || daemon.descriptors() <= self.descriptors);
        wait_until("memory is back", || daemon.rss() <= rss_limit(self.rss, 0));
        statistics
    }
}
