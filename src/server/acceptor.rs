//! Accepting from one listener, for one worker.
//!
//! Errors of accept(2) are classified by their consequence ([`AcceptErrorClass`]); only a listener that is broken ends
//! the server. For want of descriptors or memory, the worker backs off: a level-triggered loop that retried at once
//! would use up a processor.
//!
//! | state | registered with epoll | left by |
//! |---|---|---|
//! | `Ready` | yes | no free slot: `AtLimit`; over the rate: `OverRate`; an error: `BackingOff`; shutdown: `Draining` |
//! | `BackingOff` | no | its time: `Ready`; shutdown: `Draining` |
//! | `OverRate` | no | its time, a changed rate, a place given back: `Ready`; shutdown: `Draining` |
//! | `AtLimit` | no | a free slot: `Ready`; shutdown: `Draining` |
//! | `Draining` | no | [`Acceptor::close`] when the accept queue is empty; at the limit it waits for a slot first |

use std::io;
use std::sync::Arc;

use log::debug;

use super::accept_batch::{AcceptBatch, MAX_BATCH};
use super::accept_error::AcceptErrorClass;
use super::listener::{Listener, ListenerIndex, Origin};
use super::peer::Peer;
use super::poller::{Poller, Source};
use crate::connection::{Counters, Millis};
use crate::sys::{self, Errno, SocketFamily, StreamSocket};

/// The time for which a worker backs off. Chosen: ten tries a second cost nothing, and no client notices a tenth of a
/// second in such a state of the system.
const BACKOFF: Millis = Millis::new(100);
/// Back off also after this number of consecutive lost clients: an error that does not dequeue the connection (the
/// refusal of a security module) repeats at once. Chosen: as many as two full batches.
const MAX_CONSECUTIVE_LOST: u32 = 2 * MAX_BATCH;

/// The most connections that a draining worker accepts from a queue of which it does not know the length: that of a
/// Unix socket whose file is removed, that of a vsock, or that of a TCP listener for which the kernel completes no more
/// connections. Clients that keep coming, as they can to a vsock, must not keep the worker accepting for ever.
/// Chosen: 16 times 4096, the default of net.core.somaxconn, which bounds a queue.
const MAX_LAST_QUEUE: u32 = 1 << 16;

/// The result of one accept(2).
#[derive(Debug)]
pub enum Accepted {
    /// A connection, and its peer where accept(2) tells it.
    Socket(StreamSocket, Option<Peer>),
    /// No connection, but there may be another.
    Retry,
    /// No connection, and no other one now.
    Nothing,
    /// The listener is broken.
    Broken(Errno),
}

/// See the table in the description of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListenerState {
    Ready,
    BackingOff {
        until: Millis,
    },
    OverRate {
        until: Millis,
    },
    AtLimit,
    Draining {
        /// Connections that are still to be accepted.
        queued: u32,
        is_at_limit: bool,
        /// The kernel completes no more connections for this listener.
        is_filtered: bool,
    },
}

/// One worker's use of one listener.
#[derive(Debug)]
pub struct Acceptor {
    listener: Arc<Listener>,
    index: ListenerIndex,
    state: ListenerState,
    /// Connections lost since one was accepted or the queue was empty.
    consecutive_lost: u32,
    batch: AcceptBatch,
}

impl Acceptor {
    /// Registers the listener with this index.
    ///
    /// # Errors
    /// ENOMEM, ENOSPC: `epoll_ctl(2)`.
    pub fn new(listener: Arc<Listener>, index: ListenerIndex, poller: &Poller) -> io::Result<Self> {
        poller.add_shared(&listener.socket, Source::Listener(index.0))?;
        let state = ListenerState::Ready;
        Ok(Self { listener, index, state, consecutive_lost: 0, batch: AcceptBatch::new() })
    }

    /// The listener.
    #[must_use]
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// The index of the listener.
    #[must_use]
    pub fn index(&self) -> ListenerIndex {
        self.index
    }

