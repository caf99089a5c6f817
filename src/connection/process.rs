//! Processing: one call of the protocol over input, and what is kept of it.

use std::io;
use std::ops::Range;
use std::time::Instant;

use log::{Level, log_enabled};

use super::close_reason::CloseReason;
use super::context::{Context, REPLY_BUF_SIZE, SCARCE_REPLY_BUF_SIZE, SMALL_REQUEST};
use super::in_flight::Output;
use super::memory::Buffer;
use super::state::{Connection, State};
use crate::protocol::{CallContext, CloseCause, Exchange, Needed, Progress, Protocol, RequestCounts};

/// The method of the protocol that is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// [`Protocol::open`], then [`Protocol::process`] over what has arrived already.
    Open,
    /// [`Protocol::process`].
    Process,
    /// [`Protocol::on_skipped`], then [`Protocol::process`].
    Skipped,
    /// [`Protocol::on_eof`].
    Eof,
}

impl Call {
    #[inline]
    fn dispatch(
        self,
        protocol: &mut dyn Protocol,
        exchange: &mut Exchange<'_>,
        context: &mut CallContext<'_>,
    ) -> Progress {
        match self {
            Self::Open => match protocol.open(exchange, context) {
                Progress::NeedInput(_) if !exchange.input().is_empty() => protocol.process(exchange, context),
                progress => progress,
            },
            Self::Process => protocol.process(exchange, context),
            Self::Skipped => {
                protocol.on_skipped(exchange, context);
                protocol.process(exchange, context)
            }
            Self::Eof => Progress::Close(protocol.on_eof(exchange, context)),
        }
    }
}

/// Where the input of a batch is.
pub(super) enum Input {
    /// The first bytes of the worker's read buffer, this number of them.
    Shared(usize),
    /// A buffer of its own.
    Own(Buffer),
}

/// Input on its way through the protocol.
pub(super) struct Batch {
    input: Input,
    /// Bytes at the front that are consumed.
    consumed: usize,
}

impl Batch {
    pub(super) fn new(input: Input) -> Self {
        Self { input, consumed: 0 }
    }

    /// No input.
    pub(super) fn empty() -> Self {
        Self::new(Input::Shared(0))
    }

    /// These bytes, in the worker's read buffer.
    pub(super) fn of(bytes: &[u8], context: &mut Context) -> Self {
        context.read_buf.filled_mut()[..bytes.len()].copy_from_slice(bytes);
        Self::new(Input::Shared(bytes.len()))
    }

    /// Bytes that are not consumed.
    pub(super) fn left(&self) -> usize {
        let length = match &self.input {
            Input::Shared(length) => *length,
            Input::Own(buffer) => buffer.len(),
        };
        length - self.consumed
    }

    /// Consumes `n` bytes.
    pub(super) fn consume(&mut self, n: usize) {
        self.consumed += n;
    }

    /// All of the input, consumed or not.
    fn bytes<'a>(&'a self, context: &'a Context) -> &'a [u8] {
        match &self.input {
            Input::Shared(length) => &context.read_buf.filled()[..*length],
            Input::Own(buffer) => buffer.filled(),
        }
    }

    /// The buffer that the batch has of its own, if any.
    pub(super) fn take_buffer(&mut self) -> Option<Buffer> {
        match &mut self.input {
            Input::Shared(_) => None,
            Input::Own(buffer) => Some(std::mem::take(buffer)),
        }
    }
}

/// The replies of one call that are not sent yet: first those in the batch's input, then those in the worker's reply
/// buffer.
#[derive(Clone, Debug, Default)]
pub(super) struct Replies {
    in_place: Range<usize>,
    copied: Range<usize>,
}

impl Replies {
    pub(super) fn is_empty(&self) -> bool {
        self.in_place.is_empty() && self.copied.is_empty()
    }

    /// Their bytes, in the order in which they are sent.
    pub(super) fn parts<'a>(&self, batch: &'a Batch, context: &'a Context) -> [&'a [u8]; 2] {
        [&batch.bytes(context)[self.in_place.clone()], &context.reply_buf.filled()[self.copied.clone()]]
    }

    /// The first `n` bytes are sent.
    pub(super) fn advance(&mut self, n: usize) {
        let in_place = n.min(self.in_place.len());
        self.in_place.start += in_place;
        self.copied.start += n - in_place;
    }
}

/// What one call of the protocol came to.
pub(super) struct CallOutcome {
    pub(super) progress: Progress,
    pub(super) counts: RequestCounts,
    pub(super) replies: Replies,
}

