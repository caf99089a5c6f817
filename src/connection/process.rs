//! Turns of the protocol: shows it the input, sends what it answers, keeps what is left.

use std::io;
use std::ops::Range;
use std::time::Instant;

use log::{Level, info, log_enabled};

use super::in_flight::{Output, Pending};
use super::offload::Job;
use super::write::send;
use super::{ASIDE, Buffer, CloseReason, Connection, Context, Next, SPILL, State, Stream, request_limits};
use crate::protocol::{CallContext, Cancel, CloseCause, Exchange, Needed, Progress, Protocol, RequestCounts};

/// Bytes of answer that one turn may make while the budget is used up (else [`SPILL`]): then a connection must not come
/// to hold much that it has no room for.
const TIGHT_SPILL: usize = 8 * ASIDE;

/// What the protocol is called for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Open,
    Advance,
    Skipped,
    End,
}

impl Call {
    fn make(
        self,
        protocol: &mut dyn Protocol,
        exchange: &mut Exchange<'_>,
        call_context: &mut CallContext<'_>,
    ) -> Progress {
        match self {
            Self::Open => protocol.open(exchange, call_context),
            Self::Advance => protocol.process(exchange, call_context),
            Self::Skipped => {
                protocol.on_skipped(exchange, call_context);
                protocol.process(exchange, call_context)
            }
            Self::End => {
                protocol.on_eof(exchange, call_context);
                Progress::Close(CloseCause::Complete)
            }
        }
    }
}

/// The input of a turn.
pub(super) enum Input<'a> {
    /// In the worker's scratch buffer.
    Scratch(&'a mut [u8]),
    /// In a buffer of its own.
    Own(Buffer),
}

impl Input<'_> {
    fn bytes(&mut self) -> &mut [u8] {
        match self {
            Self::Scratch(bytes) => bytes,
            Self::Own(buffer) => buffer.held(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Scratch(bytes) => bytes.len(),
            Self::Own(buffer) => buffer.len(),
        }
    }
}

/// What one turn of the protocol came to.
struct Turned {
    progress: Progress,
    taken: usize,
    tally: RequestCounts,
    /// Answers that the client had no room for: in the input, and in the spill.
    unsent: (Range<usize>, Range<usize>),
}

impl Turned {
    fn all_sent(&self) -> bool {
        self.unsent.0.is_empty() && self.unsent.1.is_empty()
    }
}

impl Connection {
    /// Lets the protocol answer what stands in the first `length` bytes of the scratch buffer.
    pub(super) fn digest_scratch<S: Stream>(
        &mut self,
        stream: &mut S,
        context: &mut Context,
        length: usize,
        call: Call,
    ) -> Next {
        let mut scratch = std::mem::take(&mut context.scratch);
        let next = self.digest(stream, context, &mut Input::Scratch(&mut scratch.held()[..length]), call);
        context.scratch = scratch;
        next
    }

    /// Lets the protocol answer what stands in a buffer of its own; the buffer goes back to the pool, or stays in use.
    pub(super) fn digest_own<S: Stream>(
        &mut self,
        stream: &mut S,
        context: &mut Context,
        buffer: Buffer,
        call: Call,
    ) -> Next {
        let mut input = Input::Own(buffer);
        let next = self.digest(stream, context, &mut input, call);
        if let Input::Own(buffer) = input {
            context.recycle(buffer, None);
        }
        next
    }

    /// Turn after turn, until something is missing: input, room at the client's, memory, another thread.
    fn digest<S: Stream>(
        &mut self,
        stream: &mut S,
        context: &mut Context,
        input: &mut Input<'_>,
        mut call: Call,
    ) -> Next {
        let mut at = 0;
        loop {
            if let Some(skipped) = self.skip(input.len() - at) {
                at += skipped;
                if self.is_skipping() {
                    return Next::Wait;
                }
                call = Call::Skipped;
            }
            let turned = match self.turn(stream, context, &mut input.bytes()[at..], call) {
                Ok(turned) => turned,
                Err(reason) => return Next::Close(reason),
            };
            let start = at;
            at += turned.taken;
            call = Call::Advance;
            if let Progress::Skip(bytes) = turned.progress {
                self.begin_work(context).skip = Some(bytes);
            }
            if self.is_at_rest(&turned, input.len() - at) {
                self.since = context.now;
                return Next::Wait;
            }
            if !(turned.all_sent() && matches!(turned.progress, Progress::NeedOutput | Progress::Skip(_))) {
                return self.settle(stream, context, input, (start, at), &turned);
            }
        }
    }

