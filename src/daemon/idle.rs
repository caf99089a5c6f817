//! The time without a connection, for `--exit-idle`.

use std::time::{Duration, Instant};

/// Whether there has been a connection, as far as checks can tell.
#[derive(Debug)]
pub struct Idle {
    /// The last check that found a connection, or a new one since the check before.
    since: Instant,
    /// Connections accepted until then.
    accepted: u64,
}

impl Idle {
    /// Idle since `now`, the start.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { since: now, accepted: 0 }
    }

    /// The time without a connection, by the number of connections that are open and that were accepted so far.
    pub fn check(&mut self, now: Instant, open: u64, accepted: u64) -> Duration {
        if open > 0 || accepted != self.accepted {
            *self = Self { since: now, accepted };
        }
        now - self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_restart_the_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut idle = Idle::new(start);
        let times = [(3, 0, 0), (4, 1, 1), (9, 1, 1), (11, 0, 1), (12, 0, 2), (20, 0, 2)];
        let idle = times.map(|(second, open, accepted)| idle.check(at(second), open, accepted).as_secs());
        // a connection that was accepted and closed between two checks counts, too
        assert_eq!(idle, [3, 0, 0, 2, 0, 8]);
    }
}
