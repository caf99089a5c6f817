//! When the requests of an open load are due.
//!
//! The number of requests until a time is the integral of the rate, and a request is due when the integral reaches its
//! number: rounding never adds up, however long the load lasts. Times are nanoseconds since the start of the load.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "numbers of requests and nanoseconds are exact in a float up to 2^53: 104 days; fractions are dropped on \
              purpose"
)]

use std::time::Duration;

use super::timeline::nanoseconds;
use crate::client::options::Stage;

/// The due times of an open load, or of one of several parts of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    stages: Vec<ScheduledStage>,
    /// The first request of this part.
    first: u64,
    /// The difference between the numbers of two successive requests of this part.
    step: u64,
}

/// A stage in its place.
#[derive(Clone, Copy, Debug, PartialEq)]
struct ScheduledStage {
    begin: u64,
    end: u64,
    /// The integral of the rate at its begin.
    before: f64,
    /// Requests per second at its begin.
    from: f64,
    /// Requests per second at its end.
    to: f64,
}

impl ScheduledStage {
    fn new(stage: &Stage, begin: u64, before: f64) -> Self {
        Self { begin, end: begin + nanoseconds(stage.duration), before, from: stage.from, to: stage.to }
    }

    /// The integral of the rate until `time`, which is within the stage.
    fn requests_until(&self, time: u64) -> f64 {
        let time = (time - self.begin) as f64;
        let share = time / (self.end - self.begin) as f64;
        self.before + (self.from + (self.to - self.from) * share / 2.0) * time / 1e9
    }

    /// When the integral is `requests`.
    fn time_of(&self, requests: f64) -> u64 {
        let own = requests - self.before;
        let slope = (self.to - self.from) * 1e9 / (self.end - self.begin) as f64;
        // The solution of the quadratic equation in the form that is stable, also where the slope is 0. Rounding may
        // make the root of nearly 0 negative at the end of a ramp to a low rate.
        let root = (self.from * self.from + 2.0 * slope * own).max(0.0).sqrt();
        let time = 2e9 * own / (self.from + root);
        (self.begin + time as u64).min(self.end - 1)
    }
}

impl Schedule {
    /// A rate, in requests per second, that never changes and never ends.
    #[must_use]
    pub fn constant(rate: f64) -> Self {
        Self::new(&[Stage { from: rate, to: rate, duration: Duration::MAX }])
    }

    /// Stages, one after another.
    #[must_use]
    pub fn new(stages: &[Stage]) -> Self {
        let mut scheduled: Vec<ScheduledStage> = Vec::with_capacity(stages.len());
        for stage in stages {
            let (begin, before) = scheduled.last().map_or((0, 0.0), |last| (last.end, last.requests_until(last.end)));
            scheduled.push(ScheduledStage::new(stage, begin, before));
        }
        Self { stages: scheduled, first: 0, step: 1 }
    }

    /// The load before this one: its first rate, without an end.
    #[must_use]
    pub fn warm_up(&self) -> Self {
        let stage = ScheduledStage { end: u64::MAX, to: self.stages[0].from, ..self.stages[0] };
        Self { stages: vec![stage], ..*self }
    }

    /// Every request whose number leaves the remainder `index` when it is divided by `parts`: all parts together are the
    /// whole.
    #[must_use]
    pub fn part(&self, index: u64, parts: u64) -> Self {
        Self { stages: self.stages.clone(), first: self.first + index * self.step, step: self.step * parts }
    }

    /// When the request of this number, counted from 0, is due; `None` if the load ends before.
    #[must_use]
    pub fn due(&self, number: u64) -> Option<u64> {
        let number = (self.first + number * self.step) as f64;
        let after = self.stages.partition_point(|stage| stage.before <= number);
        let stage = self.stages.get(after.checked_sub(1)?)?;
        (number < stage.requests_until(stage.end)).then(|| stage.time_of(number))
    }

    /// The number of requests that are due before `time`.
    #[must_use]
    pub fn due_before(&self, time: u64) -> u64 {
        let after = self.stages.partition_point(|stage| stage.begin <= time);
        let requests = match self.stages.get(after.wrapping_sub(1)) {
            Some(stage) => stage.requests_until(time.min(stage.end)).ceil() as u64,
            None => 0,
        };
        requests.saturating_sub(self.first).div_ceil(self.step)
    }

