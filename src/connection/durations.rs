//! How long requests took, counted by length.
//!
//! A duration begins with the wake-up that reads the last byte of the request, and ends when the kernel has taken the
//! last byte of the reply. No input is read while a complete request waits, so the last read of a connection has
//! completed all requests that it has in hand.

use serde::{Deserialize, Serialize};

use super::counter::{Counter, Summand};

/// The bounds, in nanoseconds: 100 us to 10 s, each about three times the one before. Chosen: a request that does not
/// wait takes some microseconds, and clients give up after seconds; a factor of three separates delays that a client in
/// the same network notices from those that it does not, with few series for each protocol.
const BOUNDS: [u64; 11] = [
    100_000,
    300_000,
    1_000_000,
    3_000_000,
    10_000_000,
    30_000_000,
    100_000_000,
    300_000_000,
    1_000_000_000,
    3_000_000_000,
    10_000_000_000,
];

/// The durations of requests of one worker and listener.
#[derive(Debug, Default)]
pub struct Durations {
    /// How many were longer than the bound before, and at most this one; at the end, longer than all.
    counts: [Counter; BOUNDS.len() + 1],
    /// Their sum, in nanoseconds.
    sum: Counter,
}

/// The sums of all workers' `Durations`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DurationTotals {
    /// How many were longer than the bound before, and at most this one; at the end, longer than all.
    pub counts: [u64; BOUNDS.len() + 1],
    /// Their sum, in nanoseconds.
    pub sum: u64,
}

impl DurationTotals {
    /// The bounds, in seconds.
    pub const BOUNDS: &'static [f64; BOUNDS.len()] =
        &[0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
}

impl Durations {
    /// Counts `requests` that took this number of nanoseconds each.
    #[inline]
    pub fn record(&self, requests: u64, nanoseconds: u64) {
        let place = BOUNDS.iter().position(|bound| nanoseconds <= *bound).unwrap_or(BOUNDS.len());
        self.counts[place].add(requests);
        self.sum.add(nanoseconds.saturating_mul(requests));
    }
}

impl Summand for Durations {
    type Sum = DurationTotals;

    fn add_to(&self, sum: &mut DurationTotals) {
        self.counts.add_to(&mut sum.counts);
        self.sum.add_to(&mut sum.sum);
    }
}

impl Summand for DurationTotals {
    type Sum = Self;

    fn add_to(&self, sum: &mut Self) {
        self.counts.add_to(&mut sum.counts);
        self.sum.add_to(&mut sum.sum);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_bounds_in_seconds_are_those_that_are_counted_by() {
        for (seconds, nanoseconds) in DurationTotals::BOUNDS.iter().zip(BOUNDS) {
            let difference = seconds - Duration::from_nanos(nanoseconds).as_secs_f64();
            assert!(difference.abs() < 1e-12, "{seconds}");
        }
    }

    #[test]
    fn a_duration_counts_at_the_first_bound_that_it_does_not_exceed() {
        let durations = Durations::default();
        for (requests, nanoseconds) in [(1, 0), (2, 100_000), (3, 100_001), (4, 10_000_000_000), (5, 10_000_000_001)] {
            durations.record(requests, nanoseconds);
        }
        let mut totals = DurationTotals::default();
        durations.add_to(&mut totals);
        let twice = totals.clone();
        twice.add_to(&mut totals);
        assert_eq!(totals.counts, [6, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 10]);
        assert_eq!(totals.sum, 2 * (500_003 + 90_000_000_005));
    }
}
