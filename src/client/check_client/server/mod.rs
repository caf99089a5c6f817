//! The scripted server: follows a script on the connections of one client, without ever blocking.
//!
//! Owns the sockets, and all bytes that have arrived. Guarantees: what arrives is kept up to a limit; a client that opens
//! one connection after another is served at the step where the script is; nothing is read in a step that says so.
//! `steps.rs` has the steps.

mod connection;
mod steps;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use super::listening::Port;
use super::observation::ConnectionRecord;
use super::plan::{Exchange, Listening, Plan};
use super::script::{Script, Task};
use super::wire::{self, Parsed};
use crate::client::client_protocol::ClientProtocol;
use crate::client::judge::excerpt::Excerpt;
use crate::sys::{self, Errno, Interest};
use connection::Connection;

/// A server, and what it has seen.
#[derive(Debug)]
pub struct ScriptedServer {
    protocol: ClientProtocol,
    port: Port,
    script: Script,
    /// What becomes of connections that are accepted from now on.
    new_connections: NewConnections,
    connections: Vec<Connection>,
    /// The index of the connection on which the script is.
    active: usize,
    /// Where each request ends in protocols without boundaries, in bytes since the beginning.
    ends: Option<Vec<usize>>,
    /// The bytes that a client may send; any, if there are none.
    expected: Option<Vec<u8>>,
    /// When the first wrong byte arrived.
    wrong_since: Option<Instant>,
    /// The most bytes to receive on all connections.
    limit: usize,
    sent: Excerpt,
    /// Whether bytes have moved since the last look.
    progress: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NewConnections {
    Served,
    Closed,
    Reset,
}

/// Bytes that a client may send beyond those of a correct one, before the run ends. Chosen: far more than any mistake
/// adds.
const MAX_EXCESS: usize = 1 << 20;

/// Connections that a client may make. Chosen: twice as many as a client that opens one for each request of the largest
/// scenario does.
const MAX_CONNECTIONS: usize = 20_000;

/// The time to go on reading after a wrong byte, so that what was sent can be shown. Chosen: the rest of a request
/// arrives sooner.
const COLLECT_TIME: Duration = Duration::from_millis(50);

impl ScriptedServer {
    /// A server for this plan, on this port.
    #[must_use]
    pub fn new(protocol: ClientProtocol, port: Port, plan: &Plan) -> Self {
        let requests = plan.requests(protocol);
        let ends = (!protocol.has_actions()).then(|| ends(protocol, &plan.exchanges));
        let new_connections = match plan.listening {
            Listening::Resets => NewConnections::Reset,
            _ => NewConnections::Served,
        };
        Self {
            protocol,
            port,
            script: Script::new(plan.script.clone()),
            new_connections,
            connections: Vec::new(),
            active: 0,
            ends,
            limit: requests.len() + MAX_EXCESS,
            expected: plan.exact_requests.then_some(requests),
            wrong_since: None,
            sent: Excerpt::default(),
            progress: false,
        }
    }

    /// Does all that can be done now.
    ///
    /// # Errors
    /// No descriptor is left for a connection.
    pub fn advance(&mut self, now: Instant) -> io::Result<()> {
        self.accept()?;
        while self.read_once(now) | self.step(now) {
            self.progress = true;
        }
        self.answer_ends();
        Ok(())
    }

    /// The descriptors to watch, and for what.
    #[must_use]
    pub fn watched(&self) -> Vec<(BorrowedFd<'_>, Interest)> {
        use std::os::fd::AsFd;
        let read = Interest { read: true, write: false };
        let listener = self.port.listener.iter().map(|listener| (listener.as_fd(), read));
        let connections = self.connections.iter().enumerate().filter_map(|(index, connection)| {
            let interest = Interest {
                read: self.reads(index) && connection.is_receiving(),
                write: index == self.active && matches!(self.script.current(), Some(Task::Send { .. })),
            };
            Some((connection.descriptor()?, interest)).filter(|_| interest.read || interest.write)
        });
        listener.chain(connections).collect()
    }