    /// Whether the rate never changes, and the load never ends.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.stages.iter().any(|stage| stage.end == nanoseconds(Duration::MAX))
    }

    /// The begin and the end of each stage.
    pub fn bounds(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.stages.iter().map(|stage| (stage.begin, stage.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn stages(stages: &[(f64, f64, u64)]) -> Schedule {
        let stage = |&(from, to, seconds)| Stage { from, to, duration: Duration::from_secs(seconds) };
        Schedule::new(&stages.iter().map(stage).collect::<Vec<_>>())
    }

    #[test]
    fn a_constant_rate_does_not_drift() {
        let schedule = Schedule::constant(3.0);
        assert_eq!([0, 1, 2, 3].map(|number| schedule.due(number)), [0, 333_333_333, 666_666_666, SECOND].map(Some));
        assert_eq!(schedule.due(3 * 86_400), Some(86_400 * SECOND), "a day later");
        assert_eq!(schedule.due_before(86_400 * SECOND), 3 * 86_400);
        assert_eq!((schedule.due_before(0), schedule.due_before(1)), (0, 1), "the first is due at 0");
    }

    #[test]
    fn the_number_of_requests_is_the_integral_of_the_rate() {
        for (load, requests) in [
            (stages(&[(1000.0, 1000.0, 10)]), 10_000),
            (stages(&[(100.0, 2000.0, 30)]), 31_500),
            (stages(&[(2000.0, 100.0, 30)]), 31_500),
            (stages(&[(1000.0, 1000.0, 10), (5000.0, 5000.0, 10), (100.0, 2000.0, 30)]), 91_500),
            (stages(&[(0.5, 0.5, 3), (0.5, 0.5, 3)]), 3),
        ] {
            let due: Vec<u64> = (0..).map_while(|number| load.due(number)).collect();
            assert_eq!(due.len(), requests, "{load:?}");
            assert!(due.is_sorted(), "{load:?}");
            assert_eq!(load.due_before(u64::MAX), requests as u64);
        }
    }

    /// In a ramp from 0.01 to 200 requests per second in 10 s, half of the time has a quarter of the requests.
    #[test]
    fn a_ramp_is_linear() {
        let ramp = stages(&[(0.01, 200.0, 10)]);
        let half = ramp.due_before(5 * SECOND);
        assert!((250..=251).contains(&half), "{half}");
        for number in 0..1000 {
            let due = ramp.due(number).expect("one of 1000");
            assert!(ramp.due_before(due) <= number + 1 && ramp.due_before(due + 2) > number, "{number} at {due}");
        }
    }

    #[test]
    fn a_stage_begins_where_the_one_before_it_ended() {
        let load = stages(&[(2.0, 2.0, 2), (10.0, 10.0, 1)]);
        let due: Vec<u64> = (0..).map_while(|number| load.due(number)).map(|due| due / 1_000_000).collect();
        assert_eq!(due, [0, 500, 1000, 1500, 2000, 2100, 2200, 2300, 2400, 2500, 2600, 2700, 2800, 2900]);
        assert!(!load.is_constant());
        assert_eq!(load.bounds().collect::<Vec<_>>(), [(0, 2 * SECOND), (2 * SECOND, 3 * SECOND)]);
    }

    #[test]
    fn parts_are_together_the_whole() {
        let load = stages(&[(7.0, 7.0, 1), (100.0, 900.0, 2)]);
        let due = |schedule: &Schedule| (0..).map_while(|number| schedule.due(number)).collect::<Vec<_>>();
        let parts: Vec<Schedule> = (0..3).map(|index| load.part(index, 3)).collect();
        let mut all: Vec<u64> = parts.iter().flat_map(due).collect();
        all.sort_unstable();
        assert_eq!(all, due(&load));
        for time in [0, 1, SECOND, SECOND + 1, 2 * SECOND, 9 * SECOND] {
            let sum: u64 = parts.iter().map(|part| part.due_before(time)).sum();
            assert_eq!(sum, load.due_before(time), "{time}");
        }
    }

    #[test]
    fn the_warm_up_has_the_first_rate() {
        let load = stages(&[(10.0, 500.0, 1), (3.0, 3.0, 1)]).part(1, 2);
        assert_eq!(load.warm_up(), Schedule { stages: load.warm_up().stages, first: 1, step: 2 });
        assert_eq!(load.warm_up().due(100), Some(20_100_000_000));
    }
}
