//! A histogram of latencies.

#![allow(
    clippy::cast_possible_truncation,
    reason = "a mean becomes nanoseconds: `as` saturates, and fractions are dropped on purpose"
)]

use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies with three significant digits, from a nanosecond to an hour.
#[derive(Debug)]
pub struct Latencies(Histogram<u64>);

/// The largest latency, in nanoseconds; longer ones count as this. Chosen: an hour; a bound keeps the histogram small.
const MAX_LATENCY: u64 = 3_600_000_000_000;

/// The precision of a latency, in decimal digits. Chosen: the reports show three; the histogram takes about 270 kB
/// then.
const SIGNIFICANT_DIGITS: u8 = 3;

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

    /// The smallest latency.
    #[must_use]
    pub fn min(&self) -> Duration {
        Duration::from_nanos(if self.0.is_empty() { 0 } else { self.0.min() })
    }

    /// The mean.
    #[must_use]
    #[allow(clippy::cast_sign_loss, reason = "a mean of unsigned numbers")]
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.0.mean() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
