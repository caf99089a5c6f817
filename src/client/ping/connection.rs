//! One connection of `ping`: connecting, or carrying requests.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::request::PingRequest;
use crate::client::client_protocol::ConnectionUse;
use crate::client::connector;
use crate::client::pipeline::Pipeline;

/// A connection. Times are durations since the start of the run.
#[derive(Debug)]
pub struct PingConnection {
    /// The requests in flight, by number.
    pub pipeline: Pipeline<u64>,
    started: Duration,
    /// The time that it took to connect; `None` before.
    connect_time: Option<Duration>,
    /// It has had a request.
    is_used: bool,
    /// It gets no further request: one was lost, or each has a connection of its own.
    pub is_retired: bool,
    /// When it was made, got bytes to send behind none, or accepted some.
    progress_at: Duration,
}

impl PingConnection {
    /// Starts to connect.
    pub fn start(address: SocketAddr, now: Duration) -> io::Result<Self> {
        Self::new(connector::start(address, None)?, now, None)
    }

    /// Uses a connection that took `connect_time` to make.
    pub fn connected(stream: TcpStream, connect_time: Duration) -> io::Result<Self> {
        Self::new(stream, Duration::ZERO, Some(connect_time))
    }

    fn new(stream: TcpStream, started: Duration, connect_time: Option<Duration>) -> io::Result<Self> {
        let pipeline = Pipeline::new(stream)?;
        Ok(Self { pipeline, started, connect_time, is_used: false, is_retired: false, progress_at: started })
    }

    /// The time that it took to connect; `None` while it is connecting.
    pub fn connect_time(&self) -> Option<Duration> {
        self.connect_time
    }

    /// Whether the next request may use it.
    pub fn takes_request(&self, connection_use: ConnectionUse) -> bool {
        let is_free = match connection_use {
            ConnectionUse::Pipelined => true,
            ConnectionUse::Sequential => self.pipeline.in_flight().len() == 0,
            _ => !self.is_used,
        };
        is_free && !self.is_retired
    }

    /// Queues a request.
    pub fn queue(&mut self, request: &PingRequest, number: u64, now: Duration) {
        self.is_used = true;
        if self.pipeline.unsent_bytes() == 0 {
            self.progress_at = now;
        }
        self.pipeline.queue(request.wire.clone(), request.expectation, number);
    }

    /// Whether the handshake has completed; the error says why it failed.
    pub fn finish_connect(&mut self, now: Duration) -> io::Result<bool> {
        if let Some(error) = self.pipeline.stream().take_error()? {
            return Err(error);
        }
        match self.pipeline.stream().peer_addr() {
            Ok(_) => (self.connect_time, self.progress_at) = (Some(now.saturating_sub(self.started)), now),
            Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Sends and receives what is possible.
    pub fn transfer(&mut self, now: Duration) {
        if self.pipeline.send() > 0 {
            self.progress_at = now;
        }
        self.pipeline.receive();
    }

    /// When it has accepted no bytes for `timeout`; `None` if none are to be sent.
    pub fn send_deadline(&self, timeout: Duration) -> Option<Duration> {
        let is_sending = self.connect_time.is_some() && self.pipeline.unsent_bytes() > 0;
        is_sending.then(|| self.progress_at.saturating_add(timeout))
    }
}
