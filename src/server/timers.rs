//! When to look for connections whose deadline has passed.
//!
//! Each connection computes its own deadline; scheduling it costs one comparison. Deadlines are not kept in order: when
//! the earliest one that was scheduled has passed, all connections are visited. A sweep over many connections defers
//! the next one, so that sweeping takes a small part of a worker's time.

use crate::connection::Millis;

/// Connections visited for each millisecond between two sweeps. Chosen so that sweeping takes about a hundredth of the
/// time if a visit takes 10 ns, which is an estimate for a slot of the table and a few comparisons.
const CONNECTIONS_PER_MS: u64 = 1000;
/// The least time between two sweeps. Chosen: all timeouts are seconds, except for a connection that lingers, which is
/// looked at every 50 ms.
const MIN_SWEEP_INTERVAL: Millis = Millis::new(10);

/// The time of the next sweep.
#[derive(Debug)]
pub struct SweepTimer {
    /// The earliest deadline that was scheduled since the last sweep.
    next: Millis,
    not_before: Millis,
}

impl SweepTimer {
    /// A timer without a deadline.
    #[must_use]
    pub fn new() -> Self {
        Self { next: Millis::NEVER, not_before: Millis::ZERO }
    }

    /// There is a connection with this deadline.
    pub fn schedule(&mut self, deadline: Millis) {
        self.next = self.next.min(deadline);
    }

    /// The time until the next sweep; `None` without a deadline.
    #[must_use]
    pub fn timeout(&self, now: Millis) -> Option<Millis> {
        self.next.if_ever().map(|next| next.max(self.not_before) - now)
    }

    /// Whether a sweep over this number of connections is due. If so, it begins: the deadlines that are left must be
    /// scheduled again.
    pub fn begin_sweep(&mut self, now: Millis, connections: usize) -> bool {
        let is_due = self.next <= now && self.not_before <= now;
        if is_due {
            self.next = Millis::NEVER;
            self.not_before = now + MIN_SWEEP_INTERVAL + Millis::new(connections as u64 / CONNECTIONS_PER_MS);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_at_the_earliest_deadline_and_not_too_often() {
        let mut timer = SweepTimer::new();
        assert_eq!(timer.timeout(Millis::new(0)), None);
        timer.schedule(Millis::new(500));
        timer.schedule(Millis::new(300));
        assert_eq!(timer.timeout(Millis::new(100)), Some(Millis::new(200)));
        assert!(!timer.begin_sweep(Millis::new(299), 1));
        assert!(timer.begin_sweep(Millis::new(300), 20_000));
        assert_eq!(timer.timeout(Millis::new(300)), None);
        timer.schedule(Millis::new(301));
        assert!(!timer.begin_sweep(Millis::new(301), 20_000));
        assert_eq!(timer.timeout(Millis::new(301)), Some(Millis::new(29)));
        assert!(timer.begin_sweep(Millis::new(330), 20_000));
    }
}
