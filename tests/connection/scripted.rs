//! A client as a script: the bytes that each read returns, the bytes that each write takes, and the errors between
//! them. [`Driver`] calls a `Connection` as a worker does, without sockets, threads or a clock.
//!
//! Shared by tests, fuzz targets and benchmarks. [`Driver`] panics if a connection waits for neither an event nor
//! a time, and does not close.

#![allow(dead_code, reason = "each of its users uses a part")]

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

use retortd::connection::{
    Budget, Buffer, Charge, CloseReason, Connection, Context, Counter, Counters, Demand, Interest, Limits, Millis,
    Next, Pool, READ_BUF_SIZE, REPLY_BUF_SIZE, Retired, SavedConnection, SentBack, Stream, Totals, WorkerCounters,
};
use retortd::protocol::proxy_header::ProxyHeader;
use retortd::protocol::{Protocol, ProtocolSettings, RequestRng, by_name};

/// The result of one system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoResult {
    /// It transfers at most this number of bytes, and at least one.
    AtMost(usize),
    /// EAGAIN, although the socket was reported ready.
    WouldBlock,
    /// EINTR.
    Interrupted,
    /// ECONNRESET, for this call and every later one.
    Reset,
}

/// The stream to a scripted client. When the results are used up, every call transfers as many bytes as it can.
#[derive(Debug, Default)]
pub struct ScriptedStream {
    input: VecDeque<u8>,
    reads: VecDeque<IoResult>,
    writes: VecDeque<IoResult>,
    /// All bytes that were sent to the client.
    pub output: Vec<u8>,
    /// The server has half-closed.
    pub write_closed: bool,
    /// Bytes that the client's kernel has not acknowledged; `None` where the stream cannot tell.
    pub unacknowledged: Option<usize>,
    /// It can drop input, and send it back, without that being read.
    pub passes_bulk: bool,
    /// Bytes of the input that it is to send back, and has no room for.
    held: VecDeque<u8>,
    /// Bytes that were dropped without a read.
    pub discarded: usize,
    is_reset: bool,
}

impl ScriptedStream {
    /// A client that sends `input`, then half-closes; with the results of the first reads and writes.
    pub fn new(input: &[u8], reads: &[IoResult], writes: &[IoResult]) -> Self {
        Self {
            input: input.iter().copied().collect(),
            reads: reads.iter().copied().collect(),
            writes: writes.iter().copied().collect(),
            ..Self::default()
        }
    }

    /// The client sends more input.
    pub fn send(&mut self, input: &[u8]) {
        self.input.extend(input);
    }

    /// It can drop input, and send it back, without that being read, if `passes_bulk`.
    #[must_use]
    pub fn passing_bulk(self, passes_bulk: bool) -> Self {
        Self { passes_bulk, ..self }
    }

    /// Bytes that it is to send back, and has no room for.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// The next read returns EAGAIN, if there is no input: without this it would return the end of the input.
    pub fn await_input(&mut self) {
        if self.input.is_empty() {
            self.reads.push_front(IoResult::WouldBlock);
        }
    }

    /// Bytes of the input that have not been read.
    pub fn unread(&self) -> usize {
        self.input.len()
    }

    /// Sets the results of the next writes.
    pub fn set_writes(&mut self, writes: &[IoResult]) {
        self.writes = writes.iter().copied().collect();
    }

    /// The most bytes that the next call may transfer.
    fn next(results: &mut VecDeque<IoResult>, is_reset: &mut bool) -> io::Result<usize> {
        if *is_reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        match results.pop_front() {
            None => Ok(usize::MAX),
            Some(IoResult::AtMost(bytes)) => Ok(bytes.max(1)),
            Some(IoResult::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
            Some(IoResult::Interrupted) => Err(ErrorKind::Interrupted.into()),
            Some(IoResult::Reset) => {
                *is_reset = true;
                Err(ErrorKind::ConnectionReset.into())
            }
        }
    }
}

impl Read for ScriptedStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        assert!(self.held.is_empty(), "a read while the stream holds replies");
        assert!(!into.is_empty(), "a read into an empty buffer looks like the end of the input");
        let most = Self::next(&mut self.reads, &mut self.is_reset)?.min(into.len());
        self.input.read(&mut into[..most])
    }
}

