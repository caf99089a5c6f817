//! One client, over any [`Stream`]: reads, lets the protocol answer, writes, and knows what it waits for.
//!
//! Owns the protocol's state and, only while something is unfinished, a `Work` with its buffers: an idle connection
//! holds no memory of its own. Reads go into the worker's scratch buffer, where whole requests are answered in place
//! and sent with one call; only an unfinished rest is copied aside. A large request is read straight into a buffer of
//! its own, changed there where the text allows, and written from there.
//!
//! Guarantees: answers in the order of the requests; no reading while answers wait for the client; an input that
//! ended still gets every answer; one read a call, so that nobody keeps the worker. Errors end the connection with a
//! [`CloseReason`], never anything else. Knows nothing of epoll, threads or other connections; time comes in as
//! milliseconds in [`Context::now`].

mod budget;
mod buffers;
mod close_reason;
mod counters;
mod heavy_job;
mod work;

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use log::{Level, debug, info, log_enabled, trace};

pub use budget::{Budget, Lease};
pub use buffers::{Buffer, POOL, Pool};
pub use close_reason::CloseReason;
pub use counters::{Counter, Counters};
pub use heavy_job::{Finished, Job};
use work::{Output, Work};

use crate::protocol::{Ending, Env, Need, Note, Protocol, Random, RequestLimits, Step, Tally, Turn};

/// Bytes that a worker reads at once into its scratch buffer.
pub const SCRATCH: usize = 64 * 1024;
/// Bytes of answer that a worker makes before it sends: room for the longest answer to a full scratch buffer.
pub const SPILL: usize = 4 * SCRATCH;
/// The same while the budget is used up: then a connection must not come to hold much that it has no room for.
const TIGHT_SPILL: usize = 8 * ASIDE;
/// An unfinished request shorter than this is completed in the scratch buffer; a longer one in its own.
const ASIDE: usize = 4 * 1024;
/// Bytes read at once into a large request's own buffer.
const DIRECT_READ: usize = 1024 * 1024;
/// Bytes that a connection may hold without asking the budget.
pub const ALLOWANCE: usize = 16 * 1024;
/// How long a connection that has sent its last answer waits for the client to end its side, in milliseconds.
const LINGER: u64 = 2_000;
/// Bytes of a connection's input or output that `-vvv` shows.
const SHOWN: usize = 64;
/// A deadline that never comes.
pub const NEVER: u64 = u64::MAX;

/// What a connection reads from and writes to.
pub trait Stream: Read + Write {
    /// Ends our side: the client sees the end of input after the last answer.
    fn end_output(&mut self) -> io::Result<()>;
}

/// What the connections of one worker share.
#[derive(Debug)]
pub struct Context {
    /// Where input is read to; [`SCRATCH`] bytes.
    pub scratch: Box<[u8]>,
    /// Where answers go that cannot stand in their input; holds [`SPILL`] bytes.
    pub spill: Buffer,
    /// Buffers for large requests, used again and again.
    pub pool: Pool,
    /// The worker's random source.
    pub random: Random,
    /// What qotd chooses from.
    pub quotes: Arc<[String]>,
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
    /// There is no memory: call [`Connection::resume`] when the budget has room.
    Starved,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Serving requests.
    Reading,
    /// A heavy thread has the protocol and the request.
    Working,
    /// Sends what is owed, then closes.
    Closing(CloseReason),
    /// All is sent and our side ended; waits for the client to end its own, so that closing does not reset.
    Lingering(CloseReason),
}

/// What the protocol is called for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Open,
    Advance,
    Skipped,
    End,
}

/// Where the input of a turn stands.
enum Source {
    /// In the worker's scratch buffer, so many bytes.
    Scratch(usize),
    /// In a buffer of its own.
    Own(Buffer),
}

impl Source {
    fn len(&self) -> usize {
        match self {
            Self::Scratch(length) => *length,
            Self::Own(buffer) => buffer.len(),
        }
    }
}

/// What one turn of the protocol came to.
struct Turned {
    step: Step,
    taken: usize,
    tally: Tally,
    /// Answers that the client had no room for: in the input, and in the spill.
    unsent: (Range<usize>, Range<usize>),
}

impl Turned {
    fn all_sent(&self) -> bool {
        self.unsent.0.is_empty() && self.unsent.1.is_empty()
    }
}

