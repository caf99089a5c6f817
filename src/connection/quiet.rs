//! Quiet connections, which are closed before a drain begins.

use super::Grace;
use super::close_reason::CloseReason;
use super::context::Context;
use super::millis::Millis;
use super::next::Next;
use super::state::{Connection, State};
use super::stream::Stream;
use super::timers::unacknowledged;

/// The time without input after which a connection is quiet. Chosen: a client that asks one request after another, or
/// has just connected, sends sooner, also over a slow network; and a delay of a few seconds is enough to find most
/// connections that wait for nothing.
const QUIET_TIME: Millis = Millis::new(1000);

impl Connection {
    /// The server will drain soon: closes a connection that is quiet. Nothing has arrived on it for a second, no
    /// request is in progress, no reply pending, and the client has acknowledged all that was sent. What has arrived
    /// meanwhile, a request or a header, is processed instead.
    pub fn close_if_quiet<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        let since = match &self.state {
            State::Handshake(handshake) if handshake.received.is_empty() => handshake.since,
            State::Idle { since, .. } => *since,
            State::Handshake(_) | State::Busy(..) | State::Generating { .. } | State::Lingering { .. } => {
                return Next::Wait;
            }
        };
        if context.now < since + QUIET_TIME || unacknowledged(stream) > 0 {
            return Next::Wait;
        }
        let next = self.drain(stream, context, Grace::Over);
        match (&self.state, next) {
            // the beginning of a header has just arrived
            (State::Handshake(handshake), Next::Close(CloseReason::Stopped)) if !handshake.received.is_empty() => {
                Next::Wait
            }
            (_, next) => next,
        }
    }
}
