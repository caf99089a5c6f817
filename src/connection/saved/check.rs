//! What must be true of a saved connection before anything relies on it.

use super::super::limits::Limits;
use super::super::memory::Buffer;
use super::super::state::{Phase, Then};
use super::record::{SavedConnection, SavedRequest, SavedState};
use crate::protocol::proxy_header::{self, Parsed};
use crate::protocol::{InvalidState, Protocol, RequestCounts};

/// The longest label, in bytes. Chosen: several times the longest, a protocol's name with the addresses of a client and of
/// the balancer that announces it.
const MAX_LABEL: usize = 512;
/// The most bytes or requests of one connection. Chosen: nobody reaches it, and sums do not overflow.
const MAX_COUNT: u64 = 1 << 60;

impl SavedConnection {
    /// Checks all but the state of the protocol.
    pub(super) fn check(&self, bytes: &[Buffer; 2], protocol: Option<&dyn Protocol>) -> Result<(), InvalidState> {
        let [input, output] = bytes;
        let label = self.label.as_deref().unwrap_or_default();
        ensure(label.len() <= MAX_LABEL && !label.contains(char::is_control), "the label is invalid")?;
        ensure(self.lengths == [input.len(), output.len()], "the bytes have another length")?;
        ensure(self.awaits_header() == protocol.is_none(), "a header and a protocol exclude each other")?;
        ensure(self.traffic.is_at_most(MAX_COUNT), "the traffic is impossible")?;
        ensure(u64::from(self.unanswered()) <= self.traffic.requests(), "more requests are unanswered than were read")?;
        let generates = protocol.is_some_and(Protocol::is_generator);
        match &self.state {
            SavedState::Handshake { .. } => {
                let is_begun = proxy_header::parse(input.filled()) == Ok(Parsed::Incomplete);
                ensure(is_begun && output.is_empty(), "the beginning of the header is invalid")
            }
            SavedState::Busy { phase, request } => check_request(*phase, request, bytes, generates),
            SavedState::Idle { .. } => ensure(!generates && has_none(bytes), IMPOSSIBLE),
            SavedState::Generating { .. } => ensure(generates && has_none(bytes), IMPOSSIBLE),
            SavedState::Lingering { .. } => ensure(has_none(bytes), IMPOSSIBLE),
        }
    }
}

const IMPOSSIBLE: &str = "the state is impossible";

fn ensure(is_valid: bool, otherwise: &'static str) -> Result<(), InvalidState> {
    if is_valid { Ok(()) } else { Err(InvalidState(otherwise)) }
}

fn has_none([input, output]: &[Buffer; 2]) -> bool {
    input.is_empty() && output.is_empty()
}

/// Checks a request in progress, of a protocol that may be a generator.
fn check_request(
    phase: Phase,
    request: &SavedRequest,
    [input, output]: &[Buffer; 2],
    generates: bool,
) -> Result<(), InvalidState> {
    let (has_input, has_output) = (!input.is_empty(), !output.is_empty());
    let is_possible = match phase {
        Phase::Receiving | Phase::WaitingForMemory(_) => !generates && has_input && !has_output,
        Phase::Skipping(left) => !generates && is_skippable(left) && !has_input && !has_output,
        Phase::Replying(_) if !has_output => false,
        Phase::Replying(Then::Skip(left)) => !generates && is_skippable(left),
        Phase::Replying(Then::Receive | Then::Process | Then::Offload) => !generates,
        Phase::Replying(Then::Generate) => generates && !has_input,
        Phase::Replying(Then::Close(_)) => !has_input,
        Phase::Offloaded => false,
    };
    ensure(is_possible, IMPOSSIBLE)?;
    let RequestCounts { answered, refused, .. } = request.pending_replies;
    let replies = answered.checked_add(refused).ok_or(InvalidState("more replies are pending than can be counted"))?;
    ensure(replies == 0 || matches!(phase, Phase::Replying(_)), "replies are pending that are not there")?;
    ensure(request.preprocessed <= input.len(), "more input is preprocessed than there is")?;
    ensure(request.time.is_possible(Limits::REQUEST_RATE), "the time of the request is impossible")?;
    ensure(request.offload.is_some() == phase.offloads_next(), IMPOSSIBLE)?;
    let is_counted = request.offload.is_some_and(|offload| offload.is_counted);
    ensure(!is_counted || matches!(phase, Phase::WaitingForMemory(_)), IMPOSSIBLE)
}

/// The length of a message has at most 32 bits on the wire, and nothing is not skipped.
fn is_skippable(bytes: u64) -> bool {
    (1..=u64::from(u32::MAX)).contains(&bytes)
}
