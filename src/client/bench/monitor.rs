//! What a load generator tells while it runs.

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
