//! A scripted client: the bytes that each read delivers, the number that each write takes, and the errors between them.
//! Drives a `Connection` as a worker does, without sockets, threads or time.
//!
//! Shared by the tests, the fuzzing targets and the benchmarks of the connection. It panics if a connection neither waits
//! for something nor closes.

#![allow(dead_code, reason = "each of those that share it uses a part")]

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

use retortd::connection::{
    Budget, Buffer, Charge, CloseReason, Connection, Context, Counters, Demand, Limits, NEVER, Next, Pool,
    READ_BUF_SIZE, REPLY_BUF_SIZE, Retired, Stream,
};
use retortd::protocol::{RequestRng, by_name};

/// The result of one system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It moves at most this number of bytes (at least one).
    Bytes(usize),
    /// EAGAIN, although the socket was ready.
    WouldBlock,
    /// EINTR.
    Interrupted,
    /// The client is gone: ECONNRESET.
    Reset,
}

/// The client's side of a connection. When the acts are used up, every call moves all that it can.
#[derive(Debug, Default)]
pub struct Script {
    input: VecDeque<u8>,
    reads: VecDeque<Act>,
    writes: VecDeque<Act>,
    /// All that was sent to the client.
    pub output: Vec<u8>,
    /// The server has half-closed.
    pub output_ended: bool,
    /// Bytes that the client's kernel has not acknowledged; `None`: unknown.
    pub unacknowledged: Option<usize>,
    reset: bool,
}

impl Script {
    /// A client that sends `input`, then half-closes.
    pub fn new(input: &[u8], reads: &[Act], writes: &[Act]) -> Self {
        Self {
            input: input.iter().copied().collect(),
            reads: reads.iter().copied().collect(),
            writes: writes.iter().copied().collect(),
            ..Self::default()
        }
    }

    /// The client sends more.
    pub fn send(&mut self, input: &[u8]) {
        self.input.extend(input);
    }

    /// The next read finds nothing, if there is no input.
    pub fn await_input(&mut self) {
        if self.input.is_empty() {
            self.reads.push_front(Act::WouldBlock);
        }
    }

    /// Bytes of the input that have not been read.
    pub fn unread(&self) -> usize {
        self.input.len()
    }

    /// Sets the results of the next writes.
    pub fn take(&mut self, writes: &[Act]) {
        self.writes = writes.iter().copied().collect();
    }

    /// The most bytes that the next call may move.
    fn next(acts: &mut VecDeque<Act>, reset: &mut bool) -> io::Result<usize> {
        if *reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        match acts.pop_front() {
            None => Ok(usize::MAX),
            Some(Act::Bytes(most)) => Ok(most.max(1)),
            Some(Act::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
            Some(Act::Interrupted) => Err(ErrorKind::Interrupted.into()),
            Some(Act::Reset) => {
                *reset = true;
                Err(ErrorKind::ConnectionReset.into())
            }
        }
    }
}

impl Read for Script {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        assert!(!into.is_empty(), "read into nothing: that would look like the end of input");
        let most = Self::next(&mut self.reads, &mut self.reset)?.min(into.len());
        self.input.read(&mut into[..most])
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(!self.output_ended, "sent after the end of the output");
        let mut room = Self::next(&mut self.writes, &mut self.reset)?;
        let before = self.output.len();
        for part in parts {
            let n = part.len().min(room);
            self.output.extend_from_slice(&part[..n]);
            room -= n;
        }
        Ok(self.output.len() - before)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Script {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.output_ended = true;
        Ok(())
    }

