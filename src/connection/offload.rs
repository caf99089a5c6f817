//! A request that takes long, on its way to another thread and back.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use super::in_flight::Output;
use super::memory::budget::Lease;
use super::memory::buffer::{Buffer, Retired};
use crate::protocol::{
    CallContext, Cancel, Exchange, LogEvent, Needed, Progress, Protocol, RequestCounts, RequestLimits, RequestRng,
};

/// Bytes of room beside what the protocol asked for: a response's header.
const HEADER_ROOM: usize = 64;

/// One whole request, with the state of its protocol and the memory that it may take.
pub struct Job {
    pub(super) protocol: Box<dyn Protocol>,
    pub(super) input: Buffer,
    pub(super) needed: Needed,
    pub(super) seed: u64,
    pub(super) lease: Lease,
    pub(super) limits: RequestLimits,
    pub(super) notes: bool,
    pub(super) cancel: Cancel,
}

/// A [`Job`] that is done.
pub struct Finished {
    pub(super) protocol: Box<dyn Protocol>,
    pub(super) lease: Lease,
    pub(super) output: Output,
    /// Buffers that the answer is not in.
    pub(super) spent: Vec<Buffer>,
    pub(super) tally: RequestCounts,
    pub(super) notes: Vec<LogEvent>,
    pub(super) progress: Progress,
    pub(super) took: Duration,
}

impl Job {
    /// Bytes of the request: what its work is measured by.
    #[must_use]
    pub fn length(&self) -> usize {
        self.needed.request_len
    }

    /// What stops the job.
    #[must_use]
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// The memory of a job that will not be run.
    #[must_use]
    pub fn retire(self) -> Retired {
        Retired::new(vec![self.input], Some(self.lease))
    }

    /// Answers the request; takes as long as that takes.
    ///
    /// # Errors
    /// When the system has no memory for the answer, whatever the budget says; the memory that there is.
    pub fn run(mut self, random: &mut RequestRng, unix_time: fn() -> u64) -> Result<Finished, (io::Error, Retired)> {
        let begun = Instant::now();
        let mut spill = match Buffer::with_capacity(self.needed.reply_capacity + HEADER_ROOM) {
            Ok(spill) => spill,
            Err(error) => return Err((error, self.retire())),
        };
        random.replay(self.seed);
        random.watch(self.cancel);
        let mut exchange = Exchange::new(self.input.held(), spill.spare())
            .with_preprocessed(self.needed.preprocessed)
            .with_log_events(self.notes);
        let mut call_context = CallContext { random, unix_time, limits: self.limits, may_block: true };
        let progress = self.protocol.process(&mut exchange, &mut call_context);
        let (placed, spilled) = exchange.reply_ranges();
        let tally = exchange.counts();
        let notes = exchange.drain_log_events().collect();
        spill.fill(spilled);
        let (output, spent) = match Output::of_turn(self.input, placed, spill) {
            Ok(done) => done,
            Err((error, buffers)) => return Err((error, Retired::new(buffers, Some(self.lease)))),
        };
        let took = begun.elapsed();
        Ok(Finished { protocol: self.protocol, lease: self.lease, output, spent, tally, notes, progress, took })
    }
}

impl Finished {
    /// The memory of a result that nobody waits for any more.
    #[must_use]
    pub fn retire(self) -> Retired {
        let mut buffers = self.spent;
        buffers.push(self.output.into_buffer());
        Retired::new(buffers, Some(self.lease))
    }
}

#[cfg(test)]
impl Job {
    /// A job with a request of that length, to be queued.
    #[must_use]
    pub fn of_length(length: usize) -> Self {
        use super::memory::budget::Budget;
        let protocol = (crate::protocol::PROTOCOLS[0].new)(&crate::protocol::ProtocolSettings::default(), &());
        let limits = RequestLimits { message: length, memory: length, line: length };
        let needed = Needed { request_len: length, ..Needed::default() };
        let lease = Lease::new(&std::sync::Arc::new(Budget::new(0)));
        let (input, cancel) = (Buffer::default(), Cancel::default());
        Self { protocol, input, needed, seed: 0, lease, limits, notes: false, cancel }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("need", &self.needed).finish_non_exhaustive()
    }
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished").field("tally", &self.tally).finish_non_exhaustive()
    }
}
