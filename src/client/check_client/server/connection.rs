//! One connection of a client, from the server's side.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};

use crate::client::check_client::observation::{ConnectionEnd, ConnectionRecord};
use crate::sys::{self, StreamSocket};

/// A connection, and all that has arrived on it.
#[derive(Debug)]
pub struct Connection {
    /// `None` once it is closed.
    stream: Option<StreamSocket>,
    record: ConnectionRecord,
    /// Bytes in front of which all are compared.
    compared: usize,
    /// Bytes of the requests that are counted.
    counted: usize,
    requests: usize,
    /// Bytes of the requests that are answered, where everything is.
    answered: usize,
    /// Replies that the kernel has not taken.
    unsent: Vec<u8>,
    half_closed: bool,
    broken: bool,
}

/// Bytes to read at once. Chosen without tuning: it is on the stack.
const READ_SIZE: usize = 16 << 10;

impl Connection {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new(stream: StreamSocket) -> Self {
        Self {
            stream: Some(stream),
            record: ConnectionRecord::default(),
            compared: 0,
            counted: 0,
            requests: 0,
            answered: 0,
            unsent: Vec::new(),
            half_closed: false,
            broken: false,
        }
    }

    /// Its descriptor, unless it is closed.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().map(AsFd::as_fd)
    }

    /// Whether more can arrive.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.stream.is_some() && self.record.end.is_none()
    }

    /// Whether the client has closed, half-closed or reset it, or the server has reset it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        !self.is_receiving()
    }

    /// Whether nothing more can be sent.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken || self.half_closed || self.stream.is_none()
    }

    /// Whether replies wait for the client.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty() && !self.is_broken()
    }

    /// Whether no request has arrived in part only.
    #[must_use]
    pub fn is_between_requests(&self) -> bool {
        self.counted == self.record.received.len() || self.has_ended() || self.requests == 0
    }

    /// Bytes that have arrived.
    #[must_use]
    pub fn received(&self) -> usize {
        self.record.received.len()
    }

    /// Requests that have arrived in full.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// Reads once; returns whether bytes or the end have arrived.
    pub fn read(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let mut buffer = [0; READ_SIZE];
        match stream.read(&mut buffer) {
            Ok(0) => self.record.end = Some(ConnectionEnd::Closed),
            Ok(n) => self.record.received.extend_from_slice(&buffer[..n]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return false,
            Err(_) => self.record.end = Some(ConnectionEnd::Reset),
        }
        self.close_if_done();
        true
    }

    /// Closes the descriptor once both sides have ended, because a client may open one connection after another.
    fn close_if_done(&mut self) {
        if self.record.end.is_some() && self.half_closed {
            self.stream = None;
        }
    }

    /// Whether what has arrived is the beginning of `expected`.
    pub fn continues_as(&mut self, expected: &[u8]) -> bool {
        let received = &self.record.received;
        let right = received.len() <= expected.len()
            && received[self.compared..] == expected[self.compared.min(received.len())..received.len()];
        self.compared = received.len();
        right
    }

    /// Counts the requests that have arrived; `size` is that of the request at the beginning of some bytes.
    pub fn count_requests(&mut self, size: impl Fn(&[u8]) -> Option<usize>) {
        while let Some(size) = size(&self.record.received[self.counted..]) {
            self.counted += size;
            self.requests += 1;
        }
    }

    /// Sends what the kernel takes, and returns the number of bytes.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        if self.is_broken() || bytes.is_empty() {
            return 0;
        }
        let Some(stream) = &mut self.stream else { return 0 };
        match stream.write(bytes) {
            Ok(n) => n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            Err(_) => {
                self.broken = true;
                0
            }
        }
    }

    /// Replies to each request that has arrived: `answer` has the size of the one at the beginning of some bytes, and its
    /// reply. Returns what was sent.
    pub fn serve(&mut self, answer: impl Fn(&[u8]) -> Option<(usize, Vec<u8>)>) -> Vec<u8> {
        while let Some((size, reply)) = answer(&self.record.received[self.answered..]) {
            self.answered += size;
            self.unsent.extend(reply);
        }
        let waiting = std::mem::take(&mut self.unsent);
        let written = self.write(&waiting);
        self.unsent = waiting[written..].to_vec();
        waiting[..written].to_vec()
    }

    /// Sends a FIN.
    pub fn half_close(&mut self) {
        if let Some(stream) = self.stream.as_ref().filter(|_| !self.half_closed) {
            // ENOTCONN: the client has gone
            let _ = stream.shutdown(Shutdown::Write);
        }
        self.half_closed = true;
        self.close_if_done();
    }

    /// Sends an RST.
    pub fn reset(&mut self) {
        if let Some(stream) = self.stream.take() {
            sys::close_with_reset(stream);
        }
    }

    /// What has come of it.
    #[must_use]
    pub fn into_record(self) -> ConnectionRecord {
        self.record
    }
}
