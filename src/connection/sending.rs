//! Sending what is owed, and going on for as long as that needs nothing from the client.

use std::io::{self, ErrorKind, IoSlice, Write};

use super::{CloseReason, Connection, Context, LINGER, LINGER_AT_STOP, Next, State, Stream};
use crate::protocol::Turn;

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
                State::Closing(reason) => return self.close_now(stream, context, reason),
                State::Reading if self.work.as_ref().is_some_and(|work| work.ready) => self.look_again(stream, context),
                State::Reading if self.produces => return self.produce(stream, context),
                _ => return Next::Wait,
            };
        }
    }

    /// Sends what is owed; true when nothing is owed any more.
    fn flush<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Result<bool, CloseReason> {
        let Some(work) = self.work.as_mut().filter(|work| !work.output.is_empty()) else { return Ok(true) };
        let sent = send(stream, [work.output.bytes(), &[]]).map_err(|error| CloseReason::of(&error))?;
        context.counters.bytes_out.add(sent as u64);
        if let Some(buffer) = work.output.advance(sent) {
            context.recycle(buffer);
        }
        if sent > 0 {
            work.progress = context.now;
        }
        if !work.output.is_empty() {
            return Ok(false);
        }
        context.counters.sent(std::mem::take(&mut work.owed));
        self.since = context.now;
        if let Some(work) = &mut self.work {
            work.begun = context.now;
        }
        self.settle_account(context);
        Ok(true)
    }

    /// Sends the next bytes of an endless answer; keeps nothing of what the client has no room for.
    fn produce<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        let Some(protocol) = &mut self.protocol else { return Next::Wait };
        let mut turn = Turn::new(&mut [], context.spill.held());
        protocol.produce(&mut turn);
        let answers = turn.answers();
        let made = answers[0].len() + answers[1].len();
        match send(stream, answers) {
            Ok(sent) => {
                protocol.retract(made - sent);
                context.counters.bytes_out.add(sent as u64);
                self.since = if sent > 0 { context.now } else { self.since };
                Next::Wait
            }
            Err(error) => Next::Close(CloseReason::of(&error)),
        }
    }

    /// All is sent: closes, or ends our side first where the client may still be sending.
    pub(super) fn close_now<S: Stream>(&mut self, stream: &mut S, context: &mut Context, reason: CloseReason) -> Next {
        if self.ended || stream.end_output().is_err() {
            return Next::Close(reason);
        }
        self.work = None;
        self.since = context.now + if context.stopping { LINGER_AT_STOP } else { LINGER };
        self.state = State::Lingering(reason);
        Next::Wait
    }
}

/// Sends as much of both parts as the client has room for; says how much.
///
/// A short write means that the room is used up: asking again would only be told so (EAGAIN).
pub(super) fn send<S: Write>(stream: &mut S, parts: [&[u8]; 2]) -> io::Result<usize> {
    loop {
        let result = match parts {
            [[], []] => return Ok(0),
            [one, []] | [[], one] => stream.write(one),
            [first, second] => stream.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]),
        };
        match result {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            result => return result,
        }
    }
}
