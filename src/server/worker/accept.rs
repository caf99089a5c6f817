//! Accepting connections, choosing their workers, and beginning to serve them.

use std::io;
use std::mem;
use std::ops::ControlFlow;

use super::Worker;
use super::drive::Driver;
use crate::connection::{CloseReason, Connection, Impaired, has_headroom};
use crate::server::acceptor::{Accepted, Acceptor};
use crate::server::access::Verdict;
use crate::server::admission::Slot;
use crate::server::client_stream::ClientStream;
use crate::server::connection_table::{ClientRecord, Session};
use crate::server::listener::{ListenerIndex, ListenerOptions};
use crate::server::listener_profile::ListenerProfile;
use crate::server::message::{NewConnection, WorkerMessage};
use crate::server::peer::{self, Client, Peer, SocketInfo, SourceKey};
use crate::sys::Errno;

/// Connections accepted in one iteration of the loop from all listeners, at most. Derived: a connection with one
/// request costs 14 us of CPU (churn in `docs/performance.md`), so these cost one millisecond.
pub const MAX_ACCEPTS: u32 = 64;

/// What a worker accepts from.
pub struct Accepting {
    /// An acceptor for each listener; while the worker drains, those whose queues are still to be emptied.
    pub acceptors: Vec<Acceptor>,
    /// Connections that may still be accepted in this iteration of the loop.
    pub left: u32,
    /// The number of this iteration.
    iteration: u64,
    /// It is counted by [`Lifecycle::any_accepting`](crate::server::lifecycle::Lifecycle::any_accepting).
    is_counted: bool,
}

/// A connection on its way into the table.
pub struct AcceptedConnection {
    pub stream: Impaired<ClientStream>,
    pub listener: ListenerIndex,
    /// The revision of the listener's impairments that apply to it.
    pub revision: u16,
}

impl AcceptedConnection {
    /// Its session.
    pub fn serve(self, connection: Connection, client: Option<Box<ClientRecord>>) -> Session {
        let Self { stream, listener, revision } = self;
        Session { stream, connection, interest: None, listener, revision, client }
    }
}

impl Accepting {
    pub fn new(acceptors: Vec<Acceptor>) -> Self {
        Self { acceptors, left: 0, iteration: 0, is_counted: true }
    }

    /// Begins an iteration of the loop.
    pub fn begin_iteration(&mut self) {
        self.left = MAX_ACCEPTS;
        self.iteration += 1;
    }

    /// While the worker drains: whether connections can be accepted without waiting for an event.
    #[must_use]
    pub fn can_continue_drain(&self) -> bool {
        self.is_counted && !self.acceptors.last().is_some_and(Acceptor::is_at_limit)
    }
}

impl Driver {
    /// The second step of admission, once the client is known: judges its address, and counts the connection for its
    /// source, where that is limited.
    ///
    /// # Errors
    /// Why the connection is to be closed: its address is denied; there are as many connections, or as many new ones,
    /// from its source as allowed.
    pub fn admit_client(
        &self,
        client: Client,
        profile: &ListenerProfile,
        options: &ListenerOptions,
    ) -> Result<Option<SourceKey>, CloseReason> {
        if !options.access.is_empty() && client.ip().is_some_and(|ip| options.access.judge(ip) == Verdict::Denied) {
            return Err(CloseReason::Denied);
        }
        let (admission, limiter) = (&self.shared.admission, &profile.rate_limiter);
        if !admission.limits_sources() && !limiter.limits_sources() {
            return Ok(None);
        }
        let Some(source) = client.source(admission.source_prefix()) else { return Ok(None) };
        if !limiter.take_from_source(source, self.context.now) {
            return Err(CloseReason::RateLimit);
        }
        if !admission.limits_sources() {
            return Ok(None);
        }
        if admission.admit_source(source) { Ok(Some(source)) } else { Err(CloseReason::SourceLimit) }
    }
}

impl Worker {
    /// Accepts a batch of connections from one listener.
    pub(super) fn on_listener_event(&mut self, index: usize) {
        let accepting = &mut self.accepting;
        // the event may have been reported before the listener was unregistered
        let Some(acceptor) = accepting.acceptors.get_mut(index).filter(|acceptor| acceptor.is_ready()) else { return };
        for _ in 0..acceptor.next_batch(accepting.iteration).min(accepting.left) {
            self.accepting.left -= 1;
            if self.accept_one(index).is_break() {
                return;
            }
        }
    }

    /// Accepts one connection; breaks when there are no more to be had now.
    pub(super) fn accept_one(&mut self, index: usize) -> ControlFlow<()> {
        if !self.reserve(index) {
            return ControlFlow::Break(());
        }
        let acceptor = &mut self.accepting.acceptors[index];
        let driver = &mut self.driver;
        let counters = driver.context.counters.of(acceptor.index().place());
        match acceptor.accept(counters, &driver.poller, driver.context.now) {
            Accepted::Socket(stream, peer) => {
                let listener = acceptor.index();
                let number = self.shared.profile(listener).number();
                let connection = NewConnection { stream, listener, number, peer };
                self.dispatch_connection(connection);
                return ControlFlow::Continue(());
            }
            Accepted::Retry => {
                self.cancel_reservation(index);
                return ControlFlow::Continue(());
            }
            Accepted::Nothing => {}
            Accepted::Broken(error) => self.on_listener_broken(index, error),
        }
        self.cancel_reservation(index);
        ControlFlow::Break(())
    }

