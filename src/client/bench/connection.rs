//! One connection of a benchmark: its socket, the bytes that it has to send, and its requests in flight.
//!
//! Guarantees: each request is counted once, as replied to or as failed. Decides neither when requests are made nor
//! what is counted.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;

use super::in_flight::InFlight;
use super::measurement::ErrorClass;
use super::timeline::nanoseconds;
use super::verifier::{Mismatch, Verifier, VerifierState};
use crate::client::connector;
use crate::client::options::Timeouts;
use crate::sys::{Interest, StreamSocket};

/// A connection, or the place of one that is closed. Times are nanoseconds since the start of the run.
#[derive(Debug, Default)]
pub struct BenchConnection {
    /// `None` while there is no connection.
    stream: Option<StreamSocket>,
    /// The handshake is complete.
    connected: bool,
    /// The sending direction has been shut down.
    half_closed: bool,
    /// When the attempt to connect began; `None` once [`take_connect_start`](Self::take_connect_start) has returned it.
    connecting_since: Option<u64>,
    /// Bytes that begin the connection, and are not sent.
    header: Vec<u8>,
    /// Bytes of requests that are queued and not sent.
    to_send: usize,
    /// Bytes of the request at the front of the queue that have been sent.
    position: usize,
    /// Bytes that the socket has taken.
    sent: u64,
    /// [`sent`](Self::sent) when it was last seen to grow, and the time of that.
    progress: (u64, u64),
    in_flight: InFlight,
    verified: VerifierState,
    /// When the first byte of the reply arrived whose end has not.
    first_byte: Option<u64>,
    /// The readiness that the poller watches for.
    pub watched: Interest,
    /// Due times of requests that are not queued yet (open model only).
    pub waiting: VecDeque<u64>,
    /// The connection is not made again before this time.
    pub retry_at: u64,
}

/// The most time that a connection waits, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct WaitLimits {
    /// For the end of the handshake.
    pub connect: u64,
    /// For a reply, since its request was due.
    pub read: u64,
    /// For the server to take a byte of a request.
    pub write: u64,
}

impl WaitLimits {
    /// The limits that the options set.
    pub fn new(timeouts: &Timeouts) -> Self {
        Self {
            connect: nanoseconds(timeouts.connect_timeout),
            read: nanoseconds(timeouts.read_timeout),
            write: nanoseconds(timeouts.write_timeout),
        }
    }
}

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Bytes, or none.
    Bytes {
        /// Replies that these bytes complete.
        replies: usize,
        /// The read filled the buffer: there may be more to read.
        more: bool,
    },
    /// The server has closed the connection.
    Closed {
        /// Replies that this completes.
        replies: usize,
    },
}

impl BenchConnection {
    /// The socket, if there is one.
    #[must_use]
    pub fn stream(&self) -> Option<&StreamSocket> {
        self.stream.as_ref()
    }

    /// Whether the handshake is incomplete.
    #[must_use]
    pub fn is_connecting(&self) -> bool {
        self.stream.is_some() && !self.connected
    }

