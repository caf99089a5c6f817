//! What a load generator tells while it runs.

#[cfg(test)]
use std::cell::RefCell;
use std::fmt;
use std::ops::ControlFlow;

use super::series::Interval;
use super::timeline::BenchPhase;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunState {
    /// The current phase.
    pub phase: BenchPhase,
    /// The larger share of the time and of the requests that are over; 0 in the warm-up.
    pub done: f64,
    /// Requests with a correct reply.
    pub requests: u64,
    /// Requests that failed.
    pub errors: u64,
}

/// Learns of the progress of a run. It is called by the loop that makes the load: it must not block.
pub trait Monitor: fmt::Debug {
    /// An interval of the measurement has ended. [`ControlFlow::Break`] ends the measurement.
    fn interval(&self, interval: &Interval) -> ControlFlow<()>;

    /// The state of the run, a few times a second.
    fn progress(&self, state: &RunState);
}

/// Keeps the intervals of a run, and ends its measurement after a number of them.
#[cfg(test)]
#[derive(Debug)]
pub struct KeptIntervals {
    intervals: RefCell<Vec<Interval>>,
    limit: usize,
}

#[cfg(test)]
impl KeptIntervals {
    /// The measurement ends after `limit` intervals.
    pub fn new(limit: usize) -> Self {
        Self { intervals: RefCell::default(), limit }
    }

    /// The intervals.
    pub fn into_inner(self) -> Vec<Interval> {
        self.intervals.into_inner()
    }
}

#[cfg(test)]
impl Monitor for KeptIntervals {
    fn interval(&self, interval: &Interval) -> ControlFlow<()> {
        let mut intervals = self.intervals.borrow_mut();
        intervals.push(interval.clone());
        if intervals.len() < self.limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn progress(&self, _: &RunState) {}
}