/// One client.
pub struct Connection {
    protocol: Option<Box<dyn Protocol>>,
    work: Option<Box<Work>>,
    label: Option<Box<str>>,
    since: u64,
    state: State,
    /// The protocol sends without being asked ([`Protocol::produces`]).
    produces: bool,
    ended: bool,
    asked: bool,
    starved: bool,
}

impl Connection {
    /// A connection at its start; `label` names the client in the log.
    #[must_use]
    pub fn new(protocol: Box<dyn Protocol>, label: Option<Box<str>>, now: u64) -> Self {
        Self {
            produces: protocol.produces(),
            protocol: Some(protocol),
            work: None,
            label,
            since: now,
            state: State::Reading,
            ended: false,
            asked: false,
            starved: false,
        }
    }

    /// The client's name for the log.
    #[must_use]
    pub fn label(&self) -> &str {
        self.label.as_deref().unwrap_or("a client")
    }

    /// Starts the service: what speaks first speaks now.
    pub fn open<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        let next = self.digest(stream, context, Source::Scratch(0), Call::Open);
        self.go_on(next, stream, context)
    }

    /// The stream has input, or its end, or an error.
    pub fn readable<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        let next = match self.state {
            State::Lingering(reason) => self.drop_input(stream, context, reason),
            State::Reading if self.reads() => self.read(stream, context),
            _ => Next::Wait,
        };
        self.go_on(next, stream, context)
    }

    /// The stream has room for output.
    pub fn writable<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        self.go_on(Next::Wait, stream, context)
    }

    /// The budget may have room again.
    pub fn resume<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        if !std::mem::take(&mut self.starved) {
            return Next::Wait;
        }
        // the client is not to blame for the time that we did not read
        let work = self.work.get_or_insert_default();
        work.begun += context.now.saturating_sub(self.since);
        let next = if work.ready { Next::Wait } else { self.read(stream, context) };
        self.go_on(next, stream, context)
    }

    /// A heavy thread has done its work.
    pub fn finished<S: Stream>(&mut self, stream: &mut S, context: &mut Context, done: Finished) -> Next {
        self.state = State::Reading;
        let Finished { protocol, lease, output, tally, notes, step, took } = done;
        self.protocol = Some(protocol);
        self.tell(notes, took);
        let work = self.work.get_or_insert_default();
        work.lease = Some(lease);
        work.owed = tally;
        work.output = output;
        work.progress = context.now;
        if let Step::Close(ending) = step {
            self.close_after(ending, false);
        }
        self.go_on(Next::Wait, stream, context)
    }

    /// Stopping: reads what has arrived until nothing more has, and closes when nothing is owed.
    ///
    /// A client that has not asked anything yet may still do so while `patient`.
    pub fn wind_up<S: Stream>(&mut self, stream: &mut S, context: &mut Context, patient: bool) -> Next {
        if self.state == State::Reading && self.produces {
            return Next::Close(CloseReason::Stopped);
        }
        while self.is_idle() {
            let before = context.counters.bytes_in.get();
            match self.readable(stream, context) {
                Next::Wait if context.counters.bytes_in.get() > before => {}
                Next::Wait if self.is_idle() && (self.asked || !patient) => return Next::Close(CloseReason::Stopped),
                next => return next,
            }
        }
        Next::Wait
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
            State::Lingering(_) => true,
            State::Working | State::Closing(_) => false,
        };
        Interest { read, write }
    }

    /// When it is to be closed if nothing happens, in milliseconds, and why.
    #[must_use]
    pub fn deadline(&self, limits: &Limits) -> (u64, CloseReason) {
        let work = self.work.as_deref();
        match self.state {
            State::Working => (NEVER, CloseReason::Failed),
            State::Lingering(reason) => (self.since.saturating_add(LINGER), reason),
            _ if self.starved => (NEVER, CloseReason::Failed),
            _ if self.owes() => {
                (work.map_or(NEVER, |work| work.progress).saturating_add(limits.write), CloseReason::WriteTimeout)
            }
            _ if self.produces => (self.since.saturating_add(limits.write), CloseReason::WriteTimeout),
            _ => match work {
                Some(work) => (work.request_deadline(limits), CloseReason::RequestTimeout),
                None => (self.since.saturating_add(limits.idle), CloseReason::IdleTimeout),
            },
        }
    }

    /// Requests that were read and whose answers the client did not get.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        let owed = self.work.as_ref().map_or(Tally::default(), |work| work.owed);
        u64::from(owed.answered) + u64::from(owed.refused) + u64::from(self.state == State::Working)
    }

    fn owes(&self) -> bool {
        self.work.as_ref().is_some_and(|work| !work.output.is_empty())
    }

    /// Whether input is wanted: not while answers wait, and not before what is there has been looked at.
    fn reads(&self) -> bool {
        let blocked = self.work.as_ref().is_some_and(|work| work.ready || !work.output.is_empty());
        !self.ended && !blocked && !self.starved
    }

    fn read<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        match &mut self.work {
            Some(work) if work.reads_directly() => self.read_own(stream, context),
            _ => self.read_scratch(stream, context),
        }
    }

    /// Reads behind the unfinished rest, if any, in the scratch buffer.
    fn read_scratch<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        let rest = self.work.as_mut().map_or(0, |work| {
            let held = work.input.held();
            context.scratch[..held.len()].copy_from_slice(held);
            held.len()
        });
        let bite = if context.budget.is_tight() { rest + ASIDE } else { SCRATCH };
        match read_some(stream, &mut context.scratch[rest..bite]) {
            Ok(0) => self.end_of_input(stream, context),
            Ok(n) => {
                self.arrived(context, rest..rest + n);
                if let Some(work) = &mut self.work {
                    work.input = Buffer::default();
                }
                self.digest(stream, context, Source::Scratch(rest + n), Call::Advance)
            }
            Err(error) => stalled(&error),
        }
    }

    /// Reads into the request's own buffer.
    fn read_own<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        let whole = self.whole_need(context);
        let Some(work) = &mut self.work else { return Next::Wait };
        if work.make_room(&mut context.pool).is_err() {
            return Next::Close(CloseReason::Resources);
        }
        let bite = work.room().len().min(DIRECT_READ);
        let held = work.input.len() + bite;
        if held > ALLOWANCE && !work.lease(&context.budget).ensure(held, whole) {
            return self.starve(context);
        }
        match read_some(stream, &mut work.room()[..bite]) {
            Ok(0) => self.end_of_input(stream, context),
            Ok(n) => {
                context.counters.bytes_in.add(n as u64);
                work.received += n as u64;
                work.input.fill(n);
                if work.input.len() < work.need.input {
                    return Next::Wait;
                }
                let input = std::mem::take(&mut work.input);
                self.digest(stream, context, Source::Own(input), Call::Advance)
            }
            Err(error) => stalled(&error),
        }
    }

    /// The most memory that the request under way can take, answer and all.
    fn whole_need(&self, context: &Context) -> usize {
        match &self.work {
            Some(work) if work.need.input > 0 => work.need.memory(),
            _ => context.budget.largest_request(),
        }
    }

    fn starve(&mut self, context: &Context) -> Next {
        self.starved = true;
        self.since = context.now;
        Next::Starved
    }

    /// Counts and shows what was read.
    fn arrived(&mut self, context: &mut Context, fresh: Range<usize>) {
        context.counters.bytes_in.add(fresh.len() as u64);
        if let Some(work) = &mut self.work {
            work.received += fresh.len() as u64;
        }
        if log_enabled!(Level::Trace) {
            self.show("received", &context.scratch[fresh]);
        }
    }

    fn end_of_input<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        self.ended = true;
        let unfinished = self.work.as_mut().filter(|work| work.skip.is_some() || !work.input.is_empty());
        if let Some(work) = unfinished {
            work.skip = None;
            let input = std::mem::take(&mut work.input);
            return self.digest(stream, context, Source::Own(input), Call::End);
        }
        if !self.produces {
            self.state = State::Closing(CloseReason::Finished);
        }
        Next::Wait
    }

    /// Lets the protocol answer what stands in `source`, sends it, and keeps what is left.
    fn digest<S: Stream>(&mut self, stream: &mut S, context: &mut Context, mut source: Source, call: Call) -> Next {
        let mut scratch = std::mem::take(&mut context.scratch);
        let next = self.digest_in(stream, context, &mut scratch, &mut source, call);
        context.scratch = scratch;
        if let Source::Own(buffer) = source {
            context.pool.give(buffer);
        }
        next
    }

    fn digest_in<S: Stream>(
        &mut self,
        stream: &mut S,
        context: &mut Context,
        scratch: &mut [u8],
        source: &mut Source,
        mut call: Call,
    ) -> Next {
        let mut at = 0;
        loop {
            if let Some(skipped) = self.skip(source.len() - at) {
                at += skipped;
                if self.is_skipping() {
                    return Next::Wait;
                }
                call = Call::Skipped;
            }
            let bytes = match source {
                Source::Scratch(length) => &mut scratch[at..*length],
                Source::Own(buffer) => &mut buffer.held()[at..],
            };
            let turned = match self.turn(stream, context, bytes, call) {
                Ok(turned) => turned,
                Err(reason) => return Next::Close(reason),
            };
            let start = at;
            at += turned.taken;
            call = Call::Advance;
            if let Step::Skip(bytes) = turned.step {
                self.begin_work(context).skip = Some(bytes);
            }
            if self.is_at_rest(&turned, source.len() - at) {
                self.since = context.now;
                return Next::Wait;
            }
            if !(turned.all_sent() && matches!(turned.step, Step::Full | Step::Skip(_))) {
                return self.settle(context, scratch, source, (start, at), &turned);
            }
        }
    }

    /// Nothing is left of the turn: the usual case, which so costs nothing more.
    fn is_at_rest(&self, turned: &Turned, input_left: usize) -> bool {
        let done = input_left == 0 && turned.all_sent() && matches!(turned.step, Step::More(_));
        done && self.work.is_none() && !self.produces
    }

    /// Drops what is to be skipped of `available` bytes; says how many, if any were to be.
    fn skip(&mut self, available: usize) -> Option<usize> {
        let work = self.work.as_mut()?;
        let left = work.skip?;
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(available);
        work.skip = (left > n as u64).then(|| left - n as u64);
        Some(n)
    }

    fn is_skipping(&self) -> bool {
        self.work.as_ref().is_some_and(|work| work.skip.is_some())
    }

    /// Calls the protocol once, and sends what it answers.
    fn turn<S: Stream>(
        &mut self,
        stream: &mut S,
        context: &mut Context,
        bytes: &mut [u8],
        call: Call,
    ) -> Result<Turned, CloseReason> {
        let Some(protocol) = &mut self.protocol else { return Err(CloseReason::Failed) };
        let notes = log_enabled!(Level::Info);
        let begun = notes.then(Instant::now);
        let limits = request_limits(&context.limits, &context.budget);
        let room = if context.budget.is_tight() { TIGHT_SPILL } else { SPILL };
        let mut turn = Turn::new(bytes, &mut context.spill.held()[..room]).with_notes(notes);
        let mut env = Env {
            random: &mut context.random,
            unix_time: context.unix_time,
            quotes: &context.quotes,
            limits,
            inline: true,
        };
        let step = match call {
            Call::Open => protocol.open(&mut turn, &mut env),
            Call::Advance => protocol.advance(&mut turn, &mut env),
            Call::Skipped => {
                protocol.skipped(&mut turn, &mut env);
                protocol.advance(&mut turn, &mut env)
            }
            Call::End => {
                protocol.end(&mut turn, &mut env);
                Step::Close(Ending::Done)
            }
        };
        let (placed, spilled) = turn.placed();
        let sent = send(stream, turn.answers()).map_err(|error| CloseReason::of(&error))?;
        context.counters.bytes_out.add(sent as u64);
        let tally = turn.tally();
        let taken = turn.taken();
        if notes {
            let told: Vec<Note> = turn.drain_notes().collect();
            if log_enabled!(Level::Trace) {
                turn.answers().into_iter().filter(|part| !part.is_empty()).for_each(|part| self.show("answered", part));
            }
            self.tell(told, begun.map(|begun| begun.elapsed()).unwrap_or_default());
        }
        let in_input = sent.min(placed.len());
        let unsent = (placed.start + in_input..placed.end, sent - in_input..spilled);
        let turned = Turned { step, taken, tally, unsent };
        self.count(context, tally, turned.all_sent());
        Ok(turned)
    }

    fn count(&mut self, context: &mut Context, tally: Tally, sent: bool) {
        let requests = u64::from(tally.answered) + u64::from(tally.refused);
        self.asked |= requests > 0;
        context.counters.requests.add(requests);
        context.counters.records.add(tally.records.into());
        if sent {
            context.counters.sent(tally);
        } else {
            self.begin_work(context).owed = tally;
        }
    }

    /// What is begun gets a [`Work`]; its clock starts now.
    fn begin_work(&mut self, context: &Context) -> &mut Work {
        self.work.get_or_insert_with(|| Box::new(Work { begun: context.now, ..Work::default() }))
    }

    /// Keeps what the turn left: input that is not taken, answers that are not sent.
    fn settle(
        &mut self,
        context: &mut Context,
        scratch: &mut [u8],
        source: &mut Source,
        (start, at): (usize, usize),
        turned: &Turned,
    ) -> Next {
        let kept = match turned.step {
            Step::More(need) => self.keep(context, scratch, source, at, need, false),
            Step::Full | Step::Skip(_) | Step::Heavy(_) => {
                self.keep(context, scratch, source, at, Need::default(), true)
            }
            Step::Close(ending) => {
                self.close_after(ending, turned.tally.refused > 0);
                Ok(())
            }
        };
        let held = kept.and_then(|()| self.hold(context, scratch, source, start, turned));
        if !self.produces {
            self.since = context.now;
        }
        match held {
            Err(_) => Next::Close(CloseReason::Resources),
            Ok(()) => self.charge(context, turned),
        }
    }

    /// Keeps the input from `at` on: of a request that needs so much, or to be looked at again (`ready`).
    fn keep(
        &mut self,
        context: &mut Context,
        scratch: &mut [u8],
        source: &mut Source,
        at: usize,
        need: Need,
        ready: bool,
    ) -> io::Result<()> {
        let capacity = if need.input > ASIDE { need.input } else { 0 };
        let input = match source {
            Source::Own(buffer) if at == 0 && buffer.capacity() >= capacity => std::mem::take(buffer),
            Source::Own(buffer) => context.pool.holding(&buffer.held()[at..], capacity)?,
            Source::Scratch(length) if at == *length && self.work.is_none() => return Ok(()),
            Source::Scratch(length) => context.pool.holding(&scratch[at..*length], capacity)?,
        };
        let now = context.now;
        let begun_before = self.work.as_ref().is_some_and(|work| work.need.input > 0 || work.received > 0) && at == 0;
        let work = self.begin_work(context);
        if !begun_before {
            work.begun = now;
            work.received = input.len() as u64;
        }
        work.ready = ready && (!input.is_empty() || work.skip == Some(0));
        work.need = need;
        work.input = input;
        Ok(())
    }

    /// Holds the answers that were not sent; those in a buffer of their own stay where they are.
    fn hold(
        &mut self,
        context: &Context,
        scratch: &mut [u8],
        source: &mut Source,
        start: usize,
        turned: &Turned,
    ) -> io::Result<()> {
        if turned.all_sent() {
            return Ok(());
        }
        let (placed, spilled) = turned.unsent.clone();
        let placed = placed.start + start..placed.end + start;
        let output = match source {
            Source::Own(buffer) if spilled.is_empty() => Output::new(std::mem::take(buffer), placed),
            Source::Own(buffer) => Output::copied([&buffer.held()[placed], spill(context, spilled)])?,
            Source::Scratch(_) => Output::copied([&scratch[placed], spill(context, spilled)])?,
        };
        let now = context.now;
        let work = self.begin_work(context);
        work.output = output;
        work.progress = now;
        Ok(())
    }

    /// Charges what is held to the budget, and hands out heavy work.
    fn charge(&mut self, context: &mut Context, turned: &Turned) -> Next {
        self.settle_account(context);
        let Step::Heavy(need) = turned.step else { return Next::Wait };
        self.begin_work(context).seed = Some(context.random.seed());
        if turned.all_sent() { self.start_heavy(context, need) } else { Next::Wait }
    }

    fn settle_account(&mut self, context: &Context) {
        let Some(work) = &mut self.work else { return };
        if work.is_over() {
            self.work = None;
            return;
        }
        let held = work.input.len() + work.output.len();
        // a request under way keeps the grant that covers all of it
        let leased = work.leased();
        if held > ALLOWANCE && leased < held || leased > 0 && work.need.input == 0 {
            work.lease(&context.budget).force(if held > ALLOWANCE { held } else { 0 });
        }
    }

    /// Hands the request at the front of the kept input to a heavy thread, if there is memory for its answer.
    fn start_heavy(&mut self, context: &mut Context, need: Need) -> Next {
        let whole = need.memory();
        let work = self.begin_work(context);
        if !work.lease(&context.budget).ensure(whole, whole) {
            work.ready = true;
            return self.starve(context);
        }
        let Ok(input) = work.split_request(need.input) else { return Next::Close(CloseReason::Resources) };
        let seed = work.seed.take();
        let (Some(lease), Some(protocol)) = (work.lease.take(), self.protocol.take()) else {
            return Next::Close(CloseReason::Failed);
        };
        self.state = State::Working;
        self.asked = true;
        context.counters.requests.add(1);
        let limits = request_limits(&context.limits, &context.budget);
        let notes = log_enabled!(Level::Info);
        Next::Heavy(Box::new(Job { protocol, input, need, seed, lease, limits, notes }))
    }

    /// Goes on for as long as that needs nothing from the client: sends, looks at kept input, closes.
    fn go_on<S: Stream>(&mut self, mut next: Next, stream: &mut S, context: &mut Context) -> Next {
        loop {
            if !matches!(next, Next::Wait) || self.state == State::Working || self.starved {
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

    fn look_again<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        let Some(work) = &mut self.work else { return Next::Wait };
        work.ready = false;
        if let Some(seed) = work.seed.take() {
            context.random.replay(seed);
        }
        let input = std::mem::take(&mut work.input);
        self.digest(stream, context, Source::Own(input), Call::Advance)
    }

    /// Sends what is owed; true when nothing is owed any more.
    fn flush<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Result<bool, CloseReason> {
        let Some(work) = self.work.as_mut().filter(|work| !work.output.is_empty()) else { return Ok(true) };
        let sent = send(stream, [work.output.bytes(), &[]]).map_err(|error| CloseReason::of(&error))?;
        context.counters.bytes_out.add(sent as u64);
        if let Some(buffer) = work.output.advance(sent) {
            context.pool.give(buffer);
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

    /// Takes no more input; closes when all is sent. An input that ended in what had to be `refused` was cut short.
    fn close_after(&mut self, ending: Ending, refused: bool) {
        self.state = State::Closing(match ending {
            Ending::Done if self.ended && refused => CloseReason::Truncated,
            Ending::Done if self.ended => CloseReason::Finished,
            Ending::Done => CloseReason::Served,
            Ending::Violation(how) => {
                info!("{}: {how}", self.label());
                CloseReason::Violation
            }
        });
        if let Some(work) = &mut self.work {
            work.input = Buffer::default();
            work.ready = false;
            work.skip = None;
        }
    }

    /// All is sent: closes, or ends our side first where the client may still be sending.
    fn close_now<S: Stream>(&mut self, stream: &mut S, context: &mut Context, reason: CloseReason) -> Next {
        if self.ended || stream.end_output().is_err() {
            return Next::Close(reason);
        }
        self.work = None;
        self.since = context.now;
        self.state = State::Lingering(reason);
        Next::Wait
    }

    /// Reads and drops what a client sends beside a service that has already answered.
    fn drop_input<S: Stream>(&mut self, stream: &mut S, context: &mut Context, reason: CloseReason) -> Next {
        match read_some(stream, &mut context.scratch) {
            Ok(0) => Next::Close(reason),
            Ok(n) => {
                context.counters.bytes_in.add(n as u64);
                Next::Wait
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Next::Wait,
            Err(_) => Next::Close(reason),
        }
    }

    fn tell(&self, notes: Vec<Note>, took: std::time::Duration) {
        for note in notes {
            match note {
                Note::Request(request) => debug!(
                    "{}: {} of {} bytes {} in {took:?}",
                    self.label(),
                    request.action,
                    request.length,
                    if request.refused { "refused" } else { "answered" },
                ),
                Note::Record(fields) => info!("{}: record {fields}", self.label()),
            }
        }
    }

    /// What a client sent never reaches the log as it is: it could forge lines.
    fn show(&self, what: &str, bytes: &[u8]) {
        let cut = if bytes.len() > SHOWN { "..." } else { "" };
        let shown = bytes[..bytes.len().min(SHOWN)].escape_ascii();
        trace!("{}: {what} {} bytes: {shown}{cut}", self.label(), bytes.len());
    }
}

/// What one request may take under these limits.
fn request_limits(limits: &Limits, budget: &Budget) -> RequestLimits {
    RequestLimits { message: limits.message, memory: budget.largest_request() }
}

fn spill(context: &Context, range: Range<usize>) -> &[u8] {
    &context.spill.as_slice()[range]
}

/// An error of a read: nothing there yet, or the end of the connection.
fn stalled(error: &io::Error) -> Next {
    match error.kind() {
        ErrorKind::WouldBlock => Next::Wait,
        _ => Next::Close(CloseReason::of(error)),
    }
}

/// Reads once, again when a signal came between (EINTR).
fn read_some<S: Read>(stream: &mut S, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(into) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Sends as much of both parts as the client has room for; says how much.
///
/// A short write means that the room is used up: asking again would only be told so (EAGAIN).
fn send<S: Write>(stream: &mut S, parts: [&[u8]; 2]) -> io::Result<usize> {
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