impl Connection {
    /// Calls the protocol once over the batch; consumes from it.
    #[allow(clippy::inline_always, reason = "measured: with `after_process`, 80 of 1612 instructions of a request")]
    #[inline(always)]
    pub(super) fn process(&mut self, context: &mut Context, batch: &mut Batch, call: Call) -> CallOutcome {
        let Some(protocol) = self.protocol.as_deref_mut() else {
            debug_assert!(false, "an offloaded connection has no input to process");
            let (counts, replies) = (RequestCounts::default(), Replies::default());
            return CallOutcome { progress: Progress::Close(CloseCause::Complete), counts, replies };
        };
        let started = log_enabled!(Level::Info).then(Instant::now);
        // it belongs to the request at the front: the next call of this batch is about another one
        let preprocessed = match &mut self.state {
            State::Busy(_, in_flight) => std::mem::take(&mut in_flight.needed.preprocessed),
            _ => 0,
        };
        let limits = context.limits.of_request(&context.budget);
        let capacity = if context.budget.is_exhausted() { SCARCE_REPLY_BUF_SIZE } else { REPLY_BUF_SIZE };
        let start = batch.consumed;
        let input = match &mut batch.input {
            Input::Shared(length) => &mut context.read_buf.filled_mut()[start..*length],
            Input::Own(buffer) => &mut buffer.filled_mut()[start..],
        };
        let mut exchange = Exchange::new(input, &mut context.reply_buf.filled_mut()[..capacity])
            .with_preprocessed(preprocessed)
            .with_log_events(started.is_some());
        let mut call_context =
            CallContext { random: &mut context.random, unix_time: context.unix_time, limits, may_block: false };
        let progress = call.dispatch(protocol, &mut exchange, &mut call_context);
        if let Some(started) = started {
            self.label.log_call(&mut exchange, started.elapsed());
        }
        let (in_place, copied) = exchange.reply_ranges();
        let counts = exchange.counts();
        batch.consumed += exchange.consumed();
        let replies = Replies { in_place: start + in_place.start..start + in_place.end, copied: 0..copied };
        self.count_requests(context, counts);
        CallOutcome { progress, counts, replies }
    }

    #[inline]
    pub(super) fn count_requests(&mut self, context: &Context, counts: RequestCounts) {
        let requests = u64::from(counts.answered) + u64::from(counts.refused);
        self.served_any |= requests > 0;
        self.traffic.requested(&context.counters, requests);
        context.counters.records.add(counts.events.into());
    }

    /// Keeps the input that the protocol left, of a request that needs `needed`. Starts a request if none is in
    /// progress.
    ///
    /// # Errors
    /// When the system has no memory.
    pub(super) fn save_input(&mut self, context: &mut Context, batch: &mut Batch, needed: Needed) -> io::Result<()> {
        let (continues, is_empty) = (batch.consumed == 0, batch.left() == 0);
        let capacity = if needed.request_len > SMALL_REQUEST { needed.request_len } else { 0 };
        let kept = match &mut batch.input {
            _ if is_empty => Buffer::default(),
            Input::Own(buffer) if continues && buffer.capacity() >= capacity => std::mem::take(buffer),
            Input::Own(buffer) => context.buffer(&buffer.filled()[batch.consumed..], capacity)?,
            Input::Shared(length) => {
                let read_buf = std::mem::take(&mut context.read_buf);
                let kept = context.buffer(&read_buf.filled()[batch.consumed..*length], capacity);
                context.read_buf = read_buf;
                kept?
            }
        };
        let now = context.now;
        self.start_request(now).save_input(kept, needed, continues, now);
        Ok(())
    }

    /// Keeps replies that were not sent; those in a buffer of the batch's own stay where they are.
    ///
    /// # Errors
    /// When the system has no memory.
    pub(super) fn save_replies(&mut self, context: &Context, batch: &mut Batch, replies: &Replies) -> io::Result<()> {
        let output = match &mut batch.input {
            Input::Own(buffer) if replies.copied.is_empty() => {
                Output::new(std::mem::take(buffer), replies.in_place.clone())
            }
            _ => Output::copied(replies.parts(batch, context))?,
        };
        let now = context.now;
        self.start_request(now).queue_output(output, now);
        Ok(())
    }

    /// The protocol takes no more input. Returns why the connection closes. A violation is logged, unless the request
    /// was `rejected` and is logged with the reason.
    pub(super) fn end_input(&mut self, context: &mut Context, cause: CloseCause, rejected: bool) -> CloseReason {
        if let State::Busy(_, in_flight) = &mut self.state {
            context.recycle(std::mem::take(&mut in_flight.input), in_flight.charge.as_mut());
        }
        match cause {
            CloseCause::Truncated => CloseReason::Truncated,
            CloseCause::Complete if self.read_closed => CloseReason::Finished,
            CloseCause::Complete => CloseReason::Served,
            CloseCause::ProtocolError(refusal) => {
                if !(rejected && log_enabled!(Level::Debug)) {
                    self.label.info(refusal);
                }
                CloseReason::Violation
            }
        }
    }

    /// Gives the buffer of a batch back to the pool, with what is charged for it.
    pub(super) fn recycle(&mut self, context: &mut Context, batch: &mut Batch) {
        if let Some(buffer) = batch.take_buffer() {
            let charge = match &mut self.state {
                State::Busy(_, in_flight) => in_flight.charge.as_mut(),
                _ => None,
            };
            context.recycle(buffer, charge);
        }
    }
}
