//! One client, over any [`Stream`]: reads, lets the protocol answer, writes, and knows what it waits for.
//!
//! Owns the protocol's state and, only while something is unfinished, a `Work` with its buffers: an idle connection
//! holds no memory of its own. Reads go into the worker's scratch buffer, where whole requests are answered in place
//! and sent with one call; only an unfinished rest is copied aside. A large request is read straight into a buffer of
//! its own, changed there where the text allows, and written from there.
//!
//! Guarantees: answers in the order of the requests; no reading while answers wait for the client; an input that
//! ended still gets every answer; a bounded number of bytes read and written in a call, so that no client keeps the worker
//! from the others; a close waits until the client has what was counted as answered. Errors end the connection with a [`CloseReason`],
//! never anything else. Knows nothing of epoll, threads or other connections; time comes in as milliseconds in
//! [`Context::now`].
//!
//! | module | what lives there |
//! |---|---|
//! | `read` | input, into scratch or into a buffer of its own |
//! | `process` | turns of the protocol, and what is kept of them |
//! | `write` | output, and going on without the client |
//! | `closing` | lingering until the client has everything, and deadlines |
//! | `in_flight`, `memory` | what an unfinished request holds |
//! | `offload` | a request on its way to another thread |
//! | `close_reason`, `counters`, `log` | what is counted and logged |

mod close_reason;
mod closing;
mod counters;
mod in_flight;
mod log;
mod memory;
mod offload;
mod process;
mod read;
mod write;

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

pub use close_reason::CloseReason;
pub use counters::{Counter, Counters};
use in_flight::{Pending, Work};
pub use memory::budget::{Budget, Demand, Lease};
pub use memory::buffer::{Buffer, POOL, Pool, Retired, has_headroom, keep_headroom};
pub use offload::{Finished, Job};
use process::Call;

use crate::protocol::{Progress, Protocol, RequestCounts, RequestLimits, RequestRng};

/// Bytes that a worker reads at once into its scratch buffer, for protocols that only copy them.
pub const SCRATCH: usize = 256 * 1024;
/// The same for protocols that work on each byte, for as long as the other connections wait.
pub const BITE: usize = 64 * 1024;
/// Bytes of answer that a worker makes before it sends: room for the longest text that grows on the event loop.
pub const SPILL: usize = 256 * 1024;
/// An unfinished request shorter than this is completed in the scratch buffer; a longer one in its own.
const ASIDE: usize = 4 * 1024;
/// Bytes that a connection may hold without asking the budget.
pub const ALLOWANCE: usize = 16 * 1024;
/// The most bytes that a connection sends at one wake-up: all that one turn answers in the worker's buffers, because what
/// is not sent of that is copied. With 64 KiB, echo of 1 MiB takes three times the processor time.
pub const WRITE_MOST: usize = 256 * 1024;
/// The most bytes that are sent at one wake-up of a reply that has memory of its own: nothing is copied, and the other
/// connections come next. Chosen by measurement, beside 4 clients of `frame` that send 1 MiB each (4 MiB each): with 64
/// KiB a small request's p99 is 0.9 ms (1.8 ms), with 256 KiB 1.8 ms (4.3 ms), with whole replies 3.2 ms (14 ms); the
/// throughput of the four is the same with both sizes.
pub const PIECE: usize = 64 * 1024;
/// Memory of this size or more is freed by the caller: munmap(2) takes about 80 us for each MiB that was written to.
pub const RETIRE_FROM: usize = 1024 * 1024;
/// A deadline that never comes.
pub const NEVER: u64 = u64::MAX;

/// What a connection reads from and writes to.
pub trait Stream: Read + Write {
    /// Ends our side: the client sees the end of input after the last answer.
    fn end_output(&mut self) -> io::Result<()>;

    /// Bytes that were written and that the client's kernel has not acknowledged; the end of the output counts as one.
    /// `None` where that cannot be known.
    fn unacknowledged(&self) -> Option<usize>;
}

/// What the connections of one worker share.
#[derive(Debug)]
pub struct Context {
    /// Where input is read to; holds [`SCRATCH`] bytes.
    pub scratch: Buffer,
    /// Where answers go that cannot stand in their input; holds [`SPILL`] bytes.
    pub spill: Buffer,
    /// Buffers for large requests, used again and again.
    pub pool: Pool,
    /// The worker's random source.
    pub random: RequestRng,
    /// Seconds since 1970.
    pub unix_time: fn() -> u64,
    /// The limits in force.
    pub limits: Limits,
    /// The memory of all connections.
    pub budget: Arc<Budget>,
    /// The worker's counters.
    pub counters: Arc<Counters>,
    /// The time of this wake-up, in milliseconds since the start.
    pub now: u64,
    /// The daemon is stopping.
    pub stopping: bool,
    /// Since when connections have waited for memory, if any does: clients that take their answers too slowly are closed.
    pub contended_since: Option<u64>,
    /// Bytes that the connection may still send in this call.
    pub write_left: usize,
    /// Memory for the caller to free, outside of the event loop where it is large.
    pub retired: Retired,
}

