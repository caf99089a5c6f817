//! The requests of an open model: when each is due, and the timer for the next one.
//!
//! The due times depend only on the rate, never on the server, so that a stall shows in the latencies of all requests
//! that were due meanwhile (coordinated omission).

#![allow(
    clippy::cast_possible_truncation,
    reason = "a float becomes nanoseconds: `as` saturates, and fractions are dropped on purpose"
)]

use std::io;
use std::time::Duration;

use super::poller::BenchPoller;
use crate::sys::{Interest, TimerFd};

/// The sequence of requests. Times are nanoseconds since the start of the run.
#[derive(Debug)]
pub struct DueRequests {
    rate: f64,
    /// The number of requests that have been taken.
    taken: u64,
    timer: TimerFd,
    /// When the timer expires.
    timer_at: u64,
}

/// A request of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueRequest {
    /// Its number, from 0.
    pub number: u64,
    /// When it is due.
    pub due: u64,
}

/// A timer that expires earlier than this would be noticed too late: the loop does not block instead. In nanoseconds;
/// chosen: a wake-up of `epoll_wait`(2) takes up to about as long.
const MIN_WAIT: u64 = 20_000;

impl DueRequests {
    /// `rate` requests per second. The poller wakes for the next one by `token`.
    pub fn new(rate: f64, poller: &BenchPoller, token: u64) -> io::Result<Self> {
        let timer = TimerFd::new()?;
        poller.add(&timer, token, Interest::READ)?;
        Ok(Self { rate, taken: 0, timer, timer_at: 0 })
    }

    fn next_due(&self) -> u64 {
        due(self.taken, self.rate)
    }

    /// Takes the next request, if it is due at `until` or before.
    pub fn take(&mut self, until: u64) -> Option<DueRequest> {
        let next = DueRequest { number: self.taken, due: self.next_due() };
        if next.due > until {
            return None;
        }
        self.taken += 1;
        Some(next)
    }

    /// The number of requests that are due at `from` or later and before `until`, and have not been taken.
    pub fn left(&self, from: u64, until: u64) -> u64 {
        due_before(until, self.rate).saturating_sub(self.taken.max(due_before(from, self.rate)))
    }

    /// Sets the timer for the next request, if that is due before `limit`; returns false if there is no time to block.
    pub fn set_timer(&mut self, now: u64, limit: u64) -> io::Result<bool> {
        let due = self.next_due().min(limit);
        if due < now + MIN_WAIT {
            return Ok(false);
        }
        if due != self.timer_at {
            self.timer_at = due;
            self.timer.set(Duration::from_nanos(due - now))?;
        }
        Ok(true)
    }
}

/// When a request is due.
#[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "exact up to 2^53 nanoseconds: 104 days")]
fn due(number: u64, rate: f64) -> u64 {
    (number as f64 * 1e9 / rate) as u64
}

/// The number of requests that are due before a time.
#[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "as `due`")]
fn due_before(time: u64, rate: f64) -> u64 {
    (time as f64 * rate / 1e9).ceil() as u64
}

/// Whether a request is due at `from` or later, and before `until`.
pub fn any_due(rate: f64, from: u64, until: u64) -> bool {
    due(due_before(from, rate), rate) < until
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_the_rate() {
        let poller = BenchPoller::new().unwrap();
        let mut due_requests = DueRequests::new(1000.0, &poller, 0).unwrap();
        let request = |number, due| Some(DueRequest { number, due });
        assert_eq!(due_requests.take(0), request(0, 0));
        assert_eq!(due_requests.take(999_999), None);
        assert_eq!(due_requests.take(5_000_000), request(1, 1_000_000));
        assert_eq!(due_requests.take(5_000_000), request(2, 2_000_000));
        assert!(!due_requests.set_timer(3_000_000 - MIN_WAIT + 1, u64::MAX).unwrap());
        assert!(due_requests.set_timer(2_000_000, u64::MAX).unwrap());
        assert_eq!(due_requests.left(0, 10_000_000), 7, "three of ten have been taken");
        assert_eq!(due_requests.left(5_000_000, 10_000_000), 5);
        assert_eq!(due_requests.left(0, 2_000_000), 0);
    }

    #[test]
    fn at_a_low_rate_nothing_is_due_in_a_short_time() {
        let milliseconds = |from: u64, until: u64| (from * 1_000_000, until * 1_000_000);
        for (rate, (from, until), expected) in [
            (0.5, milliseconds(500, 800), false),
            (0.5, milliseconds(0, 300), true),
            (0.5, milliseconds(2000, 2001), true),
            (0.5, milliseconds(1999, 2000), false),
            (10.0, milliseconds(510, 590), false),
            (10.0, milliseconds(510, 610), true),
        ] {
            assert_eq!(any_due(rate, from, until), expected, "{rate} from {from} to {until}");
        }
    }
}
