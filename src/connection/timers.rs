//! Timers: when a connection is to be looked at although nothing has happened, and what that look does.
//!
//! A timer closes with a reason or lets the connection continue. Waiting for the client counts from what the client's
//! kernel has acknowledged, not from what our kernel has taken: that may be megabytes more.

use super::close_reason::CloseReason;
use super::context::Context;
use super::limits::Limits;
use super::millis::Millis;
use super::state::{Connection, Phase, State};
use super::stream::Stream;

/// While replies wait, the unacknowledged bytes are first read after the write timeout divided by this number, so that
/// a later look can tell whether the client has taken any. A client is then closed between one and two timeouts after
/// it took the last byte, and a client that never reads after 1.25 timeouts. Chosen without tuning.
const FIRST_LOOK_DIVISOR: u64 = 4;
/// The result of a look at a stream that cannot tell its unacknowledged bytes: there only what send(2) takes counts.
const UNKNOWN: u32 = u32::MAX;

/// What a timer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Nothing: there is none.
    None,
    /// Closes, unless the client has taken some of the replies.
    Write,
    /// Closes, unless the client takes the replies fast enough for those that wait for memory.
    MinRate,
    /// Closes for this reason, unless the client is still taking the last reply.
    Expire(CloseReason),
    /// Closes for this reason: nothing was sent.
    Close(CloseReason),
    /// Looks whether a lingering client has everything.
    Linger,
}

/// What the caller does after a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimerOutcome {
    /// The connection continues.
    Continue,
    /// Close when the client has what was sent.
    Close(CloseReason),
    /// Close now: the client takes nothing, or nothing was sent.
    CloseNow(CloseReason),
}

impl Connection {
    /// When the wake-up began that read the requests in hand; `None` if it is this one.
    #[inline]
    pub(super) fn begun(&self) -> Option<u64> {
        if let State::Busy(_, in_flight) = &self.state { in_flight.begun } else { None }
    }

    /// When to call [`Connection::expire`] if nothing happens before; [`Millis::NEVER`] without a timer.
    #[must_use]
    pub fn deadline(&self, context: &Context) -> Millis {
        self.timer(context).0
    }

    /// The state's timer: when it is due, and what it does.
    pub(super) fn timer(&self, context: &Context) -> (Millis, Timer) {
        let limits = &context.limits;
        match &self.state {
            State::Handshake(handshake) => (handshake.deadline, Timer::Close(CloseReason::ProxyTimeout)),
            State::Idle { since, .. } => (since.after(limits.idle), Timer::Expire(CloseReason::IdleTimeout)),
            State::Busy(Phase::Receiving | Phase::Skipping(_), in_flight) => {
                (in_flight.request_deadline(limits), Timer::Expire(CloseReason::RequestTimeout))
            }
            State::Busy(Phase::Replying(_), in_flight) => {
                let stalled = self.write_deadline(in_flight.last_write, limits);
                let slow = in_flight.min_rate_deadline(context);
                if slow < stalled { (slow, Timer::MinRate) } else { (stalled, Timer::Write) }
            }
            State::Busy(Phase::WaitingForMemory(_) | Phase::Offloaded, _) => (Millis::NEVER, Timer::None),
            State::Generating { last_write } => (self.write_deadline(*last_write, limits), Timer::Write),
            State::Lingering { next_look, .. } => (*next_look, Timer::Linger),
        }
    }

    /// When to look at a client that has taken nothing since `last_write`.
    fn write_deadline(&self, last_write: Millis, limits: &Limits) -> Millis {
        let has_looked = self.unacknowledged > 0;
        last_write.after(limits.write.map(|limit| if has_looked { limit } else { limit / FIRST_LOOK_DIVISOR }))
    }

