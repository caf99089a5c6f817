//! One connection of a measurement of throughput.

use std::io::{self, ErrorKind, Read, Write};

use super::direction::Direction;
use super::pattern::{Pattern, Position};
use super::result::{Carried, ConnectionResult, Reading};
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

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    /// It is connected, and carries nothing before the others are: they would be connected only after its turn.
    Waiting,
    Carrying,
}

/// A connection that carries bytes in one direction. Times are nanoseconds since the start of the run.
#[derive(Debug)]
pub struct OneWayConnection {
    /// `None` once it has failed.
    stream: Option<StreamSocket>,
    stage: Stage,
    /// Bytes that begin the connection, and are not sent.
    header: Vec<u8>,
    header_length: u64,
    /// Bytes that the socket has taken, or that were received.
    pub moved: u64,
    position: Position,
    /// [`moved`](Self::moved) when it was last seen to grow, and the time of that.
    progress: (u64, u64),
    /// The state at the start of the measurement.
    before: Reading,
    /// The state at the end of the last interval.
    interval: Reading,
    /// The state when it was last looked at.
    last: Reading,
    /// Why it has failed.
    error: Option<ConnectionError>,
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
            stage: Stage::Connecting,
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

    /// Whether the attempt to connect goes on.
    #[must_use]
    pub fn is_connecting(&self) -> bool {
        self.stream.is_some() && self.stage == Stage::Connecting
    }

    /// All connections are made: this one carries bytes from now on.
    pub fn begin(&mut self, now: u64) {
        self.stage = Stage::Carrying;
        self.progress = (self.moved, now);
    }

    /// The readiness to watch for: the end of a connection shows when it is read.
    #[must_use]
    pub fn interest(&self, direction: Direction) -> Interest {
        match self.stage {
            Stage::Connecting => Interest::WRITE,
            Stage::Waiting => Interest { read: false, write: false },
            Stage::Carrying => Interest { read: true, write: direction == Direction::Send || !self.header.is_empty() },
        }
    }

