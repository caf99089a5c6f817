//! What a connection holds only while something is unfinished: input, output, and what is charged for them.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::memory::budget::{Budget, Lease};
use super::memory::buffer::{Buffer, Retired};
use super::{ASIDE, Context, Limits, NEVER};
use crate::protocol::{Needed, RequestCounts};

/// More bytes than the end of a text that is hardly ever left to be prepared with what comes next.
const UNSETTLED: usize = 4 * 1024;

/// How far a client may be behind `--min-rate`, and for how long others must have waited for memory, in milliseconds: time
/// for a TCP window that was closed to open again; chosen without tuning.
const MIN_RATE_GRACE: u64 = 5_000;

/// When in that time it is first looked how much the client has taken, in milliseconds; chosen so that most of it is
/// judged, and short waits cost nothing.
const MIN_RATE_LOOK: u64 = 1_000;

/// What is to be done with kept input before more is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pending {
    /// Nothing: more has to arrive.
    #[default]
    Nothing,
    /// The protocol is to look at it.
    Input,
    /// The request at its start needs this much, and is for a heavy thread, with this random seed.
    Offload(Needed, u64),
}

/// How far a client is behind a rate of bytes a second that it has to keep.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// From when on its time counts, in milliseconds.
    pub(super) begun: u64,
    /// What has not put that off yet, in bytes times 1000: less than a millisecond's worth.
    uncredited: u64,
}

impl Pace {
    /// Bytes have moved. At the rate they put off the beginning, never by more than what has passed since: a client that
    /// moves much at first may not rest on it afterwards, with all that it holds.
    ///
    /// Without a rate (0) whatever moves is enough.
    pub(super) fn advance(&mut self, bytes: usize, now: u64, rate: u64) {
        let credit = self.uncredited + bytes as u64 * 1000;
        self.begun = credit.checked_div(rate).map_or(now, |time| (self.begun + time).min(now));
        self.uncredited = credit.checked_rem(rate).unwrap_or(0);
    }
}

/// The unfinished part of a connection.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Input that is not taken yet: the start of a request, or (`pending`) what has not been looked at.
    pub(super) input: Buffer,
    /// What the request at the start of `input` needs.
    pub(super) needed: Needed,
    /// What is to be done with `input` before more is read.
    pub(super) pending: Pending,
    /// So many bytes are to be dropped unseen; `Some(0)`: they have been, and the protocol is to be told.
    pub(super) skip: Option<u64>,
    /// Answers that the client has not taken yet.
    pub(super) output: Output,
    /// The requests that `output` answers.
    pub(super) owed: RequestCounts,
    /// What is charged to the budget.
    pub(super) lease: Option<Lease>,
    /// The time of the request that is arriving.
    pub(super) request: Pace,
    /// Bytes of it that have arrived.
    pub(super) received: u64,
    /// The time of `output`, while others wait for memory.
    reply: Pace,
    /// Bytes of answers that were sent.
    pub(super) sent: u64,
    /// Those of them that the client had taken at the last look, but for a constant; none before the first.
    taken: Option<u64>,
    /// When the client last took a part of `output`, in milliseconds.
    pub(super) progress: u64,
}

impl Work {
    /// Nothing yet, from this time on.
    pub(super) fn begun(now: u64) -> Self {
        Self { request: Pace { begun: now, uncredited: 0 }, ..Self::default() }
    }

    /// Its memory, and what is charged for it.
    pub(super) fn retire(self) -> Retired {
        Retired::new(vec![self.input, self.output.buffer], self.lease)
    }

    /// Answers are to be sent from now on.
    pub(super) fn begin_output(&mut self, output: Output, now: u64) {
        self.output = output;
        self.progress = now;
        self.reply = Pace { begun: now, uncredited: 0 };
        self.taken = None;
    }

    /// Whether nothing is left of it.
    pub(super) fn is_over(&self) -> bool {
        self.input.is_empty() && self.output.is_empty() && self.skip.is_none()
    }

    /// Whether the next read goes straight into `input`.
    pub(super) fn reads_directly(&self) -> bool {
        !self.input.is_empty() && self.needed.request_len > ASIDE
    }

