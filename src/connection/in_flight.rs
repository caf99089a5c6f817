//! The buffers, counts and timers of a request in progress and of its reply: only busy connections have them.

use std::io;
use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::context::{Context, MAX_SEND_BACK, SMALL_REQUEST, UNCHARGED_BYTES};
use super::limits::Limits;
use super::memory::{Budget, Buffer, Charge, Retired};
use super::millis::Millis;
use crate::protocol::{Needed, RequestCounts};

/// Upper bound on the tail, in bytes, that preprocessing leaves for the next read: a split code point, or a sigma that
/// needs context. Chosen without tuning: texts whose tail is longer hardly exist.
const MAX_UNPROCESSED_TAIL: usize = 4 * 1024;
/// How far a client may be behind `--min-rate`, and for how long others must have waited for memory. Chosen without
/// tuning: time for a TCP window that was closed to open again.
const MIN_RATE_GRACE: Millis = Millis::new(5_000);
/// When within [`MIN_RATE_GRACE`] the first look is taken at what the client has taken. Chosen so that most of that
/// time is judged, and that short waits for memory cost nothing.
const MIN_RATE_FIRST_LOOK: Millis = Millis::new(1_000);

/// The time of a transfer that has to keep a rate: bytes put its start off.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pace {
    /// The time from which the client is late, less the period that it is allowed.
    pub(super) start: Millis,
    /// Credit that is worth less than a millisecond, in bytes times 1000.
    remainder: u64,
}

impl Pace {
    pub(super) fn starting(start: Millis) -> Self {
        Self { start, remainder: 0 }
    }

    /// Whether a transfer at `rate` can have come to this.
    pub(super) fn is_possible(&self, rate: NonZero<u64>) -> bool {
        self.remainder < rate.get()
    }

    /// Puts the start off for `bytes` that have moved: at `rate` bytes a second, but never beyond `now`, so that a
    /// burst does not buy a long stall.
    pub(super) fn advance(&mut self, bytes: usize, now: Millis, rate: NonZero<u64>) {
        let credit = self.remainder + bytes as u64 * 1000;
        self.start = (self.start + Millis::new(credit / rate)).min(now);
        self.remainder = credit % rate;
    }
}

/// A request in progress, its reply, and the replies to the requests before it.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// Input that the protocol has not consumed: the start of a request, or input to process before more is read.
    pub(super) input: Buffer,
    /// What the request at the start of `input` needs.
    pub(super) needed: Needed,
    /// The random seed of the request at the start of `input`, if it is to be offloaded.
    pub(super) seed: u64,
    /// That request was offloaded, is counted, and was recalled from the thread pool.
    pub(super) is_recalled: bool,
    /// As in [`State::Idle`](super::state::State::Idle), which follows.
    pub(super) passes_bulk: bool,
    /// Replies that the client has not taken yet.
    pub(super) output: Output,
    /// The requests that `output` replies to.
    pub(super) pending_replies: RequestCounts,
    /// What is charged to the budget.
    pub(super) charge: Option<Charge>,
    /// The time of the request that is arriving.
    pub(super) request: Pace,
    /// When the wake-up began that read last from the client, in nanoseconds: it has read the rest of every complete
    /// request. `None` from a read until the call that processes its input ends.
    pub(super) begun: Option<u64>,
    /// Bytes of that request that have arrived.
    pub(super) received: u64,
    /// The time of `output`, while other connections wait for memory.
    reply: Pace,
    /// Bytes of replies that were sent.
    pub(super) sent: u64,
    /// Bytes of them that the client had taken at the last look, plus a constant; `None` before the first look.
    taken: Option<u64>,
    /// When the client last took a part of `output`.
    pub(super) last_write: Millis,
    /// When the connection began to wait for memory.
    pub(super) waiting_since: Millis,
}

impl InFlight {
    /// A request that starts now.
    pub(super) fn starting(now: Millis) -> Self {
        Self { request: Pace::starting(now), ..Self::default() }
    }

