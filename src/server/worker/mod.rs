//! One thread of the server: wait, accept, read, advance, write, close.
//!
//! Owns its connections and its epoll instance. Everything that other threads want of it comes through its mailbox. Work
//! for each wake-up is bounded in every direction, so that no client keeps the others waiting and every order is heard
//! soon: a batch of events, of accepted connections and of messages, the bytes that one connection may read and write
//! ([`crate::connection`]), and the time for looking at connections one after another.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{Level, info, log_enabled};

use crate::connection::{
    Buffer, CloseReason, Connection, Context, Demand, Grace, Interest, Limits, NEVER, Next, OffloadJob, OffloadResult,
    Pool, READ_BUF_SIZE, REPLY_BUF_SIZE, Retired, Stream, has_headroom,
};
use crate::protocol::{self, ConnectionInfo, ProtocolSettings, RequestRng};
use crate::server::connection_table::{Entry, Registry};
use crate::server::listener::{Accepted, Acceptor};
use crate::server::mailbox::{Mail, Mailbox};
use crate::server::memory_queue::{self, Place, Waiter};
use crate::server::poller::{Event, Poller, Source, Token};
use crate::server::shared::{Admission, Shared};
use crate::server::timers::Deadlines;
use crate::server::{BoundListener, Settings};
use crate::sys::{self, Errno};

/// How long after the order to stop a client that has not asked anything may still do so, in milliseconds.
const PATIENCE: u64 = 500;
/// Connections accepted at one wake-up from all listeners, at most. Derived: a connection that asks once costs 32 us of CPU
/// (churn in `docs/performance.md`), so that these cost two milliseconds.
const MOST_ACCEPTED: u32 = 64;
/// Messages handled at one wake-up, at most; chosen as [`MOST_ACCEPTED`], because most of them are accepted connections.
const MOST_MAIL: usize = 64;
/// How long connections are looked at one after another before events are served again. Chosen: a delay that no client
/// notices.
const LONGEST_PASS: Duration = Duration::from_millis(1);
/// Connections looked at between two looks at the clock; chosen so that the clock is a small part of the cost.
const PASS_STEP: usize = 16;

impl Stream for TcpStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }

    fn unacknowledged(&self) -> Option<usize> {
        sys::unacknowledged(self).ok()
    }
}

/// A connection that has just been accepted.
struct Accepting<'a> {
    stream: &'a TcpStream,
    number: u64,
}

impl ConnectionInfo for Accepting<'_> {
    fn peer(&self) -> Option<String> {
        self.stream.peer_addr().ok().map(canonical)
    }

    fn local(&self) -> Option<String> {
        self.stream.local_addr().ok().map(canonical)
    }

    fn number(&self) -> u64 {
        self.number
    }
}

/// An address as the log shows it: an IPv4 address that was mapped to IPv6 as IPv4.
fn canonical(address: SocketAddr) -> String {
    SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
}

/// How far the worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// No new connections; those that are left are finished until these times, in milliseconds.
    Draining {
        patient_until: Option<u64>,
        until: u64,
    },
    Over,
}

/// Whatever ends a worker, a panic included, the server hears of it.
impl Drop for Worker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.failure = Some("a worker panicked".into());
        }
        self.stopped_accepting();
        let left = self.mailbox.close();
        for mail in std::mem::take(&mut self.mail).into_iter().chain(left) {
            self.refuse(mail, self.number);
        }
        self.shared.worker_ended(self.failure.take());
    }
}

/// One thread of the server.
pub struct Worker {
    number: usize,
    poller: Poller,
    registry: Registry,
    /// Those that it accepts from; while it stops, those whose queues are still to be emptied.
    acceptors: Vec<Acceptor>,
    accepting: bool,
    accepts_left: u32,
    context: Context,
    /// Configuration that new connections give to their protocols.
    protocols: Arc<ProtocolSettings>,
    deadlines: Deadlines,
    /// Connections that wait for memory, and their places in the queue.
    waiting: HashMap<Token, Place>,
    /// One of them has begun to wait at this wake-up.
    began_to_wait: bool,
    /// When to look whether one of them can go on although no memory was given back, in milliseconds.
    look_for_memory: u64,
    /// Messages that were collected and not handled yet.
    mail: VecDeque<Mail>,
    /// The slot at which the look at all connections goes on.
    pass: Option<usize>,
    /// How often the loop has come round.
    round: u64,
    phase: Phase,
    /// While draining: a client still had something to read at the last look at it.
    restless: bool,
    mailbox: Arc<Mailbox>,
    shared: Arc<Shared>,
    failure: Option<String>,
}