    /// Whether what has arrived is prepared, but for an end that depends on what comes next.
    pub(super) fn keeps_up(&self) -> bool {
        self.needed.preprocessed > 0 && self.input.len() - self.needed.preprocessed < UNSETTLED
    }

    /// Makes room in `input` for the whole request: pages cost nothing before something arrives in them.
    pub(super) fn make_room(&mut self, context: &mut Context) -> io::Result<()> {
        if self.input.capacity() < self.needed.request_len {
            let larger = context.buffer(self.input.held(), self.needed.request_len)?;
            let smaller = std::mem::replace(&mut self.input, larger);
            context.recycle(smaller, self.lease.as_mut());
        }
        Ok(())
    }

    /// The room for what is still to come of this request.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let missing = self.needed.request_len.saturating_sub(self.input.len());
        let spare = self.input.spare();
        let end = missing.min(spare.len());
        &mut spare[..end]
    }

    /// Takes the first `length` bytes of `input` out as a buffer of their own; the rest is to be looked at again.
    pub(super) fn split_request(&mut self, length: usize) -> io::Result<Buffer> {
        let mut whole = std::mem::take(&mut self.input);
        self.needed = Needed::default();
        if whole.len() == length {
            return Ok(whole);
        }
        self.pending = Pending::Input;
        let held = whole.held();
        self.input = Buffer::holding([&held[length..], &[]], 0)?;
        Buffer::holding([&held[..length], &[]], 0)
    }

    /// Bytes of the request have arrived.
    pub(super) fn arrived(&mut self, bytes: usize, now: u64) {
        self.received += bytes as u64;
        self.request.advance(bytes, now, Limits::REQUEST_RATE);
    }

    /// When the request under way must be complete.
    pub(super) fn request_deadline(&self, limits: &Limits) -> u64 {
        if limits.request == NEVER {
            return NEVER;
        }
        self.request.begun + limits.request
    }

    /// When the client is too far behind `--min-rate` with its answer, while others wait for the memory that it holds.
    pub(super) fn min_rate_deadline(&self, context: &Context) -> u64 {
        match context.contended_since {
            Some(since) if context.limits.min_rate > 0 && self.leased() > 0 => {
                self.reply.begun.max(since) + if self.taken.is_none() { MIN_RATE_LOOK } else { MIN_RATE_GRACE }
            }
            _ => NEVER,
        }
    }

    /// Credits what the client has taken since the last look; `left` bytes of what was sent are unacknowledged. What was sent
    /// is no measure: the kernel takes megabytes at once, and then nothing until the client has taken a third of them.
    pub(super) fn judge_pace(&mut self, left: u32, context: &Context) {
        let now = context.now;
        // what was sent before this counter began may be left, too: the constant keeps the difference positive
        let taken = self.sent + u64::from(u32::MAX - left);
        match self.taken.replace(taken) {
            None => self.reply = Pace { begun: now.saturating_sub(MIN_RATE_LOOK), uncredited: 0 },
            Some(before) => {
                // time in which nobody waited for memory does not count
                self.reply.begun = self.reply.begun.max(context.contended_since.unwrap_or(now));
                let taken = usize::try_from(taken.saturating_sub(before)).unwrap_or(usize::MAX);
                self.reply.advance(taken, now, context.limits.min_rate);
            }
        }
    }

    pub(super) fn lease(&mut self, budget: &Arc<Budget>) -> &mut Lease {
        self.lease.get_or_insert_with(|| Lease::new(budget))
    }

    pub(super) fn leased(&self) -> usize {
        self.lease.as_ref().map_or(0, Lease::held)
    }
}

/// Answers on their way out.
#[derive(Debug, Default)]
pub struct Output {
    buffer: Buffer,
    unsent: Range<usize>,
}

impl Output {
    /// The answers at `unsent` in `buffer`.
    pub(super) fn new(buffer: Buffer, unsent: Range<usize>) -> Self {
        Self { buffer, unsent }
    }

