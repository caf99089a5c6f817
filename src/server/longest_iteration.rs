//! The longest iteration of the event loop of any worker within the last minute or two.
//!
//! Time is divided into periods. Each worker keeps its longest iteration of this period and of the one before; reading
//! resets nothing, so any number of readers see the same.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::connection::Millis;

/// A period, in milliseconds. Chosen: an iteration is seen for one to two periods, and readers usually come every 15 to
/// 60 seconds.
const PERIOD: u64 = 60_000;
/// The low bits of an entry: nanoseconds, up to 18 minutes. The bits above are the number of its period, for 31 years.
const TIME_BITS: u32 = 40;
const MAX_TIME: u64 = (1 << TIME_BITS) - 1;

/// The longest iterations of each worker.
#[derive(Debug)]
pub struct LongestIterations {
    /// Of each worker: an entry for even periods, and one for odd ones.
    workers: Vec<[AtomicU64; 2]>,
}

impl LongestIterations {
    /// No iterations yet, of this number of workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { workers: (0..workers).map(|_| Default::default()).collect() }
    }

    /// A worker, which alone records under its number, has completed an iteration that took `time` at `now`.
    pub fn record(&self, worker: usize, time: Duration, now: Millis) {
        let period = now.get() / PERIOD;
        let entry = &self.workers[worker][usize::from(period % 2 == 1)];
        let time = u64::try_from(time.as_nanos()).unwrap_or(MAX_TIME).min(MAX_TIME);
        let new = (period << TIME_BITS) | time;
        // an entry of an earlier period is less, whatever its time
        if new > entry.load(Ordering::Relaxed) {
            entry.store(new, Ordering::Relaxed);
        }
    }

    /// The longest iteration in the period of `now` and in the one before.
    #[must_use]
    pub fn longest(&self, now: Millis) -> Duration {
        let oldest = (now.get() / PERIOD).saturating_sub(1);
        let entries = self.workers.iter().flatten().map(|entry| entry.load(Ordering::Relaxed));
        let times = entries.filter(|entry| entry >> TIME_BITS >= oldest).map(|entry| entry & MAX_TIME);
        Duration::from_nanos(times.max().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_iteration_is_seen_in_its_period_and_in_the_next_by_every_reader() {
        let iterations = LongestIterations::new(2);
        let at = |period: u64| Millis::new(period * PERIOD + 1);
        let [short, long] = [5, 70].map(Duration::from_millis);
        iterations.record(0, short, at(7));
        iterations.record(1, long, at(8));
        iterations.record(1, short, at(8));
        assert_eq!([7, 8, 8, 9, 9].map(|period| iterations.longest(at(period))), [long; 5]);
        iterations.record(0, short, at(9));
        assert_eq!([9, 10, 11].map(|period| iterations.longest(at(period))), [long, short, Duration::ZERO]);
        iterations.record(1, short, at(10));
        assert_eq!(iterations.longest(at(10)), short, "the entry of period 8 is replaced");
    }

    #[test]
    fn an_iteration_of_hours_is_no_other_period() {
        let iterations = LongestIterations::new(1);
        iterations.record(0, Duration::from_secs(3 * 3600), Millis::new(1));
        assert_eq!(iterations.longest(Millis::new(2)), Duration::from_nanos(MAX_TIME));
    }
}