impl Context {
    /// A buffer for `capacity` bytes, or as many as `bytes` are, that starts with `bytes`.
    ///
    /// One that was used before counts as full from the start, so it is given out only while there is plenty.
    fn buffer(&mut self, bytes: &[u8], capacity: usize) -> io::Result<Buffer> {
        if self.budget.is_ample() {
            self.pool.holding(bytes, capacity)
        } else {
            Buffer::holding([bytes, &[]], capacity)
        }
    }

    /// Keeps a buffer for the next large request, unless memory is short: the pool is charged to no connection.
    ///
    /// A large buffer that is not kept is for the caller to free; what `lease` covers of it is given back with its memory.
    fn recycle(&mut self, buffer: Buffer, lease: Option<&mut Lease>) {
        let left = if self.budget.is_ample() { self.pool.give(buffer) } else { Some(buffer) };
        if let Some(buffer) = left.filter(|buffer| buffer.footprint() >= RETIRE_FROM) {
            let lease = lease.map(|lease| lease.split(buffer.footprint()));
            self.retired.append(Retired::new(vec![buffer], lease));
        }
    }
}

/// What one connection may take; times in milliseconds, [`NEVER`] for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest message, in bytes.
    pub message: usize,
    /// Nothing asked for so long.
    pub idle: u64,
    /// A request must be complete after so long, longer by what has arrived at [`Limits::REQUEST_RATE`].
    pub request: u64,
    /// An answer must make progress in so long.
    pub write: u64,
    /// The longest line, in bytes, where a request is a line.
    pub line: usize,
    /// Bytes a second that a client must take of a reply above 16 KiB, once other clients have waited for memory for five
    /// seconds; 0 for no such limit.
    pub min_rate: u64,
}

impl Limits {
    /// Bytes a second at which a client may go on sending one request without end.
    pub const REQUEST_RATE: u64 = 16 * 1024;
}

/// What the caller has to do next for the connection.
#[derive(Debug)]
pub enum Next {
    /// Wait for what [`Connection::interest`] and [`Connection::deadline`] say.
    Wait,
    /// There is no memory: call [`Connection::resume`] with a lease for this demand when the budget has it.
    Starved(Demand),
    /// Run this on another thread, then call [`Connection::finished`].
    Heavy(Box<Job>),
    /// Close it.
    Close(CloseReason),
}

/// What a connection waits for from its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Input, or its end.
    pub read: bool,
    /// Room for output.
    pub write: bool,
}

/// How the log calls a client; connections that began while nobody wanted to know have no name.
#[derive(Debug)]
pub struct Label(Option<Box<str>>);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("a client"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Serving requests.
    Reading,
    /// Waits for memory.
    Starved,
    /// A heavy thread has the protocol and the request.
    Working,
    /// Sends what is owed, then closes.
    Closing(CloseReason),
    /// Our side has ended. Until `until` the client has to take more of what was sent, or, when it has everything, to
    /// end its own side, so that closing does not reset.
    Lingering { reason: CloseReason, until: u64 },
}

/// One client.
pub struct Connection {
    protocol: Option<Box<dyn Protocol>>,
    work: Option<Box<Work>>,
    label: Label,
    /// Since when it does what it does; while it lingers, when to look at it again.
    since: u64,
    /// What the client's kernel had not acknowledged at the last look; 0 before the first since something was sent.
    unacknowledged: u32,
    state: State,
    /// The protocol sends without being asked ([`Protocol::is_generator`]).
    produces: bool,
    ended: bool,
    asked: bool,
}

impl Connection {
    /// A connection at its start; `label` names the client in the log.
    #[must_use]
    pub fn new(protocol: Box<dyn Protocol>, label: Option<Box<str>>, now: u64) -> Self {
        Self {
            produces: protocol.is_generator(),
            protocol: Some(protocol),
            work: None,
            label: Label(label),
            since: now,
            unacknowledged: 0,
            state: State::Reading,
            ended: false,
            asked: false,
        }
    }