    /// The answers that a turn has left in its input, at `placed`, and in all that `spill` holds; and the buffers that
    /// they are not in.
    ///
    /// # Errors
    /// When there is no memory to bring the two together; both buffers.
    pub(super) fn of_turn(
        input: Buffer,
        placed: Range<usize>,
        spill: Buffer,
    ) -> Result<(Self, Vec<Buffer>), (io::Error, Vec<Buffer>)> {
        if spill.is_empty() {
            return Ok((Self::new(input, placed), vec![spill]));
        }
        if placed.is_empty() {
            let spilled = 0..spill.len();
            return Ok((Self::new(spill, spilled), vec![input]));
        }
        match Self::copied([&input.as_slice()[placed], spill.as_slice()]) {
            Ok(output) => Ok((output, vec![input, spill])),
            Err(error) => Err((error, vec![input, spill])),
        }
    }

    /// The buffer that holds them.
    pub(super) fn into_buffer(self) -> Buffer {
        self.buffer
    }

    /// Answers from elsewhere, copied.
    pub(super) fn copied(parts: [&[u8]; 2]) -> io::Result<Self> {
        let buffer = Buffer::holding(parts, 0)?;
        let unsent = 0..buffer.len();
        Ok(Self { buffer, unsent })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsent.is_empty()
    }

    /// The memory that it takes, in bytes.
    pub(super) fn footprint(&self) -> usize {
        self.buffer.footprint()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer.as_slice()[self.unsent.clone()]
    }

    /// The first `n` bytes are sent. With the last of them the memory is free.
    pub(super) fn advance(&mut self, n: usize) -> Option<Buffer> {
        self.unsent.start += n;
        self.unsent.is_empty().then(|| std::mem::take(self).buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1000;
    const LIMITS: Limits =
        Limits { message: 1 << 27, idle: NEVER, request: 30 * SECOND, write: NEVER, line: 1 << 16, min_rate: 0 };

    /// The deadline of a request after `arrivals`: each a time in milliseconds, and the bytes that arrive then.
    fn deadline(arrivals: impl IntoIterator<Item = (u64, usize)>) -> u64 {
        let mut work = Work::default();
        for (now, bytes) in arrivals {
            assert!(now < work.request_deadline(&LIMITS), "over at {}", work.request_deadline(&LIMITS));
            work.arrived(bytes, now);
        }
        work.request_deadline(&LIMITS)
    }

    #[test]
    fn what_arrives_at_a_fair_rate_goes_on() {
        let rate = Limits::REQUEST_RATE as usize;
        let hour = 3600;
        assert_eq!(deadline((1..hour).map(|second| (second * SECOND, rate))), (hour + 29) * SECOND);
        // in pieces that are worth less than a millisecond each
        assert_eq!(deadline((1..40_000).map(|now| (now, 17))), 69_999);
    }

    #[test]
    fn a_request_keeps_up_while_only_a_short_end_is_not_prepared() {
        for (arrived, prepared, expect) in
            [(100, 0, false), (100, 100, true), (9000, 9001 - UNSETTLED, true), (9000, 9000 - UNSETTLED, false)]
        {
            let needed = Needed { preprocessed: prepared, ..Needed::default() };
            let work = Work { input: Buffer::zeroed(arrived).expect("memory"), needed, ..Work::default() };
            assert_eq!(work.keeps_up(), expect, "{prepared} of {arrived}");
        }
    }

    #[test]
    fn too_slow_is_over_soon() {
        let rate = Limits::REQUEST_RATE as usize;
        assert_eq!(deadline((1..30).map(|second| (second * SECOND, 1))), 30 * SECOND + 1);
        assert_eq!(deadline((1..59).map(|second| (second * SECOND, rate / 2))), 59 * SECOND);
    }

    #[test]
    fn nobody_rests_on_what_was_sent_before() {
        assert_eq!(deadline([(SECOND, 100 << 20)]), 31 * SECOND);
        let trickle = (2..31).map(|second| (second * SECOND, 100));
        assert!(deadline([(SECOND, 100 << 20)].into_iter().chain(trickle)) < 32 * SECOND);
    }
}
