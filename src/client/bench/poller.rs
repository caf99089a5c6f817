//! The poller of the load generator.

use crate::sys::Poller;

/// Events taken at one wake-up. Chosen without tuning: more than the connections of most benchmarks.
const EVENTS: usize = 1024;

/// A poller whose keys are numbers.
pub type BenchPoller = Poller<u64, EVENTS>;