    fn unacknowledged(&self) -> Option<usize> {
        self.unacknowledged
    }
}

/// The time on every script's clock.
pub const NOW: u64 = 1_795_220_304;

/// The context that a worker gives its connections: messages up to `message` bytes, and a budget that may be shared.
pub fn context(message: usize, budget: &Arc<Budget>, seed: u64) -> Context {
    Context {
        read_buf: Buffer::zeroed(READ_BUF_SIZE).expect("memory"),
        reply_buf: Buffer::zeroed(REPLY_BUF_SIZE).expect("memory"),
        random: RequestRng::new(Some(seed)),
        pool: Pool::default(),
        unix_time: || NOW,
        limits: Limits { message, idle: NEVER, request: NEVER, write: NEVER, line: 1 << 16, min_rate: 0 },
        budget: Arc::clone(budget),
        counters: Arc::default(),
        now: 0,
        draining: false,
        contended_since: None,
        write_left: 0,
        retired: Retired::default(),
    }
}

/// One connection and its client.
pub struct Play {
    /// The client.
    pub script: Script,
    connection: Connection,
    next: Option<Next>,
    read_last: bool,
}

impl Play {
    /// A connection to the protocol of that name.
    pub fn new(name: &str, script: Script) -> Self {
        let protocol =
            (by_name(name).expect("a name in the table").new)(&retortd::protocol::ProtocolSettings::default(), &());
        Self { script, connection: Connection::new(protocol, None, 0), next: None, read_last: false }
    }

    /// Whether it waits only until the client takes replies.
    pub fn is_blocked(&self) -> bool {
        matches!(self.next, Some(Next::Wait)) && !self.connection.interest().read
    }

    /// Whether it waits for memory.
    pub fn waits_for_memory(&self) -> bool {
        matches!(self.next, Some(Next::WaitForMemory(_)))
    }

    /// Does the next thing that a worker would do; says why the connection ended, if it has.
    pub fn step(&mut self, context: &mut Context) -> Option<CloseReason> {
        let (connection, script) = (&mut self.connection, &mut self.script);
        let next = match self.next.take() {
            None => connection.open(script, context),
            Some(Next::WaitForMemory(demand)) => match granted(context, demand) {
                Some(grant) => connection.resume(script, context, grant),
                None => Next::WaitForMemory(demand),
            },
            Some(Next::Offload(job)) => {
                let done = job.run(&mut RequestRng::new(None), context.unix_time).expect("memory");
                connection.offload_done(script, context, done)
            }
            Some(Next::Close(reason)) => return Some(reason),
            Some(Next::Wait) => {
                let interest = connection.interest();
                assert!(interest.read || interest.write, "a connection that waits for nothing");
                // one that waits for both gets them alternately
                self.read_last = interest.read && !(interest.write && self.read_last);
                if self.read_last { connection.readable(script, context) } else { connection.writable(script, context) }
            }
        };
        context.retired = Retired::default();
        let Next::Close(reason) = next else {
            self.next = Some(next);
            return None;
        };
        context.counters.close(reason, connection.unanswered().into());
        self.next = Some(Next::Close(reason));
        Some(reason)
    }

    /// Continues to the end, or until more than `most` bytes were sent. A connection alone never waits for memory twice.
    pub fn finish(&mut self, context: &mut Context, most: usize) -> Option<CloseReason> {
        loop {
            let waited = self.waits_for_memory();
            if let Some(reason) = self.step(context) {
                return Some(reason);
            }
            assert!(!(waited && self.waits_for_memory()), "a connection alone waits for memory in vain");
            if self.script.output.len() > most {
                return None;
            }
        }
    }
}

/// The grant to a connection that waits for memory; an empty one where the budget can never have the `demand`.
fn granted(context: &Context, demand: Demand) -> Option<Charge> {
    let hopeless = demand.reserve > context.budget.largest_request();
    context.budget.grant(demand).or_else(|| hopeless.then(|| Charge::new(&context.budget)))
}

/// Asserts the sums of the statistics for one worker whose connections have all closed.
pub fn check_sums(counters: &Counters) {
    let closed: u64 = counters.closed.iter().map(retortd::connection::Counter::get).sum();
    let abandoned: u64 = counters.abandoned.iter().map(retortd::connection::Counter::get).sum();
    assert_eq!(counters.accepted.get(), closed, "accepted = closed");
    let (answered, refused) = (counters.answered.get(), counters.refused.get());
    assert_eq!(counters.requests.get(), answered + refused + abandoned, "requests = answered + refused + abandoned");
}
