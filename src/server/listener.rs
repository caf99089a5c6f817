//! A listening socket, shared by all workers.
//!
//! Each worker accepts from it through an [`super::acceptor::Acceptor`] of its own.

use std::fmt;
use std::net::TcpListener;

use log::warn;

use super::condition::Condition;
use crate::connection::Millis;
use crate::protocol::ProtocolInfo;

/// Where a listening socket comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This process bound it: on shutdown its accept queue is emptied, and then it is closed.
    Own,
    /// The service manager passed it: on shutdown its accept queue is left to the next instance.
    Inherited,
}

/// A listening socket, shared by all workers. It is closed when the last worker drops it.
#[derive(Debug)]
pub struct Listener {
    /// The socket; non-blocking.
    pub socket: TcpListener,
    /// The protocol of its connections.
    pub protocol: &'static ProtocolInfo,
    /// Its name in messages: `frame=[::]:8083`.
    pub name: String,
    /// Where the socket comes from.
    pub origin: Origin,
    /// accept(2) fails; one condition for all workers.
    accept_failing: Condition,
}

impl Listener {
    /// A listener on a socket that listens and is non-blocking.
    #[must_use]
    pub fn new(socket: TcpListener, protocol: &'static ProtocolInfo, name: String, origin: Origin) -> Self {
        Self { socket, protocol, name, origin, accept_failing: Condition::default() }
    }

    /// Logs that accept(2) failed, at a bounded rate.
    pub fn warn_failing(&self, reason: fmt::Arguments<'_>, now: Millis) {
        // the worker that reports this also detects the end: it sleeps no longer than until `recovery_due`
        if let (Some(times), _) = self.accept_failing.occurred(now) {
            warn!("cannot accept on {}: {reason}{times}", self.name);
        }
    }

    /// When to call [`Listener::log_recovery`].
    #[must_use]
    pub fn recovery_due(&self) -> Millis {
        self.accept_failing.due()
    }

    /// Logs that accept(2) succeeds again, once that has lasted.
    pub fn log_recovery(&self, now: Millis) {
        if let Some(past) = self.accept_failing.check_ended(now) {
            warn!("accepting on {} again{past}", self.name);
        }
    }
}
