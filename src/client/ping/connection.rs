//! One connection of `ping`: connecting, or carrying requests.

use std::io;
use std::time::Duration;

use super::request::PingRequest;
use crate::client::client_protocol::ConnectionUse;
use crate::client::connector;
use crate::client::options::Timeouts;
use crate::client::pipeline::Pipeline;
use crate::client::progress_clock::ProgressClock;
use crate::sys::StreamSocket;

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
    /// Restarted when it is made, when bytes are queued and none were to be sent, and when the server accepts some.
    clock: ProgressClock,
}

impl PingConnection {
    /// Uses a connection that is in progress since `now`, and sends `header` first: a PROXY header, or nothing.
    ///
    /// # Errors
    /// As [`Pipeline::new`].
    pub fn start(stream: StreamSocket, header: Vec<u8>, timeouts: &Timeouts, now: Duration) -> io::Result<Self> {
        let mut connection = Self::new(stream, timeouts, now, None)?;
        connection.pipeline.queue_bytes(header.into());
        Ok(connection)
    }

    /// Uses a connection that took `connect_time` to make.
    pub fn connected(stream: StreamSocket, timeouts: &Timeouts, connect_time: Duration) -> io::Result<Self> {
        Self::new(stream, timeouts, Duration::ZERO, Some(connect_time))
    }

    fn new(
        stream: StreamSocket,
        timeouts: &Timeouts,
        started: Duration,
        connect_time: Option<Duration>,
    ) -> io::Result<Self> {
        let pipeline = Pipeline::new(stream)?;
        let clock = ProgressClock::new(timeouts, started);
        Ok(Self { pipeline, started, connect_time, is_used: false, is_retired: false, clock })
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
            self.clock.restart(now);
        }
        self.pipeline.queue(request.wire.clone(), request.format, number);
    }

    /// Whether the handshake has completed; the error says why it failed.
    pub fn finish_connect(&mut self, now: Duration) -> io::Result<bool> {
        let is_connected = connector::is_connected(self.pipeline.stream())?;
        if is_connected {
            self.connect_time = Some(now.saturating_sub(self.started));
            self.clock.restart(now);
        }
        Ok(is_connected)
    }

    /// Sends and receives what is possible.
    pub fn transfer(&mut self, now: Duration) {
        if self.pipeline.send() > 0 {
            self.clock.restart(now);
        }
        self.pipeline.receive();
    }

    /// When it has accepted no bytes for too long; `None` if none are to be sent, or no reply to them would count.
    pub fn send_deadline(&self) -> Option<Duration> {
        let is_sending = self.connect_time.is_some() && self.pipeline.unsent_bytes() > 0;
        (is_sending && !self.is_retired).then(|| self.clock.send_deadline())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::client::client_protocol::ReplyFraming;
    use crate::client::reply::decoder::{BodyLength, ReplyFormat};

    /// A server that reads nothing: most of the request stays unsent.
    #[test]
    fn a_retired_connection_has_no_send_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let seconds = Duration::from_secs;
        let timeouts = Timeouts { connect_timeout: seconds(1), read_timeout: seconds(2), write_timeout: seconds(3) };
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut connection = PingConnection::connected(stream.into(), &timeouts, Duration::ZERO).unwrap();
        let format = ReplyFormat { framing: ReplyFraming::Length32, length: BodyLength::AtMost(1) };
        let request = PingRequest { wire: vec![0; 64 << 20].into(), format, reply: None };
        assert_eq!(connection.send_deadline(), None, "nothing is to be sent");
        connection.queue(&request, 1, seconds(5));
        assert_eq!(connection.send_deadline(), Some(seconds(8)));
        connection.transfer(seconds(6));
        assert_eq!(connection.send_deadline(), Some(seconds(9)), "bytes were accepted");
        connection.is_retired = true;
        assert_eq!(connection.send_deadline(), None);
    }
}