    /// Looks at kept input again, when what kept it has passed.
    pub(super) fn look_again<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        let Some(work) = &mut self.work else { return Next::Wait };
        match std::mem::take(&mut work.pending) {
            Pending::Nothing => Next::Wait,
            Pending::Offload(needed, seed) => self.start_heavy(stream, context, needed, seed),
            Pending::Input => {
                let input = std::mem::take(&mut work.input);
                self.digest_own(stream, context, input, Call::Advance)
            }
        }
    }

    /// Nothing is left of the turn: the usual case, which so costs nothing more.
    fn is_at_rest(&self, turned: &Turned, input_left: usize) -> bool {
        let done = input_left == 0 && turned.all_sent() && matches!(turned.progress, Progress::NeedInput(_));
        done && self.work.is_none() && !self.produces
    }

    /// Drops what is to be skipped of `available` bytes; says how many, if any were to be.
    fn skip(&mut self, available: usize) -> Option<usize> {
        let work = self.work.as_mut()?;
        let left = work.skip?;
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(available);
        work.skip = (left > n as u64).then(|| left - n as u64);
        Some(n)
    }

    fn is_skipping(&self) -> bool {
        self.work.as_ref().is_some_and(|work| work.skip.is_some())
    }

    /// Calls the protocol once, and sends what it answers.
    fn turn<S: Stream>(
        &mut self,
        stream: &mut S,
        context: &mut Context,
        bytes: &mut [u8],
        call: Call,
    ) -> Result<Turned, CloseReason> {
        let Some(protocol) = &mut self.protocol else { return Err(CloseReason::Failed) };
        let begun = log_enabled!(Level::Info).then(Instant::now);
        // of the request that the input begins with: another turn of the same input begins with another one
        let prepared = self.work.as_mut().map_or(0, |work| std::mem::take(&mut work.needed.preprocessed));
        let room = if context.budget.is_tight() { TIGHT_SPILL } else { SPILL };
        let mut exchange = Exchange::new(bytes, &mut context.spill.held()[..room])
            .with_preprocessed(prepared)
            .with_log_events(begun.is_some());
        let mut call_context = CallContext {
            random: &mut context.random,
            unix_time: context.unix_time,
            limits: request_limits(&context.limits, &context.budget),
            may_block: false,
        };
        let progress = call.make(protocol.as_mut(), &mut exchange, &mut call_context);
        if let Some(begun) = begun {
            self.tell_turn(&mut exchange, begun.elapsed());
        }
        let (taken, tally, (placed, spilled)) = (exchange.consumed(), exchange.counts(), exchange.reply_ranges());
        let sent = send(stream, exchange.replies(), &mut context.write_left);
        let written = *sent.as_ref().unwrap_or(&0);
        context.counters.bytes_out.add(written as u64);
        if written > 0 {
            self.unacknowledged = 0;
        }
        let in_input = written.min(placed.len());
        let unsent = (placed.start + in_input..placed.end, written - in_input..spilled);
        let turned = Turned { progress, taken, tally, unsent };
        self.count(context, tally, turned.all_sent());
        sent.map(|_| turned).map_err(|error| CloseReason::of(&error))
    }

    fn count(&mut self, context: &mut Context, tally: RequestCounts, sent: bool) {
        let requests = u64::from(tally.answered) + u64::from(tally.refused);
        self.asked |= requests > 0;
        context.counters.requests.add(requests);
        context.counters.records.add(tally.events.into());
        if sent {
            context.counters.sent(tally);
        } else {
            self.begin_work(context).owed = tally;
        }
    }

    /// Keeps what the turn left: input that is not taken, answers that are not sent.
    fn settle<S: Stream>(
        &mut self,
        stream: &mut S,
        context: &mut Context,
        input: &mut Input<'_>,
        (start, at): (usize, usize),
        turned: &Turned,
    ) -> Next {
        let kept = match turned.progress {
            Progress::NeedInput(needed) => self.keep(context, input, at, needed, Pending::Nothing),
            Progress::Offload(needed) => {
                let seed = context.random.seed();
                self.keep(context, input, at, needed, Pending::Offload(needed, seed))
            }
            Progress::NeedOutput | Progress::Skip(_) => {
                self.keep(context, input, at, Needed::default(), Pending::Input)
            }
            Progress::Close(ending) => {
                self.close_after(context, ending, turned.tally.refused > 0);
                Ok(())
            }
        };
        let held = kept.and_then(|()| self.hold(context, input, start, turned));
        if !self.produces {
            self.since = context.now;
        }
        if let Input::Own(buffer) = input {
            let lease = self.work.as_mut().and_then(|work| work.lease.as_mut());
            context.recycle(std::mem::take(buffer), lease);
        }
        if held.is_err() {
            return self.give_up(stream, context);
        }
        self.settle_account(context);
        Next::Wait
    }

    /// Keeps the input from `at` on, of a request that needs so much; `pending` says what is to be done with it.
    fn keep(
        &mut self,
        context: &mut Context,
        input: &mut Input<'_>,
        at: usize,
        needed: Needed,
        pending: Pending,
    ) -> io::Result<()> {
        if at == input.len() && self.work.is_none() {
            return Ok(());
        }
        let capacity = if needed.request_len > ASIDE { needed.request_len } else { 0 };
        let kept = match input {
            Input::Own(buffer) if at == 0 && buffer.capacity() >= capacity => std::mem::take(buffer),
            _ => context.buffer(&input.bytes()[at..], capacity)?,
        };
        let now = context.now;
        let work = self.begin_work(context);
        let goes_on = at == 0 && work.received > 0;
        if !goes_on {
            work.request.begun = now;
            work.received = kept.len() as u64;
        }
        let is_pending = !kept.is_empty() || work.skip == Some(0);
        work.pending = if is_pending { pending } else { Pending::Nothing };
        work.needed = needed;
        work.input = kept;
        Ok(())
    }

    /// Holds the answers that were not sent; those in a buffer of their own stay where they are.
    fn hold(&mut self, context: &Context, input: &mut Input<'_>, start: usize, turned: &Turned) -> io::Result<()> {
        if turned.all_sent() {
            return Ok(());
        }
        let (placed, spilled) = turned.unsent.clone();
        let placed = placed.start + start..placed.end + start;
        let output = match input {
            Input::Own(buffer) if spilled.is_empty() => Output::new(std::mem::take(buffer), placed),
            _ => Output::copied([&input.bytes()[placed], &context.spill.as_slice()[spilled]])?,
        };
        let now = context.now;
        self.begin_work(context).begin_output(output, now);
        Ok(())
    }

    /// Hands the request at the front of the kept input to a heavy thread, if there is memory for its answer.
    fn start_heavy<S: Stream>(&mut self, stream: &mut S, context: &mut Context, needed: Needed, seed: u64) -> Next {
        let whole = needed.memory();
        let work = self.begin_work(context);
        if !work.lease(&context.budget).ensure(whole, whole) {
            work.pending = Pending::Offload(needed, seed);
            return self.starve(stream, context, whole, whole);
        }
        let Ok(input) = work.split_request(needed.request_len) else { return self.give_up(stream, context) };
        let (Some(lease), Some(protocol)) = (work.lease.take(), self.protocol.take()) else {
            return Next::Close(CloseReason::Failed);
        };
        self.state = State::Working;
        self.asked = true;
        context.counters.requests.add(1);
        let limits = request_limits(&context.limits, &context.budget);
        let notes = log_enabled!(Level::Info);
        let cancel = Cancel::default();
        Next::Heavy(Box::new(Job { protocol, input, needed, seed, lease, limits, notes, cancel }))
    }

    /// Takes no more input; closes when all is sent. An input that ended in what had to be `refused` was cut short.
    pub(super) fn close_after(&mut self, context: &mut Context, ending: CloseCause, refused: bool) {
        self.state = State::Closing(match ending {
            CloseCause::Complete if self.ended && refused => CloseReason::Truncated,
            CloseCause::Complete if self.ended => CloseReason::Finished,
            CloseCause::Complete => CloseReason::Served,
            CloseCause::ProtocolError(how) => {
                info!("{}: {how}", self.label());
                CloseReason::Violation
            }
        });
        if let Some(work) = &mut self.work {
            context.recycle(std::mem::take(&mut work.input), work.lease.as_mut());
            work.pending = Pending::Nothing;
            work.skip = None;
        }
    }
}
