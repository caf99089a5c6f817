//! Writing: the only place that sends to the client.

use std::io::{self, ErrorKind, IoSlice, Write};

use super::close_reason::CloseReason;
use super::context::{Context, MAX_BUFFERED_WRITE};
use super::process::{Batch, Replies};
use super::state::{Connection, Phase, State};
use super::stream::Stream;

/// What one write came to.
pub(super) enum WriteOutcome {
    /// The client's kernel has taken all.
    Done,
    /// Replies are left: the client's kernel has no room, or the connection has sent all that it may in this call.
    Blocked,
    /// The connection is broken.
    Failed(CloseReason),
}

impl Connection {
    /// Sends the replies of a call from where the protocol left them.
    #[inline]
    pub(super) fn write_replies<S: Stream>(
        &mut self,
        stream: &mut S,
        context: &mut Context,
        batch: &Batch,
        replies: &mut Replies,
    ) -> WriteOutcome {
        if replies.is_empty() {
            return WriteOutcome::Done;
        }
        let sent = match send(stream, replies.parts(batch, context), context.write_left) {
            Ok(sent) => sent,
            Err(error) => return WriteOutcome::Failed(CloseReason::of(&error)),
        };
        self.on_sent(context, sent);
        replies.advance(sent);
        if replies.is_empty() { WriteOutcome::Done } else { WriteOutcome::Blocked }
    }

    /// Sends the next piece of the replies that wait.
    pub(super) fn write_output<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> WriteOutcome {
        let State::Busy(Phase::Replying(_), in_flight) = &mut self.state else { return WriteOutcome::Done };
        let sent = match in_flight.output.held() {
            Some(held) => send_held(stream, held.min(context.write_left)),
            None => send(stream, [in_flight.output.unsent(), &[]], context.write_left.min(MAX_BUFFERED_WRITE)),
        };
        let sent = match sent {
            Ok(sent) => sent,
            Err(error) => return WriteOutcome::Failed(CloseReason::of(&error)),
        };
        if sent > 0 {
            in_flight.last_write = context.now;
            in_flight.sent += sent as u64;
        }
        if let Some(buffer) = in_flight.output.advance(sent) {
            context.recycle(buffer, in_flight.charge.as_mut());
        }
        let is_done = in_flight.output.is_empty();
        self.on_sent(context, sent);
        if is_done { WriteOutcome::Done } else { WriteOutcome::Blocked }
    }

    /// Sends the next bytes of a generator; those that the client has no room for stay the next.
    pub(super) fn write_generated<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> WriteOutcome {
        let (Some(protocol), State::Generating { last_write }) = (&mut self.protocol, &mut self.state) else {
            return WriteOutcome::Done;
        };
        let most = context.write_left;
        let sent = match send(stream, [protocol.generate(most), &[]], most) {
            Ok(sent) => sent,
            Err(error) => return WriteOutcome::Failed(CloseReason::of(&error)),
        };
        protocol.on_generated(sent);
        if sent > 0 {
            *last_write = context.now;
        }
        self.on_sent(context, sent);
        WriteOutcome::Blocked
    }

    #[inline]
    pub(super) fn on_sent(&mut self, context: &mut Context, sent: usize) {
        context.write_left -= sent;
        self.traffic.sent(&context.counters, sent);
        if sent > 0 {
            self.unacknowledged = 0;
            self.log_accepted();
        }
    }
}

/// Sends at most `most` of the bytes that the stream holds; returns how many bytes that was.
fn send_held<S: Stream>(stream: &mut S, most: usize) -> io::Result<usize> {
    loop {
        match stream.send_held(most) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            result => return result,
        }
    }
}

/// Sends as much of both parts as the client's kernel takes, at most `most` bytes; returns how many bytes that was.
///
/// A short write means that the kernel has no more room: another call would return EAGAIN.
#[allow(clippy::inline_always, reason = "measured: with `read_once`, 76 of 1582 instructions of a request")]
#[inline(always)]
fn send<S: Write>(stream: &mut S, [first, second]: [&[u8]; 2], most: usize) -> io::Result<usize> {
    let first = &first[..first.len().min(most)];
    let second = &second[..second.len().min(most - first.len())];
    loop {
        let result = match (first, second) {
            ([], []) => return Ok(0),
            (one, []) | ([], one) => stream.write(one),
            _ => stream.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]),
        };
        match result {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            result => return result,
        }
    }
}