impl Worker {
    /// A worker on all `listeners`.
    pub fn new(
        number: usize,
        listeners: &[Arc<BoundListener>],
        shared: Arc<Shared>,
        settings: &Settings,
    ) -> io::Result<Self> {
        let poller = Poller::new()?;
        let mailbox = Arc::clone(&shared.mailboxes[number]);
        poller.add(&mailbox, Source::Mailbox, Interest { read: true, write: false })?;
        let acceptors: io::Result<Vec<Acceptor>> = listeners
            .iter()
            .enumerate()
            .map(|(number, listener)| Acceptor::new(Arc::clone(listener), number, &poller))
            .collect();
        Ok(Self {
            number,
            poller,
            registry: Registry::new(),
            acceptors: acceptors?,
            accepting: true,
            accepts_left: 0,
            context: new_context(number, &shared, settings)?,
            protocols: Arc::clone(&settings.protocols),
            deadlines: Deadlines::new(),
            waiting: HashMap::new(),
            began_to_wait: false,
            look_for_memory: 0,
            mail: VecDeque::new(),
            pass: None,
            round: 0,
            phase: Phase::Serving,
            restless: false,
            mailbox,
            shared,
            failure: None,
        })
    }

    /// Its number, from 0.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// The loop; ends when the server stops, or when a listener breaks.
    pub fn run(mut self) {
        while self.goes_on() {
            match self.poller.wait(self.timeout().map(Duration::from_millis)) {
                Ok(events) => self.wake_up(events),
                Err(error) => self.fail(format!("cannot wait for events: {error}")),
            }
        }
        self.close_all(CloseReason::Forced);
        self.acceptors.clear();
    }

    fn goes_on(&self) -> bool {
        match self.phase {
            Phase::Serving => true,
            // another worker may be handing us a connection that it accepted before it heard of the stop
            Phase::Draining { .. } => {
                !self.registry.is_empty() || self.shared.accepts() || !self.mail.is_empty() || !self.mailbox.is_empty()
            }
            Phase::Over => false,
        }
    }

    fn fail(&mut self, why: String) {
        self.failure = Some(why);
        self.phase = Phase::Over;
    }

    fn timeout(&self) -> Option<u64> {
        let accepts = self.accepting && !self.acceptors.last().is_some_and(Acceptor::is_full);
        let is_stopping = matches!(self.phase, Phase::Draining { .. });
        if self.restless || self.pass.is_some() || !self.mail.is_empty() || is_stopping && accepts {
            return Some(0);
        }
        let now = self.context.now;
        let rests = self.acceptors.iter().filter_map(Acceptor::rests_until).min();
        let drains = match self.phase {
            Phase::Draining { patient_until: Some(until), .. } => Some(until),
            Phase::Draining { until, .. } if until != NEVER => Some(until),
            _ => None,
        };
        let memory = (!self.waiting.is_empty()).then_some(self.look_for_memory);
        let waits = rests.into_iter().chain(drains).chain(memory).map(|until| until.saturating_sub(now));
        waits.chain(self.deadlines.timeout(now)).min()
    }

    fn wake_up(&mut self, events: usize) {
        self.context.now = self.shared.now();
        self.context.contended_since = self.shared.memory_queue.since();
        self.accepts_left = MOST_ACCEPTED;
        self.round += 1;
        for number in 0..events {
            self.dispatch(self.poller.event(number));
        }
        self.handle_mail();
        self.sweep();
        for acceptor in &mut self.acceptors {
            acceptor.resume_rested(&self.poller, self.context.now);
        }
        self.empty_queues();
        self.drain();
        self.free_memory();
    }

    fn dispatch(&mut self, event: Event) {
        match event.key {
            Source::Listener(number) => self.accept(number as usize),
            Source::Mailbox => self.collect(),
            Source::Connection(..) => self.serve(event),
        }
    }

