//! Sending what is owed, and going on for as long as that needs nothing from the client.

use std::io::{self, ErrorKind, IoSlice, Write};

use super::in_flight::Pending;
use super::{CloseReason, Connection, Context, Next, PIECE, State, Stream};
use crate::protocol::Exchange;

impl Connection {
    /// Goes on for as long as that needs nothing from the client: sends, looks at kept input, closes.
    pub(super) fn go_on<S: Stream>(&mut self, mut next: Next, stream: &mut S, context: &mut Context) -> Next {
        loop {
            if !matches!(next, Next::Wait) || matches!(self.state, State::Working | State::Starved) {
                return next;
            }
            match self.flush(stream, context) {
                Ok(true) => {}
                Ok(false) => return Next::Wait,
                Err(reason) => return Next::Close(reason),
            }
            next = match self.state {
                State::Closing(reason) => return self.close_gently(stream, context, reason),
                State::Reading if self.work.as_ref().is_some_and(|work| work.pending != Pending::Nothing) => {
                    self.look_again(stream, context)
                }
                State::Reading if self.produces => return self.produce(stream, context),
                _ => return Next::Wait,
            };
        }
    }

    /// Sends what is owed; true when nothing is owed any more.
    fn flush<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Result<bool, CloseReason> {
        let Some(work) = self.work.as_mut().filter(|work| !work.output.is_empty()) else { return Ok(true) };
        let parts = [work.output.bytes(), &[]];
        let mut left = context.write_left.min(PIECE);
        let sent = send(stream, parts, &mut left).map_err(|error| CloseReason::of(&error))?;
        context.write_left -= sent;
        context.counters.bytes_out.add(sent as u64);
        if sent > 0 {
            self.unacknowledged = 0;
            work.progress = context.now;
            work.sent += sent as u64;
        }
        if let Some(buffer) = work.output.advance(sent) {
            context.recycle(buffer, work.lease.as_mut());
        }
        if !work.output.is_empty() {
            return Ok(false);
        }
        context.counters.sent(std::mem::take(&mut work.owed));
        self.since = context.now;
        if let Some(work) = &mut self.work {
            work.request.begun = context.now;
        }
        self.settle_account(context);
        Ok(true)
    }

    /// Sends the next bytes of an endless answer; keeps nothing of what the client has no room for.
    fn produce<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        let Some(protocol) = &mut self.protocol else { return Next::Wait };
        let mut exchange = Exchange::new(&mut [], context.spill.held());
        protocol.generate(&mut exchange);
        let answers = exchange.replies();
        let made = answers[0].len() + answers[1].len();
        match send(stream, answers, &mut context.write_left) {
            Ok(sent) => {
                protocol.rewind(made - sent);
                context.counters.bytes_out.add(sent as u64);
                if sent > 0 {
                    self.unacknowledged = 0;
                    self.since = context.now;
                }
                Next::Wait
            }
            Err(error) => Next::Close(CloseReason::of(&error)),
        }
    }
}

/// Sends as much of both parts as the client has room for, at most `left` bytes, and takes that from `left`; says how
/// much it was.
///
/// A short write means that the room is used up: asking again would only be told so (EAGAIN).
pub(super) fn send<S: Write>(stream: &mut S, [first, second]: [&[u8]; 2], left: &mut usize) -> io::Result<usize> {
    let first = &first[..first.len().min(*left)];
    let second = &second[..second.len().min(*left - first.len())];
    let sent = loop {
        let result = match (first, second) {
            ([], []) => return Ok(0),
            (one, []) | ([], one) => stream.write(one),
            _ => stream.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]),
        };
        match result {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break 0,
            Err(error) => return Err(error),
            Ok(sent) => break sent,
        }
    };
    *left -= sent;
    Ok(sent)
}
