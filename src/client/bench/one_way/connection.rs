//! One connection of a measurement of throughput.

use std::io::{self, ErrorKind, Read, Write};

use super::direction::Direction;
use super::pattern::{Pattern, Position};
use super::result::{Carried, Reading};
use crate::client::bench::connection::{ConnectionError, WaitLimits};
use crate::client::bench::measurement::ErrorClass;
use crate::client::connector;
use crate::sys::{Interest, StreamSocket, tcp_info};

/// The most bytes that one connection carries in one iteration of the loop. Chosen: about a millisecond.
const MAX_BYTES: u64 = 4 << 20;

/// The most calls for one connection in one iteration. Chosen: as [`MAX_BYTES`], where the calls are small.
const MAX_CALLS: usize = 64;

/// The bytes of a SYN among those that the peer has acknowledged (RFC 9293).
const SYN: u64 = 1;

/// A connection that carries bytes in one direction. Times are nanoseconds since the start of the run.
#[derive(Debug)]
pub struct OneWayConnection {
    /// `None` once it has failed.
    stream: Option<StreamSocket>,
    connected: bool,
    /// Bytes that begin the connection, and are not sent.
    header: Vec<u8>,
    header_length: u64,
    /// Bytes that the socket has taken, or that were received.
    moved: u64,
    position: Position,
    /// [`moved`](Self::moved) when it was last seen to grow, and the time of that.
    progress: (u64, u64),
    /// The state at the start of the measurement.
    pub before: Reading,
    /// The state at the end of the last interval.
    pub interval: Reading,
    /// The state when it was last looked at.
    last: Reading,
    /// Why it has failed.
    pub error: Option<ConnectionError>,
}

impl OneWayConnection {
    /// A connection that begins with `header`, or the error of the attempt.
    #[must_use]
    pub fn new(started: io::Result<(StreamSocket, Vec<u8>)>, now: u64) -> Self {
        let (stream, header, error) = match started {
            Ok((stream, header)) => (Some(stream), header, None),
            Err(error) => (None, Vec::new(), Some(ConnectionError::from(error))),
        };
        Self {
            stream,
            connected: false,
            header_length: header.len() as u64,
            header,
            moved: 0,
            position: Position::default(),
            progress: (0, now),
            before: Reading::default(),
            interval: Reading::default(),
            last: Reading::default(),
            error,
        }
    }

    /// The socket, until it has failed.
    #[must_use]
    pub fn stream(&self) -> Option<&StreamSocket> {
        self.stream.as_ref()
    }

    /// The readiness to watch for: the end of a connection shows when it is read.
    #[must_use]
    pub fn interest(&self, direction: Direction) -> Interest {
        Interest {
            read: self.connected,
            write: !self.connected || direction == Direction::Send || !self.header.is_empty(),
        }
    }

    /// Carries bytes as far as the socket can now, within bounds.
    ///
    /// # Errors
    /// The connection is of no further use.
    pub fn drive(&mut self, work: &mut Work<'_>, readable: bool) -> Result<(), ConnectionError> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if !self.connected {
            self.connected = connector::is_connected(stream)?;
            if !self.connected {
                return Ok(());
            }
        }
        while !self.header.is_empty() {
            let Some(sent) = unless_blocked(stream.write(&self.header))? else { return Ok(()) };
            self.header.drain(..sent);
        }
        match work.direction {
            Direction::Send if readable => self.check_silence(work.buffer)?,
            Direction::Send => {}
            Direction::Receive => return self.receive(work),
        }
        self.send(work.block)
    }

    fn send(&mut self, block: &[u8]) -> Result<(), ConnectionError> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let until = self.moved + MAX_BYTES;
        for _ in 0..MAX_CALLS {
            let Some(sent) = unless_blocked(stream.write(block))? else { return Ok(()) };
            self.moved += sent as u64;
            if sent < block.len() || self.moved >= until {
                break;
            }
        }
        Ok(())
    }

    /// A server that drops what it receives sends nothing, and does not close the connection.
    fn check_silence(&mut self, buffer: &mut [u8]) -> Result<(), ConnectionError> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        match unless_blocked(stream.read(buffer))? {
            None => Ok(()),
            Some(0) => Err(ErrorClass::ClosedEarly.into()),
            Some(_) => Err(ErrorClass::WrongContent.into()),
        }
    }

    fn receive(&mut self, work: &mut Work<'_>) -> Result<(), ConnectionError> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let until = self.moved + MAX_BYTES;
        for _ in 0..MAX_CALLS {
            let received = match unless_blocked(stream.read(work.buffer))? {
                None => return Ok(()),
                Some(0) => return Err(ErrorClass::ClosedEarly.into()),
                Some(received) => &work.buffer[..received],
            };
            if work.pattern.is_some_and(|pattern| !pattern.continues(&mut self.position, received)) {
                return Err(ErrorClass::WrongContent.into());
            }
            self.moved += received.len() as u64;
            if received.len() < work.buffer.len() || self.moved >= until {
                break;
            }
        }
        Ok(())
    }

    /// Reads the state.
    pub fn read_state(&mut self, direction: Direction) -> Reading {
        if let Some(stream) = self.stream.as_ref().filter(|_| self.connected) {
            let tcp = tcp_info(stream).ok().flatten();
            let sender = tcp.filter(|_| direction == Direction::Send);
            let acknowledged = sender.and_then(|tcp| tcp.acknowledged);
            let bytes = acknowledged.map_or(self.moved, |bytes| bytes.saturating_sub(SYN + self.header_length));
            self.last = Reading { bytes, tcp, retransmits: sender.map(|tcp| tcp.retransmits) };
        }
        self.last
    }

    /// Ends an interval: returns what was carried in it.
    pub fn end_interval(&mut self, direction: Direction) -> Carried {
        let now = self.read_state(direction);
        Carried::between(&std::mem::replace(&mut self.interval, now), &now)
    }

    /// Whether it has carried nothing for too long.
    pub fn is_overdue(&mut self, now: u64, direction: Direction, limits: &WaitLimits) -> bool {
        if self.stream.is_none() || self.moved != self.progress.0 {
            self.progress = (self.moved, now);
        }
        let limit = match direction {
            _ if !self.connected => limits.connect,
            Direction::Send => limits.write,
            Direction::Receive => limits.read,
        };
        self.progress.1 + limit < now
    }

    /// Closes it, and keeps the error.
    pub fn fail(&mut self, error: ConnectionError, direction: Direction) {
        self.read_state(direction);
        self.error = Some(error);
        self.stream = None;
    }
}

/// What connections need to carry bytes.
#[derive(Debug)]
pub struct Work<'a> {
    /// Which way the bytes go.
    pub direction: Direction,
    /// What is sent with one call.
    pub block: &'a [u8],
    /// Where to receive.
    pub buffer: &'a mut [u8],
    /// What is received, if that is verified.
    pub pattern: Option<&'a Pattern>,
}

/// The result of a call; `None` if the socket cannot do it now.
fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}
