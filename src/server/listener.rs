//! A listening socket, and the options of a listener.
//!
//! Each worker accepts from a [`Listener`] through an [`super::acceptor::Acceptor`] of its own. A connection refers to
//! the [`ListenerProfile`](super::listener_profile::ListenerProfile) of its listener by a [`ListenerIndex`].

use std::fmt;
use std::mem;
use std::sync::Arc;

use log::warn;

use super::access::{AccessList, NetworkSet};
use super::condition::Condition;
use super::peer::Peer;
use super::rate_limit::Rates;
use super::sync::{Mutex, lock};
use crate::connection::{Impairments, Millis};
use crate::protocol::{ProtocolInfo, ProtocolSettings};
use crate::sys::{self, SocketFile, StreamListener, StreamSocket};

/// Where a listening socket comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This process bound it: on shutdown its accept queue is emptied, and then it is closed.
    Own,
    /// The service manager passed it: on shutdown its accept queue is left to the next instance.
    Inherited,
}

/// What the new connections of a listener are served with; a reload replaces it.
#[derive(Clone, Debug, Default)]
pub struct ListenerOptions {
    /// Configuration of the protocols.
    pub protocols: Arc<ProtocolSettings>,
    /// Each connection begins with a PROXY header.
    pub proxy: Option<ProxyReceiver>,
    /// The addresses that may connect.
    pub access: Arc<AccessList>,
    /// The rates of new connections.
    pub rates: Rates,
    /// How its connections are impaired. Unlike the others, this applies to established connections, too.
    pub impairments: Arc<Impairments>,
}

/// How PROXY headers are received.
#[derive(Clone, Debug)]
pub struct ProxyReceiver {
    /// The peers whose headers count; `None` is every peer: the listener is bound to loopback or to a Unix socket.
    pub from: Option<Arc<NetworkSet>>,
    /// Time in which a header must be complete.
    pub timeout: Millis,
}

impl ProxyReceiver {
    /// Whether the headers of a peer count. The peers of Unix sockets have no addresses: the mode of the socket decides
    /// which processes may connect.
    #[must_use]
    pub fn trusts(&self, peer: Peer) -> bool {
        match (&self.from, peer) {
            (None, _) | (Some(_), Peer::Unix(_)) => true,
            (Some(from), peer) => peer.ip().is_some_and(|ip| from.contains(ip)),
        }
    }
}

/// The place of a listener among those of the server, in the order in which the server got them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerIndex(pub u32);

impl ListenerIndex {
    /// The index of the listener at `place`.
    ///
    /// # Panics
    /// If there are 2^32 listeners: a process cannot have that many descriptors.
    #[must_use]
    pub fn of(place: usize) -> Self {
        Self(u32::try_from(place).expect("fewer listeners than descriptors"))
    }

    /// The place.
    #[must_use]
    pub fn place(self) -> usize {
        self.0 as usize
    }
}

/// A listening socket, shared by all workers. It is closed when the last worker drops it.
#[derive(Debug)]
pub struct Listener {
    /// The socket; non-blocking.
    pub socket: StreamListener,
    /// The protocol of its connections.
    pub protocol: &'static ProtocolInfo,
    /// Its name in messages: `frame=[::]:8083`.
    pub name: String,
    /// Where the socket comes from.
    pub origin: Origin,
    /// The file of an own Unix socket. It is removed when a drain begins, and otherwise when this is dropped.
    file: Mutex<Option<SocketFile>>,
    /// The size of the send buffer of a connection, if the kernel's default is not wanted and the connection does not
    /// inherit it.
    send_buffer: Option<usize>,
    /// accept(2) fails; one condition for all workers.
    accept_failing: Condition,
    /// Clients come faster than the rate of the listener; one condition for all workers.
    over_rate: Condition,
}

impl Listener {
    /// A listener on a socket that listens and is non-blocking.
    #[must_use]
    pub fn new(socket: StreamListener, protocol: &'static ProtocolInfo, name: String, origin: Origin) -> Self {
        let (accept_failing, over_rate) = (Condition::default(), Condition::default());
        Self { socket, protocol, name, origin, file: Mutex::new(None), send_buffer: None, accept_failing, over_rate }
    }

    /// With the file of its socket.
    #[must_use]
    pub fn with_file(self, file: Option<SocketFile>) -> Self {
        Self { file: Mutex::new(file), ..self }
    }

    /// With a send buffer of this size for each connection, which does not inherit it: that of a Unix socket.
    #[must_use]
    pub fn with_send_buffer(self, bytes: Option<usize>) -> Self {
        Self { send_buffer: bytes, ..self }
    }

    /// Sets the options of an accepted connection that it does not inherit.
    pub fn prepare(&self, connection: &StreamSocket) {
        if let Some(bytes) = self.send_buffer {
            // fails for no size that is allowed (socket(7))
            let _ = sys::set_send_buffer(connection, bytes);
        }
    }

    /// Removes the file of an own Unix socket: nobody can connect any more.
    pub fn remove_file(&self) {
        drop(lock(&self.file).take());
    }

    /// Leaves the file of an own Unix socket, with its lock, to another process that has the socket.
    pub fn leave_file(&self) {
        // the lock file is locked until this process has ended
        mem::forget(lock(&self.file).take());
    }

    /// What `look` returns for the file of an own Unix socket.
    pub fn with_socket_file<T>(&self, look: impl FnOnce(&SocketFile) -> T) -> Option<T> {
        lock(&self.file).as_ref().map(look)
    }

    /// Logs that accept(2) failed, at a bounded rate.
    pub fn warn_failing(&self, reason: fmt::Arguments<'_>, now: Millis) {
        // the worker that reports this also detects the end: it sleeps no longer than until `recovery_due`
        if let (Some(times), _) = self.accept_failing.occurred(now) {
            warn!("cannot accept on {}: {reason}{times}", self.name);
        }
    }

    /// Logs that clients come faster than the rate of the listener, at a bounded rate.
    pub fn warn_over_rate(&self, now: Millis) {
        if let (Some(times), _) = self.over_rate.occurred(now) {
            warn!("clients of {} come faster than --max-rate allows: they wait in the backlog{times}", self.name);
        }
    }

    /// When to call [`Listener::log_recoveries`].
    #[must_use]
    pub fn recovery_due(&self) -> Millis {
        self.accept_failing.due().min(self.over_rate.due())
    }

    /// Logs which conditions have ended, once that has lasted.
    pub fn log_recoveries(&self, now: Millis) {
        if let Some(past) = self.accept_failing.check_ended(now) {
            warn!("accepting on {} again{past}", self.name);
        }
        if let Some(past) = self.over_rate.check_ended(now) {
            warn!("clients of {} come within --max-rate again{past}", self.name);
        }
    }
}