    /// Carries bytes as far as the socket can now, within bounds.
    ///
    /// # Errors
    /// The connection is of no further use.
    pub fn drive(&mut self, work: &mut Work<'_>, readable: bool) -> Result<(), ConnectionError> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if self.stage != Stage::Carrying {
            // a connection that waits has an event when the server resets it
            if connector::is_connected(stream)? {
                self.stage = Stage::Waiting;
            }
            return Ok(());
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
            let received = match unless_blocked(take(stream, work))? {
                None => return Ok(()),
                Some(0) => return Err(ErrorClass::ClosedEarly.into()),
                Some(received) => received,
            };
            let bytes = &work.buffer[..received];
            if work.pattern.is_some_and(|pattern| !pattern.continues(&mut self.position, bytes)) {
                return Err(ErrorClass::WrongContent.into());
            }
            self.moved += received as u64;
            if received < work.buffer.len() || self.moved >= until {
                break;
            }
        }
        Ok(())
    }

    /// Reads the state.
    pub fn read_state(&mut self, direction: Direction) -> Reading {
        if let Some(stream) = self.stream.as_ref().filter(|_| self.stage != Stage::Connecting) {
            let tcp = tcp_info(stream).ok().flatten();
            let sender = tcp.filter(|_| direction == Direction::Send);
            let acknowledged = sender.and_then(|tcp| tcp.acknowledged);
            let bytes = acknowledged.map_or(self.moved, |bytes| bytes.saturating_sub(SYN + self.header_length));
            self.last = Reading { bytes, tcp, retransmits: sender.map(|tcp| tcp.retransmits) };
        }
        self.last
    }

    /// The measurement, and its first interval, begin with the state that was read last.
    pub fn begin_measurement(&mut self) {
        (self.before, self.interval) = (self.last, self.last);
    }

    /// Ends an interval with the state that was read last: returns what was carried in it.
    pub fn end_interval(&mut self) -> Carried {
        Carried::between(&std::mem::replace(&mut self.interval, self.last), &self.last)
    }

    /// What it has carried in the measurement, which ends with the state that was read last.
    #[must_use]
    pub fn result(self) -> ConnectionResult {
        let carried = Carried::between(&self.before, &self.last);
        ConnectionResult { carried, before: self.before, error: self.error }
    }

    /// Whether it has carried nothing for too long.
    pub fn is_overdue(&mut self, now: u64, direction: Direction, limits: &WaitLimits) -> bool {
        if self.stream.is_none() || self.stage == Stage::Waiting || self.moved != self.progress.0 {
            self.progress = (self.moved, now);
        }
        let limit = match direction {
            _ if self.stage == Stage::Connecting => limits.connect,
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

/// Receives bytes. If only their number counts, the kernel drops them where it can: a client that copies them would be
/// slower than the server.
fn take(stream: &mut StreamSocket, work: &mut Work<'_>) -> io::Result<usize> {
    let dropped = work.pattern.is_none().then(|| stream.discard(work.buffer.len())).flatten();
    dropped.map_or_else(|| stream.read(work.buffer), |dropped| Ok(dropped?))
}

/// The result of a call; `None` if the socket cannot do it now.
fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::client::bench::verifier::READ_SIZE;

    /// A connection that carries bytes from 1000 on, and its server: a Unix socket, whose bytes are counted when the
    /// socket takes them.
    fn unix(header: &[u8]) -> (OneWayConnection, UnixStream) {
        let (mut connection, server) = connecting_unix(header);
        connection.begin(1000);
        (connection, server)
    }

    fn connecting_unix(header: &[u8]) -> (OneWayConnection, UnixStream) {
        let (client, server) = UnixStream::pair().expect("a pair");
        client.set_nonblocking(true).expect("non-blocking");
        let client = StreamSocket::try_from(OwnedFd::from(client)).expect("a socket");
        (OneWayConnection::new(Ok((client, header.to_vec())), 1000), server)
    }

    fn tcp(header: &[u8]) -> (OneWayConnection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
        client.set_nonblocking(true).expect("non-blocking");
        let (server, _) = listener.accept().expect("a connection");
        let mut connection = OneWayConnection::new(Ok((client.into(), header.to_vec())), 1000);
        connection.begin(1000);
        (connection, server)
    }

    fn send(connection: &mut OneWayConnection, block: &[u8], readable: bool) -> Result<(), ErrorClass> {
        let mut work = Work { direction: Direction::Send, block, buffer: &mut [0; 100], pattern: None };
        connection.drive(&mut work, readable).map_err(|error| error.class)
    }

    fn receive(connection: &mut OneWayConnection, pattern: Option<&Pattern>) -> Result<(), ErrorClass> {
        let buffer = &mut vec![0; READ_SIZE];
        let mut work = Work { direction: Direction::Receive, block: &[], buffer, pattern };
        connection.drive(&mut work, true).map_err(|error| error.class)
    }

    #[test]
    fn the_header_is_sent_first_and_not_counted() {
        let (mut connection, mut server) = unix(b"HEADER");
        assert!(connection.interest(Direction::Receive).write, "to send the header");
        send(&mut connection, b"block", false).expect("it is sent");
        let moved = connection.read_state(Direction::Send).bytes;
        let mut received = vec![0; b"HEADER".len() + usize::try_from(moved).expect("few")];
        server.read_exact(&mut received).expect("what was counted");
        assert!(moved > 0 && received.starts_with(b"HEADERblock"), "{moved}");
        assert!(!connection.interest(Direction::Receive).write);
        assert!(connection.last.tcp.is_none() && connection.last.retransmits.is_none());
    }

    #[test]
    fn nothing_is_carried_before_all_are_connected() {
        let (mut connection, mut server) = connecting_unix(b"HEADER");
        let nothing = Interest { read: false, write: false };
        for (is_connecting, interest) in [(true, Interest::WRITE), (false, nothing), (false, nothing)] {
            assert_eq!((connection.is_connecting(), connection.interest(Direction::Send)), (is_connecting, interest));
            send(&mut connection, b"block", true).expect("it is connected");
        }
        connection.begin(1000);
        assert_eq!(connection.interest(Direction::Send), Interest { read: true, write: true });
        send(&mut connection, b"block", false).expect("it is sent");
        drop(connection);
        let mut received = Vec::new();
        server.read_to_end(&mut received).expect("all");
        let blocks = received.strip_prefix(b"HEADER").expect("the header, once");
        assert_eq!(blocks, b"block".repeat(MAX_CALLS));
    }

    #[test]
    fn a_reset_before_all_are_connected_is_noticed() {
        let (mut connection, server) = tcp(b"");
        connection.stage = Stage::Waiting;
        connection.stream.as_mut().expect("a socket").write_all(b"1").expect("send");
        let mut byte = [0];
        // bytes that were not read make the end of a connection a reset
        server.peek(&mut byte).expect("the byte arrives");
        drop(server);
        assert_eq!(send(&mut connection, b"block", true), Err(ErrorClass::Reset));
    }

    #[test]
    fn of_tcp_what_the_peer_has_acknowledged_counts() {
        let (mut connection, mut server) = tcp(b"HEADER");
        send(&mut connection, &[0; 1000], false).expect("it is sent");
        let moved = connection.moved;
        server.read_exact(&mut vec![0; b"HEADER".len() + usize::try_from(moved).expect("few")]).expect("all");
        server.write_all(b"!").expect("a reply, which acknowledges all");
        let error = loop {
            if let Err(error) = send(&mut connection, &[], true) {
                break error;
            }
        };
        let state = connection.read_state(Direction::Send);
        assert_eq!((error, state.bytes), (ErrorClass::WrongContent, moved));
        assert!(state.tcp.is_some() && state.retransmits.is_some());
        assert_eq!(connection.read_state(Direction::Receive).retransmits, None);
    }

    #[test]
    fn sending_in_one_iteration_has_bounds() {
        let (mut connection, _server) = unix(b"");
        send(&mut connection, b"1", false).expect("it is sent");
        assert_eq!(connection.moved, MAX_CALLS as u64);
    }

    #[test]
    fn the_end_of_a_server_that_only_takes_bytes_is_an_error() {
        let (mut connection, server) = unix(b"");
        // bytes that a Unix socket has not read make its end a reset
        send(&mut connection, b"", true).expect("it is silent");
        drop(server);
        assert_eq!(send(&mut connection, b"1", true), Err(ErrorClass::ClosedEarly));
    }

    #[test]
    fn what_is_received_is_verified_if_there_is_a_pattern() {
        let (mut connection, mut server) = unix(b"");
        let pattern = Pattern::new();
        receive(&mut connection, Some(&pattern)).expect("nothing yet");
        for (bytes, is_pattern) in [(&b"}~ !"[..], true), (b"\"#", true), (b"#", false)] {
            server.write_all(bytes).expect("send");
            let expected = if is_pattern { Ok(()) } else { Err(ErrorClass::WrongContent) };
            assert_eq!(receive(&mut connection, Some(&pattern)), expected, "{bytes:?}");
        }
        assert_eq!(connection.moved, 6);
        server.write_all(b"others").expect("send");
        receive(&mut connection, None).expect("any bytes");
        assert_eq!(connection.moved, 12);
        drop(server);
        assert_eq!(receive(&mut connection, None), Err(ErrorClass::ClosedEarly));
    }

    #[test]
    fn bytes_of_tcp_that_are_not_verified_are_counted() {
        let (mut connection, mut server) = tcp(b"");
        server.write_all(&[0; 1000]).expect("send");
        while connection.moved < 1000 {
            receive(&mut connection, None).expect("any bytes");
        }
        drop(server);
        let end = std::iter::repeat_with(|| receive(&mut connection, None)).find_map(Result::err);
        assert_eq!((end, connection.moved), (Some(ErrorClass::ClosedEarly), 1000));
    }

    #[test]
    fn each_wait_without_progress_has_its_limit() {
        let limits = WaitLimits { connect: 100, read: 1000, write: 200 };
        let (mut connection, mut server) = connecting_unix(b"");
        for (direction, limit) in [(Direction::Send, 100), (Direction::Receive, 100)] {
            assert!(!connection.is_overdue(1000 + limit, direction, &limits), "not connected");
            assert!(connection.is_overdue(1001 + limit, direction, &limits), "not connected");
        }
        receive(&mut connection, None).expect("it is connected");
        assert!(!connection.is_overdue(u64::MAX / 2, Direction::Receive, &limits), "others are not connected");
        connection.begin(1000);
        assert!(!connection.is_overdue(2000, Direction::Receive, &limits));
        assert!(connection.is_overdue(2001, Direction::Receive, &limits));
        assert!(connection.is_overdue(1201, Direction::Send, &limits));
        server.write_all(b"progress").expect("send");
        receive(&mut connection, None).expect("it is received");
        assert!(!connection.is_overdue(5000, Direction::Send, &limits), "since then");
        assert!(!connection.is_overdue(5200, Direction::Send, &limits));
        assert!(connection.is_overdue(5201, Direction::Send, &limits));
        connection.fail(ErrorClass::Timeout.into(), Direction::Receive);
        assert!(!connection.is_overdue(u64::MAX / 2, Direction::Send, &limits), "it has failed already");
    }

    #[test]
    fn a_connection_that_has_failed_keeps_what_it_has_carried() {
        let (mut connection, mut server) = unix(b"");
        server.write_all(b"bytes").expect("send");
        receive(&mut connection, None).expect("it is received");
        connection.fail(ErrorClass::Reset.into(), Direction::Receive);
        assert!(connection.stream().is_none());
        assert_eq!([connection.end_interval().bytes, connection.end_interval().bytes], [5, 0]);
        assert_eq!(connection.result().carried.bytes, 5);
        let refused = OneWayConnection::new(Err(ErrorKind::ConnectionRefused.into()), 0);
        assert_eq!(refused.error.map(|error| error.class), Some(ErrorClass::Refused));
    }
}
