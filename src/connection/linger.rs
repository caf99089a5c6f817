//! Lingering: what was counted as answered reaches the client before the close.
//!
//! close(2) of a socket whose client still sends makes the kernel reset the connection and drop all that the client has
//! not yet been sent. So our side half-closes first, and input is read and discarded until the client's kernel has
//! acknowledged everything (`SIOCOUTQ`, read by timer: there is no event for it), and after that for a while, so that
//! the client can half-close, too. A stream that cannot tell what is acknowledged gets only that second wait
//! ([`HALF_CLOSE_TIME`]). A stream that sends later by its own choice keeps the connection open, also when the client
//! has half-closed, until everything and the end of the output is sent; that time does not count against the client.

use std::io;

use super::close_reason::CloseReason;
use super::context::Context;
use super::impairment::{Impaired, Impairment};
use super::millis::Millis;
use super::state::{Connection, State};
use super::stream::Stream;
use super::timers::{TimerOutcome, unacknowledged};

/// The time between two looks at a connection that lingers. Chosen without tuning: 20 looks a second cost little, and a
/// client that has everything is not kept for long.
const LOOK_INTERVAL: Millis = Millis::new(50);
/// How long a client that has everything may take to half-close, and the longest time to the next look. Chosen without
/// tuning.
pub(super) const HALF_CLOSE_TIME: Millis = Millis::new(2_000);
/// How long that may take while the server drains. Chosen so that an idle daemon exits in under a second.
const DRAIN_HALF_CLOSE_TIME: Millis = Millis::new(250);

/// The times of a connection that lingers, after a look that found progress.
struct LingerTimes {
    /// When to close, unless the client makes progress before.
    until: Millis,
    next_look: Millis,
}

impl LingerTimes {
    /// The client has not acknowledged `left` bytes yet.
    fn new(left: u32, context: &Context) -> Self {
        let time = match left {
            0 if context.draining => Some(DRAIN_HALF_CLOSE_TIME),
            0 => Some(HALF_CLOSE_TIME),
            _ => context.limits.write,
        };
        let until = context.now.after(time);
        Self { until, next_look: if left == 0 { until } else { until.min(context.now + LOOK_INTERVAL) } }
    }
}

impl Connection {
    /// Half-closes, and lingers until the client has all that was sent; replies that were not sent are given up.
    /// Returns false when there is nothing to wait for: then the connection is to be closed.
    pub(super) fn linger<S: Stream>(&mut self, stream: &mut S, context: &mut Context, reason: CloseReason) -> bool {
        let has_all = self.read_closed && !stream.delays_end();
        if has_all || stream.shutdown_write().is_err() {
            return false;
        }
        let unanswered = self.unanswered();
        self.unacknowledged = unacknowledged(stream);
        let LingerTimes { until, next_look } = LingerTimes::new(self.unacknowledged, context);
        let state = State::Lingering { reason, unanswered, until, next_look };
        if let State::Busy(_, in_flight) = self.set_state(state) {
            context.retired.append(in_flight.retire());
        }
        true
    }

    /// Why it will close, if it lingers.
    #[must_use]
    pub fn lingers_for(&self) -> Option<CloseReason> {
        if let State::Lingering { reason, .. } = self.state { Some(reason) } else { None }
    }

    /// Impairs the stream in another way from now on ([`Impaired::impair`]), if there is anything left to send.
    ///
    /// # Errors
    /// As [`Connection::take_held`]: an impaired stream holds nothing by itself.
    pub fn impair<S: Stream>(
        &mut self,
        stream: &mut Impaired<S>,
        impairment: Option<Impairment>,
        context: &mut Context,
    ) -> io::Result<()> {
        self.take_held(stream, context)?;
        if self.lingers_for().is_none() || stream.has_output() {
            stream.impair(impairment);
        }
        Ok(())
    }

    /// Closes when the client has taken nothing more, or has everything and has not half-closed, for too long.
    pub(super) fn look_while_lingering<S: Stream>(&mut self, stream: &S, context: &Context) -> TimerOutcome {
        let State::Lingering { reason, until, next_look, .. } = &mut self.state else { return TimerOutcome::Continue };
        let now = context.now;
        let left = unacknowledged(stream);
        if self.read_closed && !stream.delays_end() {
            // both sides have half-closed: the kernel delivers the rest
            return TimerOutcome::CloseNow(*reason);
        }
        let held = stream.last_held();
        if left < self.unacknowledged || held > Millis::ZERO && held == now {
            self.unacknowledged = left;
            let times = LingerTimes::new(left, context);
            (*until, *next_look) = (times.until, times.next_look);
        } else if now >= *until {
            return TimerOutcome::CloseNow(*reason);
        } else {
            *next_look = (*until).min(now + LOOK_INTERVAL);
        }
        TimerOutcome::Continue
    }

    /// The server drains: a client that has everything is waited for less long.
    pub(super) fn hurry_linger(&mut self, context: &Context) {
        if let State::Lingering { until, next_look, .. } = &mut self.state {
            if self.unacknowledged == 0 {
                *until = (*until).min(context.now + DRAIN_HALF_CLOSE_TIME);
                *next_look = *until;
            }
        }
    }
}