    /// Lets one connection do what its event says.
    fn serve(&mut self, event: Event) {
        let Some(token) = self.registry.token_of(event.key) else { return };
        let Some(entry) = self.registry.get_mut(token) else { return };
        let interest = entry.interest;
        if event.hung_up && !interest.read && !interest.write {
            // epoll reports this whether asked or not, and would go on doing so
            return self.close(token, CloseReason::Reset);
        }
        let broken = event.hung_up;
        if interest.write && (event.writable || broken) {
            self.call(token, Connection::writable);
        }
        if interest.read && (event.readable || broken) {
            self.call(token, Connection::readable);
        }
    }

    /// Calls into a connection, and does what it says next.
    fn call(&mut self, token: Token, call: impl FnOnce(&mut Connection, &mut TcpStream, &mut Context) -> Next) {
        let Some(entry) = self.registry.get_mut(token) else { return };
        let mut next = call(&mut entry.connection, &mut entry.stream, &mut self.context);
        if let (Phase::Draining { patient_until, .. }, Next::Wait) = (self.phase, &next) {
            next = entry.connection.drain(
                &mut entry.stream,
                &mut self.context,
                if patient_until.is_some() { Grace::Given } else { Grace::Over },
            );
            // a client without patience that still sends would keep us here
            self.restless |= patient_until.is_none() && matches!(next, Next::Wait) && entry.connection.is_idle();
        }
        match next {
            Next::Wait => self.watch(token),
            Next::WaitForMemory(demand) => self.starve(token, demand),
            Next::Offload(job) => {
                self.watch(token);
                self.offload(token, job);
            }
            Next::Close(reason) => self.close(token, reason),
        }
    }

    /// Has a thread work on a request; without threads the work is done here.
    fn offload(&mut self, token: Token, job: Box<OffloadJob>) {
        if let Err(error) = self.shared.heavy.submit(job, (self.number, token), Arc::clone(&self.mailbox)) {
            let message = format_args!("cannot start a thread for a large message: {error}; small ones have to wait");
            self.shared.warn(&self.shared.no_thread, message);
            self.run_offloaded_later();
        }
    }

    /// Has an offloaded request run here, for want of a thread, when orders have been looked at.
    fn run_offloaded_later(&self) {
        // open: only this worker closes it
        drop(self.mailbox.post(Mail::RunOffloaded));
    }

    /// Tells epoll what the connection waits for now, and notes its deadline.
    fn watch(&mut self, token: Token) {
        let Some(entry) = self.registry.get_mut(token) else { return };
        self.deadlines.note(entry.connection.deadline(&self.context));
        let interest = entry.connection.interest();
        if interest != entry.interest {
            entry.interest = interest;
            if let Err(error) = self.poller.change(&entry.stream, Source::connection(token), interest) {
                let message = format_args!("{}: cannot watch the connection: {error}", entry.connection.peer());
                self.shared.warn(&self.shared.no_watch, message);
                self.close(token, CloseReason::Resources);
            }
        }
    }

    /// The connection waits for memory.
    fn starve(&mut self, token: Token, demand: Demand) {
        let waiter = Waiter { worker: self.number, token, demand };
        let (place, alone) = self.shared.memory_queue.push(waiter, self.context.now);
        self.waiting.insert(token, place);
        self.began_to_wait = true;
        if alone {
            self.shared.post_all(|| Mail::Contention);
        }
        self.watch(token);
    }

    fn close(&mut self, token: Token, reason: CloseReason) {
        let Some(Entry { stream, connection, source, .. }) = self.registry.remove(token) else { return };
        self.context.counters.close(reason, connection.unanswered().into());
        if log_enabled!(Level::Info) {
            info!("{}: closed: {}", connection.peer(), reason.name());
        }
        if let Some(source) = source {
            self.shared.release_source(*source);
        }
        if let Some(place) = self.waiting.remove(&token) {
            self.shared.memory_queue.remove(place, &self.shared.budget, self.context.now);
        }
        let offloaded = connection.is_offloaded().then_some((self.number, token));
        if let Some(job) = offloaded.and_then(|owner| self.shared.heavy.cancel(owner)) {
            self.context.retired.append(job.retire());
        }
        self.context.retired.append(connection.retire());
        drop(stream);
        self.shared.leave(self.number);
        if self.registry.crowd_has_left() {
            self.shared.trim();
        }
        if self.registry.is_empty() {
            self.registry.shrink();
            self.waiting = HashMap::new();
            self.context.retired.append(self.context.pool.clear());
        }
    }

