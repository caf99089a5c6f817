//! Large input of a protocol that does not look at it: dropped or sent back in the kernel, without a copy.
//!
//! A connection begins to do that after a large read. Where input is sent back, a small message ends it again, because two
//! copies of few bytes cost less than two calls of splice(2).

use std::io::{self, ErrorKind};

use log::{Level, log_enabled};

use super::context::{Context, MAX_SEND_BACK};
use super::in_flight::Output;
use super::memory::Buffer;
use super::read::ReadOutcome;
use super::state::{Connection, Phase, State};
use super::stream::Stream;
use crate::protocol::{Passthrough, RequestCounts};

/// The least bytes of one read after which the next input is not read. Chosen without tuning: half a packet of the
/// loopback interface.
const BULK: usize = 32 * 1024;

/// The most bytes that are dropped at one wake-up. Derived: that takes some 23 us of CPU (row "one way", `discard`, of
/// `docs/performance.md`), about as long as one read of what is transformed and its reply.
const MAX_DISCARD: usize = 1024 * 1024;

/// One request, without an error.
const ANSWERED: RequestCounts = RequestCounts { answered: 1, refused: 0, events: 0 };

impl Connection {
    /// Notes that one read has returned `length` bytes: whether more of such size is worth not reading.
    #[inline]
    pub(super) fn note_read(&mut self, length: usize) {
        if length >= BULK && self.passthrough().is_some() {
            self.set_passes_bulk(true);
        }
    }

    /// Whether the next input is sent back by the stream, if that can do so: the caller may prepare it for that. Not
    /// while memory is short, as what the client does not take counts in full.
    #[must_use]
    #[inline]
    pub fn wants_send_back(&self, context: &Context) -> bool {
        self.passes_unseen() && self.passthrough() == Some(Passthrough::Echo) && context.budget.has_slack()
    }

    /// Whether input is large, and the log need not show it: at `-vv` it is read.
    #[inline]
    fn passes_unseen(&self) -> bool {
        self.passes_bulk() && !log_enabled!(Level::Debug)
    }

    #[inline]
    pub(super) fn passes_bulk(&self) -> bool {
        matches!(self.state, State::Idle { passes_bulk: true, .. })
    }

    fn set_passes_bulk(&mut self, value: bool) {
        if let State::Idle { passes_bulk, .. } = &mut self.state {
            *passes_bulk = value;
        }
    }

    fn passthrough(&self) -> Option<Passthrough> {
        self.protocol.as_ref().and_then(|protocol| protocol.passthrough())
    }

    /// Takes input without reading it, where the stream can do that, the log need not show it, and it is large.
    #[inline]
    pub(super) fn take_unread<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Option<ReadOutcome> {
        match self.state {
            State::Idle { passes_bulk: true, .. } => self.pass(stream, context),
            State::Busy(Phase::Skipping(_), _) => self.discard_skipped(stream, context),
            _ => None,
        }
    }

    // not inlined: that would make every call of the driver longer
    #[inline(never)]
    fn pass<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Option<ReadOutcome> {
        if !self.passes_unseen() {
            return None;
        }
        match self.passthrough()? {
            Passthrough::Echo if context.budget.has_slack() => self.send_back(stream, context),
            Passthrough::Echo => None,
            Passthrough::Discard => {
                let outcome = match stream.discard(MAX_DISCARD)? {
                    Ok(0) => ReadOutcome::EndOfInput,
                    Ok(length) => {
                        self.on_passed(context, length);
                        // of whatever size it is: to drop it costs less than to read it
                        self.set_passes_bulk(true);
                        ReadOutcome::Passed
                    }
                    Err(error) => ReadOutcome::of_error(&error),
                };
                Some(outcome)
            }
        }
    }

    fn send_back<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Option<ReadOutcome> {
        let sent_back = match stream.send_back(MAX_SEND_BACK.min(context.write_left))? {
            Ok(sent_back) if sent_back.received > 0 => sent_back,
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Some(ReadOutcome::of_error(&error)),
            // splice(2) stops before urgent data for ever, which is no end of the input: a read skips it
            _ => {
                self.set_passes_bulk(false);
                return None;
            }
        };
        self.on_passed(context, sent_back.received);
        self.count_requests(context, ANSWERED);
        self.on_sent(context, sent_back.sent);
        let held = sent_back.received - sent_back.sent;
        if held == 0 {
            context.on_replied(ANSWERED, None);
            return Some(ReadOutcome::Passed);
        }
        let now = context.now;
        let in_flight = self.start_request(now);
        in_flight.passes_bulk = sent_back.received >= BULK;
        in_flight.pending_replies = ANSWERED;
        in_flight.begun = Some(context.woken);
        in_flight.queue_output(Output::in_stream(held), now);
        in_flight.sent += sent_back.sent as u64;
        in_flight.update_charge(&context.budget);
        Some(ReadOutcome::PassedInPart)
    }

    fn on_passed(&mut self, context: &mut Context, length: usize) {
        if let State::Idle { since, passes_bulk } = &mut self.state {
            (*since, *passes_bulk) = (context.now, length >= BULK);
        }
        self.traffic.received(&context.counters, length);
        self.log_accepted();
    }

    /// Takes over what the stream holds of its replies: before it is [saved](Connection::save), or the stream changes.
    ///
    /// # Errors
    /// When there is no memory, or the stream has failed: then it must be closed.
    pub fn take_held<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> io::Result<()> {
        let State::Busy(_, in_flight) = &mut self.state else { return Ok(()) };
        let Some(held) = in_flight.output.held() else { return Ok(()) };
        let mut buffer = Buffer::with_capacity(held)?;
        while buffer.len() < held {
            let missing = held - buffer.len();
            let length = stream.take_held(&mut buffer.unfilled_mut()[..missing])?;
            buffer.advance(length);
        }
        in_flight.output = Output::new(buffer, 0..held);
        in_flight.update_charge(&context.budget);
        Ok(())
    }
}
