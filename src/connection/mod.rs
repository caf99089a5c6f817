//! One client, over any [`Stream`]: reads, lets the protocol process what has arrived, writes, and knows what it waits for.
//!
//! Deterministic: no socket, no clock, no thread. [`Connection`] has the contract between a connection and its caller. Input is
//! read into the worker's read buffer, processed there, and replied to from there with one write; only what is unfinished
//! is kept, so an idle connection has no memory of its own. A large request is read into a buffer of its own, transformed
//! there where the text allows, and sent from there.
//!
//! Guarantees: replies in the order of the requests; no reading while replies wait for the client; every request that
//! arrived before the client half-closed is replied to; a bounded amount of work in each call; a close waits until the
//! client has what was counted as answered. Every connection ends with a [`CloseReason`].
//!
//! `Connection::drive` alone decides what happens next. `read`, `process`, `write` and `offload` each do one thing and
//! return an outcome. Between two calls a connection is in one of these states:
//!
//! | state | interest | timer | next state |
//! |---|---|---|---|
//! | Idle | read | closes: `idle-timeout` | Receiving (a request starts), Lingering |
//! | Receiving | read | closes: `request-timeout` | Idle (replied), Skipping, Replying, WaitingForMemory, Offloaded, Lingering |
//! | Skipping | read | closes: `request-timeout` | Receiving (discarded), Lingering |
//! | Replying | write | closes: `write-timeout`, `min-rate`; continues while the client takes bytes | Idle, Receiving, Skipping, Generating, Lingering |
//! | WaitingForMemory | none | none: the budget serves all that wait in turn | Receiving |
//! | Offloaded | none | none: the pool ends every job | Replying, Lingering |
//! | Generating | read, write | closes: `write-timeout`; continues while the client takes bytes | Receiving, Lingering |
//! | Lingering | read | continues while the client takes bytes, then closes for the reason that it lingers for | |
//!
//! Every state may also end with [`Next::Close`]. A state before the protocol (a PROXY header, TLS) belongs in front of Idle:
//! what it has read beyond its own bytes becomes the first batch.
//!
//! | file | concern |
//! |---|---|
//! | `state` | [`Connection`], its states, and the table of transitions |
//! | `read`, `process`, `write` | one read, one call of the protocol, one write |
//! | `in_flight` | buffers and timers of an unfinished request |
//! | `offload` | a request on its way to the thread pool and back |
//! | `timers`, `linger` | deadlines, and the end of a connection |
//! | `memory` | the budget of all connections, buffers, and the pool of a worker |
//! | `context`, `limits` | what a worker lends, and what one connection may take |
//! | `close_reason`, `counters`, `log` | what is counted and logged |

mod close_reason;
mod context;
mod counters;
mod in_flight;
mod limits;
mod linger;
mod log;
mod memory;
mod offload;
mod process;
mod read;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod timers;
mod write;

use ::log::info;

pub use close_reason::CloseReason;
pub use context::{
    Context, FAIR_READ_SIZE, MAX_BUFFERED_WRITE, MAX_WRITE, READ_BUF_SIZE, REPLY_BUF_SIZE, UNCHARGED_BYTES,
};
pub use counters::{Counter, Counters};
pub use limits::{Limits, NEVER};
pub use memory::{
    Budget, Buffer, Charge, Demand, MIN_DEFERRED_FREE, POOL_CAPACITY, Pool, Retired, has_headroom, keep_headroom,
};
use offload::OffloadOutcome;
pub use offload::{OffloadJob, OffloadResult};
use process::{Batch, Call, CallOutcome, Input};
use read::ReadOutcome;
pub use state::Connection;
use state::{Phase, Resume, State, Then};
pub use stream::{Interest, Stream};
use timers::TimerOutcome;
use write::WriteOutcome;

use crate::protocol::{CloseCause, Needed, Progress};

/// How often a large request is read from at one wake-up. Measured: beside 4 clients that send 4 MiB each, a small request's
/// p99 is 1.8 ms with 2 and 4.0 ms with 8, and the throughput of the four does not differ.
const DIRECT_READS: u32 = 2;

