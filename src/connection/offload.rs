//! A request on its way to the thread pool and back.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use log::{Level, log_enabled};

use super::context::Context;
use super::in_flight::Output;
use super::memory::{Buffer, Charge, Retired};
use super::millis::Millis;
use super::state::{Connection, Phase, Resume, State};
use crate::protocol::{
    CallContext, Cancel, Exchange, LogEvent, Needed, Progress, Protocol, RequestCounts, RequestLimits, RequestRng,
};

/// Bytes of the reply buffer beside what the protocol asked for. Chosen: more than any protocol's reply header.
const HEADER_ROOM: usize = 64;

/// One whole request, with the state of its protocol and the memory that it may take.
pub struct OffloadJob {
    protocol: Box<dyn Protocol>,
    input: Buffer,
    /// For the reply; `None` is one that is made when the job runs.
    reply_buf: Option<Buffer>,
    needed: Needed,
    seed: u64,
    charge: Charge,
    limits: RequestLimits,
    wants_log_events: bool,
    cancel: Cancel,
}

/// What an [`OffloadJob`] came to.
pub struct OffloadResult {
    pub(super) protocol: Box<dyn Protocol>,
    pub(super) charge: Charge,
    pub(super) output: Output,
    /// Buffers that the reply does not need.
    pub(super) spent: Vec<Buffer>,
    pub(super) counts: RequestCounts,
    pub(super) log_events: Vec<LogEvent>,
    pub(super) progress: Progress,
    pub(super) took: Duration,
}

/// What an attempt to offload came to.
pub(super) enum OffloadOutcome {
    /// The job is to be run.
    Job(Box<OffloadJob>),
    /// The budget has too little for the reply: `bytes` are needed for it and its request.
    OverBudget { bytes: usize },
    /// The system has no memory.
    NoMemory,
}

impl Connection {
    /// Makes a job of the request at the front of the saved input, if there is memory for its reply.
    pub(super) fn offload(&mut self, context: &mut Context) -> OffloadOutcome {
        let State::Busy(_, in_flight) = &mut self.state else { return OffloadOutcome::NoMemory };
        let (needed, seed) = (in_flight.needed, in_flight.seed);
        let bytes = needed.memory();
        if !in_flight.charge(&context.budget).try_grow(bytes, bytes) {
            return OffloadOutcome::OverBudget { bytes };
        }
        let Ok(input) = in_flight.split_request(needed.request_len) else { return OffloadOutcome::NoMemory };
        let (Some(mut charge), Some(protocol)) = (in_flight.charge.take(), self.protocol.take()) else {
            debug_assert!(false, "a request in progress has a charge, and its connection a protocol");
            return OffloadOutcome::NoMemory;
        };
        let reply_buf = context.spare_buffer(needed.reply_capacity + HEADER_ROOM);
        charge.raise_unchecked(needed.request_len + reply_buf.as_ref().map_or(0, Buffer::resident));
        self.set_phase(Phase::Offloaded);
        self.served_any = true;
        self.count_offloaded(context);
        OffloadOutcome::Job(Box::new(OffloadJob {
            protocol,
            input,
            reply_buf,
            needed,
            seed,
            charge,
            limits: context.limits.of_request(&context.budget),
            wants_log_events: log_enabled!(Level::Info),
            cancel: Cancel::default(),
        }))
    }

    /// Takes back a job that has not begun: its request is offloaded again, and not counted again, by
    /// [`Connection::continue_service`]. Without memory for that, or if it is not a job of this connection, the job is
    /// returned.
    ///
    /// # Errors
    /// The job.
    pub fn recall(&mut self, job: Box<OffloadJob>) -> Result<(), Box<OffloadJob>> {
        let State::Busy(Phase::Offloaded, in_flight) = &mut self.state else { return Err(job) };
        let joined = match in_flight.input.filled() {
            [] => None,
            rest => match Buffer::with_contents([job.input.filled(), rest], 0) {
                Ok(joined) => Some(joined),
                Err(_) => return Err(job),
            },
        };
        let OffloadJob { protocol, input, needed, seed, charge, .. } = *job;
        in_flight.input = joined.unwrap_or(input);
        (in_flight.needed, in_flight.seed, in_flight.is_recalled) = (needed, seed, true);
        in_flight.charge = Some(charge);
        // the request is complete: no time-out is put off by the wait
        in_flight.waiting_since = Millis::NEVER;
        self.protocol = Some(protocol);
        self.set_phase(Phase::WaitingForMemory(Resume::Offload));
        Ok(())
    }