impl Write for ScriptedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(!self.write_closed, "sent after the half-close");
        assert!(self.held.is_empty(), "a write while the stream holds replies");
        let mut room = Self::next(&mut self.writes, &mut self.is_reset)?;
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

impl Stream for ScriptedStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.write_closed = true;
        Ok(())
    }

    fn unacknowledged(&self) -> Option<usize> {
        self.unacknowledged
    }

    fn discard(&mut self, n: usize) -> Option<io::Result<usize>> {
        self.passes_bulk.then(|| {
            let most = Self::next(&mut self.reads, &mut self.is_reset)?.min(n).min(self.input.len());
            self.discarded += most;
            Ok(self.input.drain(..most).count())
        })
    }

    fn send_back(&mut self, n: usize) -> Option<io::Result<SentBack>> {
        assert!(self.held.is_empty(), "the stream holds replies");
        self.passes_bulk.then(|| {
            let received = loop {
                // the read that follows finds nothing either
                if self.reads.front() == Some(&IoResult::WouldBlock) {
                    return Err(ErrorKind::WouldBlock.into());
                }
                match Self::next(&mut self.reads, &mut self.is_reset) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    most => break most?.min(n).min(self.input.len()),
                }
            };
            self.held.extend(self.input.drain(..received));
            let sent = match self.send_held(received) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
                sent => sent?,
            };
            Ok(SentBack { received, sent })
        })
    }

    fn send_held(&mut self, n: usize) -> io::Result<usize> {
        assert!(!self.write_closed, "sent after the half-close");
        let sent = if n == 0 { 0 } else { Self::next(&mut self.writes, &mut self.is_reset)?.min(n) };
        let sent = sent.min(self.held.len());
        self.output.extend(self.held.drain(..sent));
        Ok(sent)
    }

    fn take_held(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.held.read(into)
    }
}

/// The time of day in every context, in seconds since 1970-01-01 UTC.
pub const UNIX_TIME: u64 = 1_795_220_304;

thread_local! {
    /// The monotonic clock of every context of this thread, in nanoseconds.
    pub static CLOCK: Cell<u64> = const { Cell::new(1) };
}

/// The context of a worker: messages of up to `message` bytes, lines of up to 64 KiB, no other limits, and a budget
/// that contexts may share.
pub fn context(message: usize, budget: &Arc<Budget>, seed: u64) -> Context {
    Context {
        read_buf: Buffer::zeroed(READ_BUF_SIZE).expect("memory"),
        reply_buf: Buffer::zeroed(REPLY_BUF_SIZE).expect("memory"),
        random: RequestRng::new(Some(seed)),
        pool: Pool::default(),
        unix_time: || UNIX_TIME,
        clock: || CLOCK.get(),
        limits: Limits { message, idle: None, request: None, write: None, line: Some(1 << 16), min_rate: None },
        budget: Arc::clone(budget),
        counters: WorkerCounters::default(),
        now: Millis::ZERO,
        woken: CLOCK.get(),
        replied: 0,
        draining: false,
        contended_since: None,
        found_proxy_header: false,
        write_left: 0,
        retired: Retired::default(),
    }
}

/// The server's side of the protocol of that name.
pub fn protocol(name: &str) -> Box<dyn Protocol> {
    (by_name(name).expect("a protocol of that name").new)(&ProtocolSettings::default(), &())
}

/// A new connection to the protocol of that name.
pub fn connection(name: &str) -> Connection {
    Connection::new(protocol(name), None, Millis::ZERO)
}

/// Calls one connection as a worker does.
pub struct Driver {
    /// The stream to the client.
    pub stream: ScriptedStream,
    /// The name of its protocol.
    name: &'static str,
    /// The connection.
    pub connection: Connection,
    /// The protocol of a connection whose header is not complete yet.
    protocol: Option<Box<dyn Protocol>>,
    /// What its header announced.
    pub announced: Option<ProxyHeader>,
    /// What the last call returned; `None` before the first call.
    next: Option<Next>,
    was_read_last: bool,
}