    /// Its memory, and what is charged for it.
    pub(super) fn retire(self) -> Retired {
        Retired::new(vec![self.input, self.output.buffer], self.charge)
    }

    /// Replies for requests that are not counted as answered yet.
    pub(super) fn unanswered(&self) -> u32 {
        self.pending_replies.answered + self.pending_replies.refused
    }

    /// Stores input that the protocol left; `continues` if all of it belongs to the request whose timer runs already.
    pub(super) fn save_input(&mut self, input: Buffer, needed: Needed, continues: bool, now: Millis) {
        if !continues || self.received == 0 {
            self.request.start = now;
            self.received = input.len() as u64;
        }
        self.input = input;
        self.needed = needed;
    }

    /// Stores replies that the client had no room for.
    pub(super) fn queue_output(&mut self, output: Output, now: Millis) {
        self.output = output;
        self.last_write = now;
        self.reply = Pace::starting(now);
        self.taken = None;
    }

    /// Whether the next read goes straight into `input`.
    pub(super) fn reads_directly(&self) -> bool {
        !self.input.is_empty() && self.needed.request_len > SMALL_REQUEST
    }

    /// Whether all input but a short tail is preprocessed.
    pub(super) fn is_preprocessed(&self) -> bool {
        self.needed.preprocessed > 0 && self.input.len() - self.needed.preprocessed < MAX_UNPROCESSED_TAIL
    }

    /// Gives `input` the capacity of the whole request. Pages cost nothing before bytes arrive in them.
    ///
    /// # Errors
    /// When the system has no memory.
    pub(super) fn reserve_request(&mut self, context: &mut Context) -> io::Result<()> {
        if self.input.capacity() < self.needed.request_len {
            let larger = context.buffer(self.input.filled(), self.needed.request_len)?;
            let smaller = std::mem::replace(&mut self.input, larger);
            context.recycle(smaller, self.charge.as_mut());
        }
        Ok(())
    }

    /// The free part of `input`, at most as long as what is missing of the request.
    pub(super) fn unfilled_request(&mut self) -> &mut [u8] {
        let missing = self.needed.request_len.saturating_sub(self.input.len());
        let unfilled = self.input.unfilled_mut();
        let end = missing.min(unfilled.len());
        &mut unfilled[..end]
    }

    /// Takes the first `length` bytes of `input` out, as a buffer of their own.
    ///
    /// # Errors
    /// When the system has no memory.
    pub(super) fn split_request(&mut self, length: usize) -> io::Result<Buffer> {
        let whole = std::mem::take(&mut self.input);
        self.needed = Needed::default();
        if whole.len() == length {
            return Ok(whole);
        }
        let (request, rest) = whole.filled().split_at(length);
        self.input = Buffer::with_contents([rest, &[]], 0)?;
        Buffer::with_contents([request, &[]], 0)
    }

    /// Bytes of the request have arrived.
    pub(super) fn on_received(&mut self, bytes: usize, now: Millis) {
        self.received += bytes as u64;
        self.request.advance(bytes, now, Limits::REQUEST_RATE);
    }

    /// Something waited for this server until `held`: the client's times begin there at the earliest.
    pub(super) fn excuse(&mut self, held: Millis) {
        self.request.start = held.max(self.request.start);
        self.last_write = held.max(self.last_write);
        if self.reply.start < held {
            // what the client took before says nothing about its pace
            self.reply = Pace::starting(held);
            self.taken = None;
        }
    }

    /// When the request in progress must be complete.
    pub(super) fn request_deadline(&self, limits: &Limits) -> Millis {
        self.request.start.after(limits.request)
    }

