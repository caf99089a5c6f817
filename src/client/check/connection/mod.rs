//! One connection to the server that is checked.
//!
//! Owns a non-blocking socket, the bytes that were received and not yet judged, and a memory of what was sent.
//! Guarantees: sending receives too, so that a server that replies while it reads is never blocked; every wait ends,
//! when nothing moves for the patience, or at the check's deadline however much moves; memory is bounded by what the
//! check sends and expects, whatever the server sends.

mod expect;

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use super::failure::{CheckFailure, ConnectionState};
use crate::client::failure::reason;
use crate::client::judge::excerpt::Excerpt;
use crate::client::judge::mismatch::Observed;
use crate::sys::{self, Interest, SocketFamily, StreamSocket};

/// A connection with deadlines and a memory.
#[derive(Debug)]
pub struct TestConnection {
    stream: StreamSocket,
    patience: Duration,
    deadline: Instant,
    sent: Excerpt,
    received: Vec<u8>,
    /// Bytes at the front of `received` that have been judged.
    judged: usize,
    state: ConnectionState,
}

/// The time to continue to read after a wrong byte, so that what was received can be shown. Chosen: the rest of a reply
/// arrives sooner on a local network.
const COLLECT_TIME: Duration = Duration::from_millis(50);

/// Bytes that a server may have sent beyond the number that it was sent, while nothing is judged.
///
/// No reply that a check requests while it sends is longer than its request by more than a header or the word `error`;
/// a thousand requests in one go make that a few kilobytes. Chosen with a margin.
const MAX_EXCESS: usize = 64 << 10;

/// Time between two parts of a request. Chosen: long enough for the first to arrive alone, and to be read alone by a
/// server that has nothing else to do; checks send hundreds of parts.
const PART_INTERVAL: Duration = Duration::from_millis(3);

/// Bytes to read at once. Chosen without tuning: it is on the stack.
const READ_SIZE: usize = 16 << 10;

