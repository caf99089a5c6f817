//! The steps of a script, taken apart until each is one thing to do or to wait for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::plan::Step;

/// What the server does now.
#[derive(Debug)]
pub enum Task {
    /// Waits until this number of requests has arrived, since the beginning.
    AwaitRequests(usize),
    /// Sends bytes, and reads at the same time, or does not.
    Send { bytes: Vec<u8>, sent: usize, reads: bool },
    /// Waits for further requests until nothing has arrived for the time; then sends the first replies, one for each
    /// request that has arrived.
    Gather {
        /// Whole replies.
        replies: VecDeque<Vec<u8>>,
        /// Requests that were answered before.
        first: usize,
        /// The time without further bytes.
        quiet: Duration,
        /// When the last bytes arrived.
        since: Option<Instant>,
        /// Bytes that had arrived by then.
        seen: usize,
    },
    /// Replies to everything.
    ServeAll,
    /// Waits until then.
    PauseUntil(Instant),
    /// Waits until the client closes or half-closes.
    AwaitEnd,
    /// Half-closes the connection, and closes every further one.
    Close,
    /// Resets it, and every further one.
    Reset,
    /// Waits without end.
    Silence,
}

/// A script in progress.
#[derive(Debug)]
pub struct Script {
    steps: VecDeque<Step>,
    task: Option<Task>,
    /// Requests that the steps so far have waited for.
    requests: usize,
}

impl Script {
    /// A script at its beginning.
    #[must_use]
    pub fn new(steps: Vec<Step>) -> Self {
        Self { steps: steps.into(), task: None, requests: 0 }
    }

    /// The task in progress, or the next one. `None`: the script is finished.
    pub fn task(&mut self, now: Instant) -> Option<&mut Task> {
        if self.task.is_none() {
            let step = self.steps.pop_front()?;
            self.task = Some(self.begin(step, now));
        }
        self.task.as_mut()
    }

    /// The task in progress.
    #[must_use]
    pub fn current(&self) -> Option<&Task> {
        self.task.as_ref()
    }

    /// Ends the task in progress.
    pub fn finish_task(&mut self) {
        self.task = None;
    }

    /// Replaces the task in progress by these steps.
    pub fn expand_task(&mut self, steps: Vec<Step>) {
        self.task = None;
        for step in steps.into_iter().rev() {
            self.steps.push_front(step);
        }
    }

    /// The task in progress, to change it.
    pub fn current_mut(&mut self) -> Option<&mut Task> {
        self.task.as_mut()
    }

    /// Counts requests that a task has answered.
    pub fn add_requests(&mut self, requests: usize) {
        self.requests += requests;
    }

    fn begin(&mut self, step: Step, now: Instant) -> Task {
        match step {
            Step::Expect(requests) => {
                self.requests += requests;
                Task::AwaitRequests(self.requests)
            }
            Step::Send(bytes) => Task::Send { bytes, sent: 0, reads: true },
            Step::SendWithoutReading(bytes) => Task::Send { bytes, sent: 0, reads: false },
            Step::SendPieces(pieces, pause) => {
                for piece in pieces.into_iter().rev() {
                    self.steps.push_front(Step::Pause(pause));
                    self.steps.push_front(Step::Send(piece));
                }
                let step = self.steps.pop_front().unwrap_or(Step::Pause(Duration::ZERO));
                self.begin(step, now)
            }
            Step::AnswerTogether(replies, quiet) => {
                Task::Gather { replies: replies.into(), first: self.requests, quiet, since: None, seen: 0 }
            }
            Step::ServeAll => Task::ServeAll,
            Step::Pause(time) => Task::PauseUntil(now + time),
            Step::ExpectEnd => Task::AwaitEnd,
            Step::Close => Task::Close,
            Step::Reset => Task::Reset,
            Step::Silence => Task::Silence,
        }
    }
}

/// The time of all pauses in a script.
#[must_use]
pub fn pauses(steps: &[Step]) -> Duration {
    let pause = |step: &Step| match step {
        Step::Pause(time) => *time,
        Step::SendPieces(pieces, time) => *time * u32::try_from(pieces.len()).unwrap_or(u32::MAX),
        Step::AnswerTogether(replies, time) => *time * u32::try_from(replies.len()).unwrap_or(u32::MAX),
        _ => Duration::ZERO,
    };
    steps.iter().map(pause).sum()
}
