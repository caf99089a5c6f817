//! Lingering: what was counted as answered reaches the client before the close.
//!
//! close(2) of a socket whose client still sends makes the kernel reset the connection and drop all that the client has not
//! yet been sent. So our side half-closes first, and input is read and discarded until the client's kernel has acknowledged
//! everything (`SIOCOUTQ`, read by timer: there is no event for it), and after that for a while, so that the client can
//! half-close, too. Where that cannot be known, only the while is left.

use super::close_reason::CloseReason;
use super::context::Context;
use super::limits::NEVER;
use super::state::{Connection, State};
use super::stream::Stream;
use super::timers::{TimerOutcome, unacknowledged};

/// The time between two looks at a connection that lingers, in milliseconds. Chosen without tuning: 20 looks a second cost
/// little, and a client that has everything is not kept for long.
const LOOK_INTERVAL_MS: u64 = 50;
/// How long a client that has everything may take to half-close, in milliseconds. Chosen without tuning.
const LINGER_MS: u64 = 2_000;
/// How long that may take while the server drains, in milliseconds. Chosen so that an idle daemon exits in under a second.
const DRAIN_LINGER_MS: u64 = 250;

impl Connection {
    /// Half-closes, and lingers until the client has all that was sent; replies that were not sent are given up. Returns
    /// false when there is nothing to wait for: then the connection is to be closed.
    pub(super) fn linger<S: Stream>(&mut self, stream: &mut S, context: &mut Context, reason: CloseReason) -> bool {
        if self.read_closed || stream.shutdown_write().is_err() {
            return false;
        }
        let unanswered = self.unanswered();
        let state = State::Lingering { reason, unanswered, until: NEVER, next_look: NEVER };
        if let State::Busy(_, in_flight) = self.set_state(state) {
            context.retired.append(in_flight.retire());
        }
        self.unacknowledged = 0;
        // a first look closes nothing: it only sets the times
        self.look_while_lingering(stream, context);
        true
    }

    /// Closes when the client has taken nothing more, or has everything and has not half-closed, for too long.
    pub(super) fn look_while_lingering<S: Stream>(&mut self, stream: &S, context: &Context) -> TimerOutcome {
        let State::Lingering { reason, until, next_look, .. } = &mut self.state else { return TimerOutcome::Continue };
        let now = context.now;
        let left = unacknowledged(stream);
        let has_progress = *until == NEVER || left < self.unacknowledged;
        if !has_progress {
            if now >= *until {
                return TimerOutcome::CloseNow(*reason);
            }
            *next_look = (*until).min(now + LOOK_INTERVAL_MS);
            return TimerOutcome::Continue;
        }
        self.unacknowledged = left;
        let time = match left {
            0 if context.draining => DRAIN_LINGER_MS,
            0 => LINGER_MS,
            _ => context.limits.write,
        };
        *until = now.saturating_add(time).min(NEVER - 1);
        *next_look = if left == 0 { *until } else { (*until).min(now + LOOK_INTERVAL_MS) };
        TimerOutcome::Continue
    }

    /// The server drains: a client that has everything is waited for less long.
    pub(super) fn hurry_linger(&mut self, context: &Context) {
        if let State::Lingering { until, next_look, .. } = &mut self.state {
            if self.unacknowledged == 0 {
                *until = (*until).min(context.now + DRAIN_LINGER_MS);
                *next_look = *until;
            }
        }
    }
}
