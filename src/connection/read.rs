//! Reading: into the worker's read buffer, or straight into the buffer of a large request.

use std::io::{self, ErrorKind, Read};

use log::{Level, log_enabled};

use super::close_reason::CloseReason;
use super::context::{Context, FAIR_READ_SIZE, MAX_WRITE, SMALL_REQUEST, UNCHARGED_BYTES};
use super::first_input::FirstInput;
use super::in_flight::InFlight;
use super::log::trace_bytes;
use super::memory::Buffer;
use super::process::{Batch, Input};
use super::state::{Connection, Phase, State};
use super::stream::Stream;
use crate::protocol::proxy_header::begins_like_header;

/// The most bytes that one read delivers into the buffer of a large request. Chosen without tuning: two of them stay in
/// the cache while they are transformed.
const DIRECT_READ_SIZE: usize = 128 * 1024;

/// What one read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadOutcome {
    /// Input to process is in the batch.
    Input,
    /// Input was taken without reading it: dropped, or sent back completely.
    Passed,
    /// Input was sent back without reading it, as far as the client has room.
    PassedInPart,
    /// A piece of a large request, which is not complete; `filled` if there may be more to read now.
    Piece { filled: bool },
    /// A piece of a large request is in the batch, with the pieces before it; `filled` as above.
    Request { filled: bool },
    /// Nothing has arrived.
    WouldBlock,
    /// The client has half-closed.
    EndOfInput,
    /// The budget has too little for the next piece: `bytes` are needed for it, `whole` for the request and its reply.
    OverBudget { bytes: usize, whole: usize },
    /// The system has no memory.
    NoMemory,
    /// The connection is broken.
    Failed(CloseReason),
}

impl ReadOutcome {
    pub(super) fn of_error(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => Self::WouldBlock,
            _ => Self::Failed(CloseReason::of(error)),
        }
    }
}

impl Connection {
    /// Reads once; puts input that is to be processed into `batch`.
    pub(super) fn read<S: Stream>(&mut self, stream: &mut S, context: &mut Context, batch: &mut Batch) -> ReadOutcome {
        if let State::Busy(_, in_flight) = &mut self.state {
            in_flight.begun = None;
        }
        if let Some(outcome) = self.take_unread(stream, context) {
            return outcome;
        }
        if self.reads_directly() {
            self.read_direct(stream, context, batch)
        } else {
            self.read_shared(stream, context, batch)
        }
    }

    /// Whether the next read goes into the buffer of a large request.
    pub(super) fn reads_directly(&self) -> bool {
        matches!(&self.state, State::Busy(Phase::Receiving, in_flight) if in_flight.reads_directly())
    }

    /// Reads into the worker's read buffer, behind the start of an unfinished request.
    fn read_shared<S: Stream>(&mut self, stream: &mut S, context: &mut Context, batch: &mut Batch) -> ReadOutcome {
        let mut start = 0;
        if let State::Busy(_, in_flight) = &self.state {
            let unfinished = in_flight.input.filled();
            start = unfinished.len();
            context.read_buf.filled_mut()[..start].copy_from_slice(unfinished);
        }
        let end = match &self.protocol {
            _ if context.budget.is_exhausted() => start + SMALL_REQUEST,
            Some(protocol) if protocol.passthrough().is_some() => MAX_WRITE,
            _ => FAIR_READ_SIZE,
        };
        let length = match read_once(stream, &mut context.read_buf.filled_mut()[start..end]) {
            Ok(0) => return ReadOutcome::EndOfInput,
            Ok(length) => length,
            Err(error) => return ReadOutcome::of_error(&error),
        };
        self.traffic.received(&context.counters, length);
        self.note_read(length);
        self.log_accepted();
        if let State::Busy(_, in_flight) = &mut self.state {
            in_flight.on_received(length, context.now);
            in_flight.input = Buffer::default();
        }
        if log_enabled!(Level::Trace) {
            trace_bytes(&self.label, "received", &context.read_buf.filled()[start..start + length]);
        }
        if std::mem::take(&mut self.first_input) == FirstInput::NoHeader {
            context.found_proxy_header = begins_like_header(&context.read_buf.filled()[..length]);
        }
        *batch = Batch::new(Input::Shared(start + length));
        ReadOutcome::Input
    }

