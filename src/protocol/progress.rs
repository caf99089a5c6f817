//! The need of a protocol before it can continue.

use super::refusal::Refusal;

/// The result of one call: why the protocol stopped, and what the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The request is incomplete: call again when more input has arrived.
    NeedInput(Needed),
    /// There is no space for the next reply: send the replies, then call again with the unconsumed input. Returned only
    /// if the exchange holds a reply already.
    NeedOutput,
    /// The next request takes long: send the replies, then call again, on a thread that may block, with exactly
    /// [`Needed::request_len`] bytes of input and [`Needed::reply_capacity`] bytes of reply space. Returned only while
    /// [`CallContext::may_block`](super::CallContext::may_block) is false. Before the request is tried again, the
    /// caller must [`replay`](super::RequestRng::replay) this call's [`seed`](super::RequestRng::seed), so that it
    /// draws the same numbers.
    Offload(Needed),
    /// Drop this number of bytes, counted from the end of the consumed input, then call
    /// [`Protocol::on_skipped`](super::Protocol::on_skipped).
    Skip(u64),
    /// No more replies follow: send those that there are, then close.
    Close(CloseCause),
}

/// The memory that a request takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// Length of the whole request, or its upper bound, in bytes, counted from the start of the input. 0 as long as it
    /// is unknown; the protocol must know it after at most 4 KiB.
    pub request_len: usize,
    /// Upper bound of the reply, in bytes, with the space for making it.
    pub reply_capacity: usize,
    /// Bytes at the front of the input that are already transformed; passed back in
    /// [`Exchange::preprocessed`](super::Exchange::preprocessed). While this covers all input, the protocol is called
    /// again after every read.
    pub preprocessed: usize,
}

impl Needed {
    /// Request and reply together, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.request_len.saturating_add(self.reply_capacity)
    }
}

/// Why a protocol closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// The service is complete.
    Complete,
    /// The client half-closed inside a request.
    Truncated,
    /// The client violated the protocol.
    ProtocolError(Refusal),
}
