//! Accepting from one listener, for one worker.
//!
//! Errors of accept(2) are sorted by what follows from them; only a listener that is broken ends anything. Out of
//! descriptors or memory, the listener is switched off for a while: a level-triggered loop that just tried again would
//! burn a processor.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use log::{debug, warn};

use super::BoundListener;
use super::poller::{Poller, Source};
use crate::connection::{Counters, NEVER};
use crate::sys::{self, Errno};

/// How long a listener rests when the system has nothing left, in milliseconds.
const REST: u64 = 100;
/// Clients lost in a row after which it rests too: an error that takes nobody from the queue comes again at once, such
/// as the refusal of a security module.
const MOST_LOST: u32 = 64;

/// Connections accepted at one wake-up, at most.
const LARGEST_BATCH: u32 = 32;

/// What an error of accept(2) means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Consequence {
    /// Nobody is waiting.
    Empty,
    /// A signal came first.
    Interrupted,
    /// This client is gone; others may wait.
    Lost,
    /// The system has no descriptors or memory left.
    Exhausted,
    /// The listener cannot be used any more.
    Broken,
}

fn consequence(error: Errno) -> Consequence {
    match error {
        Errno::EAGAIN => Consequence::Empty,
        Errno::EINTR => Consequence::Interrupted,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::ENOSR => Consequence::Exhausted,
        // accept(2): errors of the new connection that show up here, a firewall's refusal among them
        Errno::ECONNABORTED
        | Errno::EPROTO
        | Errno::EPERM
        | Errno::EACCES
        | Errno::ECONNRESET
        | Errno::EPROTONOSUPPORT
        | Errno::ESOCKTNOSUPPORT
        | Errno::ENETDOWN
        | Errno::ENETUNREACH
        | Errno::EHOSTDOWN
        | Errno::EHOSTUNREACH
        | Errno::ENONET
        | Errno::ENOPROTOOPT
        | Errno::EOPNOTSUPP
        | Errno::ETIMEDOUT => Consequence::Lost,
        _ => Consequence::Broken,
    }
}

/// What one attempt to accept came to.
#[derive(Debug)]
pub enum Accepted {
    /// A connection.
    Socket(OwnedFd),
    /// Try the next one.
    Next,
    /// Nothing more now.
    Done,
    /// The listener is broken.
    Broken(Errno),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// In epoll.
    Armed,
    /// Out of epoll until that time, in milliseconds.
    Resting(u64),
    /// Out of epoll until a connection ends.
    Full,
    /// Out of epoll for good.
    Off,
    /// Out of epoll for good; what is left of the queue waits until a connection ends.
    FullOff,
}

/// One worker's view of one listener.
#[derive(Debug)]
pub struct Acceptor {
    listener: Arc<BoundListener>,
    source: Source,
    mode: Mode,
    /// Clients lost since one was accepted or nobody was left.
    lost: u32,
    batch: u32,
    last_round: u64,
    /// While stopping: connections that are still to be accepted.
    queued: u32,
}

impl Acceptor {
    /// Switched on, as listener `number` of this worker.
    pub fn new(listener: Arc<BoundListener>, number: usize, poller: &Poller) -> std::io::Result<Self> {
        let source = Source::Listener(number as u32);
        poller.add_shared(&listener.socket, source)?;
        Ok(Self { listener, source, mode: Mode::Armed, lost: 0, batch: 1, last_round: 0, queued: 0 })
    }

    /// The listener.
    #[must_use]
    pub fn listener(&self) -> &BoundListener {
        &self.listener
    }