    /// The client's name for the log.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// Starts the service: what speaks first speaks now.
    pub fn open<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        context.write_left = WRITE_MOST;
        let next = self.digest_scratch(stream, context, 0, Call::Open);
        self.go_on(next, stream, context)
    }

    /// The stream has input, or its end, or an error.
    pub fn readable<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        context.write_left = WRITE_MOST;
        let next = match self.state {
            State::Lingering { reason, .. } => Self::drop_input(stream, context, reason),
            State::Reading if self.reads() => self.read(stream, context),
            _ => Next::Wait,
        };
        self.go_on(next, stream, context)
    }

    /// The stream has room for output.
    pub fn writable<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        context.write_left = WRITE_MOST;
        self.go_on(Next::Wait, stream, context)
    }

    /// The budget has granted what [`Next::Starved`] asked for, or, where `grant` is empty, never will.
    pub fn resume<S: Stream>(&mut self, stream: &mut S, context: &mut Context, grant: Lease) -> Next {
        if self.state != State::Starved {
            return Next::Wait;
        }
        context.write_left = WRITE_MOST;
        self.state = State::Reading;
        let work = self.work.get_or_insert_default();
        // the client is not to blame for the time that we did not read
        work.request.begun += context.now.saturating_sub(self.since);
        work.lease(&context.budget).absorb(grant);
        let next = if work.pending == Pending::Nothing { self.read(stream, context) } else { Next::Wait };
        self.go_on(next, stream, context)
    }

    /// A heavy thread has done its work.
    pub fn finished<S: Stream>(&mut self, stream: &mut S, context: &mut Context, done: Finished) -> Next {
        context.write_left = WRITE_MOST;
        self.state = State::Reading;
        let Finished { protocol, mut lease, output, spent, tally, notes, progress, took } = done;
        self.protocol = Some(protocol);
        self.tell(notes, took);
        for buffer in spent {
            context.recycle(buffer, Some(&mut lease));
        }
        // what the answer might have needed and does not hold is for others
        lease.force(output.footprint());
        let work = self.work.get_or_insert_default();
        work.lease = Some(lease);
        work.owed = tally;
        work.begin_output(output, context.now);
        if let Progress::Close(ending) = progress {
            self.close_after(context, ending, false);
        }
        self.go_on(Next::Wait, stream, context)
    }

    /// A heavy thread could not do its work, for want of memory: closes, with all that was answered before.
    pub fn failed<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        self.state = State::Reading;
        self.begin_work(context).owed = RequestCounts { answered: 1, ..RequestCounts::default() };
        self.give_up(stream, context)
    }

    /// Stopping: reads what has arrived, and closes a connection without input and without an answer to send.
    ///
    /// A client that has not asked anything yet may still do so while `patient`. If it [`Connection::is_idle`] afterwards
    /// and may not, call again after the others.
    pub fn wind_up<S: Stream>(&mut self, stream: &mut S, context: &mut Context, patient: bool) -> Next {
        match self.state {
            // no request waits for a reply here, and a client that does not read must not delay the stop
            State::Reading if self.produces => return Next::Close(CloseReason::Stopped),
            State::Lingering { .. } => {
                self.hurry_linger(context);
                return Next::Wait;
            }
            _ if !self.is_idle() => return Next::Wait,
            _ => {}
        }
        let before = context.counters.bytes_in.get();
        match self.readable(stream, context) {
            Next::Wait if context.counters.bytes_in.get() > before => Next::Wait,
            Next::Wait if self.is_idle() && (self.asked || !patient) => {
                self.close_gently(stream, context, CloseReason::Stopped)
            }
            next => next,
        }
    }

    /// Nothing is begun and nothing owed.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.state == State::Reading && self.work.is_none() && !self.produces
    }

    /// What it waits for: follows from the state alone.
    #[must_use]
    pub fn interest(&self) -> Interest {
        let write = self.owes() || (self.state == State::Reading && self.produces);
        let read = match self.state {
            State::Reading => self.reads(),
            State::Lingering { .. } => true,
            State::Starved | State::Working | State::Closing(_) => false,
        };
        Interest { read, write }
    }

    /// Requests that were read and whose answers the client did not get.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        let owed = self.work.as_ref().map_or(RequestCounts::default(), |work| work.owed);
        u64::from(owed.answered) + u64::from(owed.refused) + u64::from(self.state == State::Working)
    }

    /// Whether a heavy thread has its request.
    #[must_use]
    pub fn is_offloaded(&self) -> bool {
        self.state == State::Working
    }

    /// The memory that it holds, with what is charged for it.
    #[must_use]
    pub fn retire(self) -> Retired {
        self.work.map_or_else(Retired::default, |work| work.retire())
    }

    fn owes(&self) -> bool {
        self.work.as_ref().is_some_and(|work| !work.output.is_empty())
    }

    /// Whether input is wanted: not while answers wait, and not before what is there has been looked at.
    fn reads(&self) -> bool {
        let blocked =
            self.work.as_ref().is_some_and(|work| work.pending != Pending::Nothing || !work.output.is_empty());
        !self.ended && !blocked
    }

    /// What is begun gets a [`Work`]; its clock starts now.
    fn begin_work(&mut self, context: &Context) -> &mut Work {
        self.work.get_or_insert_with(|| Box::new(Work::begun(context.now)))
    }

    fn settle_account(&mut self, context: &Context) {
        let Some(work) = &mut self.work else { return };
        if work.is_over() {
            self.work = None;
            return;
        }
        let held = work.input.footprint() + work.output.footprint();
        // a request under way keeps the grant that covers all of it
        let leased = work.leased();
        if held > ALLOWANCE && leased < held || leased > 0 && work.needed.request_len == 0 {
            work.lease(&context.budget).force(if held > ALLOWANCE { held } else { 0 });
        }
    }
}

/// What one request may take under these limits.
fn request_limits(limits: &Limits, budget: &Budget) -> RequestLimits {
    let memory = budget.largest_request();
    RequestLimits { message: limits.message, memory, line: limits.line.min(memory) }
}
