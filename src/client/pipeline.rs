//! Requests in flight on one connection: their bytes that are still to be sent, and their replies as they arrive.
//!
//! Owns a non-blocking socket. Never waits: the caller watches the socket for [`Pipeline::interest`], then calls
//! [`Pipeline::send`] and [`Pipeline::receive`], and takes the replies with [`Pipeline::next_reply`]. Guarantees:
//! replies are read while requests are sent, so that neither side can block the other; requests are not copied; replies
//! come in the order of the requests. Knows no clock: how long a reply may take is the caller's decision.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem;
use std::net::Shutdown;
use std::rc::Rc;

use super::client_protocol::ReplyFraming;
use super::reply::collector::{ReadError, ReplyCollector};
use super::reply::decoder::{Received, ReplyFormat};
use crate::sys::{Interest, StreamSocket};

/// Bytes to read at once, at most. Chosen without tuning.
const READ_SIZE: usize = 64 << 10;

/// Requests to send with one call, at most. Chosen without tuning: 64 short requests cost less than one system call.
const BATCH: usize = 64;

/// Writes in one call of [`Pipeline::send`], at most. Chosen without tuning: replies are to be read meanwhile.
const MAX_WRITES: usize = 16;

/// A connection; `T` is what the caller keeps with a request.
#[derive(Debug)]
pub struct Pipeline<T> {
    stream: StreamSocket,
    /// Requests of which bytes are to be sent.
    unsent: VecDeque<Rc<Vec<u8>>>,
    /// Bytes of the first of them that have been sent.
    position: usize,
    /// Bytes that were queued and that were sent, since the connection was made.
    queued_bytes: u64,
    sent_bytes: u64,
    /// Sending has failed.
    send_failed: bool,
    half_close: HalfClose,
    in_flight: VecDeque<InFlight<T>>,
    /// The reply to the first request in flight, once a part of it was looked for.
    collector: Option<ReplyCollector>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Nothing has arrived since the connection was made.
    is_unused: bool,
    /// Why nothing more arrives.
    closed: Option<Closed>,
}

/// Whether the sending direction is shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HalfClose {
    No,
    AfterTheLastByte,
    Done,
}

#[derive(Debug)]
enum Closed {
    ByServer,
    Failed(io::Error),
}

#[derive(Debug)]
struct InFlight<T> {
    request: T,
    format: ReplyFormat,
    /// The value of `queued_bytes` behind the request.
    end: u64,
}

