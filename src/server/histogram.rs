//! Times, counted by length.

use std::time::Duration;

use crate::connection::DurationTotals;

/// Times that were counted by length.
#[derive(Clone, Debug)]
pub struct Histogram<const N: usize> {
    /// The bounds, in ascending order.
    bounds: &'static [f64; N],
    /// How many were longer than the bound before, and at most this one.
    counts: [u64; N],
    /// How many were longer than every bound.
    longer: u64,
    sum: Duration,
}

impl<const N: usize> Histogram<N> {
    /// No times; `bounds` in seconds, ascending.
    #[must_use]
    pub const fn new(bounds: &'static [f64; N]) -> Self {
        Self { bounds, counts: [0; N], longer: 0, sum: Duration::ZERO }
    }

    /// Counts a time.
    pub fn record(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        match self.bounds.iter().position(|bound| seconds <= *bound) {
            Some(place) => self.counts[place] += 1,
            None => self.longer += 1,
        }
        self.sum += time;
    }

    /// The present numbers.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        HistogramSnapshot::new(self.bounds, self.counts.iter().chain([&self.longer]), self.sum)
    }
}

/// The numbers of a histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramSnapshot {
    /// The bounds, in seconds, in ascending order.
    pub bounds: &'static [f64],
    /// For each bound, how many times were at most that; then how many there were in all.
    pub counts: Vec<u64>,
    /// The sum of all times, in seconds.
    pub sum: f64,
}

impl HistogramSnapshot {
    /// `counts` has how many times were longer than the bound before, and at most this one; then how many were longer
    /// than all.
    fn new<'a>(bounds: &'static [f64], counts: impl IntoIterator<Item = &'a u64>, sum: Duration) -> Self {
        let mut below = 0;
        let cumulate = |count: &u64| {
            below += count;
            below
        };
        Self { bounds, counts: counts.into_iter().map(cumulate).collect(), sum: sum.as_secs_f64() }
    }
}

impl From<&DurationTotals> for HistogramSnapshot {
    fn from(durations: &DurationTotals) -> Self {
        Self::new(DurationTotals::BOUNDS, &durations.counts, Duration::from_nanos(durations.sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_for_every_bound_that_it_does_not_exceed() {
        let mut histogram = Histogram::new(&[0.001, 0.01]);
        for micros in [0, 1_000, 1_001, 10_000, 10_001] {
            histogram.record(Duration::from_micros(micros));
        }
        let HistogramSnapshot { bounds, counts, sum } = histogram.snapshot();
        assert_eq!((bounds, counts), (&[0.001, 0.01][..], vec![2, 4, 5]));
        assert!((sum - 0.022_002).abs() < 1e-9, "{sum}");
    }
}