    /// When the client is too far behind `--min-rate` with its reply, while others wait for the memory that it holds.
    pub(super) fn min_rate_deadline(&self, context: &Context) -> Millis {
        match context.contended_since {
            Some(since) if context.limits.min_rate.is_some() && self.charged() > 0 => {
                self.reply.start.max(since) + if self.taken.is_none() { MIN_RATE_FIRST_LOOK } else { MIN_RATE_GRACE }
            }
            _ => Millis::NEVER,
        }
    }

    /// Credits what the client has taken since the last look, given that `unacknowledged` bytes were sent and not
    /// taken. What was sent is no measure: the kernel takes megabytes at once, and then nothing until the client has
    /// taken a third of them.
    pub(super) fn judge_pace(&mut self, unacknowledged: u32, context: &Context) {
        let Some(rate) = context.limits.min_rate else { return };
        let now = context.now;
        // bytes that were sent before this counter began may be unacknowledged, too: the constant keeps this positive
        let taken = self.sent + u64::from(u32::MAX - unacknowledged);
        match self.taken.replace(taken) {
            None => self.reply = Pace::starting(now - MIN_RATE_FIRST_LOOK),
            Some(before) => {
                // time in which no connection waited for memory does not count
                self.reply.start = self.reply.start.max(context.contended_since.unwrap_or(now));
                let taken = usize::try_from(taken.saturating_sub(before)).unwrap_or(usize::MAX);
                self.reply.advance(taken, now, rate);
            }
        }
    }

    /// Charges what is held; while a request is arriving, what is charged already is kept up to what all of it needs.
    pub(super) fn update_charge(&mut self, budget: &Arc<Budget>) {
        let if_large = |bytes: usize| if bytes > UNCHARGED_BYTES { bytes } else { 0 };
        let held = if_large(self.input.resident() + self.output.resident());
        let most = held.max(if_large(self.needed.memory()));
        let charged = self.charged();
        if !(held..=most).contains(&charged) {
            self.charge(budget).set_unchecked(charged.clamp(held, most));
        }
    }

    pub(super) fn charge(&mut self, budget: &Arc<Budget>) -> &mut Charge {
        self.charge.get_or_insert_with(|| Charge::new(budget))
    }

    fn charged(&self) -> usize {
        self.charge.as_ref().map_or(0, Charge::bytes)
    }
}

/// Replies on their way to the client.
#[derive(Debug, Default)]
pub struct Output {
    buffer: Buffer,
    unsent: Range<usize>,
    /// Bytes that the stream holds ([`Stream::send_back`](super::stream::Stream::send_back)); there are no others then.
    held: usize,
}

impl Output {
    /// The replies at `unsent` in `buffer`.
    pub(super) fn new(buffer: Buffer, unsent: Range<usize>) -> Self {
        Self { buffer, unsent, held: 0 }
    }

    /// Replies of `held` bytes that the stream holds.
    pub(super) fn in_stream(held: usize) -> Self {
        Self { held, ..Self::default() }
    }

    /// The number of bytes that the stream holds; `None` if the replies are in a buffer.
    pub(super) fn held(&self) -> Option<usize> {
        (self.held > 0).then_some(self.held)
    }

    /// The replies of one call: at `in_place` in its input, followed by all of `reply_buf`. Returns the buffers that
    /// they do not need, too.
    ///
    /// # Errors
    /// When there is no memory to bring the two together: both buffers.
    pub(super) fn of_call(
        input: Buffer,
        in_place: Range<usize>,
        reply_buf: Buffer,
    ) -> Result<(Self, Vec<Buffer>), (io::Error, Vec<Buffer>)> {
        if reply_buf.is_empty() {
            return Ok((Self::new(input, in_place), vec![reply_buf]));
        }
        if in_place.is_empty() {
            let all = 0..reply_buf.len();
            return Ok((Self::new(reply_buf, all), vec![input]));
        }
        match Self::copied([&input.filled()[in_place], reply_buf.filled()]) {
            Ok(output) => Ok((output, vec![input, reply_buf])),
            Err(error) => Err((error, vec![input, reply_buf])),
        }
    }