    fn close_all(&mut self, reason: CloseReason) {
        for slot in 0..self.registry.slots() {
            if let Some(token) = self.registry.token_at(slot) {
                self.close(token, reason);
            }
        }
    }

    /// Accepts a batch of connections from one listener.
    fn accept(&mut self, listener: usize) {
        // an event may come late, when the listener is switched off already
        let Some(acceptor) = self.acceptors.get_mut(listener).filter(|acceptor| acceptor.is_armed()) else { return };
        for _ in 0..acceptor.batch(self.round).min(self.accepts_left) {
            self.accepts_left -= 1;
            if !self.accept_one(listener) {
                return;
            }
        }
    }

    /// Accepts one; false when there is no more to be had now.
    fn accept_one(&mut self, listener: usize) -> bool {
        let acceptor = &mut self.acceptors[listener];
        if self.shared.admit() == Admission::Full {
            acceptor.pause_full(&self.poller);
            return false;
        }
        match acceptor.accept(&self.context.counters, &self.poller, self.context.now) {
            Accepted::Socket(socket) => {
                let entry = acceptor.listener().entry;
                self.hand_out(TcpStream::from(socket), entry);
                return true;
            }
            Accepted::Next => {
                self.shared.release();
                return true;
            }
            Accepted::Done => {}
            Accepted::Broken(error) => self.listener_broke(listener, error),
        }
        self.shared.release();
        false
    }

    fn listener_broke(&mut self, listener: usize, error: Errno) {
        let name = &self.acceptors[listener].listener().name;
        let why = format!("cannot accept on {name} any more: {}", io::Error::from(error));
        self.fail(why);
    }

    /// Gives a connection to the worker that is to serve it.
    fn hand_out(&mut self, stream: TcpStream, entry: &'static protocol::ProtocolInfo) {
        let worker = self.shared.assign(self.number);
        if worker == self.number {
            self.take_in(stream, entry);
        } else if let Err(mail) = self.shared.mailboxes[worker].post(Mail::Accepted(stream, entry)) {
            self.refuse(mail, worker);
        }
    }

    /// Begins to serve a connection.
    fn take_in(&mut self, stream: TcpStream, entry: &'static protocol::ProtocolInfo) {
        self.context.counters.accepted.add(1);
        let wanted = self.shared.counts_sources() || log_enabled!(Level::Info);
        // ENOTCONN: reset before we came to it; reading will tell
        let peer = if wanted { stream.peer_addr().ok() } else { None };
        let source = match self.count_source(peer) {
            Ok(source) => source,
            Err(address) => return self.turn_away(address),
        };
        let label = label(peer, entry.name);
        if let Some(label) = &label {
            info!("{label}: accepted");
        }
        let info = Accepting { stream: &stream, number: self.shared.number_connection() };
        let protocol = (entry.new)(&self.protocols, &info);
        let connection = Connection::new(protocol, label, self.context.now);
        let interest = connection.interest();
        let entry = Entry { stream, connection, interest, source };
        let room = if has_headroom(0) { self.registry.insert(entry) } else { Err(entry) };
        match room {
            Ok(token) => self.register(token, interest),
            Err(entry) => self.no_room(entry),
        }
    }

    /// There is no memory for one more connection.
    fn no_room(&self, entry: Entry) {
        self.shared.warn(&self.shared.no_memory, format_args!("no memory for another connection"));
        if let Some(source) = &entry.source {
            self.shared.release_source(**source);
        }
        drop(entry);
        self.count_rejected(CloseReason::Resources, self.number);
    }

    /// Counts an accepted connection that `worker` was to serve, and that was closed before anything was read.
    fn count_rejected(&self, reason: CloseReason, worker: usize) {
        self.context.counters.close(reason, 0);
        self.shared.leave(worker);
    }

    fn register(&mut self, token: Token, interest: Interest) {
        let Some(entry) = self.registry.get_mut(token) else { return };
        match self.poller.add(&entry.stream, Source::connection(token), interest) {
            Ok(()) => self.call(token, Connection::open),
            Err(error) => {
                let message = format_args!("{}: cannot watch the connection: {error}", entry.connection.peer());
                self.shared.warn(&self.shared.no_watch, message);
                self.close(token, CloseReason::Resources);
            }
        }
    }