impl Driver {
    /// A connection to the protocol of that name, before its first call.
    pub fn new(protocol: &str, stream: ScriptedStream) -> Self {
        Self::of(protocol, connection(protocol), None, stream)
    }

    /// A connection that begins with a PROXY header, before its first call.
    pub fn awaiting_header(name: &str, stream: ScriptedStream) -> Self {
        Self::of(name, Connection::awaiting_header(None, Millis::ZERO, Millis::NEVER), Some(protocol(name)), stream)
    }

    fn of(name: &str, connection: Connection, protocol: Option<Box<dyn Protocol>>, stream: ScriptedStream) -> Self {
        let name = by_name(name).expect("a protocol of that name").name;
        Self { stream, name, connection, protocol, announced: None, next: None, was_read_last: false }
    }

    /// Continues with `connection`, which was restored in this context, to the protocol of that name.
    pub fn restored(name: &str, connection: Connection, stream: ScriptedStream, context: &mut Context) -> Self {
        let awaits_header = connection.save().is_ok_and(|saved| saved.awaits_header());
        let header = awaits_header.then(|| protocol(name));
        let mut driver = Self::of(name, connection, header, stream);
        let next = driver.connection.continue_service(&mut driver.stream, context);
        driver.after_call(context, next);
        driver
    }

    /// Whether a worker could hand the connection over now.
    pub fn can_hand_over(&self) -> bool {
        !matches!(self.next, None | Some(Next::Announced(_) | Next::Close(_)))
    }

    /// Takes back the job that has the request of the connection, if there is one, and what its stream holds.
    pub fn recall(&mut self, context: &mut Context) {
        if self.stream.held() > 0 {
            assert!(self.connection.save().is_err(), "saved without its replies");
        }
        self.connection.take_held(&mut self.stream, context).expect("memory");
        if let Some(Next::Offload(job)) = self.next.take() {
            assert!(self.connection.save().is_err(), "saved without its request");
            self.connection.recall(job).expect("memory");
        }
    }

    /// Writes the connection of one worker down, and continues with what is read of that in another one. Returns
    /// the reason when the connection has closed.
    pub fn hand_over(&mut self, from: &mut Context, to: &mut Context) -> Option<CloseReason> {
        self.recall(from);
        let (saved, bytes) = write_down(&self.connection);
        let restored = restore(self.name, &saved, bytes, to).expect("a state that was saved");
        drop(std::mem::replace(&mut self.connection, restored).retire());
        let next = self.connection.continue_service(&mut self.stream, to);
        self.after_call(to, next)
    }

    /// Whether it waits only until the client takes its replies.
    pub fn waits_to_write(&self) -> bool {
        matches!(self.next, Some(Next::Wait)) && !self.connection.interest().read
    }

    /// Whether it waits for its stream.
    pub fn waits_for_stream(&self) -> bool {
        matches!(self.next, Some(Next::Wait))
    }

    /// Whether it waits for memory.
    pub fn waits_for_memory(&self) -> bool {
        matches!(self.next, Some(Next::WaitForMemory(_)))
    }

    /// Makes the call that a worker would make next. Returns the reason when the connection has closed.
    pub fn step(&mut self, context: &mut Context) -> Option<CloseReason> {
        let (connection, stream) = (&mut self.connection, &mut self.stream);
        context.woken = CLOCK.get();
        let next = match self.next.take() {
            None => connection.open(stream, context),
            Some(Next::WaitForMemory(demand)) => match grant(context, demand) {
                Some(grant) => connection.resume(stream, context, grant),
                None => Next::WaitForMemory(demand),
            },
            Some(Next::Offload(job)) => {
                let result = job.run(&mut RequestRng::new(None), context.unix_time).expect("memory");
                connection.offload_done(stream, context, result)
            }
            Some(Next::Announced(header)) => {
                self.announced = Some(*header);
                connection.admit(self.protocol.take().expect("announced once"), stream, context)
            }
            Some(Next::Close(reason)) => return Some(reason),
            Some(Next::Wait) => match connection.interest() {
                Interest { read: false, write: false } => {
                    let deadline = connection.deadline(context).if_ever();
                    context.now = context.now.max(deadline.expect("the connection waits for an event or a time"));
                    connection.expire(stream, context)
                }
                Interest { read, write } => {
                    // alternates where it waits for both
                    self.was_read_last = read && !(write && self.was_read_last);
                    let call = if self.was_read_last { Connection::readable } else { Connection::writable };
                    call(connection, stream, context)
                }
            },
        };
        self.after_call(context, next)
    }

