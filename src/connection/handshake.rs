//! The bytes in front of the protocol: the PROXY header by which a balancer announces its client.
//!
//! Until the header is complete, and the caller has admitted the announced client, there is no protocol and nothing is
//! sent. A connection holds at most [`MAX_HEADER`] bytes meanwhile: a quarter of what a connection may hold without a
//! charge ([`UNCHARGED_BYTES`](super::UNCHARGED_BYTES)), so they are not charged to the budget.

use std::collections::TryReserveError;
use std::fmt;

use log::{Level, log_enabled};

use super::close_reason::CloseReason;
use super::context::Context;
use super::drive::Step;
use super::first_input::FirstInput;
use super::log::trace_bytes;
use super::next::Next;
use super::process::{Batch, Call};
use super::proxy_result::ProxyResult;
use super::read::{ReadOutcome, read_once};
use super::state::{Connection, State};
use super::stream::Stream;
use crate::protocol::proxy_header::{self, MAX_HEADER, Parsed, ProxyHeader, Version};

/// The sizes of the buffer for these bytes. A `Vec` that grew by itself doubles from an arbitrary size, and would
/// exceed [`MAX_HEADER`]; one that grew to exactly what has arrived would copy everything for each byte that arrives
/// singly. Chosen: room for every header of a TCP client without TLVs, for such a header with a small request, and for
/// any.
const CAPACITIES: [usize; 3] = [128, 512, MAX_HEADER];

impl Connection {
    /// Reads once; judges the header when it is complete, or cannot become one any more.
    pub(super) fn read_header<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        let State::Handshake(handshake) = &mut self.state else { return Next::Wait };
        // a header that is not refused is shorter: there is always room
        let room = MAX_HEADER - handshake.received.len();
        let bytes = match read_once(stream, &mut context.read_buf.filled_mut()[..room]) {
            Ok(0) => return Next::Close(self.after_eof_in_header()),
            Ok(length) => &context.read_buf.filled()[..length],
            Err(error) => match ReadOutcome::of_error(&error) {
                ReadOutcome::Failed(reason) => return self.broken(reason),
                _ => return Next::Wait,
            },
        };
        self.traffic.received(&context.counters, bytes.len());
        if log_enabled!(Level::Trace) {
            trace_bytes(&self.label, "received", bytes);
        }
        if reserve(&mut handshake.received, bytes.len()).is_err() {
            return Next::Close(CloseReason::Resources);
        }
        handshake.received.extend_from_slice(bytes);
        // not taken apart by value: that would copy the header twice
        match &proxy_header::parse(&handshake.received) {
            Ok(Parsed::Incomplete) => Next::Wait,
            Ok(Parsed::Complete { header, version, length }) => {
                handshake.received.drain(..*length);
                let has_input = !handshake.received.is_empty();
                self.on_header(header, *version, has_input, context)
            }
            Err(error) => Next::Close(self.refuse_header(error)),
        }
    }

    /// The header is complete; `has_input` if bytes have arrived behind it.
    #[inline]
    fn on_header(&mut self, header: &ProxyHeader, version: Version, has_input: bool, context: &Context) -> Next {
        let result = ProxyResult::of_header(header, version);
        context.counters.proxy[result as usize].add(1);
        match header {
            _ if has_input => self.log_accepted(),
            ProxyHeader::Local => self.first_input = FirstInput::AfterLocal,
            ProxyHeader::Proxied { .. } => self.first_input = FirstInput::AfterClient,
        }
        Next::Announced(Box::new(*header))
    }

    /// Logs why the header is refused.
    #[cold]
    fn refuse_header(&mut self, why: impl fmt::Display) -> CloseReason {
        self.log_accepted();
        self.label.info(format_args!("invalid PROXY header: {why}"));
        CloseReason::ProxyHeader
    }

    /// The client that the header announces is admitted: leaves the state, and puts what has arrived behind the header
    /// into `batch`.
    // not inlined: that would make every call of the driver longer
    #[cold]
    #[inline(never)]
    pub(super) fn begin_service(&mut self, context: &mut Context, batch: &mut Batch) -> Step {
        let Some(protocol) = &self.protocol else { return Step::Wait };
        let next = State::before_requests(&**protocol, context.now);
        if let State::Handshake(handshake) = self.set_state(next) {
            *batch = Batch::of(&handshake.received, context);
        }
        Step::Process(Call::Open)
    }

    /// A client that half-closes without a byte is a probe of the balancer, and no fault.
    fn after_eof_in_header(&mut self) -> CloseReason {
        match &self.state {
            State::Handshake(handshake) if !handshake.received.is_empty() => {
                self.refuse_header("the peer half-closed inside it")
            }
            _ => CloseReason::Finished,
        }
    }

    /// The stream has failed. A balancer may end a probe by a reset, which is no fault then.
    #[cold]
    pub(super) fn broken(&self, reason: CloseReason) -> Next {
        let is_probe = match &self.state {
            State::Handshake(handshake) => handshake.received.is_empty(),
            _ => self.first_input == FirstInput::AfterLocal,
        };
        Next::Close(if is_probe && reason == CloseReason::Reset { CloseReason::Finished } else { reason })
    }
}

/// Makes room for bytes in front of the protocol, of which there are at most [`MAX_HEADER`] in all.
fn reserve(received: &mut Vec<u8>, additional: usize) -> Result<(), TryReserveError> {
    let needed = received.len() + additional;
    if needed <= received.capacity() {
        return Ok(());
    }
    let capacity = CAPACITIES.into_iter().find(|capacity| needed <= *capacity).unwrap_or(needed);
    received.try_reserve_exact(capacity - received.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_arrive_singly_grow_the_buffer_three_times_and_to_no_more_than_a_header() {
        let (mut received, mut capacities) = (Vec::new(), Vec::new());
        for _ in 0..MAX_HEADER {
            reserve(&mut received, 1).expect("memory");
            received.push(0);
            capacities.push(received.capacity());
        }
        capacities.dedup();
        assert_eq!(capacities, CAPACITIES);
        let mut received = Vec::new();
        reserve(&mut received, MAX_HEADER).expect("memory");
        assert_eq!(received.capacity(), MAX_HEADER);
    }
}
