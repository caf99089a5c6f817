//! When to look for connections whose time is over.
//!
//! Each connection carries its own deadline, which costs one store when something happens. They are not kept in order:
//! when the earliest one that was ever noted has come, all connections are looked at. A sweep over many connections
//! waits longer for the next one, so that sweeping never takes more than about a hundredth of a worker's time.

use crate::connection::NEVER;

/// Connections that a sweep may look at for each millisecond between sweeps.
const PER_MILLISECOND: u64 = 1000;
/// The least time between two sweeps, in milliseconds.
const GRAIN: u64 = 10;

/// The next time to sweep.
#[derive(Debug)]
pub struct Deadlines {
    next: u64,
    not_before: u64,
}

impl Deadlines {
    /// No deadline yet.
    #[must_use]
    pub fn new() -> Self {
        Self { next: NEVER, not_before: 0 }
    }

    /// There is a connection with this deadline.
    pub fn note(&mut self, deadline: u64) {
        self.next = self.next.min(deadline);
    }

    /// How long to wait for the next sweep, in milliseconds.
    #[must_use]
    pub fn timeout(&self, now: u64) -> Option<u64> {
        (self.next != NEVER).then(|| self.next.max(self.not_before).saturating_sub(now))
    }

    /// Whether a sweep is due; if so, the deadlines that are left are to be noted anew.
    pub fn sweep(&mut self, now: u64, connections: usize) -> bool {
        let due = self.next <= now && self.not_before <= now;
        if due {
            self.next = NEVER;
            self.not_before = now + GRAIN + connections as u64 / PER_MILLISECOND;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_at_the_earliest_deadline_and_not_too_often() {
        let mut deadlines = Deadlines::new();
        assert_eq!(deadlines.timeout(0), None);
        deadlines.note(500);
        deadlines.note(300);
        assert_eq!(deadlines.timeout(100), Some(200));
        assert!(!deadlines.sweep(299, 1));
        assert!(deadlines.sweep(300, 20_000));
        assert_eq!(deadlines.timeout(300), None);
        deadlines.note(301);
        assert!(!deadlines.sweep(301, 20_000));
        assert_eq!(deadlines.timeout(301), Some(29));
        assert!(deadlines.sweep(330, 20_000));
    }
}
