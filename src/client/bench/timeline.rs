//! The phases of a run, and its clock. Times are nanoseconds since the start of the run.

use std::time::{Duration, Instant};

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BenchPhase {
    /// Requests are sent and not counted.
    WarmUp,
    /// Requests are sent and counted.
    Measuring,
    /// No more requests are due; those in flight are waited for.
    Draining,
}

/// When each phase begins.
#[derive(Debug)]
pub struct Timeline {
    started: Instant,
    /// The current phase.
    pub phase: BenchPhase,
    /// Start of the measurement.
    pub measured_from: u64,
    /// End of the measurement.
    pub measured_until: u64,
    /// The most time that a reply may take, and the end of the run after that of the measurement.
    pub read_timeout: u64,
}

/// The longest time, in nanoseconds. Derived: the sum of three still fits; 146 years.
const MAX_TIME: u64 = u64::MAX / 4;

impl Timeline {
    /// A run that starts now.
    pub fn new(warm_up: Duration, duration: Duration, read_timeout: Duration) -> Self {
        let measured_from = nanoseconds(warm_up);
        Self {
            started: Instant::now(),
            phase: BenchPhase::WarmUp,
            measured_from,
            measured_until: measured_from + nanoseconds(duration),
            read_timeout: nanoseconds(read_timeout),
        }
    }

    /// Sets the start of the run to now.
    pub fn restart(&mut self) {
        self.started = Instant::now();
    }

    /// Time since the start of the run.
    pub fn now(&self) -> u64 {
        nanoseconds(self.started.elapsed())
    }

    /// Enters the phases that have begun by `now`; returns whether the measurement began.
    pub fn advance(&mut self, now: u64) -> bool {
        let begins = self.phase == BenchPhase::WarmUp && now >= self.measured_from;
        if begins {
            self.phase = BenchPhase::Measuring;
            // An iteration of the loop late; the measurement keeps its duration.
            self.measured_until += now - self.measured_from;
            self.measured_from = now;
        }
        if self.phase == BenchPhase::Measuring && now >= self.measured_until {
            self.phase = BenchPhase::Draining;
        }
        begins
    }

    /// The end of the current phase.
    pub fn phase_end(&self) -> u64 {
        match self.phase {
            BenchPhase::WarmUp => self.measured_from,
            BenchPhase::Measuring => self.measured_until,
            BenchPhase::Draining => self.measured_until + self.read_timeout,
        }
    }
}

/// A time in nanoseconds, at most [`MAX_TIME`].
pub fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).map_or(MAX_TIME, |nanoseconds| nanoseconds.min(MAX_TIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_can_be_added() {
        assert_eq!(nanoseconds(Duration::from_millis(1)), 1_000_000);
        let longest = nanoseconds(Duration::MAX);
        assert!(longest.checked_mul(3).is_some(), "warm-up, duration and read timeout");
        assert!(longest > nanoseconds(Duration::from_secs(100 * 365 * 24 * 3600)), "a hundred years are not cut");
    }

    #[test]
    fn a_late_start_does_not_shorten_the_measurement() {
        let time = Duration::from_nanos;
        let mut timeline = Timeline::new(time(100), time(1000), time(50));
        assert!(!timeline.advance(99));
        assert_eq!((timeline.phase, timeline.phase_end()), (BenchPhase::WarmUp, 100));
        assert!(timeline.advance(130));
        assert_eq!((timeline.phase, timeline.phase_end()), (BenchPhase::Measuring, 1130));
        assert!(!timeline.advance(1129));
        assert_eq!(timeline.phase, BenchPhase::Measuring);
        assert!(!timeline.advance(1130));
        assert_eq!((timeline.phase, timeline.phase_end()), (BenchPhase::Draining, 1180));
    }
}
