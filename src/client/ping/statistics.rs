//! Minimum, mean, maximum and standard deviation of times, without keeping the times.

use std::fmt;
use std::time::Duration;

use crate::client::json::rounded;

/// A time as it is shown: milliseconds, rounded to three decimals.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Milliseconds(f64);

impl From<Duration> for Milliseconds {
    fn from(time: Duration) -> Self {
        Self(rounded(time.as_secs_f64() * 1e3))
    }
}

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

/// Statistics of times in milliseconds, rounded as they are shown, so that a reader can verify them. By Welford's
/// method, which loses no digits to cancellation.
#[derive(Clone, Debug, Default)]
pub struct TimeStatistics {
    count: u64,
    min: f64,
    max: f64,
    mean: f64,
    /// Sum of the squared differences from the mean.
    squares: f64,
}

impl TimeStatistics {
    /// Adds a time.
    #[allow(clippy::cast_precision_loss, reason = "a count of round trips is far below 2^52")]
    pub fn add(&mut self, time: Duration) {
        let Milliseconds(value) = time.into();
        self.count += 1;
        let difference = value - self.mean;
        self.mean += difference / self.count as f64;
        self.squares += difference * (value - self.mean);
        self.min = if self.count == 1 { value } else { self.min.min(value) };
        self.max = self.max.max(value);
    }

    /// The number of times.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
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
    }

    #[test]
    fn statistics_are_those_of_the_times_shown() {
        let times = [1_400, 1_600, 2_400].map(Duration::from_nanos);
        assert_eq!(times.map(|time| Milliseconds::from(time).to_string()), ["0.001", "0.002", "0.002"]);
        let mut statistics = TimeStatistics::default();
        for time in times {
            statistics.add(time);
        }
        assert_eq!(statistics.to_string(), "0.001/0.002/0.002/0.000");
    }

    #[test]
    fn statistics_of_one() {
        let mut one = TimeStatistics::default();
        one.add(Duration::from_millis(3));
        assert_eq!(one.to_string(), "3.000/3.000/3.000/0.000");
    }
}
