//! The time since an exchange last made progress, and when that has been too long.

use std::time::{Duration, Instant};

use crate::client::options::Timeouts;
use crate::client::reply::collector::time_allowed;

/// Restarted when a request is queued behind none, when the server accepts bytes of the request whose reply is next, and
/// when a reply is complete. A part of a reply ends a silence, and only extends the time for the whole.
#[derive(Debug)]
pub struct ProgressClock {
    since: Instant,
    /// When bytes of the current reply arrived last, or the clock was restarted.
    arrived_at: Instant,
    read_timeout: Duration,
    write_timeout: Duration,
}

impl ProgressClock {
    /// A clock that starts now.
    pub fn new(timeouts: &Timeouts) -> Self {
        let now = Instant::now();
        let Timeouts { read_timeout, write_timeout, .. } = *timeouts;
        Self { since: now, arrived_at: now, read_timeout, write_timeout }
    }

    /// There was progress.
    pub fn restart(&mut self) {
        self.since = Instant::now();
        self.arrived_at = self.since;
    }

    /// A part of a reply has arrived.
    pub fn receive(&mut self) {
        self.arrived_at = Instant::now();
    }

    /// When nothing has arrived for too long.
    pub fn silence_deadline(&self) -> Instant {
        self.arrived_at + self.read_timeout
    }

    /// When a reply is late of which `received` bytes have arrived.
    pub fn reply_deadline(&self, received: usize) -> Instant {
        self.since + time_allowed(self.read_timeout, received)
    }

    /// When the server has accepted no bytes for too long.
    pub fn send_deadline(&self) -> Instant {
        self.since + self.write_timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_reply_ends_a_silence_and_does_not_restart_the_clock() {
        let timeouts = Timeouts {
            connect_timeout: Duration::ZERO,
            read_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(3),
        };
        let mut clock = ProgressClock::new(&timeouts);
        let start = clock.since;
        assert_eq!(clock.silence_deadline(), start + Duration::from_secs(10));
        assert_eq!(clock.reply_deadline(0), clock.silence_deadline(), "a silent server is waited for once");
        assert_eq!(clock.send_deadline(), start + Duration::from_secs(3));
        clock.receive();
        assert!(clock.silence_deadline() > start + Duration::from_secs(10));
        assert_eq!(clock.reply_deadline(40 << 10), start + Duration::from_secs(12));
        clock.restart();
        assert!(clock.reply_deadline(0) == clock.silence_deadline() && clock.since > start);
    }
}