    /// Reserves what a connection needs before it is accepted: a slot, and a place within the rate of the listener.
    /// Returns false without one of them; the listener is unregistered then, if a client waits.
    fn reserve(&mut self, index: usize) -> bool {
        let acceptor = &mut self.accepting.acceptors[index];
        let (poller, now) = (&self.driver.poller, self.driver.context.now);
        let counters = self.driver.context.counters.of(acceptor.index().place());
        if self.shared.admission.take_slot() == Slot::AtLimit {
            counters.connections_full.add(1);
            acceptor.wait_for_slot(poller);
            return false;
        }
        let limiter = &self.shared.profile(acceptor.index()).rate_limiter;
        if !acceptor.obeys_rate() || limiter.take(now) {
            return true;
        }
        self.shared.admission.release_slot();
        if acceptor.has_client() {
            counters.accept_over_rate.add(1);
            acceptor.wait_for_rate(limiter.next_attempt(now), poller, now);
        }
        false
    }

    /// Gives back what [`Worker::reserve`] took for a connection that was not accepted.
    fn cancel_reservation(&self, index: usize) {
        self.shared.admission.release_slot();
        let acceptor = &self.accepting.acceptors[index];
        if acceptor.obeys_rate() {
            self.shared.give_rate_back(acceptor.index(), self.driver.context.now);
        }
    }

    fn on_listener_broken(&mut self, index: usize, error: Errno) {
        let name = &self.accepting.acceptors[index].listener().name;
        let why = format!("cannot accept on {name} any more: {}", io::Error::from(error));
        self.fail(why);
    }

    /// Gives a connection to the worker that is to serve it.
    fn dispatch_connection(&mut self, connection: NewConnection) {
        let worker = self.shared.admission.choose_worker(self.number);
        if worker == self.number {
            self.add_connection(connection);
        } else if let Err(message) = self.shared.channels.send(worker, WorkerMessage::Connection(connection)) {
            self.discard(message, worker);
        }
    }

    /// Begins to serve a connection, or waits for its PROXY header first.
    pub(super) fn add_connection(&mut self, connection: NewConnection) {
        let NewConnection { stream, listener, number, peer } = connection;
        self.driver.context.counters.of(listener.place()).accepted.add(1);
        let profile = self.shared.profile(listener);
        let (options, number) = profile.options_for(number);
        let peer = match peer {
            None if self.needs_peer(profile, &options) => match Peer::of(&stream) {
                Ok(peer) => Some(peer),
                // an adopted connection that its client has reset: no list can judge it
                Err(error) => {
                    let label = peer::label(Client::Direct(None), profile.protocol.name);
                    return self.reject(listener, label, CloseReason::of(&error));
                }
            },
            known => known,
        };
        if self.driver.refuses(&options, number) {
            return self.refuse(stream, listener, peer);
        }
        let stream = Impaired::new(stream.into(), self.driver.impairment(&options.impairments, number));
        let accepted = AcceptedConnection { stream, listener, revision: number.revision };
        match (&options.proxy, peer) {
            (None, peer) => self.serve_peer(accepted, peer, &options),
            (Some(proxy), Some(peer)) => self.await_header(accepted, peer, proxy),
            (Some(_), None) => unreachable!("a header depends on the peer"),
        }
    }

    /// Whether the log, a limit or a PROXY header depends on the peer of a new connection. Looking it up costs a system
    /// call.
    fn needs_peer(&self, profile: &ListenerProfile, options: &ListenerOptions) -> bool {
        options.proxy.is_some()
            || self.shared.admission.limits_sources()
            || profile.rate_limiter.limits_sources()
            || !options.access.is_empty()
            || peer::log_wants_labels()
    }

    /// Begins to serve a connection whose client is its peer.
    fn serve_peer(&mut self, accepted: AcceptedConnection, peer: Option<Peer>, options: &ListenerOptions) {
        let listener = accepted.listener;
        let profile = self.shared.profile(listener);
        let client = Client::Direct(peer);
        let label = peer::label(client, profile.protocol.name);
        let source = match self.driver.admit_client(client, profile, options) {
            Ok(source) => source,
            Err(reason) => return self.reject(listener, label, reason),
        };
        let info =
            SocketInfo { stream: accepted.stream.get_ref(), client, number: self.shared.admission.next_number() };
        let protocol = (profile.protocol.new)(&options.protocols, &info);
        let connection = Connection::new(protocol, label, self.driver.context.now);
        self.open_session(accepted.serve(connection, ClientRecord::counted(source)));
    }

    /// Puts a connection into the table, and makes its first call.
    pub(super) fn open_session(&mut self, session: Session) {
        let inserted = if has_headroom(0) { self.table.insert(session) } else { Err(session) };
        let (token, session) = match inserted {
            Ok(inserted) => inserted,
            Err(session) => return self.reject_session(session),
        };
        let next = self.driver.drive_connection(token, session, Connection::open);
        self.take_step(token, next);
    }

    /// There may be free slots for connections.
    pub(super) fn on_slots_freed(&mut self) {
        let driver = &self.driver;
        for acceptor in &mut self.accepting.acceptors {
            acceptor.slots_freed(&driver.poller, driver.context.now);
        }
    }

    /// The rates of listeners may allow other connections.
    pub(super) fn on_rates_freed(&mut self) {
        let driver = &self.driver;
        for acceptor in &mut self.accepting.acceptors {
            acceptor.rate_freed(&driver.poller, driver.context.now);
        }
    }

    pub(super) fn run_accept_timers(&mut self) {
        let driver = &self.driver;
        for acceptor in &mut self.accepting.acceptors {
            acceptor.run_timers(&driver.poller, driver.context.now);
        }
    }

    /// Tells the other workers, once, that this one accepts no more.
    pub(super) fn announce_stopped_accepting(&mut self) {
        if mem::take(&mut self.accepting.is_counted) {
            self.shared.lifecycle.worker_stopped_accepting();
        }
    }
}