impl<T> Pipeline<T> {
    /// Uses a connected or connecting socket, which it makes non-blocking.
    pub fn new(stream: StreamSocket) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            unsent: VecDeque::new(),
            position: 0,
            queued_bytes: 0,
            sent_bytes: 0,
            send_failed: false,
            half_close: HalfClose::No,
            in_flight: VecDeque::new(),
            collector: None,
            buffer: vec![0; READ_SIZE],
            start: 0,
            end: 0,
            is_unused: true,
            closed: None,
        })
    }

    /// The socket, to wait for it.
    pub fn stream(&self) -> &StreamSocket {
        &self.stream
    }

    /// Queues a request that gets a reply. Behind a request whose reply ends with the connection, the sending direction
    /// is shut down.
    pub fn queue(&mut self, wire: Rc<Vec<u8>>, format: ReplyFormat, request: T) {
        self.queue_bytes(wire);
        self.in_flight.push_back(InFlight { request, format, end: self.queued_bytes });
        if format.framing == ReplyFraming::CloseDelimited {
            self.half_close();
        }
    }

    /// Queues bytes that get no reply.
    pub fn queue_bytes(&mut self, wire: Rc<Vec<u8>>) {
        self.queued_bytes += wire.len() as u64;
        if !wire.is_empty() {
            self.unsent.push_back(wire);
        }
    }

    /// Shuts the sending direction down when all bytes have been sent.
    pub fn half_close(&mut self) {
        if self.half_close == HalfClose::No {
            self.half_close = HalfClose::AfterTheLastByte;
        }
    }

    /// The readiness to watch for.
    pub fn interest(&self) -> Interest {
        Interest { read: self.closed.is_none(), write: self.has_work_to_send() }
    }

    fn has_work_to_send(&self) -> bool {
        let has_work = !self.unsent.is_empty() || self.half_close == HalfClose::AfterTheLastByte;
        has_work && !self.send_failed
    }

    /// Bytes that are still to be sent.
    pub fn unsent_bytes(&self) -> u64 {
        self.queued_bytes - self.sent_bytes
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> impl ExactSizeIterator<Item = &T> {
        self.in_flight.iter().map(|entry| &entry.request)
    }

    /// Whether the first request in flight, or without one every byte, has been sent.
    pub fn first_is_sent(&self) -> bool {
        self.sent_bytes >= self.in_flight.front().map_or(self.queued_bytes, |first| first.end)
    }

    /// Whether nothing more arrives: the server closed the connection, or it failed.
    pub fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// The error with which the connection failed.
    pub fn failure(&self) -> Option<&io::Error> {
        match &self.closed {
            Some(Closed::Failed(error)) => Some(error),
            Some(Closed::ByServer) | None => None,
        }
    }

    /// How much of the reply to the first request in flight has arrived.
    pub fn received(&self) -> Received {
        self.collector.as_ref().map_or(Received { bytes: 0, announced: None }, ReplyCollector::received)
    }

    /// Bytes that arrived although no request is in flight.
    pub fn unexpected(&self) -> &[u8] {
        if self.in_flight.is_empty() { &self.buffer[self.start..self.end] } else { &[] }
    }

    /// Sends what the socket takes, and returns the number of bytes.
    ///
    /// A connection that takes no more bytes is not an error here, because the server may have replied before: reading
    /// will tell.
    pub fn send(&mut self) -> usize {
        let mut sent = 0;
        for _ in 0..MAX_WRITES {
            if self.unsent.is_empty() || self.send_failed {
                break;
            }
            match self.write_batch() {
                Ok(n) => sent += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.send_failed = true,
            }
        }
        if self.unsent.is_empty() && self.half_close == HalfClose::AfterTheLastByte {
            self.half_close = HalfClose::Done;
            // fails if the server has closed the connection: reading will tell
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        sent
    }

    fn write_batch(&mut self) -> io::Result<usize> {
        let skipped = std::iter::once(self.position).chain(std::iter::repeat(0));
        let slices: Vec<_> =
            self.unsent.iter().zip(skipped).take(BATCH).map(|(wire, skip)| IoSlice::new(&wire[skip..])).collect();
        let written = self.stream.write_vectored(&slices)?;
        self.sent_bytes += written as u64;
        self.position += written;
        while let Some(first) = self.unsent.front().filter(|first| first.len() <= self.position) {
            self.position -= first.len();
            self.unsent.pop_front();
        }
        Ok(written)
    }

    /// Reads once, if all that was read before has been taken; returns the number of bytes.
    pub fn receive(&mut self) -> usize {
        if self.start < self.end || self.closed.is_some() {
            return 0;
        }
        match self.stream.read(&mut self.buffer) {
            Ok(0) => self.closed = Some(Closed::ByServer),
            Ok(n) => {
                (self.start, self.end, self.is_unused) = (0, n, false);
                return n;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => self.closed = Some(Closed::Failed(error)),
        }
        0
    }

    /// The next reply that has arrived in full, with its request; `None` if there is none yet.
    ///
    /// # Errors
    /// The reply to the first request in flight is wrong, or cannot arrive any more. The connection is of no further
    /// use then.
    pub fn next_reply(&mut self) -> Result<Option<(T, Vec<u8>)>, ReadError> {
        let Some(first) = self.in_flight.front() else { return Ok(None) };
        let collector = self.collector.get_or_insert_with(|| ReplyCollector::new(first.format));
        if let Some(consumed) = collector.feed(&self.buffer[self.start..self.end])? {
            self.start += consumed;
        } else {
            self.start = self.end;
            match &mut self.closed {
                None => return Ok(None),
                Some(Closed::ByServer) => match collector.finish() {
                    Err(ReadError::Closed(_)) if self.is_unused => return Err(ReadError::ClosedUnused),
                    end => end?,
                },
                Some(Closed::Failed(error)) => {
                    let error = mem::replace(error, ErrorKind::NotConnected.into());
                    return Err(ReadError::Failed(error, collector.received()));
                }
            }
        }
        let body = self.collector.take().map_or_else(Vec::new, ReplyCollector::into_body);
        Ok(self.in_flight.pop_front().map(|first| (first.request, body)))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::client::reply::decoder::BodyLength;
    use crate::sys::wait_ready;

    fn connected() -> (Pipeline<u32>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Pipeline::new(client.into()).unwrap(), listener.accept().unwrap().0)
    }

    fn wire(bytes: &[u8]) -> Rc<Vec<u8>> {
        Rc::new(bytes.to_vec())
    }

    fn receive(pipeline: &mut Pipeline<u32>) {
        wait_ready(pipeline.stream(), Interest::READ, Duration::from_secs(60)).unwrap().expect("bytes arrive");
        pipeline.receive();
    }

    const THREE: ReplyFormat = ReplyFormat { framing: ReplyFraming::Fixed(3), length: BodyLength::AtMost(3) };

    #[test]
    fn replies_come_in_the_order_of_the_requests() {
        let (mut pipeline, mut server) = connected();
        for (number, bytes) in [(1, b"one"), (2, b"two")] {
            pipeline.queue(wire(bytes), THREE, number);
        }
        assert_eq!((pipeline.send(), pipeline.unsent_bytes()), (6, 0));
        let mut request = [0; 6];
        server.read_exact(&mut request).unwrap();
        assert_eq!(&request, b"onetwo");
        server.write_all(b"ONETW").unwrap();
        receive(&mut pipeline);
        assert_eq!(pipeline.next_reply().unwrap(), Some((1, b"ONE".to_vec())));
        assert_eq!(pipeline.next_reply().unwrap(), None);
        assert_eq!(pipeline.received(), Received { bytes: 2, announced: Some(3) });
        server.write_all(b"Omore").unwrap();
        receive(&mut pipeline);
        assert_eq!(pipeline.next_reply().unwrap(), Some((2, b"TWO".to_vec())));
        assert_eq!(pipeline.next_reply().unwrap(), None);
        assert_eq!(pipeline.unexpected(), b"more");
    }

    #[test]
    fn a_long_request_is_sent_in_parts() {
        let (mut pipeline, mut server) = connected();
        let message = vec![b'x'; 8 << 20];
        pipeline.queue(wire(&message), THREE, 1);
        pipeline.send();
        assert!(pipeline.unsent_bytes() > 0 && !pipeline.first_is_sent() && pipeline.interest().write);
        let reader = std::thread::spawn(move || server.read_exact(&mut vec![0; 8 << 20]));
        while !pipeline.first_is_sent() {
            wait_ready(pipeline.stream(), Interest::WRITE, Duration::from_secs(60)).unwrap().expect("room");
            pipeline.send();
        }
        reader.join().unwrap().unwrap();
        assert!(!pipeline.interest().write);
    }

    #[test]
    fn a_reply_without_bytes_needs_no_input() {
        let (mut pipeline, _server) = connected();
        pipeline.queue(wire(b""), ReplyFormat { framing: ReplyFraming::Fixed(0), length: BodyLength::AtMost(9) }, 1);
        assert_eq!(pipeline.next_reply().unwrap(), Some((1, Vec::new())));
    }

    #[test]
    fn a_reply_that_ends_with_the_connection_follows_a_half_close() {
        let (mut pipeline, mut server) = connected();
        let format = ReplyFormat { framing: ReplyFraming::CloseDelimited, length: BodyLength::AtMost(9) };
        pipeline.queue(wire(b"who"), format, 1);
        pipeline.send();
        let mut request = Vec::new();
        server.read_to_end(&mut request).unwrap();
        server.write_all(b"root").unwrap();
        drop(server);
        receive(&mut pipeline);
        assert_eq!(pipeline.next_reply().unwrap(), None);
        receive(&mut pipeline);
        assert_eq!(pipeline.next_reply().unwrap(), Some((1, b"root".to_vec())));
        assert!(pipeline.is_closed());
    }

    #[test]
    fn a_closed_connection_has_no_reply_to_the_requests_in_flight() {
        let (mut pipeline, server) = connected();
        pipeline.queue(wire(b"one"), THREE, 1);
        drop(server);
        receive(&mut pipeline);
        assert!(matches!(pipeline.next_reply(), Err(ReadError::ClosedUnused)));
        assert_eq!(pipeline.in_flight().copied().collect::<Vec<_>>(), [1]);
    }
}