/// What the caller has to do next for the connection.
#[derive(Debug)]
pub enum Next {
    /// Wait for what [`Connection::interest`] and [`Connection::deadline`] say.
    Wait,
    /// The budget has too little: call [`Connection::resume`] with a charge for this demand when it has enough.
    WaitForMemory(Demand),
    /// Run this on another thread, then call [`Connection::offload_done`].
    Offload(Box<OffloadJob>),
    /// Close the stream.
    Close(CloseReason),
}

/// Whether a connection that has sent no request may still send one while the server drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// It may.
    Given,
    /// It may not: it closes unless a request has arrived.
    Over,
}

/// What `Connection::drive` does next.
enum Step {
    Read,
    Process(Call),
    Write,
    Generate,
    Offload,
    /// Close when the client has everything.
    Linger(CloseReason),
    /// Nothing, until something happens outside.
    Wait,
    Return(Next),
}

impl Connection {
    /// Starts the service: a protocol that speaks first does so now.
    pub fn open<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        self.drive(stream, context, Step::Process(Call::Open), 0)
    }

    /// The stream has input, or its end, or an error.
    pub fn readable<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        if let State::Lingering { .. } = self.state {
            return self.discard_input(stream, context).map_or(Next::Wait, Next::Close);
        }
        if !self.interest().read {
            return Next::Wait;
        }
        self.drive(stream, context, Step::Read, DIRECT_READS)
    }

    /// The stream has room for output, or an error.
    pub fn writable<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        match self.state {
            State::Busy(Phase::Replying(_), _) => self.drive(stream, context, Step::Write, 0),
            State::Generating { .. } => self.drive(stream, context, Step::Generate, 0),
            _ => Next::Wait,
        }
    }

    /// The budget has granted what [`Next::WaitForMemory`] demanded, or, where `grant` is empty, never will.
    pub fn resume<S: Stream>(&mut self, stream: &mut S, context: &mut Context, grant: Charge) -> Next {
        let State::Busy(Phase::WaitingForMemory(resume), in_flight) = &mut self.state else { return Next::Wait };
        let step = match resume {
            Resume::Read => Step::Read,
            Resume::Offload => Step::Offload,
        };
        // the client is not to blame for the time in which we did not read
        in_flight.request.start += context.now.saturating_sub(in_flight.waiting_since);
        in_flight.charge(&context.budget).absorb(grant);
        self.set_phase(Phase::Receiving);
        self.drive(stream, context, step, DIRECT_READS)
    }

    /// The job of [`Next::Offload`] is done.
    pub fn offload_done<S: Stream>(&mut self, stream: &mut S, context: &mut Context, result: OffloadResult) -> Next {
        let then = match self.take_back(context, result) {
            Progress::Close(cause) => Then::Close(self.end_input(context, cause, false)),
            _ if self.start_request(context.now).input.is_empty() => Then::Receive,
            _ => Then::Process,
        };
        self.set_phase(Phase::Replying(then));
        self.drive(stream, context, Step::Write, 0)
    }

    /// The job of [`Next::Offload`] could not be done, for want of memory.
    pub fn offload_failed<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        self.drive(stream, context, Step::Linger(CloseReason::Resources), 0)
    }

    /// The time of [`Connection::deadline`] has come, or may have.
    pub fn expire<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        match self.run_timer(stream, context) {
            TimerOutcome::Continue => Next::Wait,
            TimerOutcome::Close(reason) => self.drive(stream, context, Step::Linger(reason), 0),
            TimerOutcome::CloseNow(reason) => Next::Close(reason),
        }
    }

    /// The server drains: processes what has arrived, and closes a connection without a request in progress.
    ///
    /// To be called after every other call while the server drains, and again after the other connections while it
    /// [`Connection::is_idle`] with [`Grace::Over`].
    pub fn drain<S: Stream>(&mut self, stream: &mut S, context: &mut Context, grace: Grace) -> Next {
        match self.state {
            // no request waits for a reply here, and a client that does not read must not delay the drain
            State::Generating { .. } => return Next::Close(CloseReason::Stopped),
            State::Lingering { .. } => {
                self.hurry_linger(context);
                return Next::Wait;
            }
            State::Busy(..) => return Next::Wait,
            State::Idle { .. } => {}
        }
        let before = context.counters.bytes_in.get();
        match self.readable(stream, context) {
            Next::Wait if context.counters.bytes_in.get() > before => Next::Wait,
            Next::Wait if self.is_idle() && (self.served_any || grace == Grace::Over) => {
                self.drive(stream, context, Step::Linger(CloseReason::Stopped), 0)
            }
            next => next,
        }
    }

    /// Goes on for as long as that needs nothing from outside. At most `direct_reads` pieces of a large request are read.
    fn drive<S: Stream>(&mut self, stream: &mut S, context: &mut Context, first: Step, mut direct_reads: u32) -> Next {
        context.write_left = MAX_WRITE;
        let mut batch = Batch::empty();
        let mut step = first;
        loop {
            step = match step {
                Step::Read => {
                    let outcome = self.read(stream, context, &mut batch);
                    self.after_read(context, &mut batch, outcome, &mut direct_reads)
                }
                Step::Process(call) => {
                    let Some(call) = self.skip(&mut batch, call) else {
                        self.recycle(context, &mut batch);
                        return Next::Wait;
                    };
                    let mut outcome = self.process(context, &mut batch, call);
                    let written = self.write_replies(stream, context, &batch, &mut outcome.replies);
                    self.after_process(context, &mut batch, &outcome, &written, direct_reads)
                }
                Step::Write => match self.write_output(stream, context) {
                    WriteOutcome::Done => self.after_write(context, &mut batch),
                    WriteOutcome::Blocked => return Next::Wait,
                    WriteOutcome::Failed(reason) => return Next::Close(reason),
                },
                Step::Generate => match self.write_generated(stream, context) {
                    WriteOutcome::Done | WriteOutcome::Blocked => return Next::Wait,
                    WriteOutcome::Failed(reason) => return Next::Close(reason),
                },
                Step::Offload => {
                    let outcome = self.offload(context);
                    self.after_offload(context, outcome)
                }
                Step::Linger(reason) if self.linger(stream, context, reason) => Step::Wait,
                Step::Linger(reason) => Step::Return(Next::Close(reason)),
                Step::Wait => return Next::Wait,
                Step::Return(next) => return next,
            };
        }
    }

    fn after_read(
        &mut self,
        context: &mut Context,
        batch: &mut Batch,
        outcome: ReadOutcome,
        direct_reads: &mut u32,
    ) -> Step {
        match outcome {
            ReadOutcome::Input => Step::Process(Call::Process),
            ReadOutcome::Request { filled } => {
                *direct_reads = if filled { *direct_reads - 1 } else { 0 };
                Step::Process(Call::Process)
            }
            ReadOutcome::Piece { filled } => {
                *direct_reads = if filled { *direct_reads - 1 } else { 0 };
                self.read_on(*direct_reads)
            }
            ReadOutcome::WouldBlock => Step::Wait,
            ReadOutcome::EndOfInput => self.after_eof(batch),
            ReadOutcome::OverBudget { bytes, whole } => self.wait_for_memory(context, Resume::Read, bytes, whole),
            ReadOutcome::NoMemory => Step::Linger(CloseReason::Resources),
            ReadOutcome::Failed(reason) => Step::Return(Next::Close(reason)),
        }
    }

    /// Reads the next piece of a large request, if one may still be read in this call.
    fn read_on(&self, direct_reads: u32) -> Step {
        if direct_reads > 0 && self.reads_directly() { Step::Read } else { Step::Wait }
    }

    /// The client has half-closed: what is left of a request is the protocol's to judge.
    fn after_eof(&mut self, batch: &mut Batch) -> Step {
        self.read_closed = true;
        match &mut self.state {
            State::Busy(_, in_flight) => {
                *batch = Batch::new(Input::Own(std::mem::take(&mut in_flight.input)));
                self.set_phase(Phase::Receiving);
                Step::Process(Call::Eof)
            }
            State::Generating { .. } => Step::Wait,
            State::Idle { .. } | State::Lingering { .. } => Step::Return(Next::Close(CloseReason::Finished)),
        }
    }

    /// Discards what is to be skipped of the batch. Returns the call that comes next, or `None` while more is to be skipped.
    #[inline]
    fn skip(&mut self, batch: &mut Batch, call: Call) -> Option<Call> {
        let State::Busy(Phase::Skipping(left), _) = &mut self.state else { return Some(call) };
        let n = usize::try_from(*left).unwrap_or(usize::MAX).min(batch.left());
        batch.consume(n);
        *left -= n as u64;
        if *left > 0 {
            return None;
        }
        self.set_phase(Phase::Receiving);
        Some(Call::Skipped)
    }

    #[inline]
    fn after_process(
        &mut self,
        context: &mut Context,
        batch: &mut Batch,
        outcome: &CallOutcome,
        written: &WriteOutcome,
        direct_reads: u32,
    ) -> Step {
        let is_sent = match written {
            WriteOutcome::Done => true,
            WriteOutcome::Blocked => false,
            WriteOutcome::Failed(reason) => {
                self.start_request(context.now).pending_replies = outcome.counts;
                return Step::Return(Next::Close(*reason));
            }
        };
        if is_sent {
            context.counters.sent(outcome.counts);
        } else {
            self.start_request(context.now).pending_replies = outcome.counts;
        }
        match (outcome.progress, &mut self.state) {
            // the usual case, which has nothing to save
            (Progress::NeedInput(_), State::Idle { since }) if is_sent && batch.left() == 0 => {
                *since = context.now;
                Step::Wait
            }
            (Progress::NeedInput(_), State::Generating { .. }) if is_sent && batch.left() == 0 => Step::Generate,
            (Progress::NeedOutput, _) if is_sent => Step::Process(Call::Process),
            (Progress::Skip(bytes), _) if is_sent => {
                self.start_request(context.now);
                self.set_phase(Phase::Skipping(bytes));
                Step::Process(Call::Process)
            }
            _ => self.save(context, batch, outcome, is_sent, direct_reads),
        }
    }

    /// Saves what a call has left: input that is not consumed, replies that are not sent. Decides what is done with them.
    fn save(
        &mut self,
        context: &mut Context,
        batch: &mut Batch,
        outcome: &CallOutcome,
        is_sent: bool,
        direct_reads: u32,
    ) -> Step {
        let is_generator = self.protocol.as_ref().is_some_and(|protocol| protocol.is_generator());
        let (saved, then) = match outcome.progress {
            Progress::NeedInput(needed) => {
                let then = if is_generator { Then::Generate } else { Then::Receive };
                (self.save_input(context, batch, needed), then)
            }
            Progress::Offload(needed) => {
                self.start_request(context.now).seed = context.random.seed();
                (self.save_input(context, batch, needed), Then::Offload)
            }
            Progress::NeedOutput => (self.save_input(context, batch, Needed::default()), Then::Process),
            Progress::Skip(bytes) => (self.save_input(context, batch, Needed::default()), Then::Skip(bytes)),
            Progress::Close(cause) => (Ok(()), Then::Close(self.end_input(context, cause, outcome.counts.refused > 0))),
        };
        let saved =
            saved.and_then(|()| if is_sent { Ok(()) } else { self.save_replies(context, batch, &outcome.replies) });
        self.recycle(context, batch);
        if saved.is_err() {
            return Step::Linger(CloseReason::Resources);
        }
        if is_sent {
            return self.follow(context, batch, then, direct_reads);
        }
        let in_flight = self.start_request(context.now);
        in_flight.update_charge(&context.budget);
        self.set_phase(Phase::Replying(then));
        Step::Wait
    }

    /// The client's kernel has taken all replies.
    fn after_write(&mut self, context: &mut Context, batch: &mut Batch) -> Step {
        let State::Busy(Phase::Replying(then), in_flight) = &mut self.state else { return Step::Wait };
        let then = *then;
        context.counters.sent(std::mem::take(&mut in_flight.pending_replies));
        in_flight.request.start = context.now;
        self.follow(context, batch, then, 0)
    }

    /// All replies are sent: does what follows them.
    fn follow(&mut self, context: &mut Context, batch: &mut Batch, then: Then, direct_reads: u32) -> Step {
        let now = context.now;
        match then {
            Then::Close(reason) => return Step::Linger(reason),
            Then::Generate => {
                self.set_state(State::Generating { last_write: now });
                return Step::Generate;
            }
            Then::Receive | Then::Process | Then::Skip(_) | Then::Offload => {}
        }
        let in_flight = self.start_request(now);
        in_flight.update_charge(&context.budget);
        match then {
            Then::Receive if in_flight.input.is_empty() => {
                self.set_state(State::Idle { since: now });
                Step::Wait
            }
            Then::Process | Then::Skip(_) => {
                *batch = Batch::new(Input::Own(std::mem::take(&mut in_flight.input)));
                self.set_phase(if let Then::Skip(bytes) = then { Phase::Skipping(bytes) } else { Phase::Receiving });
                Step::Process(Call::Process)
            }
            Then::Offload => {
                self.set_phase(Phase::Receiving);
                Step::Offload
            }
            Then::Receive | Then::Generate | Then::Close(_) => {
                self.set_phase(Phase::Receiving);
                self.read_on(direct_reads)
            }
        }
    }

    fn after_offload(&mut self, context: &mut Context, outcome: OffloadOutcome) -> Step {
        match outcome {
            OffloadOutcome::Job(job) => Step::Return(Next::Offload(job)),
            OffloadOutcome::OverBudget { bytes } => self.wait_for_memory(context, Resume::Offload, bytes, bytes),
            OffloadOutcome::NoMemory => Step::Linger(CloseReason::Resources),
        }
    }

    /// Waits until the budget has `bytes` for the next step of a request that needs `whole` in all; closes if it never will,
    /// which a lowered limit can cause.
    fn wait_for_memory(&mut self, context: &mut Context, resume: Resume, bytes: usize, whole: usize) -> Step {
        if whole > context.budget.largest_request() {
            return Step::Linger(CloseReason::Resources);
        }
        let in_flight = self.start_request(context.now);
        in_flight.waiting_since = context.now;
        let demand = in_flight.charge(&context.budget).demand(bytes, whole);
        self.set_phase(Phase::WaitingForMemory(resume));
        Step::Return(Next::WaitForMemory(demand))
    }

    /// The protocol takes no more input. Returns why the connection closes: input that ended in what had to be `rejected` was
    /// cut short.
    fn end_input(&mut self, context: &mut Context, cause: CloseCause, rejected: bool) -> CloseReason {
        if let State::Busy(_, in_flight) = &mut self.state {
            context.recycle(std::mem::take(&mut in_flight.input), in_flight.charge.as_mut());
        }
        match cause {
            CloseCause::Complete if self.read_closed && rejected => CloseReason::Truncated,
            CloseCause::Complete if self.read_closed => CloseReason::Finished,
            CloseCause::Complete => CloseReason::Served,
            CloseCause::ProtocolError(how) => {
                info!("{}: {how}", self.peer());
                CloseReason::Violation
            }
        }
    }

    /// Gives the buffer of a batch back to the pool, with what is charged for it.
    fn recycle(&mut self, context: &mut Context, batch: &mut Batch) {
        if let Some(buffer) = batch.take_buffer() {
            let charge = match &mut self.state {
                State::Busy(_, in_flight) => in_flight.charge.as_mut(),
                _ => None,
            };
            context.recycle(buffer, charge);
        }
    }
}
