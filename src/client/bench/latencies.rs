//! A histogram of latencies.

#![allow(
    clippy::cast_possible_truncation,
    reason = "a mean becomes nanoseconds: `as` saturates, and fractions are dropped on purpose"
)]

use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies with three significant digits, from a nanosecond to an hour.
#[derive(Clone, Debug, PartialEq)]
pub struct Latencies(Histogram<u64>);

/// The largest latency, in nanoseconds; longer ones count as this. Chosen: an hour; a bound keeps the histogram small.
const MAX_LATENCY: u64 = 3_600_000_000_000;

/// The precision of a latency, in decimal digits. Chosen: the reports show three; the histogram takes about 270 kB
/// then.
const SIGNIFICANT_DIGITS: u8 = 3;

/// The linear steps within each power of two. Derived: the power of two that is not below twice 10 to the number of
/// [`SIGNIFICANT_DIGITS`].
pub const SUB_BUCKETS: u64 = (2 * 10u64.pow(SIGNIFICANT_DIGITS as u32)).next_power_of_two();

/// How many requests have at most a latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PercentileStep {
    /// The latency.
    pub latency: Duration,
    /// The share of the requests for which it was looked up.
    pub share: f64,
    /// The number of requests with at most this latency.
    pub requests: u64,
}

impl Latencies {
    /// An empty histogram.
    ///
    /// # Panics
    /// Never: the bounds are constants that the histogram accepts.
    #[must_use]
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, MAX_LATENCY, SIGNIFICANT_DIGITS).expect("these bounds are valid"))
    }

    /// Adds `requests` requests with a latency of `nanoseconds`.
    pub fn record(&mut self, nanoseconds: u64, requests: u64) {
        self.0.saturating_record_n(nanoseconds.max(1), requests);
    }

    /// Adds the latencies of `other`.
    ///
    /// # Panics
    /// Never: all histograms have the same bounds.
    pub fn absorb(&mut self, other: &Self) {
        self.0.add(&other.0).expect("the bounds are the same");
    }

    /// Adds the latencies of an interval.
    pub fn add(&mut self, counts: &LatencyCounts) {
        for &(latency, requests) in &counts.0 {
            self.record(latency, requests);
        }
    }

    /// Removes latencies that are among these.
    ///
    /// # Panics
    /// Those of `others` were not added before.
    pub fn remove(&mut self, others: &Self) {
        self.0.subtract(&others.0).expect("they were added");
    }

    /// Returns what was recorded, and begins anew.
    pub fn take_counts(&mut self) -> LatencyCounts {
        if self.0.is_empty() {
            return LatencyCounts::default();
        }
        let recorded = self.0.iter_recorded();
        let counts = recorded.map(|step| (step.value_iterated_to(), step.count_since_last_iteration())).collect();
        self.0.reset();
        LatencyCounts(counts)
    }

    /// The number of requests.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that this share of the requests did not exceed.
    #[must_use]
    pub fn at(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(share))
    }

    /// The lower end of the range of latencies, counted as one, in which that of [`at`](Self::at) is; in nanoseconds.
    #[must_use]
    pub fn lower_end_at(&self, share: f64) -> u64 {
        self.0.lowest_equivalent(self.0.value_at_quantile(share))
    }

    /// The number of requests with at most this latency, in nanoseconds, and with those that are counted as the same.
    #[must_use]
    pub fn count_within(&self, nanoseconds: u64) -> u64 {
        self.0.count_between(0, nanoseconds)
    }

    /// The requests within each percentile, with `steps_per_half` percentiles for each halving of the distance to 100%.
    #[must_use]
    pub fn percentile_steps(&self, steps_per_half: u32) -> Vec<PercentileStep> {
        let mut requests = 0;
        let steps = self.0.iter_quantiles(steps_per_half).map(|step| {
            requests += step.count_since_last_iteration();
            let latency = Duration::from_nanos(step.value_iterated_to());
            PercentileStep { latency, share: step.quantile_iterated_to(), requests }
        });
        steps.collect()
    }

    /// The number of buckets of the histogram, each with [`SUB_BUCKETS`].
    #[must_use]
    pub fn buckets(&self) -> u8 {
        self.0.buckets()
    }

    /// The smallest latency.
    #[must_use]
    pub fn min(&self) -> Duration {
        Duration::from_nanos(if self.0.is_empty() { 0 } else { self.0.min() })
    }

    /// The standard deviation.
    #[must_use]
    #[allow(clippy::cast_sign_loss, reason = "a root is not negative")]
    pub fn standard_deviation(&self) -> Duration {
        Duration::from_nanos(self.0.stdev() as u64)
    }

    /// The mean.
    #[must_use]
    #[allow(clippy::cast_sign_loss, reason = "a mean of unsigned numbers")]
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.0.mean() as u64)
    }
}

/// Latencies that take only the memory that their number needs: those of one of many intervals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyCounts(Vec<(u64, u64)>);

impl LatencyCounts {
    /// Adds the latencies of `other`.
    pub fn absorb(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
        self.0.sort_unstable();
        self.0.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
    }

    /// The number of requests.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, requests)| requests).sum()
    }

    /// The latency that this share of the requests did not exceed; 0 if there are none.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "far below 2^52, and not negative")]
    pub fn at(&self, share: f64) -> Duration {
        let mut left = ((self.count() as f64 * share).ceil() as u64).max(1);
        let reaches = |&&(_, requests): &&(u64, u64)| {
            let last = left <= requests;
            left = left.saturating_sub(requests);
            last
        };
        Duration::from_nanos(self.0.iter().find(reaches).map_or(0, |&(latency, _)| latency))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_histogram() {
        let mut latencies = Latencies::new();
        for latency in 1..=2_000_000 {
            latencies.record(latency, latency % 3);
        }
        let whole = latencies.clone();
        let counts = latencies.take_counts();
        assert_eq!((latencies.count(), counts.count()), (0, whole.count()));
        for share in [0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
            assert_eq!(counts.at(share), whole.at(share), "{share}");
        }
        let mut twice = counts.clone();
        twice.absorb(&counts);
        assert_eq!((twice.count(), twice.0.len()), (2 * counts.count(), counts.0.len()));
        assert_eq!((LatencyCounts::default().at(0.5), LatencyCounts::default().count()), (Duration::ZERO, 0));
    }

    #[test]
    fn latencies_have_three_significant_digits() {
        let mut latencies = Latencies::new();
        latencies.record(1_000_000, 99);
        latencies.record(5_000_000, 1);
        assert_eq!(latencies.count(), 100);
        assert!(latencies.at(0.5).as_nanos().abs_diff(1_000_000) < 1_000);
        assert!(latencies.at(1.0).as_nanos().abs_diff(5_000_000) < 5_000);
        assert!(latencies.mean().as_nanos().abs_diff(1_040_000) < 1_100);
    }
}
