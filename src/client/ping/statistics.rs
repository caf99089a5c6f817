//! Minimum, mean, maximum and standard deviation of times, without keeping the times.

use std::fmt;
use std::time::Duration;

/// Statistics of times, in milliseconds, by Welford's method, which loses no digits to cancellation.
#[derive(Clone, Debug, Default)]
pub struct TimeStatistics {
    count: u64,
    min: f64,
    max: f64,
    mean: f64,
    /// Sum of the squared differences from the mean.
    squares: f64,
    last: Duration,
}

impl TimeStatistics {
    /// Adds a time.
    #[allow(clippy::cast_precision_loss, reason = "a count of round trips is far below 2^52")]
    pub fn add(&mut self, time: Duration) {
        let value = time.as_secs_f64() * 1e3;
        self.count += 1;
        let difference = value - self.mean;
        self.mean += difference / self.count as f64;
        self.squares += difference * (value - self.mean);
        self.min = if self.count == 1 { value } else { self.min.min(value) };
        self.max = self.max.max(value);
        self.last = time;
    }

    /// The number of times.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The time that was added last.
    #[must_use]
    pub fn last(&self) -> Option<Duration> {
        (self.count > 0).then_some(self.last)
    }

    #[allow(clippy::cast_precision_loss, reason = "a count of round trips is far below 2^52")]
    fn deviation(&self) -> f64 {
        (self.squares / self.count.max(1) as f64).sqrt()
    }
}

impl fmt::Display for TimeStatistics {
    /// In milliseconds, as `min/avg/max/stddev`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}/{:.3}/{:.3}/{:.3}", self.min, self.mean, self.max, self.deviation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_known_times() {
        let mut statistics = TimeStatistics::default();
        for milliseconds in [2, 4, 4, 4, 5, 5, 7, 9] {
            statistics.add(Duration::from_millis(milliseconds));
        }
        assert_eq!(statistics.to_string(), "2.000/5.000/9.000/2.000");
        assert_eq!(statistics.last(), Some(Duration::from_millis(9)));
    }

    #[test]
    fn statistics_of_none_and_of_one() {
        assert_eq!(TimeStatistics::default().last(), None);
        let mut one = TimeStatistics::default();
        one.add(Duration::from_millis(3));
        assert_eq!(one.to_string(), "3.000/3.000/3.000/0.000");
    }
}