    /// When the server goes on by itself.
    #[must_use]
    pub fn timer(&self) -> Option<Instant> {
        let task = match self.script.current() {
            Some(Task::PauseUntil(time)) => Some(*time),
            Some(Task::Gather { quiet, since: Some(since), .. }) => Some(*since + *quiet),
            _ => None,
        };
        task.into_iter().chain(self.wrong_since.map(|since| since + COLLECT_TIME)).min()
    }

    /// Whether a client made a connection.
    #[must_use]
    pub fn has_connections(&self) -> bool {
        !self.connections.is_empty()
    }

    /// Whether bytes have moved since the last call.
    pub fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// Whether the run is to end, because of what the client has sent.
    #[must_use]
    pub fn is_wrong(&self, now: Instant) -> bool {
        self.wrong_since.is_some_and(|since| now >= since + COLLECT_TIME) || self.total() >= self.limit
    }

    /// What the server has seen and sent.
    #[must_use]
    pub fn into_records(self) -> (Vec<ConnectionRecord>, Excerpt) {
        (self.connections.into_iter().map(Connection::into_record).collect(), self.sent)
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Some(listener) = self.port.listener.as_ref().filter(|_| self.connections.len() < MAX_CONNECTIONS) {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(Errno::EINTR | Errno::ECONNABORTED) => continue,
                Err(error @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)) => return Err(error.into()),
                Err(_) => return Ok(()),
            };
            self.progress = true;
            // pieces are to arrive as they are sent
            let _ = sys::enable_nodelay(&stream);
            let mut connection = Connection::new(stream);
            match self.new_connections {
                NewConnections::Served => {}
                // what a client sends that tries again is no further request
                NewConnections::Closed => continue,
                NewConnections::Reset => connection.reset(),
            }
            self.connections.push(connection);
        }
        Ok(())
    }

    /// Whether this connection is read now.
    fn reads(&self, index: usize) -> bool {
        let holds = index == self.active && matches!(self.script.current(), Some(Task::Send { reads: false, .. }));
        !holds && self.total() < self.limit
    }

    /// Reads once from each connection; returns whether anything arrived.
    fn read_once(&mut self, now: Instant) -> bool {
        let mut any = false;
        for index in 0..self.connections.len() {
            if self.reads(index) && self.connections[index].is_receiving() {
                let arrived = self.connections[index].read();
                any |= arrived;
                if arrived && self.ends.is_none() {
                    let protocol = self.protocol;
                    self.connections[index].count_requests(|bytes| match wire::parse(protocol, bytes) {
                        Parsed::Request(request) => Some(request.size),
                        _ => None,
                    });
                }
            }
        }
        if any {
            self.compare(now);
        }
        any
    }

    /// Compares what has arrived with what is expected.
    fn compare(&mut self, now: Instant) {
        let Some(expected) = self.expected.as_ref().filter(|_| self.wrong_since.is_none()) else { return };
        let mut start = 0;
        let right = self.connections.iter_mut().all(|connection| {
            let right = connection.continues_as(expected.get(start..).unwrap_or_default());
            start += connection.received();
            right
        });
        if !right {
            self.wrong_since = Some(now);
        }
    }

    /// Bytes that have arrived on all connections.
    fn total(&self) -> usize {
        self.connections.iter().map(Connection::received).sum()
    }

    /// Requests that have arrived in full on all connections.
    fn requests(&self) -> usize {
        match &self.ends {
            Some(ends) => ends.partition_point(|end| *end <= self.total()),
            None => self.connections.iter().map(Connection::requests).sum(),
        }
    }
}

/// Where each request ends, in bytes since the beginning.
fn ends(protocol: ClientProtocol, exchanges: &[Exchange]) -> Vec<usize> {
    let lengths = exchanges.iter().map(|exchange| exchange.request(protocol).len());
    lengths
        .scan(0, |end, length| {
            *end += length;
            Some(*end)
        })
        .collect()
}