    /// Has the stream drop what is to be skipped: then the batch stays empty. `None` where it cannot, and for the log.
    // not inlined: that would make every call of the driver longer
    #[inline(never)]
    pub(super) fn discard_skipped<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Option<ReadOutcome> {
        let State::Busy(Phase::Skipping(left), in_flight) = &mut self.state else { return None };
        if log_enabled!(Level::Trace) {
            return None;
        }
        let most = usize::try_from(*left).unwrap_or(usize::MAX).min(MAX_WRITE);
        let outcome = match stream.discard(most)? {
            Ok(0) => ReadOutcome::EndOfInput,
            Ok(length) => {
                *left -= length as u64;
                in_flight.on_received(length, context.now);
                self.traffic.received(&context.counters, length);
                ReadOutcome::Input
            }
            Err(error) => ReadOutcome::of_error(&error),
        };
        Some(outcome)
    }

    /// Reads into the request's own buffer.
    fn read_direct<S: Stream>(&mut self, stream: &mut S, context: &mut Context, batch: &mut Batch) -> ReadOutcome {
        let State::Busy(_, in_flight) = &mut self.state else { return ReadOutcome::WouldBlock };
        let most = match prepare_direct(in_flight, context) {
            Ok(most) => most,
            Err(outcome) => return outcome,
        };
        let read = read_once(stream, &mut in_flight.unfilled_request()[..most]);
        let length = *read.as_ref().unwrap_or(&0);
        // a request that is preprocessed so far is preprocessed further while the cache has the new bytes
        let is_preprocessed = in_flight.is_preprocessed();
        in_flight.input.advance(length);
        if let Some(charge) = &mut in_flight.charge {
            charge.shrink_to(in_flight.input.resident());
        }
        match read {
            Ok(0) => return ReadOutcome::EndOfInput,
            Ok(_) => {}
            Err(error) => return ReadOutcome::of_error(&error),
        }
        in_flight.on_received(length, context.now);
        self.traffic.received(&context.counters, length);
        if log_enabled!(Level::Trace) {
            let start = in_flight.input.len() - length;
            trace_bytes(&self.label, "received", &in_flight.input.filled()[start..]);
        }
        let filled = length == DIRECT_READ_SIZE;
        if in_flight.input.len() < in_flight.needed.request_len && !is_preprocessed {
            return ReadOutcome::Piece { filled };
        }
        *batch = Batch::new(Input::Own(std::mem::take(&mut in_flight.input)));
        ReadOutcome::Request { filled }
    }

    /// Reads and discards what a client sends to a connection that lingers. Returns why to close, if that is over.
    pub(super) fn discard_input<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Option<CloseReason> {
        let State::Lingering { reason, .. } = self.state else { return None };
        let unread = &mut context.read_buf.filled_mut()[..FAIR_READ_SIZE];
        let discarded = stream.discard(FAIR_READ_SIZE).unwrap_or_else(|| stream.read(unread));
        match discarded {
            Ok(0) if stream.delays_end() => {
                self.read_closed = true;
                None
            }
            Ok(0) => Some(reason),
            Ok(length) => {
                self.traffic.received(&context.counters, length);
                None
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => None,
            Err(_) => Some(reason),
        }
    }
}

/// Makes room for the next piece of a request in its own buffer, and charges it. Returns the length of the piece.
fn prepare_direct(in_flight: &mut InFlight, context: &mut Context) -> Result<usize, ReadOutcome> {
    let whole = in_flight.needed.memory();
    if in_flight.reserve_request(context).is_err() {
        return Err(ReadOutcome::NoMemory);
    }
    let resident = in_flight.input.resident();
    if resident > UNCHARGED_BYTES {
        in_flight.charge(&context.budget).raise_unchecked(resident);
    }
    let most = in_flight.unfilled_request().len().min(DIRECT_READ_SIZE);
    let bytes = in_flight.input.len() + most;
    if bytes > UNCHARGED_BYTES && !in_flight.charge(&context.budget).try_grow(bytes, whole) {
        return Err(ReadOutcome::OverBudget { bytes, whole });
    }
    Ok(most)
}

/// Reads once; again after EINTR.
#[allow(clippy::inline_always, reason = "measured: with `send`, 76 of 1582 instructions of a request")]
#[inline(always)]
pub(super) fn read_once<S: Read>(stream: &mut S, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(into) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