    /// Counts the connection's source, where that is limited; the address if it has too many.
    fn count_source(&self, peer: Option<SocketAddr>) -> Result<Option<Box<IpAddr>>, IpAddr> {
        let Some(peer) = peer.filter(|_| self.shared.counts_sources()) else { return Ok(None) };
        let address = peer.ip().to_canonical();
        if self.shared.admit_source(address) { Ok(Some(Box::new(address))) } else { Err(address) }
    }

    fn turn_away(&self, address: IpAddr) {
        info!("{address}: closed: too many connections from this address");
        self.count_rejected(CloseReason::SourceLimit, self.number);
    }

    /// Takes what is in the mailbox: orders are obeyed at once, the rest waits its turn.
    fn collect(&mut self) {
        for mail in self.mailbox.clone().collect() {
            match mail {
                Mail::Beat(round) => self.shared.beat(self.number, round),
                Mail::Renew(limits, protocols, _done) => self.renew(limits, protocols),
                Mail::Stop(drain) => self.stop(drain),
                Mail::StopNow => self.phase = Phase::Over,
                mail => self.mail.push_back(mail),
            }
        }
    }

    /// Does what some of the messages say that are no orders, oldest first.
    fn handle_mail(&mut self) {
        for _ in 0..MOST_MAIL {
            let Some(mail) = self.mail.pop_front() else { return };
            match mail {
                Mail::Accepted(stream, entry) => self.take_in(stream, entry),
                Mail::Finished(token, Ok(finished)) => self.finish(token, *finished),
                Mail::Finished(token, Err((error, retired))) => {
                    self.context.retired.append(retired);
                    self.out_of_memory(token, &error);
                }
                Mail::Memory(token, charge) => {
                    self.waiting.remove(&token);
                    self.call(token, |connection, stream, context| connection.resume(stream, context, charge));
                }
                // the deadlines of clients that take their answers slowly come from now on
                Mail::Contention => {
                    self.context.contended_since = self.shared.memory_queue.since();
                    self.deadlines.note(self.context.now);
                }
                Mail::RunOffloaded => {
                    if self.shared.heavy.run_one() {
                        self.run_offloaded_later();
                    }
                }
                Mail::Retry => self.retry(),
                Mail::Beat(_) | Mail::Renew(..) | Mail::Stop(_) | Mail::StopNow => {}
            }
        }
    }

    /// A message that worker `to` will never handle: a connection in it is closed and counted.
    fn refuse(&self, mail: Mail, to: usize) {
        if let Mail::Accepted(stream, _) = mail {
            self.context.counters.accepted.add(1);
            drop(stream);
            self.count_rejected(CloseReason::Forced, to);
        }
    }

    /// Keeps to other limits; a shorter time may be over for connections that are there already.
    fn renew(&mut self, limits: Limits, protocols: Arc<ProtocolSettings>) {
        self.context.limits = limits;
        self.protocols = protocols;
        self.deadlines.note(self.context.now);
    }

    /// Heavy work is done; its connection may be gone by now.
    fn finish(&mut self, token: Token, finished: OffloadResult) {
        if self.registry.get_mut(token).is_none() {
            return self.context.retired.append(finished.retire());
        }
        self.call(token, |connection, stream, context| connection.offload_done(stream, context, finished));
    }

    /// Heavy work could not be done.
    fn out_of_memory(&mut self, token: Token, error: &io::Error) {
        let Some(entry) = self.registry.get_mut(token) else { return };
        let message = format_args!("{}: no memory for an answer: {error}", entry.connection.peer());
        self.shared.warn(&self.shared.no_memory, message);
        self.call(token, Connection::offload_failed);
    }

    /// There may be room again for connections.
    fn retry(&mut self) {
        for acceptor in &mut self.acceptors {
            acceptor.resume_full(&self.poller, self.context.now);
        }
    }

    /// Frees memory that is needed no more, and gives what is there to the connections that wait for it.
    fn free_memory(&mut self) {
        self.shared.free(std::mem::take(&mut self.context.retired));
        let is_due = !self.waiting.is_empty() && self.look_for_memory <= self.context.now;
        if std::mem::take(&mut self.began_to_wait) || is_due {
            // what was given back before it was in the queue was given back to nobody; and the period of the one that has
            // waited longest may be over
            self.look_for_memory = self.context.now + memory_queue::PATIENCE;
            self.shared.grant_memory();
        } else {
            self.shared.serve_waiting();
        }
    }