    /// A copy of replies from elsewhere.
    ///
    /// # Errors
    /// When the system has no memory.
    pub(super) fn copied(parts: [&[u8]; 2]) -> io::Result<Self> {
        let buffer = Buffer::with_contents(parts, 0)?;
        let unsent = 0..buffer.len();
        Ok(Self::new(buffer, unsent))
    }

    pub(super) fn into_buffer(self) -> Buffer {
        self.buffer
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsent.is_empty() && self.held == 0
    }

    /// Resident memory, in bytes; what the stream holds counts as all that it can hold, because a few bytes may occupy
    /// as many pages.
    pub(super) fn resident(&self) -> usize {
        self.buffer.resident() + if self.held > 0 { MAX_SEND_BACK } else { 0 }
    }

    /// The replies that are not sent yet, unless the stream holds them.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.buffer.filled()[self.unsent.clone()]
    }

    /// The first `n` bytes are sent. Returns the buffer when they were the last.
    pub(super) fn advance(&mut self, n: usize) -> Option<Buffer> {
        if self.held > 0 {
            self.held -= n;
            return None;
        }
        self.unsent.start += n;
        self.unsent.is_empty().then(|| std::mem::take(self).buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1000;
    const LIMITS: Limits = Limits {
        message: 1 << 27,
        idle: None,
        request: Some(Millis::new(30 * SECOND)),
        write: None,
        line: Some(1 << 16),
        min_rate: None,
    };

    /// The deadline, in milliseconds, of a request after `arrivals`: each a time in milliseconds, and the bytes that
    /// arrive then.
    fn deadline(arrivals: impl IntoIterator<Item = (u64, usize)>) -> u64 {
        let mut in_flight = InFlight::default();
        for (now, bytes) in arrivals {
            let deadline = in_flight.request_deadline(&LIMITS).get();
            assert!(now < deadline, "timed out at {deadline} ms");
            in_flight.on_received(bytes, Millis::new(now));
        }
        in_flight.request_deadline(&LIMITS).get()
    }

    #[test]
    fn request_at_the_fair_rate_does_not_time_out() {
        let rate = Limits::REQUEST_RATE.get() as usize;
        let hour = 3600;
        assert_eq!(deadline((1..hour).map(|second| (second * SECOND, rate))), (hour + 29) * SECOND);
        // in pieces that are worth less than a millisecond each
        assert_eq!(deadline((1..40_000).map(|now| (now, 17))), 69_999);
    }

    #[test]
    fn request_is_preprocessed_while_its_tail_is_short() {
        for (arrived, preprocessed, expect) in [
            (100, 0, false),
            (100, 100, true),
            (9000, 9001 - MAX_UNPROCESSED_TAIL, true),
            (9000, 9000 - MAX_UNPROCESSED_TAIL, false),
        ] {
            let needed = Needed { preprocessed, ..Needed::default() };
            let in_flight = InFlight { input: Buffer::zeroed(arrived).expect("memory"), needed, ..InFlight::default() };
            assert_eq!(in_flight.is_preprocessed(), expect, "{preprocessed} of {arrived}");
        }
    }

    #[test]
    fn slow_request_times_out() {
        let rate = Limits::REQUEST_RATE.get() as usize;
        assert_eq!(deadline((1..30).map(|second| (second * SECOND, 1))), 30 * SECOND + 1);
        assert_eq!(deadline((1..59).map(|second| (second * SECOND, rate / 2))), 59 * SECOND);
    }

    #[test]
    fn burst_does_not_buy_a_long_stall() {
        assert_eq!(deadline([(SECOND, 100 << 20)]), 31 * SECOND);
        let trickle = (2..31).map(|second| (second * SECOND, 100));
        assert!(deadline([(SECOND, 100 << 20)].into_iter().chain(trickle)) < 32 * SECOND);
    }
}
