//! The driver: the only place that decides what a connection does next.

use super::close_reason::CloseReason;
use super::context::{Context, MAX_WRITE};
use super::next::Next;
use super::offload::OffloadOutcome;
use super::process::{Batch, Call, CallOutcome, Input};
use super::read::ReadOutcome;
use super::state::{Connection, Phase, Resume, State, Then};
use super::stream::Stream;
use super::write::WriteOutcome;
use crate::protocol::{Needed, Progress};

/// What `Connection::drive` does next.
pub(super) enum Step {
    /// Start the service, with what has arrived behind the PROXY header.
    Admit,
    Read,
    Process(Call),
    /// Process the saved input.
    ProcessSaved,
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
    /// Goes on for as long as that needs nothing from outside. At most `direct_reads` pieces of a large request are
    /// read.
    pub(super) fn drive<S: Stream>(
        &mut self,
        stream: &mut S,
        context: &mut Context,
        first: Step,
        mut direct_reads: u32,
    ) -> Next {
        context.write_left = MAX_WRITE;
        let mut batch = Batch::empty();
        let mut step = first;
        loop {
            step = match step {
                Step::Admit => self.begin_service(context, &mut batch),
                Step::Read => {
                    let outcome = self.read(stream, context, &mut batch);
                    self.after_read(stream, context, &mut batch, outcome, &mut direct_reads)
                }
                Step::Process(call) => self.process_batch(stream, context, &mut batch, call, direct_reads),
                Step::ProcessSaved => self.process_saved(context, &mut batch, Phase::Receiving),
                Step::Write => match self.write_output(stream, context) {
                    WriteOutcome::Done => self.after_write(context, &mut batch),
                    WriteOutcome::Blocked => return Next::Wait,
                    WriteOutcome::Failed(reason) => return self.broken(reason),
                },
                Step::Generate => match self.write_generated(stream, context) {
                    WriteOutcome::Done | WriteOutcome::Blocked => return Next::Wait,
                    WriteOutcome::Failed(reason) => return self.broken(reason),
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

    /// Calls the protocol over the batch once, and sends the replies; what is to be skipped is discarded first.
    #[inline]
    fn process_batch<S: Stream>(
        &mut self,
        stream: &mut S,
        context: &mut Context,
        batch: &mut Batch,
        call: Call,
        direct_reads: u32,
    ) -> Step {
        let Some(call) = self.skip(batch, call) else {
            self.recycle(context, batch);
            return Step::Wait;
        };
        let mut outcome = self.process(context, batch, call);
        let written = self.write_replies(stream, context, batch, &mut outcome.replies);
        self.after_process(context, batch, &outcome, &written, direct_reads)
    }

    fn after_read<S: Stream>(
        &mut self,
        stream: &S,
        context: &mut Context,
        batch: &mut Batch,
        outcome: ReadOutcome,
        direct_reads: &mut u32,
    ) -> Step {
        if let ReadOutcome::Request { filled } | ReadOutcome::Piece { filled } = outcome {
            *direct_reads = if filled { *direct_reads - 1 } else { 0 };
        }
        match outcome {
            ReadOutcome::Input | ReadOutcome::Request { .. } => Step::Process(Call::Process),
            ReadOutcome::Piece { .. } => self.read_on(*direct_reads),
            ReadOutcome::WouldBlock | ReadOutcome::Passed => Step::Wait,
            ReadOutcome::PassedInPart => {
                self.set_phase(Phase::Replying(Then::Receive));
                Step::Wait
            }
            ReadOutcome::EndOfInput => self.after_eof(batch, stream.delays_end()),
            ReadOutcome::OverBudget { bytes, whole } => self.wait_for_memory(context, Resume::Read, bytes, whole),
            ReadOutcome::NoMemory => Step::Linger(CloseReason::Resources),
            ReadOutcome::Failed(reason) => Step::Return(self.broken(reason)),
        }
    }

    /// Reads the next piece of a large request, if one may still be read in this call.
    fn read_on(&self, direct_reads: u32) -> Step {
        if direct_reads > 0 && self.reads_directly() { Step::Read } else { Step::Wait }
    }

    /// The client has half-closed: what is left of a request is the protocol's to judge. Without one the connection
    /// closes, unless that would drop what the stream `delays`.
    fn after_eof(&mut self, batch: &mut Batch, delays: bool) -> Step {
        self.read_closed = true;
        match &mut self.state {
            State::Busy(_, in_flight) => {
                *batch = Batch::new(Input::Own(std::mem::take(&mut in_flight.input)));
                self.set_phase(Phase::Receiving);
                Step::Process(Call::Eof)
            }
            State::Generating { .. } => Step::Wait,
            State::Idle { .. } if delays => Step::Linger(CloseReason::Finished),
            State::Handshake(_) | State::Idle { .. } | State::Lingering { .. } => {
                Step::Return(Next::Close(CloseReason::Finished))
            }
        }
    }

    /// Discards what is to be skipped of the batch. Returns the call that comes next, or `None` while more is to be
    /// skipped.
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

    #[allow(clippy::inline_always, reason = "measured: with `process`, 80 of 1612 instructions of a request")]
    #[inline(always)]
    fn after_process(
        &mut self,
        context: &mut Context,
        batch: &mut Batch,
        outcome: &CallOutcome,
        written: &WriteOutcome,
        direct_reads: u32,
    ) -> Step {
        let is_sent = matches!(written, WriteOutcome::Done);
        if is_sent {
            context.on_replied(outcome.counts, self.begun());
        } else {
            self.start_request(context.now).pending_replies = outcome.counts;
        }
        if let WriteOutcome::Failed(reason) = written {
            return Step::Return(self.broken(*reason));
        }
        match (outcome.progress, &mut self.state) {
            // the usual case, which has nothing to save
            (Progress::NeedInput(_), State::Idle { since, .. }) if is_sent && batch.left() == 0 => {
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
            _ => self.save_rest(context, batch, outcome, is_sent, direct_reads),
        }
    }

    /// Saves what a call has left: input that is not consumed, replies that are not sent. Decides what is done with
    /// them.
    fn save_rest(
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
        if let State::Busy(_, in_flight) = &mut self.state {
            in_flight.begun.get_or_insert(context.woken);
        }
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
        context.on_replied(std::mem::take(&mut in_flight.pending_replies), in_flight.begun);
        in_flight.request.start = context.now;
        self.follow(context, batch, then, 0)
    }

    /// All replies are sent: does what follows them.
    fn follow(&mut self, context: &mut Context, batch: &mut Batch, then: Then, direct_reads: u32) -> Step {
        match then {
            Then::Receive => self.receive(context, direct_reads),
            Then::Process => self.process_saved(context, batch, Phase::Receiving),
            Then::Skip(bytes) => self.process_saved(context, batch, Phase::Skipping(bytes)),
            Then::Offload => {
                self.start_request(context.now).update_charge(&context.budget);
                self.set_phase(Phase::Receiving);
                Step::Offload
            }
            Then::Generate => {
                self.set_state(State::Generating { last_write: context.now });
                Step::Generate
            }
            Then::Close(reason) => Step::Linger(reason),
        }
    }

    /// Waits for the rest of a request, or for the next one.
    fn receive(&mut self, context: &Context, direct_reads: u32) -> Step {
        let in_flight = self.start_request(context.now);
        in_flight.update_charge(&context.budget);
        if in_flight.input.is_empty() {
            let passes_bulk = in_flight.passes_bulk;
            self.set_state(State::Idle { since: context.now, passes_bulk });
            return Step::Wait;
        }
        self.set_phase(Phase::Receiving);
        self.read_on(direct_reads)
    }

    /// Processes the saved input, in `phase`.
    fn process_saved(&mut self, context: &Context, batch: &mut Batch, phase: Phase) -> Step {
        let in_flight = self.start_request(context.now);
        in_flight.update_charge(&context.budget);
        *batch = Batch::new(Input::Own(std::mem::take(&mut in_flight.input)));
        self.set_phase(phase);
        Step::Process(Call::Process)
    }

    fn after_offload(&mut self, context: &mut Context, outcome: OffloadOutcome) -> Step {
        match outcome {
            OffloadOutcome::Job(job) => Step::Return(Next::Offload(job)),
            OffloadOutcome::OverBudget { bytes } => self.wait_for_memory(context, Resume::Offload, bytes, bytes),
            OffloadOutcome::NoMemory => Step::Linger(CloseReason::Resources),
        }
    }

    /// Waits until the budget has `bytes` for the next step of a request that needs `whole` in all; closes if it never
    /// will, which a lowered limit can cause.
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
}