    /// Stops accepting: what the queue of a listener of our own holds now is still served; that of an inherited one is left
    /// to whoever gets it next.
    fn stop(&mut self, drain: u64) {
        if self.phase != Phase::Serving {
            return;
        }
        let now = self.context.now;
        self.context.draining = true;
        for acceptor in &mut self.acceptors {
            acceptor.stop(&self.poller);
        }
        let until = now.saturating_add(drain);
        self.phase = Phase::Draining { patient_until: Some(until.min(now + PATIENCE)), until };
        self.pass = Some(0);
    }

    /// While stopping: accepts what is left in one listener after another, and lets go of each when that is done. The last
    /// worker that lets go of a listener closes it. At the limit of connections they wait for one to end.
    fn empty_queues(&mut self) {
        if !matches!(self.phase, Phase::Draining { .. }) {
            return;
        }
        while let Some(acceptor) = self.acceptors.last_mut() {
            let is_empty = !acceptor.take_queued() || !self.accept_one(self.acceptors.len() - 1);
            if self.acceptors.last().is_some_and(Acceptor::is_full) {
                return;
            }
            if is_empty {
                self.acceptors.pop();
            }
            self.accepts_left = self.accepts_left.saturating_sub(1);
            if self.accepts_left == 0 {
                return;
            }
        }
        self.stopped_accepting();
    }

    fn stopped_accepting(&mut self) {
        if std::mem::take(&mut self.accepting) {
            self.shared.stopped_accepting();
        }
    }

    /// While draining: looks again at who has not asked anything, and cuts off who is not done in time.
    fn drain(&mut self) {
        let Phase::Draining { patient_until, until } = self.phase else { return };
        let now = self.context.now;
        if now >= until {
            self.close_all(CloseReason::Forced);
        } else if patient_until.is_some_and(|patient_until| now >= patient_until) {
            self.phase = Phase::Draining { patient_until: None, until };
            self.pass = Some(0);
        } else if self.pass.is_none() && std::mem::take(&mut self.restless) {
            self.pass = Some(0);
        }
    }

    /// Looks at all connections when the time of one may be over, some of them at each wake-up.
    fn sweep(&mut self) {
        if self.pass.is_none() && self.deadlines.sweep(self.context.now, self.registry.len()) {
            self.pass = Some(0);
        }
        let Some(mut slot) = self.pass else { return };
        let begun = Instant::now();
        while slot < self.registry.slots() {
            let end = (slot + PASS_STEP).min(self.registry.slots());
            (slot..end).for_each(|slot| self.look_at(slot));
            slot = end;
            if begun.elapsed() >= LONGEST_PASS {
                break;
            }
        }
        self.pass = (slot < self.registry.slots()).then_some(slot);
    }

    /// Does what is due for the connection in a slot.
    fn look_at(&mut self, slot: usize) {
        let Some(token) = self.registry.token_at(slot) else { return };
        let Some(entry) = self.registry.get_mut(token) else { return };
        let deadline = entry.connection.deadline(&self.context);
        if deadline <= self.context.now {
            self.call(token, Connection::expire);
        } else if self.phase != Phase::Serving {
            self.call(token, |_, _, _| Next::Wait);
        } else {
            self.deadlines.note(deadline);
        }
    }
}

fn new_context(number: usize, shared: &Shared, settings: &Settings) -> io::Result<Context> {
    Ok(Context {
        read_buf: Buffer::zeroed(READ_BUF_SIZE)?,
        reply_buf: Buffer::zeroed(REPLY_BUF_SIZE)?,
        pool: Pool::default(),
        random: RequestRng::new(settings.seed),
        unix_time: sys::unix_time,
        limits: settings.limits.of_connection(),
        budget: Arc::clone(&shared.budget),
        counters: Arc::clone(&shared.counters[number]),
        now: shared.now(),
        draining: false,
        contended_since: None,
        write_left: 0,
        retired: Retired::default(),
    })
}

/// What the log calls a client; nothing is made up for a log that does not want it.
fn label(peer: Option<SocketAddr>, protocol: &str) -> Option<Box<str>> {
    if !log_enabled!(Level::Info) {
        return None;
    }
    let peer = peer.map(canonical);
    Some(format!("{protocol} {}", peer.as_deref().unwrap_or("unknown address")).into())
}
