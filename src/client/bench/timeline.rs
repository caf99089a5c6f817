//! The phases of a run, and its clock. Times are nanoseconds since the start of the run.

use std::time::{Duration, Instant};

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BenchPhase {
    /// Requests are sent and not counted.
    WarmUp,
    /// Requests are sent and counted.
    Measuring,
    /// No more requests are due; those in flight are waited for, at most for [`GRACE`].
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
    /// The most time to wait after the measurement.
    grace: u64,
}

/// The most time to wait, after the measurement, for the replies to the requests in flight. Chosen: far longer than a
/// reply of a healthy server takes, and short enough that the run ends on time when one never comes.
pub const GRACE: Duration = Duration::from_secs(1);

/// The longest time, in nanoseconds. Derived: the sum of three still fits; 146 years.
const MAX_NANOSECONDS: u64 = u64::MAX / 4;

impl Timeline {
    /// A run that starts now. Without a `duration` the measurement ends when it is stopped.
    pub fn new(warm_up: Duration, duration: Option<Duration>, read_timeout: Duration) -> Self {
        let measured_from = nanoseconds(warm_up);
        Self {
            started: Instant::now(),
            phase: BenchPhase::WarmUp,
            measured_from,
            measured_until: measured_from + duration.map_or(MAX_NANOSECONDS, nanoseconds),
            grace: nanoseconds(read_timeout.min(GRACE)),
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

    /// Begins the warm-up at `time`, and not at the start of the run.
    pub fn begin_warm_up(&mut self, time: u64) {
        self.measured_from += time;
        self.measured_until += time;
    }

    /// Enters the next phase, if that has begun by `now`.
    pub fn advance(&mut self, now: u64) {
        match self.phase {
            BenchPhase::WarmUp if now >= self.measured_from => {
                self.phase = BenchPhase::Measuring;
                // The loop may notice the end of the warm-up late: the measurement is moved, and not shortened.
                self.measured_until += now - self.measured_from;
                self.measured_from = now;
            }
            BenchPhase::Measuring if now >= self.measured_until => self.phase = BenchPhase::Draining,
            _ => {}
        }
    }

    /// Ends the warm-up at `time`, if it lasts until later.
    pub fn end_warm_up(&mut self, time: u64) {
        if self.phase == BenchPhase::WarmUp && time < self.measured_from {
            self.measured_until -= self.measured_from - time;
            self.measured_from = time;
        }
    }

    /// Whether `now` is within the measurement.
    pub fn is_measuring(&self, now: u64) -> bool {
        self.phase != BenchPhase::WarmUp && now < self.measured_until
    }

    /// Ends the measurement at `time`, before its duration has passed; it has lasted for at least a nanosecond.
    pub fn stop(&mut self, time: u64) {
        self.phase = BenchPhase::Draining;
        self.measured_until = time.max(self.measured_from + 1);
    }

    /// The end of the current phase.
    pub fn phase_end(&self) -> u64 {
        match self.phase {
            BenchPhase::WarmUp => self.measured_from,
            BenchPhase::Measuring => self.measured_until,
            BenchPhase::Draining => self.measured_until + self.grace,
        }
    }
}

/// A time in nanoseconds, at most [`MAX_NANOSECONDS`].
pub fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).map_or(MAX_NANOSECONDS, |nanoseconds| nanoseconds.min(MAX_NANOSECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_can_be_added() {
        assert_eq!(nanoseconds(Duration::from_millis(1)), 1_000_000);
        let longest = nanoseconds(Duration::MAX);
        assert!(longest.checked_mul(3).is_some(), "warm-up, duration and grace");
        assert!(longest > nanoseconds(Duration::from_secs(100 * 365 * 24 * 3600)), "a hundred years are not cut");
    }

    #[test]
    fn a_late_start_does_not_shorten_the_measurement() {
        let time = Duration::from_nanos;
        let mut timeline = Timeline::new(time(100), Some(time(1000)), time(50));
        for (now, phase, end) in [
            (99, BenchPhase::WarmUp, 100),
            (130, BenchPhase::Measuring, 1130),
            (1129, BenchPhase::Measuring, 1130),
            (1130, BenchPhase::Draining, 1180),
        ] {
            timeline.advance(now);
            assert_eq!((timeline.phase, timeline.phase_end()), (phase, end), "at {now}");
            assert_eq!(timeline.is_measuring(now), phase == BenchPhase::Measuring, "at {now}");
        }
    }

    #[test]
    fn a_warm_up_that_begins_late_is_not_shorter() {
        let time = Duration::from_nanos;
        let mut timeline = Timeline::new(time(100), Some(time(1000)), time(50));
        timeline.begin_warm_up(30);
        assert_eq!((timeline.measured_from, timeline.measured_until), (130, 1130));
    }

    #[test]
    fn a_run_ends_soon_after_the_measurement_whatever_the_read_timeout() {
        let mut timeline = Timeline::new(Duration::ZERO, None, Duration::MAX);
        timeline.advance(0);
        timeline.advance(MAX_NANOSECONDS - 1);
        assert_eq!(timeline.phase, BenchPhase::Measuring, "without a duration it goes on");
        timeline.stop(5_000);
        assert_eq!((timeline.phase, timeline.measured_until), (BenchPhase::Draining, 5_000));
        assert_eq!(timeline.phase_end(), 5_000 + nanoseconds(GRACE));
    }
}