    /// Whether there is a connection whose handshake is complete.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// The number of requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.count()
    }

    /// The number of requests in flight that were due at `time` or later.
    #[must_use]
    pub fn in_flight_since(&self, time: u64) -> u64 {
        self.in_flight.count_since(time)
    }

    /// Whether the server has kept this connection waiting for too long. To be called at an interval that is short
    /// beside the limits: progress of sending is noticed by a call.
    pub fn is_overdue(&mut self, now: u64, limits: &WaitLimits) -> bool {
        if self.is_connecting() || !self.has_work_to_send() || self.sent != self.progress.0 {
            self.progress = (self.sent, now);
        }
        let connect =
            self.connecting_since.filter(|_| self.is_connecting()).is_some_and(|time| time + limits.connect < now);
        let read = self.in_flight.oldest().is_some_and(|due| due + limits.read < now);
        connect || read || self.progress.1 + limits.write < now
    }

    /// The requests without a reply, sent or not, in groups: when they were due, and their number.
    pub fn outstanding(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.in_flight.groups().chain(self.waiting.iter().map(|due| (*due, 1)))
    }

    /// Whether it has no request without a reply.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.in_flight.count() == 0 && self.waiting.is_empty()
    }

    /// The readiness to watch for.
    #[must_use]
    pub fn interest(&self) -> Interest {
        Interest { read: self.connected, write: !self.connected || self.has_work_to_send() }
    }

    fn has_work_to_send(&self) -> bool {
        self.to_send > 0 || !self.header.is_empty()
    }

    /// Takes a socket that is connecting since `since`; `header` is sent first.
    pub fn start(&mut self, stream: StreamSocket, header: Vec<u8>, since: u64) {
        self.stream = Some(stream);
        self.header = header;
        self.connecting_since = Some(since);
        self.progress = (0, since);
    }

    /// When the attempt to connect began, if it has succeeded and this was not asked before.
    pub fn take_connect_start(&mut self) -> Option<u64> {
        self.connecting_since.take_if(|_| self.connected)
    }

    /// Whether the handshake is complete now; the error says why it failed.
    pub fn finish_connect(&mut self) -> io::Result<bool> {
        let Some(stream) = &self.stream else { return Ok(false) };
        self.connected = connector::is_connected(stream)?;
        Ok(self.connected)
    }

    /// Queues `requests` requests of `length` bytes each that are due at `due`; they are in flight from now on.
    pub fn queue(&mut self, due: u64, requests: usize, length: usize) {
        self.to_send += requests * length;
        self.in_flight.push(due, requests);
    }

    /// Sends what is queued, as far as the socket takes it; while the connection is being made, nothing.
    ///
    /// `batch` is the request of `length` bytes, repeated. With `half_close` the sending direction is shut down after
    /// the last request.
    pub fn send(&mut self, batch: &[u8], length: usize, half_close: bool) -> io::Result<()> {
        while self.has_work_to_send() {
            let Some(stream) = &mut self.stream else { return Ok(()) };
            // All requests are alike, so any copy in the batch continues the one that is partly sent.
            let requests = &batch[self.position..batch.len().min(self.position + self.to_send)];
            let written = match &self.header[..] {
                [] => stream.write(requests),
                // in one segment with the first request
                header => stream.write_vectored(&[IoSlice::new(header), IoSlice::new(requests)]),
            };
            match written {
                Ok(n) => {
                    self.connected = true;
                    self.sent += n as u64;
                    let of_header = n.min(self.header.len());
                    self.header.drain(..of_header);
                    self.count_sent(n - of_header, length);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(stream) = self.stream.as_ref().filter(|_| half_close && self.connected && !self.half_closed) {
            self.half_closed = true;
            stream.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    /// Counts `n` bytes of requests of `length` bytes each as sent.
    fn count_sent(&mut self, n: usize, length: usize) {
        if n > 0 {
            self.to_send -= n;
            self.position = (self.position + n) % length;
        }
    }

    /// Reads once, and adds the number of bytes to `received`.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        verifier: &Verifier,
        received: &mut u64,
    ) -> Result<Arrival, ConnectionError> {
        let nothing = Arrival::Bytes { replies: 0, more: false };
        let Some(stream) = &mut self.stream else { return Ok(nothing) };
        match stream.read(buffer) {
            Ok(0) => Ok(Arrival::Closed { replies: verifier.finish(&mut self.verified)? }),
            Ok(n) => {
                *received += n as u64;
                let replies = verifier.feed(&mut self.verified, &buffer[..n])?;
                if replies > self.in_flight.count() {
                    return Err(ConnectionError::from(ErrorClass::WrongLength));
                }
                Ok(Arrival::Bytes { replies, more: n == buffer.len() })
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(nothing),
            Err(error) => Err(ConnectionError::from(error)),
        }
    }

    /// Notes that what has been read last was read at `now`, if it ends within a reply and that is new.
    pub fn note_first_byte(&mut self, verifier: &Verifier, now: u64) {
        if self.first_byte.is_none() && verifier.is_within_reply(&self.verified) {
            self.first_byte = Some(now);
        }
    }

    /// Ends the oldest `replies` requests in flight, at least one. Calls `count` for each group of them: with the due time,
    /// the size, and when the first byte of the first reply arrived, if that was before its end.
    pub fn complete(&mut self, replies: usize, mut count: impl FnMut(u64, u32, Option<u64>)) {
        let mut first_byte = self.first_byte.take();
        self.in_flight.remove(replies, |due, requests| count(due, requests, first_byte.take()));
    }

    /// Closes the connection, and returns the number of requests that were in flight. The waiting requests are kept.
    pub fn close(&mut self) -> usize {
        let lost = self.in_flight.count();
        let (waiting, retry_at) = (std::mem::take(&mut self.waiting), self.retry_at);
        *self = Self { waiting, retry_at, ..Self::default() };
        lost
    }
}

/// Why a connection is of no further use.
#[derive(Debug)]
pub struct ConnectionError {
    /// The class that its requests in flight are counted in.
    pub class: ErrorClass,
    /// The system's message, if it is an error of the system.
    pub message: Option<String>,
}

impl From<ErrorClass> for ConnectionError {
    fn from(class: ErrorClass) -> Self {
        Self { class, message: None }
    }
}

impl From<Mismatch> for ConnectionError {
    fn from(mismatch: Mismatch) -> Self {
        Self::from(ErrorClass::from(mismatch))
    }
}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> Self {
        Self { class: ErrorClass::from(&error), message: Some(error.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys;

    const LIMITS: WaitLimits = WaitLimits { connect: 100, read: 1000, write: 200 };

    fn connection() -> (BenchConnection, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
        stream.set_nonblocking(true).expect("non-blocking");
        let mut connection = BenchConnection::default();
        connection.start(stream.into(), Vec::new(), 5000);
        (connection, listener)
    }

    #[test]
    fn a_handshake_has_a_limit() {
        let (mut connection, _listener) = connection();
        assert!(!connection.is_overdue(5100, &LIMITS));
        assert!(connection.is_overdue(5101, &LIMITS));
        assert_eq!(connection.take_connect_start(), None);
        assert!(connection.finish_connect().expect("connected"));
        assert!(!connection.is_overdue(9000, &LIMITS));
        assert_eq!((connection.take_connect_start(), connection.take_connect_start()), (Some(5000), None));
    }

    #[test]
    fn the_first_byte_of_a_reply_that_arrives_in_pieces_has_its_time() {
        let (mut connection, listener) = connection();
        let (mut server, _) = listener.accept().expect("a connection");
        let verifier = Verifier::repeated(b"reply", 0);
        let mut buffer = [0; 99];
        connection.queue(5000, 3, 7);
        for (sent, now, first_byte) in [
            ("re", 6000, None),
            ("pl", 6001, None),
            ("yrep", 6002, Some(6000)),
            ("ly", 6003, Some(6002)),
            ("reply", 6004, None),
        ] {
            server.write_all(sent.as_bytes()).expect("send");
            sys::wait_readable([connection.stream().expect("a socket").as_fd()], None).expect("bytes");
            let arrival = connection.receive(&mut buffer, &verifier, &mut 0).expect("correct bytes");
            let Arrival::Bytes { replies, .. } = arrival else { panic!("{arrival:?}") };
            assert_eq!(replies, usize::from(sent.ends_with('y') || sent.starts_with('y')), "{sent}");
            if replies > 0 {
                let mut groups = Vec::new();
                connection.complete(replies, |due, count, first_byte| groups.push((due, count, first_byte)));
                assert_eq!(groups, [(5000, 1, first_byte)], "{sent}");
            }
            connection.note_first_byte(&verifier, now);
        }
    }

    #[test]
    fn a_header_is_sent_once_and_together_with_the_first_request() {
        let (mut connection, listener) = connection();
        connection.header = b"header ".to_vec();
        assert!(connection.interest().write);
        connection.queue(6000, 1, 7);
        connection.send(b"requestrequest", 7, false).expect("send");
        let (mut server, _) = listener.accept().expect("a connection");
        let mut received = [0; 99];
        assert_eq!(server.read(&mut received).expect("receive"), 14);
        assert_eq!(&received[..14], b"header request");
        connection.queue(6000, 1, 7);
        connection.send(b"requestrequest", 7, true).expect("send");
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).expect("receive");
        assert_eq!(rest, b"request");
    }

    #[test]
    fn a_server_that_takes_no_bytes_is_overdue_and_one_that_takes_some_is_not() {
        let (mut connection, listener) = connection();
        let request = vec![0; 64 << 20];
        connection.queue(6000, 1, request.len());
        connection.send(&request, request.len(), false).expect("send");
        assert!(connection.to_send > 0, "the socket takes less");
        assert!(!connection.is_overdue(6000, &LIMITS));
        assert!(!connection.is_overdue(6200, &LIMITS));
        assert!(connection.is_overdue(6201, &LIMITS));
        let (mut server, _) = listener.accept().expect("a connection");
        let before = connection.sent;
        while connection.sent == before {
            server.read_exact(&mut vec![0; 1 << 16]).expect("receive");
            connection.send(&request, request.len(), false).expect("send");
        }
        assert!(!connection.is_overdue(6900, &LIMITS), "it has taken some");
        assert!(!connection.is_overdue(7000, &LIMITS));
        assert!(connection.is_overdue(7001, &LIMITS), "the reply is late");
    }
}
