//! The contract between a protocol and its caller.
//!
//! The caller owns socket, buffers and clock. It calls [`Protocol::open`] once and then [`Protocol::process`] whenever
//! there is input that the protocol has not consumed. Each call returns a [`Progress`], which names the caller's next
//! duty.

pub use super::call_context::{CallContext, RequestLimits};
pub use super::exchange::{Exchange, RequestRecord};
pub use super::passthrough::Passthrough;
pub use super::progress::{CloseCause, Needed, Progress};
pub use super::refusal::{MAX_MESSAGE, Refusal};
pub use super::saved::{InvalidState, ProtocolState, Unconsumed};

/// Minimum reply space that every call on the event loop gets, in bytes. Derived: the longest reply to one chunk, that
/// of `respond` (10 bytes, and three for each byte of `chunk::CHUNK`: 3,082), rounded up to a power of two.
pub const MIN_REPLY_SPACE: usize = 4096;

/// The server's side of one connection.
pub trait Protocol: Send {
    /// Called once, before anything is read. A service that speaks first replies here.
    fn open(&mut self, _exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        Progress::NeedInput(Needed::default())
    }

    /// Replies to the complete requests at the front of [`Exchange::input`], and consumes them.
    ///
    /// Input that is not consumed is passed again, with the changes that this call made to it and with more input
    /// behind it. The replies must not depend on how the input was split, except where the protocol is defined by
    /// chunks. Not called after [`Progress::Close`]: a service that says everything in [`Protocol::open`] has none.
    fn process(&mut self, _exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        Progress::Close(CloseCause::Complete)
    }

    /// All bytes that [`Progress::Skip`] named are dropped: replies to the request that they belonged to. The call has
    /// the exchange that returned the `Skip`, or one with at least [`MIN_REPLY_SPACE`].
    fn on_skipped(&mut self, _exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) {}

    /// The client has half-closed inside a request: [`Exchange::input`] is its beginning (empty while its bytes are
    /// skipped). The exchange has at least [`MIN_REPLY_SPACE`]. The connection closes after the replies that are left
    /// here, for the cause that is returned.
    fn on_eof(&mut self, _exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> CloseCause {
        CloseCause::Truncated
    }

    /// What becomes of the input, if that is the same for all of it: the caller then reads more of it at once, and need
    /// not show all of it to [`Protocol::process`].
    fn passthrough(&self) -> Option<Passthrough> {
        None
    }

    /// Whether the service sends without requests, for as long as the client reads ([`Protocol::generate`]).
    fn is_generator(&self) -> bool {
        false
    }

    /// The next bytes of an endless reply, at most `most` of them. Called whenever the client takes more.
    fn generate(&self, _most: usize) -> &[u8] {
        &[]
    }

    /// The first `n` bytes of [`Protocol::generate`] were sent: the next call returns those behind them.
    fn on_generated(&mut self, _n: usize) {}

    /// The state beside the unconsumed input, for another process that continues the connection.
    fn save(&self) -> ProtocolState {
        ProtocolState::default()
    }

    /// Continues from a state that [`Protocol::save`] has returned, with the input that was not consumed then. Called
    /// in place of [`Protocol::open`].
    ///
    /// # Errors
    /// If no protocol of this kind can have been in that state with that input. A state that it accepts never makes
    /// a later call panic, whatever program wrote it.
    fn restore(&mut self, state: &ProtocolState, unconsumed: Unconsumed<'_>) -> Result<(), InvalidState> {
        state.values::<0>(0)?;
        if unconsumed.preprocessed > 0 {
            return Err(InvalidState("the protocol does not preprocess its input"));
        }
        Ok(())
    }

    /// The need of the request at the front of `input`, for which [`Progress::Offload`] was returned, under the limits
    /// of another process. `None` if that cannot have been returned for this input.
    fn offload_again(&self, _input: &[u8], _limits: RequestLimits) -> Option<Needed> {
        None
    }
}
