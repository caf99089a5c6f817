//! What is written down of a connection.

use serde::{Deserialize, Serialize};

use super::super::close_reason::CloseReason;
use super::super::first_input::FirstInput;
use super::super::in_flight::Pace;
use super::super::millis::Millis;
use super::super::state::{Phase, Then};
use super::super::traffic::Traffic;
use crate::protocol::{ProtocolState, RequestCounts};

/// The most room that is made for input before it arrives, in bytes. Derived: twice the longest message of any protocol,
/// so that there is room for its header.
const MAX_ROOM: usize = 1 << 28;

/// All of a connection but the bytes that it holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedConnection {
    /// The text of its label.
    pub(super) label: Option<Box<str>>,
    pub(super) state: SavedState,
    /// The state of its protocol; the default while there is none, and when the protocol has said everything.
    pub(super) protocol: ProtocolState,
    /// Bytes of unread input and of unsent output.
    pub(super) lengths: [usize; 2],
    pub(super) unacknowledged: u32,
    pub(super) read_closed: bool,
    pub(super) served_any: bool,
    pub(super) first_input: FirstInput,
    pub(super) is_logged: bool,
    pub(super) traffic: Traffic,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum SavedState {
    Handshake { since: Millis, deadline: Millis },
    Idle { since: Millis },
    Busy { phase: Phase, request: SavedRequest },
    Generating { last_write: Millis },
    Lingering { reason: CloseReason, unanswered: u32, until: Millis, next_look: Millis },
}

/// A request in progress. The time of its reply while other connections wait for memory is not saved: it begins when
/// connections begin to wait for memory.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedRequest {
    /// Bytes for which the buffer of its input has room.
    pub(super) room: usize,
    /// Bytes at the front of the input that are transformed already.
    pub(super) preprocessed: usize,
    pub(super) time: Pace,
    /// When the wake-up began that read last from the client, in nanoseconds of the monotonic clock.
    pub(super) begun: Option<u64>,
    pub(super) pending_replies: RequestCounts,
    pub(super) last_write: Millis,
    pub(super) waiting_since: Millis,
    /// The request at the front of the input, if it is to be offloaded.
    pub(super) offload: Option<SavedOffload>,
}

/// A request that is to be offloaded.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedOffload {
    pub(super) seed: u64,
    /// It is counted already: it was offloaded before.
    pub(super) is_counted: bool,
}

impl SavedConnection {
    /// The lengths of the parts of [`Connection::saved_bytes`](super::super::Connection::saved_bytes).
    #[must_use]
    pub fn lengths(&self) -> [usize; 2] {
        self.lengths
    }

    /// The capacities that buffers for these parts should have: there is room for the rest of a request that is
    /// arriving, which is not copied then.
    #[must_use]
    pub fn capacities(&self) -> [usize; 2] {
        let [input, output] = self.lengths;
        let room = self.state.request().map_or(0, |request| request.room.min(MAX_ROOM));
        [input.max(room), output]
    }

    /// Requests that were read, and whose replies the client did not get.
    #[must_use]
    pub fn unanswered(&self) -> u32 {
        match &self.state {
            SavedState::Busy { request, .. } => request.unanswered(),
            SavedState::Lingering { unanswered, .. } => *unanswered,
            SavedState::Handshake { .. } | SavedState::Idle { .. } | SavedState::Generating { .. } => 0,
        }
    }

    /// The label of the client in the log.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// Whether it is in front of its protocol: then it is restored without one.
    #[must_use]
    pub fn awaits_header(&self) -> bool {
        matches!(self.state, SavedState::Handshake { .. })
    }

    /// Whether it lingers: its protocol is not called again, and need never have begun.
    #[must_use]
    pub fn is_lingering(&self) -> bool {
        matches!(self.state, SavedState::Lingering { .. })
    }
}

impl SavedState {
    /// The request in progress.
    pub(super) fn request(&self) -> Option<&SavedRequest> {
        if let Self::Busy { request, .. } = self { Some(request) } else { None }
    }

    /// Whether the protocol has said everything: it is not called again.
    pub(super) fn is_closing(&self) -> bool {
        matches!(self, Self::Lingering { .. } | Self::Busy { phase: Phase::Replying(Then::Close(_)), .. })
    }
}

impl SavedRequest {
    /// Requests that were read and are not answered.
    pub(super) fn unanswered(&self) -> u32 {
        let RequestCounts { answered, refused, .. } = self.pending_replies;
        let recalled = self.offload.is_some_and(|offload| offload.is_counted);
        answered.saturating_add(refused).saturating_add(recalled.into())
    }
}
