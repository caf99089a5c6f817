//! Times, counted by length.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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
            Some(place) => self.counts[place] = self.counts[place].saturating_add(1),
            None => self.longer = self.longer.saturating_add(1),
        }
        self.sum = self.sum.saturating_add(time);
    }

    /// The present numbers, for a successor.
    #[must_use]
    pub fn save(&self) -> SavedHistogram {
        SavedHistogram { counts: self.counts.to_vec(), longer: self.longer, sum: self.sum }
    }

    /// Adds saved numbers, if they were counted by as many bounds.
    pub fn add(&mut self, saved: &SavedHistogram) {
        if saved.counts.len() == N {
            self.counts.iter_mut().zip(&saved.counts).for_each(|(count, saved)| *count = count.saturating_add(*saved));
            self.longer = self.longer.saturating_add(saved.longer);
            self.sum = self.sum.saturating_add(saved.sum);
        }
    }

    /// The present numbers.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        HistogramSnapshot::new(self.bounds, self.counts.iter().chain([&self.longer]), self.sum)
    }
}

/// The numbers of a histogram as a successor continues them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedHistogram {
    /// How many were longer than the bound before, and at most this one.
    counts: Vec<u64>,
    /// How many were longer than every bound.
    longer: u64,
    sum: Duration,
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
            below = count.saturating_add(below);
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

    #[test]
    fn saved_numbers_are_continued_unless_they_have_other_bounds() {
        let [mut histogram, mut successor] = [(); 2].map(|()| Histogram::new(&[0.001, 0.01]));
        for micros in [1, 5_000, 20_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let saved = serde_json::to_string(&histogram.save()).expect("JSON");
        successor.record(Duration::from_micros(1));
        successor.add(&serde_json::from_str(&saved).expect("a histogram"));
        successor.add(&SavedHistogram { counts: vec![7], longer: 7, sum: Duration::from_secs(7) });
        assert_eq!(successor.snapshot().counts, [2, 3, 4]);
        assert_eq!(successor.save().sum, Duration::from_micros(25_002));
        successor.add(&SavedHistogram { counts: vec![u64::MAX; 2], longer: u64::MAX, sum: Duration::MAX });
        assert_eq!(successor.snapshot().counts, [u64::MAX; 3], "absurd numbers do no harm");
    }
}