    /// Does what the state's timer does, if it is due.
    pub(super) fn run_timer<S: Stream>(&mut self, stream: &S, context: &Context) -> TimerOutcome {
        if self.deadline(context) > context.now {
            return TimerOutcome::Continue;
        }
        self.excuse(stream.last_held());
        let (deadline, timer) = self.timer(context);
        if deadline > context.now {
            return TimerOutcome::Continue;
        }
        match timer {
            Timer::None => TimerOutcome::Continue,
            Timer::Write => self.look_at_output(stream, context),
            Timer::MinRate => self.look_at_pace(stream, context),
            Timer::Expire(reason) => {
                self.credit_taken(stream, context);
                if self.deadline(context) > context.now { TimerOutcome::Continue } else { TimerOutcome::Close(reason) }
            }
            Timer::Close(reason) => TimerOutcome::CloseNow(reason),
            Timer::Linger => self.look_while_lingering(stream, context),
        }
    }

    /// Lets the time for which the client is waited for begin at `held` at the earliest: until then something waited for
    /// this server.
    fn excuse(&mut self, held: Millis) {
        if held == Millis::ZERO {
            return;
        }
        match &mut self.state {
            State::Handshake(handshake) if handshake.since < held => {
                handshake.deadline = held + (handshake.deadline - handshake.since);
                handshake.since = held;
            }
            State::Idle { since, .. } => *since = held.max(*since),
            State::Busy(_, in_flight) => in_flight.excuse(held),
            State::Generating { last_write } => *last_write = held.max(*last_write),
            // looks at the stream itself
            State::Handshake(_) | State::Lingering { .. } => {}
        }
    }

    /// Closes when the client has taken none of its replies since the last look.
    fn look_at_output<S: Stream>(&mut self, stream: &S, context: &Context) -> TimerOutcome {
        let left = stream.unacknowledged().map(saturated);
        let is_first = self.unacknowledged == 0;
        let takes = left.is_some_and(|left| is_first || left < self.unacknowledged);
        if !takes && !is_first {
            return TimerOutcome::CloseNow(CloseReason::WriteTimeout);
        }
        // 0 would mean that there was no look
        self.unacknowledged = left.map_or(UNKNOWN, |left| left.max(1));
        match &mut self.state {
            State::Busy(_, in_flight) if takes => in_flight.last_write = context.now,
            State::Generating { last_write } if takes => *last_write = context.now,
            _ => {}
        }
        TimerOutcome::Continue
    }

    /// Closes when the client takes its replies too slowly for those that wait for memory.
    fn look_at_pace<S: Stream>(&mut self, stream: &S, context: &Context) -> TimerOutcome {
        let State::Busy(_, in_flight) = &mut self.state else { return TimerOutcome::Continue };
        in_flight.judge_pace(unacknowledged(stream), context);
        if in_flight.min_rate_deadline(context) > context.now {
            return TimerOutcome::Continue;
        }
        // what was sent may still arrive
        TimerOutcome::Close(CloseReason::MinRate)
    }

    /// Puts off the deadline of a client that has not taken all of the last reply: once by a whole period, because the
    /// time of its next request begins when it has the reply; then by what it has taken, as if it had sent that many
    /// bytes.
    fn credit_taken<S: Stream>(&mut self, stream: &S, context: &Context) {
        let left = unacknowledged(stream);
        let before = std::mem::replace(&mut self.unacknowledged, left);
        let is_first = before == 0;
        if left == 0 || !is_first && left >= before {
            return;
        }
        match &mut self.state {
            State::Busy(_, in_flight) if is_first => in_flight.request.start = context.now,
            State::Busy(_, in_flight) => {
                in_flight.request.advance((before - left) as usize, context.now, Limits::REQUEST_RATE);
            }
            State::Idle { since, .. } => *since = context.now,
            State::Handshake(_) | State::Generating { .. } | State::Lingering { .. } => {}
        }
    }
}

/// Bytes that the client's kernel has not acknowledged; 0 where that cannot be known.
pub(super) fn unacknowledged<S: Stream>(stream: &S) -> u32 {
    stream.unacknowledged().map_or(0, saturated)
}

fn saturated(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