    /// Counts the request that is being offloaded, unless it was offloaded before.
    fn count_offloaded(&mut self, context: &Context) {
        match &mut self.state {
            State::Busy(_, in_flight) if in_flight.is_recalled => in_flight.is_recalled = false,
            _ => {
                self.traffic.requested(&context.counters, 1);
                context.counters.offloaded.add(1);
            }
        }
    }

    /// Takes the protocol and the replies back from a job; returns the protocol's progress.
    pub(super) fn take_back(&mut self, context: &mut Context, result: OffloadResult) -> Progress {
        let OffloadResult { protocol, mut charge, output, spent, counts, log_events, progress, took } = result;
        self.protocol = Some(protocol);
        self.label.log_events(log_events, took);
        for buffer in spent {
            context.recycle(buffer, Some(&mut charge));
        }
        // what the reply might have needed and does not hold is for others
        charge.set_unchecked(output.resident());
        let in_flight = self.start_request(context.now);
        in_flight.charge = Some(charge);
        in_flight.pending_replies = counts;
        in_flight.queue_output(output, context.now);
        progress
    }
}

impl OffloadJob {
    /// Bytes of the request, by which its work is measured.
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
        Retired::new(self.reply_buf.into_iter().chain([self.input]).collect(), Some(self.charge))
    }

    /// Processes the request; takes as long as that takes.
    ///
    /// # Errors
    /// When the system has no memory for the reply, whatever the budget says; the memory of the job.
    pub fn run(
        mut self,
        random: &mut RequestRng,
        unix_time: fn() -> u64,
    ) -> Result<OffloadResult, (io::Error, Retired)> {
        let started = Instant::now();
        let fresh = || Buffer::with_capacity(self.needed.reply_capacity + HEADER_ROOM);
        let mut reply_buf = match self.reply_buf.take().map_or_else(fresh, Ok) {
            Ok(reply_buf) => reply_buf,
            Err(error) => return Err((error, self.retire())),
        };
        random.replay(self.seed);
        random.watch(self.cancel);
        let mut exchange = Exchange::new(self.input.filled_mut(), reply_buf.unfilled_mut())
            .with_preprocessed(self.needed.preprocessed)
            .with_log_events(self.wants_log_events);
        let mut context = CallContext { random, unix_time, limits: self.limits, may_block: true };
        let progress = self.protocol.process(&mut exchange, &mut context);
        let (in_place, copied) = exchange.reply_ranges();
        let counts = exchange.counts();
        let log_events = exchange.drain_log_events().collect();
        reply_buf.advance(copied);
        let (output, spent) = match Output::of_call(self.input, in_place, reply_buf) {
            Ok(done) => done,
            Err((error, buffers)) => return Err((error, Retired::new(buffers, Some(self.charge)))),
        };
        let took = started.elapsed();
        Ok(OffloadResult {
            protocol: self.protocol,
            charge: self.charge,
            output,
            spent,
            counts,
            log_events,
            progress,
            took,
        })
    }
}

impl OffloadResult {
    /// The memory of a result whose connection has closed.
    #[must_use]
    pub fn retire(self) -> Retired {
        let mut buffers = self.spent;
        buffers.push(self.output.into_buffer());
        Retired::new(buffers, Some(self.charge))
    }
}

#[cfg(test)]
impl OffloadJob {
    /// A job with a request of that length, to be queued.
    #[must_use]
    pub fn of_length(length: usize) -> Self {
        use super::memory::Budget;
        let protocol = (crate::protocol::PROTOCOLS[0].new)(&crate::protocol::ProtocolSettings::default(), &());
        let limits = RequestLimits { message: length, memory: length, line: None };
        let needed = Needed { request_len: length, ..Needed::default() };
        let charge = Charge::new(&std::sync::Arc::new(Budget::new(0)));
        let (input, cancel) = (Buffer::default(), Cancel::default());
        Self { protocol, input, reply_buf: None, needed, seed: 0, charge, limits, wants_log_events: false, cancel }
    }
}

impl fmt::Debug for OffloadJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OffloadJob").field("needed", &self.needed).finish_non_exhaustive()
    }
}

impl fmt::Debug for OffloadResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OffloadResult").field("counts", &self.counts).finish_non_exhaustive()
    }
}
