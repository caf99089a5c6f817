//! The time without a connection, for `--exit-idle`.

use std::time::{Duration, Instant};

/// Whether there has been a connection, as far as checks can tell.
#[derive(Debug)]
pub struct Idle {
    /// The last check that found a client, or a new connection since the check before.
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

    /// The time without a connection. `has_client`: one is open, or a client waits for the rate of a listener;
    /// `accepted`: the number of connections so far.
    pub fn check(&mut self, now: Instant, has_client: bool, accepted: u64) -> Duration {
        if has_client || accepted != self.accepted {
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
        let times = [(3, false, 0), (4, true, 1), (9, true, 1), (11, false, 1), (12, false, 2), (20, false, 2)];
        let idle = times.map(|(second, has_client, accepted)| idle.check(at(second), has_client, accepted).as_secs());
        // a connection that was accepted and closed between two checks counts, too
        assert_eq!(idle, [3, 0, 0, 2, 0, 8]);
    }
}
