//! Deadlines, and the end of a connection: what was counted as answered reaches the client.
//!
//! close(2) of a socket whose client still sends makes the kernel reset the connection and drop all that the client has
//! not yet been sent. So the output is ended first, and input is read and dropped until the client's kernel has
//! acknowledged everything (`SIOCOUTQ`, asked by timer: there is no event for it), and after that for a while, so
//! that the client can end its own side. Where that cannot be asked, only the while is left.

use super::{CloseReason, Connection, Context, Limits, NEVER, Next, State, Stream};
use crate::protocol::RequestCounts;

/// The time between two looks at a connection that lingers, in milliseconds. Chosen without tuning: 20 looks a second
/// cost little, and a client that has everything is not kept for long.
const LOOK_AGAIN: u64 = 50;
/// How long a client that has everything may take to half-close, in milliseconds; chosen without tuning.
const LINGER: u64 = 2_000;
/// How long that may take while the daemon stops; chosen so that an idle daemon exits in under a second.
const LINGER_AT_STOP: u64 = 250;
/// While output waits, the unacknowledged bytes are first read after the write timeout divided by this number, so that a
/// later look can tell whether the client has taken any. A client is then closed between one and two timeouts after it took
/// the last byte, and a client that never reads after 1.25 timeouts. Chosen without tuning.
const FIRST_LOOK: u64 = 4;
/// The result of a look at a socket that cannot tell its unacknowledged bytes: there only what send(2) moves counts.
const UNKNOWN: u32 = u32::MAX;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    /// Close, unless the client takes the output.
    Write,
    /// Close, unless the client takes the output fast enough for those that wait for memory.
    MinRate,
    /// Close for that reason, unless the client still takes the last answer.
    Expire(CloseReason),
    /// Look whether the client has everything.
    Linger,
}

impl Connection {
    /// When to call [`Connection::expire`] if nothing happens, in milliseconds.
    #[must_use]
    pub fn deadline(&self, context: &Context) -> u64 {
        self.timer(context).0
    }

    fn timer(&self, context: &Context) -> (u64, Timer) {
        let (limits, work) = (&context.limits, self.work.as_deref());
        match (self.state, work) {
            (State::Working | State::Starved, _) => (NEVER, Timer::Linger),
            (State::Lingering { .. }, _) => (self.since, Timer::Linger),
            (_, Some(work)) if !work.output.is_empty() => {
                let stalled = self.write_deadline(work.progress, limits);
                let slow = work.min_rate_deadline(context);
                if slow < stalled { (slow, Timer::MinRate) } else { (stalled, Timer::Write) }
            }
            _ if self.produces => (self.write_deadline(self.since, limits), Timer::Write),
            _ => match work {
                Some(work) => (work.request_deadline(limits), Timer::Expire(CloseReason::RequestTimeout)),
                None => (self.since.saturating_add(limits.idle), Timer::Expire(CloseReason::IdleTimeout)),
            },
        }
    }

    /// When a client that has not taken anything since `progress`, in milliseconds, is looked at, or closed.
    fn write_deadline(&self, progress: u64, limits: &Limits) -> u64 {
        let looked = self.unacknowledged > 0 || limits.write == NEVER;
        progress.saturating_add(if looked { limits.write } else { limits.write / FIRST_LOOK })
    }

    /// Does what is due at this time, if anything is.
    pub fn expire<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        let (deadline, timer) = self.timer(context);
        if deadline > context.now {
            return Next::Wait;
        }
        match timer {
            Timer::Write => self.look_at_output(stream, context),
            Timer::MinRate => {
                let is_slow = self.work.as_mut().is_some_and(|work| {
                    work.judge_pace(unacknowledged(stream), context);
                    work.min_rate_deadline(context) <= context.now
                });
                // gently: what was sent may still arrive
                if is_slow { self.close_gently(stream, context, CloseReason::MinRate) } else { Next::Wait }
            }
            Timer::Linger => self.look_while_lingering(stream, context),
            Timer::Expire(reason) => {
                self.credit_taken(stream, context);
                if self.deadline(context) > context.now {
                    Next::Wait
                } else {
                    self.close_gently(stream, context, reason)
                }
            }
        }
    }

    /// Closes when the client has taken nothing of its output since the last look.
    fn look_at_output<S: Stream>(&mut self, stream: &S, context: &Context) -> Next {
        let left = stream.unacknowledged().map(as_u32);
        let is_first = self.unacknowledged == 0;
        let takes = left.is_some_and(|left| is_first || left < self.unacknowledged);
        if !takes && !is_first {
            return Next::Close(CloseReason::WriteTimeout);
        }
        // 0 would be no look
        self.unacknowledged = left.map_or(UNKNOWN, |left| left.max(1));
        match &mut self.work {
            _ if !takes => {}
            Some(work) if !work.output.is_empty() => work.progress = context.now,
            _ => self.since = context.now,
        }
        Next::Wait
    }

    /// Closes when the client has all that was sent to it; answers that were not sent are given up.
    pub(super) fn close_gently<S: Stream>(
        &mut self,
        stream: &mut S,
        context: &mut Context,
        reason: CloseReason,
    ) -> Next {
        if self.ended || stream.end_output().is_err() {
            return Next::Close(reason);
        }
        if let Some(work) = self.work.take() {
            let owed = work.owed;
            context.retired.append(work.retire());
            if owed != RequestCounts::default() {
                self.begin_work(context).owed = owed;
            }
        }
        self.unacknowledged = 0;
        self.state = State::Lingering { reason, until: NEVER };
        self.look_while_lingering(stream, context)
    }

    fn look_while_lingering<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        let State::Lingering { reason, until } = self.state else { return Next::Wait };
        let now = context.now;
        let left = unacknowledged(stream);
        let progress = until == NEVER || left < self.unacknowledged;
        if !progress {
            if now >= until {
                return Next::Close(reason);
            }
            self.since = until.min(now + LOOK_AGAIN);
            return Next::Wait;
        }
        self.unacknowledged = left;
        let time = match left {
            0 if context.stopping => LINGER_AT_STOP,
            0 => LINGER,
            _ => context.limits.write,
        };
        let until = now.saturating_add(time).min(NEVER - 1);
        self.since = if left == 0 { until } else { until.min(now + LOOK_AGAIN) };
        self.state = State::Lingering { reason, until };
        Next::Wait
    }

    /// The daemon stops: a client that has everything is waited for less long.
    pub(super) fn hurry_linger(&mut self, context: &Context) {
        match &mut self.state {
            State::Lingering { until, .. } if self.unacknowledged == 0 => {
                *until = (*until).min(context.now + LINGER_AT_STOP);
                self.since = *until;
            }
            _ => {}
        }
    }

    /// Puts off the deadline of a client that has not taken all of the last answer: once by a whole period, because the time
    /// of its next request begins when it has the answer; then by what it has taken, as if it had sent that many bytes.
    fn credit_taken<S: Stream>(&mut self, stream: &S, context: &Context) {
        let left = unacknowledged(stream);
        let before = std::mem::replace(&mut self.unacknowledged, left);
        let is_first = before == 0;
        if left == 0 || !is_first && left >= before {
            return;
        }
        match &mut self.work {
            Some(work) if is_first => work.request.begun = context.now,
            Some(work) => work.request.advance((before - left) as usize, context.now, Limits::REQUEST_RATE),
            None => self.since = context.now,
        }
    }
}

/// Bytes that the client's kernel has not acknowledged; 0 where that cannot be known.
fn unacknowledged<S: Stream>(stream: &S) -> u32 {
    stream.unacknowledged().map_or(0, as_u32)
}

fn as_u32(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
