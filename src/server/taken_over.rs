//! What a predecessor has saved, as its successor reads it: whatever is wrong costs no more than the connections that
//! it is wrong with.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, Read};

use log::debug;

use super::connection_table::ClientRecord;
use super::saved::{SavedServer, SavedSession};
use crate::connection::{self, Buffer, SavedConnection, SavedImpairment};
use crate::sys::{self, StreamSocket};

/// Bytes of the line of a connection, at most: longer ones are neither written nor read. Derived: delayed bytes
/// have at most 65,536 different due times, each of which takes up to 60 bytes of the line; twice their sum. Everything
/// else in the line is far shorter.
pub const MAX_LINE: u64 = 8 * 1024 * 1024;

/// A connection of a predecessor, without its protocol and its listener.
#[derive(Debug)]
pub struct TakenSession {
    /// What is to be known about its client.
    pub client: Option<ClientRecord>,
    /// Its state.
    pub connection: SavedConnection,
    /// The bytes that it holds.
    pub bytes: [Buffer; 2],
    /// What impairs it, and the bytes that this delays.
    pub impairment: Option<(SavedImpairment, Buffer)>,
    /// Its socket.
    pub stream: StreamSocket,
}

/// A listener of a predecessor: the name of its protocol, and its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SavedListener {
    /// The name of its protocol.
    pub protocol: String,
    /// Its name in messages.
    pub name: String,
}

/// What a predecessor has handed over.
#[derive(Debug)]
pub struct TakenOver {
    /// The state of the server.
    pub(super) server: SavedServer,
    /// The connections that can be restored, by cookie.
    pub(super) sessions: BTreeMap<u64, (SavedListener, TakenSession)>,
    /// What was wrong with the others.
    pub(super) failures: Failures,
}

/// What was wrong with connections that were handed over. How many they are follows from the statistics: a connection
/// may have no record here, no socket, or several.
#[derive(Debug, Default)]
pub struct Failures {
    /// What was wrong with the first one.
    pub first: Option<String>,
}

impl Failures {
    /// A connection cannot be served.
    pub fn add(&mut self, label: Option<&str>, reason: &str) {
        let label = label.unwrap_or("a client");
        debug!("{label}: not taken over: {reason}");
        if self.first.is_none() {
            self.first = Some(format!("{label}: {reason}"));
        }
    }
}

/// A record that was read.
enum Record {
    /// A connection, the bytes that it holds, and those that are delayed.
    Session(Box<SavedSession>, [Buffer; 3]),
    /// One for whose bytes there is no memory.
    TooLarge(Box<SavedSession>),
}

/// The records of connections.
struct Records<'a> {
    from: &'a mut dyn BufRead,
    /// Bytes that are left of them.
    left: u64,
    /// The last line that was read.
    line: Vec<u8>,
}

impl TakenOver {
    /// Whether no connection can be restored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Reads the records of the connections of `server`, which take the next `length` bytes of `from`, and finds the
    /// socket of each by its cookie.
    ///
    /// Never fails: a connection without a socket, a socket without a connection, what is written twice, and everything
    /// behind a record that cannot be read is closed; [`Server::start`](super::Server::start) counts and logs that.
    pub fn read(server: SavedServer, from: &mut dyn BufRead, length: u64, sockets: HashMap<u64, StreamSocket>) -> Self {
        connection::keep_headroom(sys::memory_left);
        let mut taken_over = Self { server, sessions: BTreeMap::new(), failures: Failures::default() };
        let (mut records, mut sockets) = (Records { from, left: length, line: Vec::new() }, sockets);
        loop {
            match records.next() {
                Ok(Some(Record::Session(session, bytes))) => taken_over.add(*session, bytes, &mut sockets),
                Ok(Some(Record::TooLarge(session))) => {
                    sockets.remove(&session.cookie);
                    taken_over.failures.add(session.connection.label(), "there is no memory for what it holds");
                }
                Ok(None) => break,
                Err(error) => {
                    taken_over.failures.add(None, &format!("its record cannot be read: {error}"));
                    break;
                }
            }
        }
        for _ in sockets {
            taken_over.failures.add(None, "its socket has no record");
        }
        taken_over
    }

    /// Closes the newest connections where there are more than `most`: this process may open fewer descriptors than its
    /// predecessor, or needs more of them for itself.
    pub fn close_above(&mut self, most: usize) {
        while self.sessions.len() > most {
            if let Some((_, (_, session))) = self.sessions.pop_last() {
                self.failures.add(session.connection.label(), "there is no descriptor for it (raise LimitNOFILE=)");
            }
        }
    }

    /// Adds a connection, if exactly one socket and one record have its cookie.
    fn add(&mut self, session: SavedSession, bytes: [Buffer; 3], sockets: &mut HashMap<u64, StreamSocket>) {
        let SavedSession { cookie, protocol, listener, client, connection, impairment } = session;
        let [input, output, delayed] = bytes;
        let (bytes, impairment) = ([input, output], impairment.map(|impairment| (impairment, delayed)));
        if self.sessions.remove(&cookie).is_some() {
            return self.failures.add(connection.label(), "it has two records");
        }
        let Some(stream) = sockets.remove(&cookie) else {
            return self.failures.add(connection.label(), "its socket is missing");
        };
        let listener = SavedListener { protocol, name: listener };
        self.sessions.insert(cookie, (listener, TakenSession { client, connection, bytes, impairment, stream }));
    }
}

impl Records<'_> {
    /// The next record; `None` behind the last one.
    fn next(&mut self) -> io::Result<Option<Record>> {
        self.line.clear();
        let length = (&mut *self.from).take(self.left.min(MAX_LINE)).read_until(b'\n', &mut self.line)? as u64;
        if length == 0 {
            return if self.left == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        self.left -= length;
        let session: Box<SavedSession> = serde_json::from_slice(&self.line)?;
        let [input, output] = session.connection.lengths();
        let delayed = session.impairment.as_ref().map_or(0, SavedImpairment::delayed);
        let delayed = usize::try_from(delayed).unwrap_or(usize::MAX);
        let lengths = [input, output, delayed];
        let total = lengths.into_iter().try_fold(0, |sum: u64, length| sum.checked_add(length as u64));
        let total = total.filter(|total| *total <= self.left).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.left -= total;
        let [input, output] = session.connection.capacities();
        let capacities = [input, output, delayed];
        let [Ok(input), Ok(output), Ok(delayed)] = [0, 1, 2].map(|part| buffer(capacities[part], lengths[part])) else {
            self.skip(total)?;
            return Ok(Some(Record::TooLarge(session)));
        };
        let mut bytes = [input, output, delayed];
        for (buffer, length) in bytes.iter_mut().zip(lengths) {
            self.from.read_exact(&mut buffer.unfilled_mut()[..length])?;
            buffer.advance(length);
        }
        Ok(Some(Record::Session(session, bytes)))
    }

    /// Skips the bytes of a connection.
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut *self.from).take(bytes), &mut io::sink())?;
        if skipped == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// An empty buffer for bytes of this length, of the larger capacity if there is memory for it; without memory if there
/// are no bytes.
fn buffer(capacity: usize, length: usize) -> io::Result<Buffer> {
    match length {
        0 => Ok(Buffer::default()),
        length => Buffer::with_capacity(capacity).or_else(|_| Buffer::with_capacity(length)),
    }
}
