//! One connection with its stream and context; its time is set by hand.

use std::sync::Arc;

use retortd::connection::{Budget, Charge, Connection, Context, Grace, Limits, Millis, Next};
use retortd::protocol::services::frame;

use crate::scripted::{IoResult, ScriptedStream, connection, context};

pub const UPPERCASE: u8 = 0x01;
pub const REVERSE: u8 = 0x04;
pub const SHUFFLE: u8 = 0x08;
pub const RANDOM: u8 = 0x10;

/// A frame request with this action code.
pub fn frame_request(code: u8, text: &[u8]) -> Vec<u8> {
    [&frame::header(code, text.len()), text].concat()
}

/// A time limit in milliseconds.
#[allow(clippy::unnecessary_wraps, reason = "limits are optional")]
pub fn time_limit(milliseconds: u64) -> Option<Millis> {
    Some(Millis::new(milliseconds))
}

/// Checks that the connection waits for an event.
#[track_caller]
pub fn assert_waits(next: &Next) {
    assert!(matches!(next, Next::Wait), "not waiting: {next:?}");
}

/// A connection, the stream to its client, and the context of its worker.
pub struct Session {
    pub connection: Connection,
    pub stream: ScriptedStream,
    pub context: Context,
}

impl Session {
    /// An open connection, at time 0, to a client of this protocol.
    pub fn new(protocol: &str, stream: ScriptedStream, budget: &Arc<Budget>, limit: impl FnOnce(&mut Limits)) -> Self {
        let mut context = context(1 << 20, budget, 1);
        limit(&mut context.limits);
        let mut session = Self { connection: connection(protocol), stream, context };
        assert_waits(&session.connection.open(&mut session.stream, &mut session.context));
        session
    }

    /// A connection that has read all of `input`. 1000 bytes that were sent to the client are unacknowledged.
    pub fn after_input(protocol: &str, input: &[u8], limit: impl FnOnce(&mut Limits)) -> Self {
        let mut stream = ScriptedStream::new(input, &[IoResult::AtMost(input.len()), IoResult::WouldBlock], &[]);
        stream.unacknowledged = Some(1000);
        let mut session = Self::new(protocol, stream, &Arc::new(Budget::new(1 << 20)), limit);
        assert_waits(&session.readable());
        session
    }

    /// Reads until the connection does not wait for more input; returns what it does instead.
    pub fn read_all(&mut self) -> Next {
        loop {
            match self.readable() {
                Next::Wait => {}
                next => return next,
            }
        }
    }

    pub fn readable(&mut self) -> Next {
        self.connection.readable(&mut self.stream, &mut self.context)
    }

    pub fn writable(&mut self) -> Next {
        self.connection.writable(&mut self.stream, &mut self.context)
    }

    pub fn drain(&mut self, grace: Grace) -> Next {
        self.connection.drain(&mut self.stream, &mut self.context, grace)
    }

    pub fn resume(&mut self, grant: Charge) -> Next {
        self.connection.resume(&mut self.stream, &mut self.context, grant)
    }

    /// Sets the time, in milliseconds.
    pub fn set_time(&mut self, now: u64) {
        self.context.now = Millis::new(now);
    }

    /// Calls the connection at `now`, in milliseconds, as at a deadline.
    pub fn expire_at(&mut self, now: u64) -> Next {
        self.set_time(now);
        self.connection.expire(&mut self.stream, &mut self.context)
    }

    /// The time of the deadline, in milliseconds.
    pub fn deadline(&self) -> u64 {
        self.connection.deadline(&self.context).get()
    }

    /// The bytes that all connections hold.
    pub fn used(&self) -> i64 {
        self.context.budget.used()
    }
}
