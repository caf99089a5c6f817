//! The head of a request of `frame` or `text`, and what follows from it: form of the reply, memory, work on the event
//! loop.

use super::contract::{InvalidState, Needed, ProtocolState, RequestLimits, Unconsumed};
use crate::transform::Action;

/// The text of the reply to a rejected request.
pub const ERROR_TEXT: &[u8] = b"error";

/// The form of a protocol's replies.
pub trait Framing {
    /// The longest message that a request's header can announce, in bytes.
    const MAX_LENGTH: usize;
    /// Length of the longest reply header, in bytes. No request's header is shorter than that of its reply in place.
    const MAX_REPLY_HEADER: usize;
    /// The whole reply to a rejected request.
    const ERROR_REPLY: &'static [u8];

    /// Length of the header of a reply of `length` bytes, in bytes.
    fn header_size(length: usize) -> usize;

    /// Writes that header into `to`, which has its length.
    fn write_header(length: usize, to: &mut [u8]);
}

/// A request to transform a message.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead {
    /// The transform.
    pub action: Action,
    /// Length of the request's header, in bytes.
    pub header: usize,
    /// Length of the message, in bytes.
    pub length: usize,
}

impl RequestHead {
    /// Length of the whole request, in bytes.
    pub(super) fn size(&self) -> usize {
        self.header.saturating_add(self.length)
    }

    /// Length of the longest reply to a text of this length, in bytes.
    pub(super) fn max_reply_len<F: Framing>(&self, limits: RequestLimits) -> usize {
        let bound = self.action.max_output_len(self.length, limits.message.min(F::MAX_LENGTH));
        F::MAX_REPLY_HEADER.saturating_add(bound.max(ERROR_TEXT.len()))
    }

    /// The memory for the request: at most that for one request, because most texts need far less than the bound. A
    /// text that turns out to need more is rejected; `random` stops repeating there.
    pub(super) fn needed<F: Framing>(&self, limits: RequestLimits) -> Needed {
        let left = limits.memory.saturating_sub(self.size());
        Needed { request_len: self.size(), reply_capacity: self.max_reply_len::<F>(limits).min(left), preprocessed: 0 }
    }
}

/// [`Protocol::restore`](super::Protocol::restore) of a protocol whose only state is the beginning of a request, with
/// the head of that request: `None` if there is no whole head, or none of a transform.
pub fn restore(
    head: Option<RequestHead>,
    state: &ProtocolState,
    unconsumed: Unconsumed<'_>,
) -> Result<(), InvalidState> {
    state.values::<0>(0)?;
    let Unconsumed { input, preprocessed } = unconsumed;
    let is_possible = preprocessed == 0
        || head.is_some_and(|head| {
            let message = if preprocessed <= head.size() { input.get(head.header..preprocessed) } else { None };
            message.is_some_and(|message| head.action.may_have_processed(message))
        });
    if is_possible { Ok(()) } else { Err(InvalidState("the preprocessed part of the message is impossible")) }
}

/// [`Protocol::offload_again`](super::Protocol::offload_again) of a protocol with this framing.
pub fn offload_again<F: Framing>(head: Option<RequestHead>, input: &[u8], limits: RequestLimits) -> Option<Needed> {
    head.filter(|head| head.size() <= input.len()).map(|head| head.needed::<F>(limits))
}

/// Maximum length of a message that is transformed on the event loop, in bytes, by kind of text; longer ones go to the
/// offload pool. Chosen so that no transform takes longer than half a millisecond (group `inline` of
/// `benches/transform.rs`: title-case of code points in random order, 64 KiB, takes 0.3 ms).
pub(super) struct InlineLimits {
    pub(super) ascii: usize,
    pub(super) other: usize,
}

impl InlineLimits {
    pub(super) fn of(action: Action) -> Self {
        if action.is_light() {
            Self { ascii: 1024 * 1024, other: 64 * 1024 }
        } else {
            Self { ascii: 64 * 1024, other: 16 * 1024 }
        }
    }
}
