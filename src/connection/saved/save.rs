//! Writing down a connection.

use super::super::in_flight::InFlight;
use super::super::state::{Connection, Phase, Resume, State, Then};
use super::record::{SavedConnection, SavedOffload, SavedRequest, SavedState};
use crate::protocol::{InvalidState, ProtocolState};

impl Connection {
    /// All of its state but [`Connection::saved_bytes`]. The connection stays as it is.
    ///
    /// # Errors
    /// While a job of [`Next::Offload`](super::super::Next::Offload) has its request, or the stream its replies.
    pub fn save(&self) -> Result<SavedConnection, InvalidState> {
        let state = self.save_state()?;
        let protocol = match &self.protocol {
            Some(protocol) if !state.is_closing() => protocol.save(),
            _ => ProtocolState::default(),
        };
        Ok(SavedConnection {
            label: self.label.text().map(Into::into),
            state,
            protocol,
            lengths: self.saved_bytes().map(<[u8]>::len),
            unacknowledged: self.unacknowledged,
            read_closed: self.read_closed,
            served_any: self.served_any,
            first_input: self.first_input,
            is_logged: self.is_logged,
            traffic: self.traffic,
        })
    }

    /// The bytes that it holds: input that is not consumed, or what has arrived of a PROXY header; output that is not
    /// sent.
    #[must_use]
    pub fn saved_bytes(&self) -> [&[u8]; 2] {
        match &self.state {
            State::Handshake(handshake) => [&handshake.received, &[]],
            State::Busy(_, in_flight) => [in_flight.input.filled(), in_flight.output.unsent()],
            State::Idle { .. } | State::Generating { .. } | State::Lingering { .. } => [&[], &[]],
        }
    }

    fn save_state(&self) -> Result<SavedState, InvalidState> {
        Ok(match &self.state {
            State::Handshake(handshake) => {
                SavedState::Handshake { since: handshake.since, deadline: handshake.deadline }
            }
            State::Idle { since, .. } => SavedState::Idle { since: *since },
            State::Busy(Phase::Offloaded, _) => return Err(InvalidState("its request is on the thread pool")),
            State::Busy(_, in_flight) if in_flight.output.held().is_some() => {
                return Err(InvalidState("its stream holds replies"));
            }
            State::Busy(phase, in_flight) => {
                SavedState::Busy { phase: *phase, request: save_request(*phase, in_flight) }
            }
            State::Generating { last_write } => SavedState::Generating { last_write: *last_write },
            State::Lingering { reason, unanswered, until, next_look } => {
                SavedState::Lingering { reason: *reason, unanswered: *unanswered, until: *until, next_look: *next_look }
            }
        })
    }
}

fn save_request(phase: Phase, in_flight: &InFlight) -> SavedRequest {
    let offload =
        phase.offloads_next().then_some(SavedOffload { seed: in_flight.seed, is_counted: in_flight.is_recalled });
    SavedRequest {
        room: in_flight.input.capacity(),
        preprocessed: in_flight.needed.preprocessed,
        time: in_flight.request,
        begun: in_flight.begun,
        pending_replies: in_flight.pending_replies,
        last_write: in_flight.last_write,
        waiting_since: in_flight.waiting_since,
        offload,
    }
}

impl Phase {
    /// Whether the request at the front of the input is offloaded next.
    pub(super) fn offloads_next(self) -> bool {
        matches!(self, Self::Replying(Then::Offload) | Self::WaitingForMemory(Resume::Offload))
    }
}