    /// Whether it is registered with epoll.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state == ListenerState::Ready
    }

    /// How many connections to accept in this iteration of the event loop.
    pub fn next_batch(&mut self, iteration: u64) -> u32 {
        self.batch.next(iteration)
    }

    /// Accepts one connection, or backs off.
    pub fn accept(&mut self, counters: &Counters, poller: &Poller, now: Millis) -> Accepted {
        let error = match self.listener.socket.accept() {
            Ok((socket, address)) => {
                self.consecutive_lost = 0;
                self.listener.prepare(&socket);
                return Accepted::Socket(socket, address.as_ref().and_then(Peer::of_address));
            }
            Err(error) => error,
        };
        match AcceptErrorClass::of(error) {
            AcceptErrorClass::QueueEmpty => {
                self.consecutive_lost = 0;
                self.batch.found_empty();
                Accepted::Nothing
            }
            AcceptErrorClass::Interrupted => Accepted::Retry,
            AcceptErrorClass::Lost => {
                counters.accept_lost.add(1);
                debug!("a client of {} was gone before it was accepted: {}", self.listener.name, error.desc());
                self.consecutive_lost += 1;
                if self.consecutive_lost < MAX_CONSECUTIVE_LOST {
                    return Accepted::Retry;
                }
                self.back_off(error, poller, now);
                Accepted::Nothing
            }
            AcceptErrorClass::Exhausted => {
                counters.accept_paused.add(1);
                self.back_off(error, poller, now);
                Accepted::Nothing
            }
            AcceptErrorClass::Broken => Accepted::Broken(error),
        }
    }

    fn back_off(&mut self, error: Errno, poller: &Poller, now: Millis) {
        let error = io::Error::from(error);
        self.listener.warn_failing(format_args!("{error}; trying again every {} ms", BACKOFF.get()), now);
        match &mut self.state {
            // it is closed then: the connections that are left get a reset
            ListenerState::Draining { queued, .. } => *queued = 0,
            _ => self.unregister(poller, ListenerState::BackingOff { until: now + BACKOFF }),
        }
    }

    /// There are as many new connections as the rate of the listener allows: leaves the next ones in the accept queue.
    pub fn wait_for_rate(&mut self, until: Millis, poller: &Poller, now: Millis) {
        self.listener.warn_over_rate(now);
        self.unregister(poller, ListenerState::OverRate { until });
    }

    /// The rate of the listener may allow another connection.
    pub fn rate_freed(&mut self, poller: &Poller, now: Millis) {
        if matches!(self.state, ListenerState::OverRate { .. }) {
            self.register(poller, now);
        }
    }

    /// Whether a client waits in the accept queue.
    #[must_use]
    pub fn has_client(&self) -> bool {
        sys::is_readable(&self.listener.socket)
    }

    /// Whether the rate of the listener applies: a drain empties the queue, because what is left in it is reset.
    #[must_use]
    pub fn obeys_rate(&self) -> bool {
        !matches!(self.state, ListenerState::Draining { .. })
    }

    /// All slots are taken: leaves the next connections in the accept queue.
    pub fn wait_for_slot(&mut self, poller: &Poller) {
        match &mut self.state {
            ListenerState::Draining { is_at_limit, .. } => *is_at_limit = true,
            _ => self.unregister(poller, ListenerState::AtLimit),
        }
    }

    /// Whether it waits for a free slot.
    #[must_use]
    pub fn is_at_limit(&self) -> bool {
        matches!(self.state, ListenerState::AtLimit | ListenerState::Draining { is_at_limit: true, .. })
    }

    /// There may be free slots.
    pub fn slots_freed(&mut self, poller: &Poller, now: Millis) {
        match &mut self.state {
            ListenerState::AtLimit => self.register(poller, now),
            ListenerState::Draining { is_at_limit, .. } => *is_at_limit = false,
            ListenerState::Ready | ListenerState::BackingOff { .. } | ListenerState::OverRate { .. } => {}
        }
    }

    /// Registers the listener again when its time has come; logs which conditions have ended.
    pub fn run_timers(&mut self, poller: &Poller, now: Millis) {
        self.listener.log_recoveries(now);
        if self.registers_at() <= now {
            self.register(poller, now);
        }
    }

    /// When to call [`Acceptor::run_timers`]; `None` without a reason.
    #[must_use]
    pub fn timers_due(&self) -> Option<Millis> {
        self.registers_at().min(self.listener.recovery_due()).if_ever()
    }

    /// When to register the listener again; [`Millis::NEVER`] if that follows from no time.
    fn registers_at(&self) -> Millis {
        match self.state {
            ListenerState::BackingOff { until } | ListenerState::OverRate { until } => until,
            ListenerState::Ready | ListenerState::AtLimit | ListenerState::Draining { .. } => Millis::NEVER,
        }
    }

    /// Waits for no more connections. Those that the kernel has completed by now are still to be accepted, unless the
    /// listener is inherited: then they are left to the next instance.
    pub fn begin_drain(&mut self, poller: &Poller) {
        let queued = match self.listener.origin {
            Origin::Inherited => 0,
            // and one batch more, so that an empty queue ends this, right before the listener is closed
            Origin::Own if self.listener.socket.family() == SocketFamily::Internet => {
                sys::queued_connections(&self.listener.socket).unwrap_or(0).saturating_add(MAX_BATCH)
            }
            Origin::Own => {
                self.listener.remove_file();
                MAX_LAST_QUEUE
            }
        };
        self.unregister(poller, ListenerState::Draining { queued, is_at_limit: false, is_filtered: false });
    }

    /// While draining: whether connections that [`Acceptor::begin_drain`] has found are still to be accepted.
    #[must_use]
    pub fn has_queued(&self) -> bool {
        matches!(self.state, ListenerState::Draining { queued: 1.., .. })
    }

    /// While draining: one of these connections was taken from the queue.
    pub fn count_dequeued(&mut self) {
        if let ListenerState::Draining { queued, .. } = &mut self.state {
            *queued = queued.saturating_sub(1);
        }
    }

    /// While draining: gives this worker's share of the listener up; the last share closes it.
    ///
    /// The kernel resets the connections that are in the queue when a listener is closed, and it may complete one at
    /// any time. So an own TCP listener is not closed at once: the kernel stops completing connections for it, and the
    /// last worker gets it back to empty the queue once more.
    #[must_use]
    pub fn close(self) -> Option<Self> {
        let ListenerState::Draining { is_filtered: false, .. } = self.state else { return None };
        // exactly one of several workers that do this at the same time gets the listener
        let listener = Arc::into_inner(self.listener)?;
        // a filter on an inherited socket would outlast this process
        let is_filtered = listener.origin == Origin::Own
            && listener.socket.family() == SocketFamily::Internet
            && sys::drop_new_connections(&listener.socket).is_ok();
        let state = ListenerState::Draining { queued: MAX_LAST_QUEUE, is_at_limit: false, is_filtered };
        is_filtered.then(|| Self { listener: Arc::new(listener), state, ..self })
    }

    fn unregister(&mut self, poller: &Poller, state: ListenerState) {
        if self.state == ListenerState::Ready {
            // it was added, so it can be removed
            let _ = poller.remove(&self.listener.socket);
        }
        self.state = state;
    }

    fn register(&mut self, poller: &Poller, now: Millis) {
        self.state = match poller.add_shared(&self.listener.socket, Source::Listener(self.index.0)) {
            Ok(()) => ListenerState::Ready,
            // ENOMEM, ENOSPC: epoll itself has no room
            Err(_) => ListenerState::BackingOff { until: now + BACKOFF },
        };
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::time::Duration;

    use super::*;
    use crate::protocol::PROTOCOLS;

    /// An acceptor on a listener of its own, its poller, and a client.
    fn acceptor(origin: Origin) -> (Acceptor, Poller, TcpStream) {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
        socket.set_nonblocking(true).expect("O_NONBLOCK");
        let client = TcpStream::connect(socket.local_addr().expect("an address")).expect("connect");
        let poller = Poller::new().expect("epoll");
        let listener = Listener::new(socket.into(), PROTOCOLS[0], "frame".into(), origin);
        (Acceptor::new(Arc::new(listener), ListenerIndex(3), &poller).expect("registered"), poller, client)
    }

    fn has_event(poller: &mut Poller) -> bool {
        poller.wait(Some(Duration::ZERO)).expect("epoll_wait") == 1
    }

    #[test]
    fn at_the_limit_the_listener_is_unregistered_until_a_slot_is_free() {
        let (mut acceptor, mut poller, _client) = acceptor(Origin::Own);
        assert!(acceptor.is_ready() && !acceptor.is_at_limit() && has_event(&mut poller));
        acceptor.wait_for_slot(&poller);
        assert!(!acceptor.is_ready() && acceptor.is_at_limit() && !has_event(&mut poller));
        acceptor.slots_freed(&poller, Millis::ZERO);
        assert!(acceptor.is_ready() && !acceptor.is_at_limit() && has_event(&mut poller));
    }

    #[test]
    fn after_an_error_the_listener_backs_off() {
        let (mut acceptor, mut poller, _client) = acceptor(Origin::Own);
        assert_eq!(acceptor.timers_due(), None);
        let now = Millis::new(50);
        acceptor.back_off(Errno::EMFILE, &poller, now);
        assert!(!acceptor.is_ready() && !has_event(&mut poller));
        assert_eq!(acceptor.timers_due(), Some(now + BACKOFF));
        acceptor.slots_freed(&poller, Millis::new(51));
        assert!(!acceptor.is_ready(), "a free slot does not end the back-off");
        acceptor.run_timers(&poller, now + BACKOFF - Millis::new(1));
        assert!(!acceptor.is_ready());
        acceptor.run_timers(&poller, now + BACKOFF);
        assert!(acceptor.is_ready() && has_event(&mut poller));
    }

    #[test]
    fn over_the_rate_the_listener_is_unregistered_until_its_time_or_a_change() {
        let (mut acceptor, mut poller, _client) = acceptor(Origin::Own);
        let (now, until) = (Millis::new(50), Millis::new(80));
        acceptor.wait_for_rate(until, &poller, now);
        assert!(!acceptor.is_ready() && acceptor.obeys_rate() && acceptor.has_client() && !has_event(&mut poller));
        assert_eq!(acceptor.timers_due(), Some(until));
        acceptor.slots_freed(&poller, now);
        acceptor.run_timers(&poller, until - Millis::new(1));
        assert!(!acceptor.is_ready(), "it waits for its rate, not for a slot");
        acceptor.run_timers(&poller, until);
        assert!(acceptor.is_ready() && has_event(&mut poller));
        acceptor.wait_for_rate(Millis::new(1000), &poller, until);
        acceptor.rate_freed(&poller, until);
        assert!(acceptor.is_ready() && has_event(&mut poller));
        acceptor.wait_for_slot(&poller);
        acceptor.rate_freed(&poller, until);
        assert!(acceptor.is_at_limit(), "a changed rate frees no slot");
    }

    #[test]
    fn a_draining_listener_empties_its_queue_also_at_the_limit() {
        let (mut acceptor, mut poller, _client) = acceptor(Origin::Own);
        acceptor.begin_drain(&poller);
        assert!(!acceptor.is_ready() && !has_event(&mut poller));
        acceptor.wait_for_slot(&poller);
        assert!(acceptor.is_at_limit() && !acceptor.is_ready());
        acceptor.slots_freed(&poller, Millis::ZERO);
        assert!(!acceptor.is_at_limit() && !acceptor.is_ready() && !has_event(&mut poller), "it stays unregistered");
        for _ in 0..=MAX_BATCH {
            assert!(acceptor.has_queued(), "one client and a batch");
            acceptor.count_dequeued();
        }
        assert!(!acceptor.has_queued());
        assert!(matches!(acceptor.accept(&Counters::default(), &poller, Millis::ZERO), Accepted::Socket(..)));
    }

    #[test]
    fn draining_follows_every_state_and_is_final() {
        for enter in [
            |_: &mut Acceptor, _: &Poller| {},
            |acceptor: &mut Acceptor, poller: &Poller| acceptor.back_off(Errno::EMFILE, poller, Millis::ZERO),
            |acceptor: &mut Acceptor, poller: &Poller| acceptor.wait_for_slot(poller),
            |acceptor: &mut Acceptor, poller: &Poller| acceptor.wait_for_rate(Millis::new(1), poller, Millis::ZERO),
        ] {
            let (mut acceptor, mut poller, _client) = acceptor(Origin::Own);
            enter(&mut acceptor, &poller);
            acceptor.begin_drain(&poller);
            assert!(acceptor.has_queued() && !acceptor.is_at_limit() && !acceptor.obeys_rate());
            acceptor.slots_freed(&poller, Millis::new(1));
            acceptor.rate_freed(&poller, Millis::new(1));
            acceptor.run_timers(&poller, BACKOFF + BACKOFF);
            assert!(!acceptor.is_ready() && acceptor.has_queued() && !has_event(&mut poller));
        }
    }

    #[test]
    fn the_connections_of_a_unix_socket_get_their_send_buffer_and_a_drain_accepts_them_all() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let socket = UnixListener::bind(&path).expect("listen");
        socket.set_nonblocking(true).expect("O_NONBLOCK");
        let clients: Vec<_> = (0..2 * MAX_BATCH).map(|_| UnixStream::connect(&path).expect("connect")).collect();
        let poller = Poller::new().expect("epoll");
        let socket = OwnedFd::from(socket).try_into().expect("a socket");
        let listener = Listener::new(socket, PROTOCOLS[0], "frame".into(), Origin::Own);
        let listener = Arc::new(listener.with_send_buffer(Some(11_000)));
        let mut acceptor = Acceptor::new(listener, ListenerIndex(3), &poller).expect("registered");
        acceptor.begin_drain(&poller);
        for _ in clients {
            assert!(acceptor.has_queued());
            let accepted = acceptor.accept(&Counters::default(), &poller, Millis::ZERO);
            let Accepted::Socket(socket, None) = accepted else { panic!("{accepted:?}") };
            // the kernel doubles it (socket(7))
            assert_eq!(sys::send_buffer(&socket), Ok(22_000));
            acceptor.count_dequeued();
        }
        assert!(matches!(acceptor.accept(&Counters::default(), &poller, Millis::ZERO), Accepted::Nothing));
    }

    /// A client of the listener, unless its connection is not completed.
    fn connect(address: SocketAddr) -> Option<TcpStream> {
        match TcpStream::connect_timeout(&address, Duration::from_millis(1)) {
            Ok(client) => Some(client),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::TimedOut, "refused");
                None
            }
        }
    }

    /// A client that connects after the queue was found empty would be reset by the close.
    #[test]
    fn the_last_worker_empties_the_queue_again_when_the_kernel_completes_no_more_connections() {
        let (first, poller, client) = acceptor(Origin::Own);
        let other = Poller::new().expect("epoll");
        let second = Acceptor::new(Arc::clone(&first.listener), ListenerIndex(3), &other).expect("registered");
        let mut workers = [first, second];
        let accept = |acceptor: &mut Acceptor| acceptor.accept(&Counters::default(), &poller, Millis::ZERO);
        for (acceptor, poller) in workers.iter_mut().zip([&poller, &other]) {
            acceptor.begin_drain(poller);
        }
        assert!(matches!(accept(&mut workers[0]), Accepted::Socket(..)));
        // both find the queue empty before either of them gives its share up
        for acceptor in &mut workers {
            assert!(matches!(accept(acceptor), Accepted::Nothing));
        }
        let [first, second] = workers;
        assert!(first.close().is_none());
        let address = client.peer_addr().expect("an address");
        let _late = TcpStream::connect(address).expect("connect");
        let mut last = second.close().expect("the queue is to be emptied once more");
        assert!(connect(address).is_none());
        assert!(last.has_queued() && matches!(accept(&mut last), Accepted::Socket(..)), "the late client");
        assert!(matches!(accept(&mut last), Accepted::Nothing));
        assert!(last.close().is_none());
    }

    /// More clients have come than were found in the queue when the drain began.
    #[test]
    fn the_last_worker_empties_a_queue_that_has_grown() {
        let (mut acceptor, poller, client) = acceptor(Origin::Own);
        acceptor.begin_drain(&poller);
        let address = client.peer_addr().expect("an address");
        let late: Vec<_> = (0..2 * MAX_BATCH).map(|_| TcpStream::connect(address).expect("connect")).collect();
        let accept = |acceptor: &mut Acceptor| acceptor.accept(&Counters::default(), &poller, Millis::ZERO);
        let mut accepted = 0;
        while acceptor.has_queued() {
            assert!(matches!(accept(&mut acceptor), Accepted::Socket(..)));
            acceptor.count_dequeued();
            accepted += 1;
        }
        let mut last = acceptor.close().expect("the queue is to be emptied once more");
        for _ in accepted..=late.len() {
            assert!(last.has_queued() && matches!(accept(&mut last), Accepted::Socket(..)));
        }
        assert!(matches!(accept(&mut last), Accepted::Nothing));
    }

    /// The next instance would get no clients.
    #[test]
    fn an_inherited_listener_is_not_filtered() {
        let (mut acceptor, poller, client) = acceptor(Origin::Inherited);
        let _manager = acceptor.listener.socket.as_fd().try_clone_to_owned().expect("a copy of the descriptor");
        acceptor.begin_drain(&poller);
        assert!(acceptor.close().is_none());
        TcpStream::connect(client.peer_addr().expect("an address")).expect("connect");
    }

    #[test]
    fn the_queue_of_an_inherited_listener_is_left() {
        let (mut acceptor, poller, _client) = acceptor(Origin::Inherited);
        acceptor.begin_drain(&poller);
        assert!(!acceptor.has_queued());
    }
}
