//! One thread of the server: wait, accept, read, advance, write, close.
//!
//! Owns its connections and its epoll instance. Work for each wake-up is bounded: so many accepts from a listener, one
//! read for a connection. Everything that other threads want of it comes through its mailbox.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

use log::{Level, info, log_enabled, warn};
use nix::errno::Errno;

use super::acceptor::{Accepted, Acceptor};
use super::deadlines::Deadlines;
use super::heavy::unix_time;
use super::mailbox::{Mail, Mailbox};
use super::poller::{Event, Poller, Token};
use super::registry::{Entry, Registry};
use super::shared::{Admission, Shared};
use super::{BoundListener, Settings};
use crate::connection::{
    Buffer, CloseReason, Connection, Context, Finished, Interest, Limits, NEVER, Next, Pool, SCRATCH, SPILL, Stream,
};
use crate::protocol::{self, Random};

/// How long after the order to stop a client that has not asked anything may still do so, in milliseconds.
const PATIENCE: u64 = 500;

impl Stream for TcpStream {
    fn end_output(&mut self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }
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
        if !self.context.stopping {
            self.shared.stopped_accepting();
        }
        self.mailbox.close();
        self.shared.worker_ended(self.failure.take());
    }
}

/// One thread of the server.
pub struct Worker {
    number: usize,
    poller: Poller,
    registry: Registry,
    acceptors: Vec<Acceptor>,
    context: Context,
    deadlines: Deadlines,
    starved: Vec<Token>,
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
        poller.add(&mailbox, Token::MAILBOX, Interest { read: true, write: false })?;
        let acceptors: io::Result<Vec<Acceptor>> = listeners
            .iter()
            .enumerate()
            .map(|(number, listener)| Acceptor::new(Arc::clone(listener), number, &poller))
            .collect();
        let context = Context {
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            spill: Buffer::zeroed(SPILL)?,
            pool: Pool::default(),
            random: Random::new(settings.seed),
            quotes: Arc::clone(&settings.quotes),
            unix_time,
            limits: settings.limits.of_connection(),
            budget: Arc::clone(&shared.budget),
            counters: Arc::clone(&shared.counters[number]),
            now: shared.now(),
            stopping: false,
        };
        Ok(Self {
            number,
            poller,
            registry: Registry::new(),
            acceptors: acceptors?,
            context,
            deadlines: Deadlines::new(),
            starved: Vec::new(),
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
            match self.poller.wait(self.timeout()) {
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
            Phase::Draining { .. } => !self.registry.is_empty() || self.shared.accepts() || !self.mailbox.is_empty(),
            Phase::Over => false,
        }
    }

    fn fail(&mut self, why: String) {
        self.failure = Some(why);
        self.phase = Phase::Over;
    }

    fn timeout(&self) -> Option<u64> {
        if self.restless {
            return Some(0);
        }
        let now = self.context.now;
        let rests = self.acceptors.iter().filter_map(Acceptor::rests_until).min();
        let drains = match self.phase {
            Phase::Draining { patient_until: Some(until), .. } => Some(until),
            Phase::Draining { until, .. } if until != NEVER => Some(until),
            _ => None,
        };
        let waits = rests.into_iter().chain(drains).map(|until| until.saturating_sub(now));
        waits.chain(self.deadlines.timeout(now)).min()
    }

    fn wake_up(&mut self, events: usize) {
        self.context.now = self.shared.now();
        self.round += 1;
        for number in 0..events {
            self.dispatch(self.poller.event(number));
        }
        self.sweep();
        for acceptor in &mut self.acceptors {
            acceptor.resume_rested(&self.poller, self.context.now);
        }
        self.drain();
        self.shared.wake_starved();
    }

    fn dispatch(&mut self, event: Event) {
        match event.token.as_listener() {
            Some(listener) => self.accept(listener),
            None if event.token == Token::MAILBOX => self.collect(),
            None => self.serve(event),
        }
    }

    /// Lets one connection do what its event says.
    fn serve(&mut self, event: Event) {
        let Some(entry) = self.registry.get_mut(event.token) else { return };
        let interest = entry.interest;
        if event.hung_up && !interest.read && !interest.write {
            // epoll reports this whether asked or not, and would go on doing so
            return self.close(event.token, CloseReason::Reset);
        }
        let broken = event.hung_up;
        if interest.write && (event.writable || broken) {
            self.call(event.token, Connection::writable);
        }
        if interest.read && (event.readable || broken) {
            self.call(event.token, Connection::readable);
        }
    }

    /// Calls into a connection, and does what it says next.
    fn call(&mut self, token: Token, call: impl FnOnce(&mut Connection, &mut TcpStream, &mut Context) -> Next) {
        let Some(entry) = self.registry.get_mut(token) else { return };
        let mut next = call(&mut entry.connection, &mut entry.stream, &mut self.context);
        if let (Phase::Draining { patient_until, .. }, Next::Wait) = (self.phase, &next) {
            next = entry.connection.wind_up(&mut entry.stream, &mut self.context, patient_until.is_some());
            // a client without patience that still sends would keep us here
            self.restless |= patient_until.is_none() && matches!(next, Next::Wait) && entry.connection.is_idle();
        }
        match next {
            Next::Wait => self.watch(token),
            Next::Starved => self.starve(token),
            Next::Heavy(job) => {
                self.shared.heavy.submit(job, token, Arc::clone(&self.mailbox));
                self.watch(token);
            }
            Next::Close(reason) => self.close(token, reason),
        }
    }

    /// Tells epoll what the connection waits for now, and notes its deadline.
    fn watch(&mut self, token: Token) {
        let Some(entry) = self.registry.get_mut(token) else { return };
        entry.deadline = entry.connection.deadline(&self.context.limits).0;
        self.deadlines.note(entry.deadline);
        let interest = entry.connection.interest();
        if interest != entry.interest {
            entry.interest = interest;
            if let Err(error) = self.poller.change(&entry.stream, token, interest) {
                warn!("{}: cannot watch the connection: {error}", entry.connection.label());
                self.close(token, CloseReason::Resources);
            }
        }
    }

    /// The connection waits for memory.
    fn starve(&mut self, token: Token) {
        self.context.budget.set_waiting(true);
        self.starved.push(token);
        self.watch(token);
    }

    fn close(&mut self, token: Token, reason: CloseReason) {
        let Some(entry) = self.registry.remove(token) else { return };
        self.context.counters.close(reason, entry.connection.unanswered());
        if log_enabled!(Level::Info) {
            info!("{}: closed: {}", entry.connection.label(), reason.name());
        }
        if let Some(source) = &entry.source {
            self.shared.release_source(**source);
        }
        drop(entry);
        self.shared.leave(self.number);
        if self.registry.is_empty() {
            self.registry.shrink();
            self.context.pool.clear();
        }
    }

    fn close_all(&mut self, reason: CloseReason) {
        for token in self.registry.tokens() {
            self.close(token, reason);
        }
    }

    /// Accepts a batch of connections from one listener.
    fn accept(&mut self, listener: usize) {
        // an event may come late, when the listener is switched off already
        let Some(acceptor) = self.acceptors.get_mut(listener).filter(|acceptor| acceptor.is_armed()) else { return };
        for _ in 0..acceptor.batch(self.round) {
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
    fn hand_out(&mut self, stream: TcpStream, entry: &'static protocol::Entry) {
        let worker = self.shared.assign(self.number);
        if worker == self.number {
            self.take_in(stream, entry);
        } else {
            self.shared.mailboxes[worker].post(Mail::Accepted(stream, entry));
        }
    }

    /// Begins to serve a connection.
    fn take_in(&mut self, stream: TcpStream, entry: &'static protocol::Entry) {
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
        let connection = Connection::new((entry.start)(), label, self.context.now);
        let interest = connection.interest();
        let entry = Entry { stream, connection, interest, deadline: NEVER, source };
        let token = self.registry.insert(entry);
        self.register(token, interest);
    }

    fn register(&mut self, token: Token, interest: Interest) {
        let Some(entry) = self.registry.get_mut(token) else { return };
        match self.poller.add(&entry.stream, token, interest) {
            Ok(()) => self.call(token, Connection::open),
            Err(error) => {
                warn!("{}: cannot watch the connection: {error}", entry.connection.label());
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
        self.context.counters.close(CloseReason::SourceLimit, 0);
        self.shared.leave(self.number);
    }

    fn collect(&mut self) {
        for mail in self.mailbox.clone().collect() {
            match mail {
                Mail::Accepted(stream, entry) => self.take_in(stream, entry),
                Mail::Finished(token, Ok(finished)) => self.finish(token, *finished),
                Mail::Finished(token, Err(error)) => self.out_of_memory(token, &error),
                Mail::Beat(round) => self.shared.beat(self.number, round),
                Mail::Renew(limits, quotes, _done) => self.renew(limits, quotes),
                Mail::Retry => self.retry(),
                Mail::Stop(drain) => self.stop(drain),
                Mail::StopNow => self.phase = Phase::Over,
            }
        }
    }

    /// Keeps to other limits; a shorter time may be over for connections that are there already.
    fn renew(&mut self, limits: Limits, quotes: Arc<[String]>) {
        self.context.limits = limits;
        self.context.quotes = quotes;
        self.deadlines.note(self.context.now);
    }

    /// Heavy work is done; its connection may be gone by now.
    fn finish(&mut self, token: Token, finished: Finished) {
        self.call(token, |connection, stream, context| connection.finished(stream, context, finished));
    }

    /// Heavy work could not be done.
    fn out_of_memory(&mut self, token: Token, error: &io::Error) {
        let Some(entry) = self.registry.get_mut(token) else { return };
        warn!("{}: no memory for an answer: {error}", entry.connection.label());
        self.close(token, CloseReason::Resources);
    }

    /// There may be room again, for connections or for memory.
    fn retry(&mut self) {
        for acceptor in &mut self.acceptors {
            acceptor.resume_full(&self.poller, self.context.now);
        }
        for token in std::mem::take(&mut self.starved) {
            self.context.budget.set_waiting(false);
            self.call(token, Connection::resume);
        }
    }

    /// Stops accepting. Connections that the kernel completed for a listener of our own are served; those of an
    /// inherited one are left to whoever gets it next.
    fn stop(&mut self, drain: u64) {
        if self.phase != Phase::Serving {
            return;
        }
        let now = self.context.now;
        self.context.stopping = true;
        for listener in 0..self.acceptors.len() {
            if !self.acceptors[listener].listener().inherited {
                while self.accept_one(listener) {}
            }
            self.acceptors[listener].switch_off(&self.poller);
        }
        // the last worker that lets go of a listener closes it
        self.acceptors.clear();
        let until = now.saturating_add(drain);
        self.phase = Phase::Draining { patient_until: Some(until.min(now + PATIENCE)), until };
        self.shared.stopped_accepting();
        self.wind_up();
    }

    fn wind_up(&mut self) {
        for token in self.registry.tokens() {
            self.call(token, |_, _, _| Next::Wait);
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
            self.wind_up();
        } else if std::mem::take(&mut self.restless) {
            self.wind_up();
        }
    }

    /// Closes the connections whose time is over.
    fn sweep(&mut self) {
        let now = self.context.now;
        if !self.deadlines.sweep(now, self.registry.len()) {
            return;
        }
        let mut over = Vec::new();
        for (token, entry) in self.registry.entries() {
            // kept up to date by watch(), except that limits may have changed since
            let (deadline, reason) = entry.connection.deadline(&self.context.limits);
            if deadline <= now {
                over.push((token, reason));
            } else {
                self.deadlines.note(deadline);
            }
        }
        for (token, reason) in over {
            self.close(token, reason);
        }
    }
}

/// What the log calls a client; nothing is made up for a log that does not want it.
fn label(peer: Option<SocketAddr>, protocol: &str) -> Option<Box<str>> {
    if !log_enabled!(Level::Info) {
        return None;
    }
    let peer = peer.map(|peer| SocketAddr::new(peer.ip().to_canonical(), peer.port()).to_string());
    Some(format!("{protocol} {}", peer.as_deref().unwrap_or("unknown address")).into())
}