impl TestConnection {
    /// Takes over a connection; waits at most `patience` for any progress, and not beyond `deadline`.
    ///
    /// # Errors
    /// The socket cannot be made non-blocking.
    pub fn new(stream: StreamSocket, patience: Duration, deadline: Instant) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let (sent, received) = (Excerpt::default(), Vec::new());
        Ok(Self { stream, patience, deadline, sent, received, judged: 0, state: ConnectionState::Open })
    }

    /// The bytes that were received and not yet judged.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.received[self.judged..]
    }

    /// Whether more can arrive.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == ConnectionState::Open
    }

    /// Whether more arrived than a correct server sends.
    #[must_use]
    pub fn has_excess(&self) -> bool {
        self.state == ConnectionState::Excess
    }

    /// Sends all of `bytes`. A server that stops reading is a failure; one that closes, or sends more than can be
    /// correct, is reported when its reply is judged.
    ///
    /// # Errors
    /// The server takes nothing for the patience.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), CheckFailure> {
        let mut rest = bytes;
        while !rest.is_empty() && self.state != ConnectionState::Excess {
            let wanted = Interest { read: self.state == ConnectionState::Open, write: true };
            let Some(ready) = self.wait(wanted, self.patience)? else {
                self.state = self.state_after_timeout();
                let accepted = format!("it accepted {} of {} bytes and no more", bytes.len() - rest.len(), bytes.len());
                return Err(self.failure("a server that continues to read", accepted));
            };
            if ready.read {
                self.receive_bounded();
            }
            match self.stream.write(rest) {
                Ok(n) => {
                    let (gone, left) = rest.split_at(n);
                    self.sent.push(gone);
                    rest = left;
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Sends the parts one after another, so that the server receives each alone.
    ///
    /// # Errors
    /// As [`TestConnection::send`].
    pub fn send_in_parts(&mut self, parts: &[&[u8]]) -> Result<(), CheckFailure> {
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.pause(PART_INTERVAL)?;
            }
            self.send(part)?;
        }
        Ok(())
    }

    /// Lets `time` pass, and receives meanwhile; returns at once when nothing can arrive any more.
    ///
    /// # Errors
    /// As poll(2).
    pub fn pause(&mut self, time: Duration) -> Result<(), CheckFailure> {
        self.receive_until(time, |_| false)
    }

    /// Like [`TestConnection::pause`], and returns as soon as the bytes that were not judged are enough.
    ///
    /// # Errors
    /// As poll(2).
    pub fn receive_until(&mut self, time: Duration, is_enough: impl Fn(&[u8]) -> bool) -> Result<(), CheckFailure> {
        let end = Instant::now() + time;
        while self.state == ConnectionState::Open && !is_enough(self.unread()) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.wait(Interest::READ, left)?.is_none() {
                return Ok(());
            }
            self.receive_bounded();
        }
        Ok(())
    }

    /// Shuts down the sending direction: the server reads the end of input.
    pub fn half_close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Whether a connection of this family can be reset without input that is unread.
    #[must_use]
    pub fn has_reset(&self) -> bool {
        self.stream.family() == SocketFamily::Internet
    }

    /// Resets the connection; closes it if it is not of TCP, which for a Unix socket with unread input is a reset, too.
    pub fn reset(self) {
        sys::close_with_reset(self.stream);
    }

    /// A failure of this connection as it is now; without a description in `received`, with the bytes that were not
    /// judged.
    pub fn failure(&self, expected: impl Into<String>, received: impl Into<String>) -> CheckFailure {
        let mut failure = CheckFailure::in_words(expected, received);
        if failure.received == Observed::Words(String::new()) {
            failure.received = Observed::Bytes(self.unread().to_vec());
        }
        CheckFailure { sent: self.sent.clone(), state: self.state, ..failure }
    }

    /// Waits for more; false if nothing arrived in time, or nothing can.
    fn receive_more(&mut self) -> Result<bool, CheckFailure> {
        if matches!(self.state, ConnectionState::Closed | ConnectionState::Reset | ConnectionState::Excess) {
            return Ok(false);
        }
        if self.wait(Interest::READ, self.patience)?.is_none() {
            self.state = self.state_after_timeout();
            return Ok(false);
        }
        Ok(self.receive())
    }

    /// After a wrong byte: receives what else arrives within [`COLLECT_TIME`].
    fn collect(&mut self) {
        // the wrong byte is what fails; poll(2) may fail beside it
        let _ = self.pause(COLLECT_TIME);
    }

    /// Reads once; more unread bytes than [`MAX_EXCESS`] allows change the state.
    fn receive_bounded(&mut self) {
        if self.receive() && self.unread().len() > self.sent.total + MAX_EXCESS {
            self.state = ConnectionState::Excess;
        }
    }

    /// Reads once; false if the connection is not open any more.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; READ_SIZE];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.state = ConnectionState::Closed,
            Ok(n) => {
                self.state = ConnectionState::Open;
                self.received.extend_from_slice(&buffer[..n]);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.state = ConnectionState::Reset,
        }
        self.state == ConnectionState::Open
    }

    /// Waits for the socket, but not beyond the deadline; `None` on a timeout.
    fn wait(&self, interest: Interest, at_most: Duration) -> Result<Option<Interest>, CheckFailure> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let ready = sys::wait_ready(&self.stream, interest, at_most.min(left))
            .map_err(|error| self.failure("", format!("cannot wait for the socket: {}", reason(&error))))?;
        // A server that never stops sending is always ready, and must not pass the deadline.
        Ok(ready.filter(|_| !left.is_zero()))
    }

    fn state_after_timeout(&self) -> ConnectionState {
        let arriving =
            || matches!(sys::wait_ready(&self.stream, Interest::READ, Duration::ZERO), Ok(Some(ready)) if ready.read);
        if Instant::now() >= self.deadline && arriving() { ConnectionState::OutOfTime } else { ConnectionState::Silent }
    }

    /// Drops `bytes` bytes that have been judged. The rest is moved only when it is the smaller part.
    fn consume(&mut self, bytes: usize) {
        self.judged += bytes;
        if self.judged * 2 >= self.received.len() {
            self.received.drain(..std::mem::take(&mut self.judged));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    /// A connection with a patience of 100 ms and a deadline in 10 s, and the server's end.
    pub(super) fn pair() -> (TestConnection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let patience = Duration::from_millis(100);
        (TestConnection::new(client.into(), patience, Instant::now() + Duration::from_secs(10)).unwrap(), server)
    }

    /// Sends until the client closes.
    fn flood(mut server: TcpStream) -> thread::JoinHandle<()> {
        thread::spawn(move || while server.write_all(&[b'x'; 1 << 14]).is_ok() {})
    }

    #[test]
    fn endless_sender_is_not_read_to_its_end() {
        let (mut connection, server) = pair();
        connection.patience = Duration::from_secs(10);
        let server = flood(server);
        connection.send(&vec![b'a'; 16 << 20]).unwrap();
        let failure = connection.expect(b"reply").unwrap_err();
        assert_eq!(failure.state, ConnectionState::Excess);
        // The bytes sent until then, the excess, and those of one read.
        let (held, sent) = (connection.received.len(), connection.sent.total);
        assert!(sent < 16 << 20 && held <= sent + MAX_EXCESS + READ_SIZE, "{held} of {sent}");
        assert!(connection.expect_close().is_err() && connection.expect_silence(Duration::from_secs(60)).is_err());
        assert_eq!(connection.received.len(), held);
        drop(connection);
        server.join().unwrap();
    }

    #[test]
    fn deadline_ends_a_wait_although_bytes_arrive() {
        let (connection, server) = pair();
        let server = flood(server);
        let mut connection = TestConnection { deadline: Instant::now(), ..connection };
        sys::wait_ready(&connection.stream, Interest::READ, Duration::from_secs(10)).unwrap().expect("bytes arrive");
        assert_eq!(connection.expect_bytes(1).unwrap_err().state, ConnectionState::OutOfTime);
        drop(connection);
        server.join().unwrap();
    }

    /// A server that leaves the connection open, and sends more when its reply is looked at.
    #[test]
    fn bytes_after_enough_are_left() {
        let (mut connection, server) = pair();
        (&server).write_all(b"reply").unwrap();
        let is_whole = |received: &[u8]| {
            let is_whole = received == b"reply";
            if is_whole {
                (&server).write_all(b"more").unwrap();
            }
            is_whole
        };
        connection.receive_until(Duration::from_secs(60), is_whole).unwrap();
        assert_eq!((connection.unread(), connection.is_open()), (b"reply".as_slice(), true));
        connection.expect(b"replymore").unwrap();
    }

    #[test]
    fn dripping_bytes_do_not_extend_the_collection_of_a_wrong_reply() {
        let (mut connection, mut server) = pair();
        let dripping = thread::spawn(move || {
            while server.write_all(b"x").is_ok() {
                thread::sleep(COLLECT_TIME / 10);
            }
        });
        connection.deadline = Instant::now() + COLLECT_TIME * 600;
        assert!(connection.expect(b"reply").is_err());
        // Ten in the time that is allowed, 6000 until the deadline.
        assert!(connection.unread().len() < 1000, "{}", connection.unread().len());
        drop(connection);
        dripping.join().unwrap();
    }

    #[test]
    fn sending_receives_from_a_server_that_replies_meanwhile() {
        let (mut connection, server) = pair();
        let echo = thread::spawn(move || io::copy(&mut &server, &mut &server));
        let much = vec![b'x'; 16 << 20];
        connection.send(&much).unwrap();
        connection.half_close();
        connection.expect(&much).unwrap();
        assert_eq!(echo.join().unwrap().unwrap(), much.len() as u64);
    }
}
