//! The time since a connection of `send` or `ping` last made progress, and when that has been too long.
//!
//! Does no I/O and knows no clock: times are durations since the start of the run.

use std::time::Duration;

use super::options::Timeouts;

/// The rate, in bytes per second, at which a reply that takes longer than its time limit must arrive. Chosen: the rate
/// at which retortd extends the deadline of a request (`--request-timeout`).
const MIN_RATE: usize = 16 << 10;

/// Restarted when the first of the requests that wait is queued, when the server accepts bytes, and when a reply is
/// complete. A part of a reply ends a silence, and only extends the time for the whole.
#[derive(Debug)]
pub struct ProgressClock {
    since: Duration,
    /// When bytes of the current reply arrived last, or the clock was restarted.
    arrived_at: Duration,
    read_timeout: Duration,
    write_timeout: Duration,
}

impl ProgressClock {
    /// A clock that starts at `now`.
    pub fn new(timeouts: &Timeouts, now: Duration) -> Self {
        let Timeouts { read_timeout, write_timeout, .. } = *timeouts;
        Self { since: now, arrived_at: now, read_timeout, write_timeout }
    }

    /// There was progress.
    pub fn restart(&mut self, now: Duration) {
        (self.since, self.arrived_at) = (now, now);
    }

    /// A part of a reply has arrived.
    pub fn receive(&mut self, now: Duration) {
        self.arrived_at = now;
    }

    /// When nothing has arrived for too long.
    pub fn silence_deadline(&self) -> Duration {
        self.arrived_at.saturating_add(self.read_timeout)
    }

    /// When a reply is late of which `received` bytes have arrived.
    pub fn reply_deadline(&self, received: usize) -> Duration {
        self.since.saturating_add(time_allowed(self.read_timeout, received))
    }

    /// When the server has accepted no bytes for too long.
    pub fn send_deadline(&self) -> Duration {
        self.since.saturating_add(self.write_timeout)
    }
}

/// The time that the first `received` bytes of a reply may take, where the time limit is `time`: a second more for each
/// 16 KiB.
fn time_allowed(time: Duration, received: usize) -> Duration {
    time.saturating_add(Duration::from_secs((received / MIN_RATE) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_reply_ends_a_silence_and_does_not_restart_the_clock() {
        let seconds = Duration::from_secs;
        let timeouts = Timeouts { connect_timeout: seconds(0), read_timeout: seconds(10), write_timeout: seconds(3) };
        let mut clock = ProgressClock::new(&timeouts, seconds(100));
        assert_eq!(clock.silence_deadline(), seconds(110));
        assert_eq!(clock.reply_deadline(0), clock.silence_deadline(), "a silent server is waited for once");
        assert_eq!(clock.send_deadline(), seconds(103));
        clock.receive(seconds(101));
        assert_eq!(clock.silence_deadline(), seconds(111));
        assert_eq!((clock.reply_deadline(40 << 10), clock.send_deadline()), (seconds(112), seconds(103)));
        clock.restart(seconds(102));
        assert_eq!((clock.reply_deadline(0), clock.silence_deadline()), (seconds(112), seconds(112)));
    }

    #[test]
    fn time_allowed_grows_with_the_bytes_that_arrive() {
        let (second, ten) = (Duration::from_secs(1), Duration::from_secs(10));
        assert_eq!(time_allowed(ten, 0), ten);
        assert_eq!(time_allowed(ten, MIN_RATE - 1), ten);
        assert_eq!(time_allowed(ten, 5 * MIN_RATE), ten + 5 * second);
        assert_eq!(time_allowed(Duration::MAX, MIN_RATE), Duration::MAX);
    }
}
