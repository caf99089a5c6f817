//! The steps of an iteration of the event loop, and which of them took longest.
//!
//! Reading the clock after each step would cost every request a few percent, so that it is done only while details are
//! logged. Then a long iteration has a line in the log. Each such line stands for 10 ms or more of a worker, so each
//! worker logs at most a hundred a second.

use std::time::Duration;

use log::{Level, debug, log_enabled};

use super::Worker;
use crate::server::clock::Clock;
use crate::server::listener::ListenerIndex;
use crate::server::poller::Source;

/// An iteration that takes longer is logged. Chosen: ten times as long as a sweep may take, and a delay that a client
/// in the same network can notice.
const LONG_ITERATION: Duration = Duration::from_millis(10);

/// The time after which a step of an iteration ends, and the next one has its turn; what is left to do follows in the
/// next iteration. Chosen: a delay that no client notices. A step is longer by what it does between two readings of the
/// clock, and an iteration, of which most steps have nothing to do, takes at most some 6 ms (the longest of a scenario
/// of `docs/performance.md`, beside reloads).
pub const MAX_STEP_TIME: Duration = Duration::from_millis(1);

/// A step of an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An event, and what follows from it.
    Event(Source),
    /// The messages that were in the mailbox.
    Messages,
    /// Sending what is due on impaired connections.
    ImpairedTimers,
    /// Visiting connections for their deadlines.
    Sweep,
    /// The timers of listeners.
    AcceptTimers,
    /// Closing quiet connections before a drain; winding up connections and accept queues during it.
    Drain,
    /// Freeing memory, and granting it to connections that wait.
    Memory,
}

/// The times of the steps of one iteration.
#[derive(Debug)]
pub struct Steps {
    clock: Clock,
    /// When the iteration began.
    begun: Duration,
    /// When the last step ended; `None` if steps are not measured.
    last: Option<Duration>,
    longest: Option<(Step, Duration)>,
}

impl Steps {
    /// An iteration begins.
    #[must_use]
    pub fn begin(clock: Clock) -> Self {
        let begun = clock.elapsed();
        Self { clock, begun, last: log_enabled!(Level::Debug).then_some(begun), longest: None }
    }

    /// When the iteration began, since the start of the server.
    #[must_use]
    pub fn begun(&self) -> Duration {
        self.begun
    }

    /// The time since the iteration began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.clock.elapsed().saturating_sub(self.begun)
    }

    /// A step has ended.
    #[inline]
    pub fn ended(&mut self, step: Step) {
        if self.last.is_some() {
            self.ended_at(step, self.clock.elapsed());
        }
    }

    #[cold]
    fn ended_at(&mut self, step: Step, now: Duration) {
        let took = now.saturating_sub(self.last.replace(now).unwrap_or(now));
        if self.longest.is_none_or(|(_, longest)| took > longest) {
            self.longest = Some((step, took));
        }
    }
}

impl Worker {
    /// An iteration has ended: records how long it took, and the requests that it has replied to.
    pub(super) fn end_iteration(&mut self, steps: &Steps) {
        let now = self.shared.clock.elapsed();
        self.driver.context.record_durations(self.shared.clock.nanoseconds(now));
        let took = now.saturating_sub(steps.begun);
        self.shared.longest_iterations.record(self.number, took, self.driver.context.now);
        if took > LONG_ITERATION {
            self.log_long_iteration(took, steps);
        }
    }

    #[cold]
    fn log_long_iteration(&mut self, took: Duration, steps: &Steps) {
        let Some((step, longest)) = steps.longest else { return };
        let (worker, step) = (self.number, self.describe(step));
        debug!("worker {worker}: an iteration of the event loop took {took:?}; its longest step: {step}, {longest:?}");
    }

    /// What a step of the last iteration was, for the log.
    fn describe(&mut self, step: Step) -> String {
        match step {
            Step::Event(Source::Mailbox) => "commands".into(),
            Step::Event(Source::Listener(index)) => {
                format!("accepting on {}", self.shared.profile(ListenerIndex(index)).name())
            }
            Step::Event(source @ Source::Connection(..)) => match self.table.find(source) {
                Some((_, session)) => format!("an event of {}", session.connection.label()),
                None => "an event of a connection that it closed".into(),
            },
            Step::Messages => "messages".into(),
            Step::ImpairedTimers => "the timers of impaired connections".into(),
            Step::Sweep => "a sweep over the connections".into(),
            Step::AcceptTimers => "the timers of listeners".into(),
            Step::Drain => "the drain".into(),
            Step::Memory => "freeing and granting memory".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_step_is_found() {
        let mut steps = Steps { last: Some(Duration::ZERO), ..Steps::begin(Clock::start()) };
        let accepting = Step::Event(Source::Listener(0));
        for (step, now) in [(Step::Messages, 2), (accepting, 14), (Step::Sweep, 15), (Step::Drain, 27)] {
            steps.ended_at(step, Duration::from_millis(now));
        }
        assert_eq!(steps.longest, Some((accepting, Duration::from_millis(12))), "the first of two that took as long");
    }

    #[test]
    fn steps_are_not_measured_unless_details_are_logged() {
        let mut steps = Steps::begin(Clock::start());
        steps.ended(Step::Messages);
        assert_eq!((steps.last, steps.longest), (None, None));
    }
}