    /// The deadline comes, if the connection waits for its stream and has one.
    pub fn expire(&mut self, context: &mut Context) -> Option<CloseReason> {
        let deadline = self.connection.deadline(context).if_ever().filter(|_| self.waits_for_stream())?;
        context.now = context.now.max(deadline);
        let next = self.connection.expire(&mut self.stream, context);
        self.after_call(context, next)
    }

    /// What a worker does after each call.
    fn after_call(&mut self, context: &mut Context, next: Next) -> Option<CloseReason> {
        context.retired = Retired::default();
        context.record_durations(CLOCK.get());
        let Next::Close(reason) = next else {
            self.next = Some(next);
            return None;
        };
        context.counters.close(reason, self.connection.unanswered().into());
        self.next = Some(Next::Close(reason));
        Some(reason)
    }

    /// Steps until the connection closes, or until it has sent more than `max_output` bytes: then `None`. The
    /// connection must be the only one of its budget.
    pub fn run(&mut self, context: &mut Context, max_output: usize) -> Option<CloseReason> {
        loop {
            let waited = self.waits_for_memory();
            if let Some(reason) = self.step(context) {
                return Some(reason);
            }
            assert!(!(waited && self.waits_for_memory()), "the only connection waits for memory in vain");
            if self.stream.output.len() > max_output {
                return None;
            }
        }
    }
}

/// A connection as text, and the bytes that it holds.
pub fn write_down(connection: &Connection) -> (String, [Vec<u8>; 2]) {
    let saved = connection.save().expect("no job has its request");
    (serde_json::to_string(&saved).expect("JSON"), connection.saved_bytes().map(<[u8]>::to_vec))
}

/// The connection to the protocol of that name that was written down, or what is wrong with it.
pub fn restore(name: &str, saved: &str, bytes: [Vec<u8>; 2], context: &Context) -> Result<Connection, String> {
    let saved: SavedConnection = serde_json::from_str(saved).map_err(|error| error.to_string())?;
    let actual = bytes.each_ref().map(Vec::len);
    // the server gives no memory to lengths beyond the end of its file
    let capacities = if saved.lengths() == actual { saved.capacities() } else { actual };
    let mut capacities = capacities.into_iter();
    let buffers = bytes.map(|bytes| {
        let mut buffer = Buffer::with_capacity(capacities.next().unwrap_or_default()).expect("memory");
        buffer.unfilled_mut()[..bytes.len()].copy_from_slice(&bytes);
        buffer.advance(bytes.len());
        buffer
    });
    let protocol = (!saved.awaits_header()).then(|| protocol(name));
    Connection::restore(saved, buffers, protocol, context).map_err(|error| error.to_string())
}

/// What the server grants a connection that waits for memory: its demand, an empty charge if the budget can never meet
/// that, or nothing yet.
pub fn grant(context: &Context, demand: Demand) -> Option<Charge> {
    let hopeless = demand.reserve > context.budget.largest_request();
    context.budget.grant(demand).or_else(|| hopeless.then(|| Charge::new(&context.budget)))
}

/// Checks the sums of the counters of a worker whose connections have all closed.
pub fn check_sums(context: &Context) {
    let counters: &Counters = &context.counters;
    let closed: u64 = counters.closed.iter().map(Counter::get).sum();
    let abandoned: u64 = counters.abandoned.iter().map(Counter::get).sum();
    assert_eq!(counters.accepted.get(), closed, "accepted = closed");
    let (answered, refused) = (counters.answered.get(), counters.refused.get());
    assert_eq!(counters.requests.get(), answered + refused + abandoned, "requests = answered + refused + abandoned");
    let recorded: u64 = Totals::of([counters]).durations.counts.iter().sum();
    assert_eq!(answered + refused, recorded + context.replied, "every request that was replied to has a duration");
}