    /// Whether it waits for connections.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.mode == Mode::Armed
    }

    /// How many connections to accept in this round of the event loop.
    ///
    /// One, so that a lone client does not cost a second accept(2) that finds nobody; twice as many in each round that
    /// follows at once, because then clients come faster than that.
    pub fn batch(&mut self, round: u64) -> u32 {
        let follows = round == self.last_round + 1;
        self.batch = if follows { (self.batch * 2).min(LARGEST_BATCH) } else { 1 };
        self.last_round = round;
        self.batch
    }

    /// Accepts one connection.
    pub fn accept(&mut self, counters: &Counters, poller: &Poller, now: u64) -> Accepted {
        let error = match sys::accept(&self.listener.socket) {
            Ok(socket) => {
                self.lost = 0;
                return Accepted::Socket(socket);
            }
            Err(error) => error,
        };
        match consequence(error) {
            Consequence::Empty => {
                self.lost = 0;
                Accepted::Done
            }
            Consequence::Interrupted => Accepted::Next,
            Consequence::Lost => {
                counters.accept_lost.add(1);
                debug!("a client of {} was gone before it was accepted: {}", self.listener.name, error.desc());
                self.lost += 1;
                if self.lost < MOST_LOST {
                    return Accepted::Next;
                }
                self.rest(error, poller, now);
                Accepted::Done
            }
            Consequence::Exhausted => {
                counters.accept_paused.add(1);
                self.rest(error, poller, now);
                Accepted::Done
            }
            Consequence::Broken => Accepted::Broken(error),
        }
    }

    /// Leaves the listener alone for a while.
    fn rest(&mut self, error: Errno, poller: &Poller, now: u64) {
        // the worker that reports this also looks at the end: it sleeps no longer than `rests_until`
        if let (Some(times), _) = self.listener.failing.occurred(now) {
            let (name, error) = (&self.listener.name, std::io::Error::from(error));
            warn!("cannot accept on {name}: {error}; trying again every {REST} ms{times}");
        }
        self.leave(poller, Mode::Resting(now + REST));
    }

    /// There are as many connections as there may be: leaves the next ones to the backlog.
    pub fn pause_full(&mut self, poller: &Poller) {
        let stopped = matches!(self.mode, Mode::Off | Mode::FullOff);
        self.leave(poller, if stopped { Mode::FullOff } else { Mode::Full });
    }

    /// Whether it waits for a connection to end.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.mode, Mode::Full | Mode::FullOff)
    }

    /// A connection has ended: there is room.
    pub fn resume_full(&mut self, poller: &Poller, now: u64) {
        match self.mode {
            Mode::Full => self.join(poller, now),
            Mode::FullOff => self.mode = Mode::Off,
            Mode::Armed | Mode::Resting(_) | Mode::Off => {}
        }
    }

    /// Goes back to work when the rest is over; logs that the listener does not fail any more.
    pub fn resume_rested(&mut self, poller: &Poller, now: u64) {
        if let Some(past) = self.listener.failing.settle(now) {
            warn!("accepting on {} again{past}", self.listener.name);
        }
        if matches!(self.mode, Mode::Resting(until) if until <= now) {
            self.join(poller, now);
        }
    }

    /// When to call [`Acceptor::resume_rested`], in milliseconds.
    #[must_use]
    pub fn rests_until(&self) -> Option<u64> {
        let rest = match self.mode {
            Mode::Resting(until) => until,
            _ => NEVER,
        };
        Some(rest.min(self.listener.failing.due())).filter(|until| *until != NEVER)
    }

    /// Waits for no more connections. Those that the kernel has completed by now are still to be accepted, unless the
    /// listener came from the service manager: then they are for whoever gets it next.
    pub fn stop(&mut self, poller: &Poller) {
        self.leave(poller, Mode::Off);
        if !self.listener.inherited {
            // and a batch more, so that it is an empty queue that ends this, right before the listener is closed: what
            // comes between the two is reset
            let queued = sys::queued_connections(&self.listener.socket).unwrap_or(0);
            self.queued = queued.saturating_add(LARGEST_BATCH);
        }
    }

    /// Whether one more of the connections that [`Acceptor::stop`] found is still to be accepted.
    pub fn take_queued(&mut self) -> bool {
        let left = self.queued > 0;
        self.queued = self.queued.saturating_sub(1);
        left
    }

    fn leave(&mut self, poller: &Poller, mode: Mode) {
        if self.mode == Mode::Armed {
            // it was added, so it can be removed
            let _ = poller.remove(&self.listener.socket);
        }
        self.mode = mode;
    }

    fn join(&mut self, poller: &Poller, now: u64) {
        self.mode = match poller.add_shared(&self.listener.socket, self.source) {
            Ok(()) => Mode::Armed,
            // ENOMEM, ENOSPC: epoll itself has no room
            Err(_) => Mode::Resting(now + REST),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::protocol::PROTOCOLS;

    /// An acceptor on a listener of its own; its poller, and a client.
    fn acceptor(inherited: bool) -> (Acceptor, Poller, TcpStream) {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
        socket.set_nonblocking(true).expect("O_NONBLOCK");
        let client = TcpStream::connect(socket.local_addr().expect("an address")).expect("connect");
        let poller = Poller::new().expect("epoll");
        let listener = BoundListener::new(socket, PROTOCOLS[0], "frame".into(), inherited);
        (Acceptor::new(Arc::new(listener), 3, &poller).expect("in epoll"), poller, client)
    }

    fn is_in_epoll(poller: &mut Poller) -> bool {
        poller.wait(Some(Duration::ZERO)).expect("epoll_wait") == 1
    }

    #[test]
    fn at_the_limit_the_listener_is_out_of_epoll_until_there_is_room() {
        let (mut acceptor, mut poller, _client) = acceptor(false);
        assert!(acceptor.is_armed() && !acceptor.is_full() && is_in_epoll(&mut poller));
        acceptor.pause_full(&poller);
        assert!(!acceptor.is_armed() && acceptor.is_full() && !is_in_epoll(&mut poller));
        acceptor.resume_full(&poller, 0);
        assert!(acceptor.is_armed() && !acceptor.is_full() && is_in_epoll(&mut poller));
    }

    #[test]
    fn after_an_error_the_listener_rests() {
        let (mut acceptor, mut poller, _client) = acceptor(false);
        assert_eq!(acceptor.rests_until(), None);
        acceptor.rest(Errno::EMFILE, &poller, 50);
        assert!(!acceptor.is_armed() && !is_in_epoll(&mut poller));
        assert_eq!(acceptor.rests_until(), Some(50 + REST));
        acceptor.resume_rested(&poller, 50 + REST - 1);
        assert!(!acceptor.is_armed());
        acceptor.resume_rested(&poller, 50 + REST);
        assert!(acceptor.is_armed() && is_in_epoll(&mut poller));
    }

    #[test]
    fn a_stopped_listener_serves_its_queue_also_at_the_limit() {
        let (mut acceptor, mut poller, _client) = acceptor(false);
        acceptor.stop(&poller);
        assert!(!acceptor.is_armed() && !is_in_epoll(&mut poller));
        acceptor.pause_full(&poller);
        assert!(acceptor.is_full() && !acceptor.is_armed());
        acceptor.resume_full(&poller, 0);
        assert!(!acceptor.is_full() && !acceptor.is_armed() && !is_in_epoll(&mut poller), "it stays out of epoll");
        for _ in 0..=LARGEST_BATCH {
            assert!(acceptor.take_queued(), "one client and a batch");
        }
        assert!(!acceptor.take_queued());
        assert!(matches!(acceptor.accept(&Counters::default(), &poller, 0), Accepted::Socket(_)));
        assert!(matches!(acceptor.accept(&Counters::default(), &poller, 0), Accepted::Done));
    }

    #[test]
    fn the_queue_of_an_inherited_listener_is_left() {
        let (mut acceptor, poller, _client) = acceptor(true);
        acceptor.stop(&poller);
        assert!(!acceptor.take_queued());
    }

    #[test]
    fn batches_grow_while_clients_come_in_every_round() {
        let (mut acceptor, ..) = acceptor(false);
        let batches: Vec<u32> = (1..=8).map(|round| acceptor.batch(round)).collect();
        let doubled = [2, 4, 8, 16, 32, 64, 64, 64];
        assert_eq!(batches, doubled.map(|batch: u32| batch.min(LARGEST_BATCH)));
        assert_eq!([10, 11].map(|round| acceptor.batch(round)), [1, 2], "a round without a client lies between");
    }

    #[test]
    fn errors_by_consequence() {
        use Consequence::{Broken, Empty, Exhausted, Interrupted, Lost};
        let table: &[(Consequence, &[Errno])] = &[
            (Empty, &[Errno::EAGAIN]),
            (Interrupted, &[Errno::EINTR]),
            (Exhausted, &[Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM, Errno::ENOSR]),
            (
                Lost,
                &[
                    Errno::ECONNABORTED,
                    Errno::EPROTO,
                    Errno::EPERM,
                    Errno::ENETDOWN,
                    Errno::EHOSTUNREACH,
                    Errno::EACCES,
                ],
            ),
            (Broken, &[Errno::EBADF, Errno::EINVAL, Errno::ENOTSOCK]),
        ];
        for (expected, errors) in table {
            for error in *errors {
                assert_eq!(consequence(*error), *expected, "{error}");
            }
        }
    }
}
