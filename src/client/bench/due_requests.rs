//! The requests of an open model: when each is due, and the timer for the next one.
//!
//! The due times depend only on the schedule, never on the server, so that a stall shows in the latencies of all
//! requests that were due meanwhile (coordinated omission).

use std::io;
use std::time::Duration;

use super::poller::BenchPoller;
use super::schedule::Schedule;
use crate::sys::{Interest, TimerFd};

/// The sequence of requests. Times are nanoseconds since the start of the run.
#[derive(Debug)]
pub struct DueRequests {
    /// The load of the current phase.
    schedule: Schedule,
    /// The load of the measurement, until that begins.
    measured: Option<Schedule>,
    /// When the current load began.
    origin: u64,
    /// The number of requests of the current load that have been taken.
    taken: u64,
    /// The number of requests that have been taken in all.
    number: u64,
    /// When the next request is due; `None` at the end of the load.
    next_due: Option<u64>,
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
    /// The warm-up of `measured`. The poller wakes for the next request by `token`.
    pub fn new(measured: Schedule, poller: &BenchPoller, token: u64) -> io::Result<Self> {
        let timer = TimerFd::new()?;
        poller.add(&timer, token, Interest::READ)?;
        let schedule = measured.warm_up();
        let next_due = schedule.due(0);
        Ok(Self { schedule, measured: Some(measured), origin: 0, taken: 0, number: 0, next_due, timer, timer_at: 0 })
    }

    /// Ends the warm-up: the first request of the measurement is due at `origin`.
    pub fn begin_measurement(&mut self, origin: u64) {
        if let Some(schedule) = self.measured.take() {
            (self.schedule, self.origin, self.taken) = (schedule, origin, 0);
            self.find_next();
        }
    }

    fn find_next(&mut self) {
        self.next_due = self.schedule.due(self.taken).map(|due| self.origin.saturating_add(due));
    }

    /// Takes the next request, if it is due at `until` or before.
    pub fn take(&mut self, until: u64) -> Option<DueRequest> {
        let due = self.next_due.filter(|due| *due <= until)?;
        let next = DueRequest { number: self.number, due };
        self.number += 1;
        self.taken += 1;
        self.find_next();
        Some(next)
    }

    /// The number of requests of the current load that are due before `until`, and have not been taken.
    pub fn left(&self, until: u64) -> u64 {
        self.schedule.due_before(until.saturating_sub(self.origin)).saturating_sub(self.taken)
    }

    /// The number of requests of the current load that are due at `from` or later, and before `until`.
    pub fn due_between(&self, from: u64, until: u64) -> u64 {
        let before = |time: u64| self.schedule.due_before(time.saturating_sub(self.origin));
        before(until).saturating_sub(before(from))
    }

    /// Sets the timer for the next request, if that is due before `limit`; returns false if there is no time to block.
    pub fn set_timer(&mut self, now: u64, limit: u64) -> io::Result<bool> {
        let due = self.next_due.map_or(limit, |due| due.min(limit));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_the_rate() {
        let poller = BenchPoller::new().unwrap();
        let mut due_requests = DueRequests::new(Schedule::constant(1000.0), &poller, 0).unwrap();
        let request = |number, due| Some(DueRequest { number, due });
        assert_eq!(due_requests.take(0), request(0, 0));
        assert_eq!(due_requests.take(999_999), None);
        assert_eq!(due_requests.take(5_000_000), request(1, 1_000_000));
        assert_eq!(due_requests.take(5_000_000), request(2, 2_000_000));
        assert!(!due_requests.set_timer(3_000_000 - MIN_WAIT + 1, u64::MAX).unwrap());
        assert!(due_requests.set_timer(2_000_000, u64::MAX).unwrap());
        assert_eq!(due_requests.left(10_000_000), 7, "three of ten have been taken");
        assert_eq!(due_requests.left(2_000_000), 0);
        assert_eq!(due_requests.due_between(1_500_000, 5_000_001), 4);
        assert_eq!(due_requests.due_between(5_000_000, 1_000_000), 0);
    }

    /// Those of the warm-up that have not been taken are not due any more.
    #[test]
    fn the_first_request_of_the_measurement_is_due_when_it_begins() {
        let poller = BenchPoller::new().unwrap();
        let mut due_requests = DueRequests::new(Schedule::constant(1000.0), &poller, 0).unwrap();
        assert!(due_requests.take(0).is_some());
        due_requests.begin_measurement(7_000_300);
        due_requests.begin_measurement(9_000_000);
        assert_eq!(due_requests.left(8_000_301), 2);
        assert_eq!(due_requests.take(7_000_299), None);
        assert_eq!(due_requests.take(8_000_300), Some(DueRequest { number: 1, due: 7_000_300 }));
        assert_eq!(due_requests.take(8_000_300), Some(DueRequest { number: 2, due: 8_000_300 }));
    }
}
