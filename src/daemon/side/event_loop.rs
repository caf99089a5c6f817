//! The loop of the thread that serves beside the workers.
//!
//! It waits in poll(2) for its listeners and at most [`MAX_CLIENTS`] connections. Nothing that it does blocks, and
//! nothing that it does takes long; the workers do nothing for it but to acknowledge heartbeats.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use log::warn;

use super::client::Client;
use super::listener::SideListener;
use super::pages::ServerPages;
use crate::daemon::config::service::SideService;
use crate::sys::{self, Errno, EventFd, Interest, StreamSocket};

/// The maximum number of connections; others wait in the backlog. Chosen: two scrapers and some probes at a time, and a
/// bound on descriptors and memory.
pub const MAX_CLIENTS: usize = 8;
/// The pause after accept(2) or poll(2) has failed, so that a failure that lasts (EMFILE, ENOMEM) does not keep a
/// processor busy. Chosen: ten tries per second are no load, and no probe notices the pause.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
/// The minimum time between two log lines about such a failure. Chosen: often enough to see that it persists, and 1,440
/// lines a day.
const ERROR_LOG_INTERVAL: Duration = Duration::from_secs(60);

const READ: Interest = Interest { read: true, write: false };

/// The loop.
#[derive(Debug)]
pub struct EventLoop {
    listeners: Arc<[SideListener]>,
    /// The place of the listener from which clients are accepted first.
    first: usize,
    clients: Vec<Client>,
    pages: ServerPages,
    /// Readable when the loop has to end.
    stop: Arc<EventFd>,
    /// Readable when a worker has acknowledged a heartbeat.
    on_ack: Arc<EventFd>,
    /// Listeners are ignored until then.
    paused_until: Option<Instant>,
    /// When the last failure was logged.
    logged: Option<Instant>,
}

impl EventLoop {
    /// A loop for these listeners, which are non-blocking.
    #[must_use]
    pub fn new(listeners: Arc<[SideListener]>, pages: ServerPages, stop: Arc<EventFd>, on_ack: Arc<EventFd>) -> Self {
        Self { listeners, first: 0, clients: Vec::new(), pages, stop, on_ack, paused_until: None, logged: None }
    }

    /// Serves until the loop has to end; connections that are open then are closed.
    pub fn run(mut self) {
        while !sys::is_readable(&*self.stop) {
            match self.wait() {
                Ok(ready) => self.run_iteration(&ready),
                Err(error) => {
                    self.log_failure(&format!("cannot wait for clients: {error}"));
                    thread::sleep(ERROR_PAUSE);
                }
            }
        }
    }

    /// Waits for an event; returns the readiness of each connection.
    fn wait(&mut self) -> std::io::Result<Vec<Interest>> {
        let now = Instant::now();
        self.paused_until = self.paused_until.filter(|until| *until > now);
        // until then, clients that wait in the backlog must not wake the loop
        let room = if self.has_room(now) { None } else { self.clients.iter().filter_map(Client::yields_from).min() };
        let due = self.clients.iter().map(Client::due).chain(self.paused_until).chain(room).min();
        let left = due.map(|due| due.saturating_duration_since(now));
        let clients = self.clients.iter().map(|client| (client.as_fd(), client.interest()));
        let accepts = self.paused_until.is_none() && self.has_room(now);
        let listeners = self.listeners.iter().filter(|_| accepts).map(|listener| (listener.socket.as_fd(), READ));
        let wakers = [(self.stop.as_fd(), READ), (self.on_ack.as_fd(), READ)];
        let watched: Vec<(BorrowedFd<'_>, Interest)> = clients.chain(wakers).chain(listeners).collect();
        let mut ready = sys::wait_any_ready(&watched, left)?;
        ready.truncate(self.clients.len());
        Ok(ready)
    }

    fn run_iteration(&mut self, ready: &[Interest]) {
        self.on_ack.clear();
        let now = Instant::now();
        let mut ready = ready.iter().copied();
        let pages = &mut self.pages;
        self.clients.retain_mut(|client| client.advance(ready.next().unwrap_or_default(), pages, now));
        if self.paused_until.is_none() {
            self.accept(now);
        }
    }

    /// Whether a client can be accepted: there is a place, or a connection that gives up its own.
    fn has_room(&self, now: Instant) -> bool {
        self.clients.len() < MAX_CLIENTS || self.yielding(now).is_some()
    }

    /// The oldest connection that gives up its place.
    fn yielding(&self, now: Instant) -> Option<usize> {
        self.clients.iter().position(|client| client.yields_from().is_some_and(|time| time <= now))
    }

    /// Accepts from each listener while there is room, and at most [`MAX_CLIENTS`] from each, because those that end at
    /// once take no place.
    fn accept(&mut self, now: Instant) {
        // another one is the first each time: no crowd of clients of one keeps those of the others out
        self.first = (self.first + 1) % self.listeners.len();
        for place in (self.first..self.listeners.len()).chain(0..self.first) {
            for _ in 0..MAX_CLIENTS {
                // without a client, accept(2) can fail for want of a descriptor, too
                if !sys::is_readable(&self.listeners[place].socket) {
                    break;
                }
                if self.clients.len() == MAX_CLIENTS {
                    let Some(oldest) = self.yielding(now) else { return };
                    self.clients.remove(oldest).expire();
                }
                match self.listeners[place].socket.accept() {
                    Ok((stream, _)) => self.serve(stream, self.listeners[place].service, now),
                    Err(Errno::EAGAIN) => break,
                    // this client has gone
                    Err(Errno::ECONNABORTED | Errno::EINTR) => {}
                    Err(error) => {
                        let name = &self.listeners[place].name;
                        self.log_failure(&format!("cannot accept on {name}: {}", error.desc()));
                        self.paused_until = Some(now + ERROR_PAUSE);
                        return;
                    }
                }
            }
        }
    }

    fn serve(&mut self, stream: StreamSocket, service: SideService, now: Instant) {
        let mut client = match service {
            SideService::Metrics => Client::with_request(stream, now),
            SideService::Agent => Client::with_reply(stream, self.pages.agent_line().into_bytes(), now),
        };
        // a request has mostly arrived with the connection
        if client.advance(Interest::default(), &mut self.pages, now) {
            self.clients.push(client);
        }
    }

    fn log_failure(&mut self, what: &str) {
        let now = Instant::now();
        if self.logged.is_none_or(|last| now - last >= ERROR_LOG_INTERVAL) {
            warn!("{what}; trying again every {ERROR_PAUSE:?}");
            self.logged = Some(now);
        }
    }
}
