//! Reads what a predecessor has handed over.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;

use log::warn;

use super::contents::{self, Contents};
use super::format::{FileRecord, Header, ListenerRecord, MAX_HEADER, file_of, numbers_of};
use super::handed_listener::{HandedFile, HandedListener};
use crate::server::TakenOver;
use crate::sys::{self, DescriptorReceiver, SocketAddress, StreamListener};
use crate::units::counted;

/// What a predecessor has handed over; nothing if there was none.
#[derive(Debug, Default)]
pub struct Incoming {
    /// Sockets that listen.
    pub listeners: Vec<HandedListener>,
    /// The connections, with the state of the server.
    pub taken_over: Option<TakenOver>,
    /// The own addresses of connections that came with a state that cannot be used. They are closed.
    pub lost: Vec<SocketAddress>,
    /// Whether there was a descriptor, usable or not, which the manager has to remove from its store.
    pub was_passed: bool,
    /// Whether the predecessor has bound listeners, usable or not.
    pub has_own_listeners: bool,
}

/// Reads the descriptors that carry all others. The first one with a valid state counts; after failures there may be
/// more than one. All are empty afterwards.
#[must_use]
pub fn unpack(sockets: Vec<DescriptorReceiver>) -> Incoming {
    let mut incoming = Incoming { was_passed: !sockets.is_empty(), ..Incoming::default() };
    if incoming.was_passed {
        // before the successor knows what it needs: it has to get as many descriptors as its predecessor had
        sys::raise_descriptor_limit();
    }
    for socket in sockets {
        let contents = contents::receive(&socket);
        incoming.has_own_listeners |= contents.has_own_listeners;
        if let Err((why, connections)) = incoming.read(contents) {
            let closed = counted(connections.len(), "connection");
            warn!("what a predecessor has handed over cannot be used: {why}; {closed} closed");
            incoming.lost.extend(connections.values().filter_map(|socket| sys::local_address(socket).ok()));
        }
    }
    incoming
}

impl Incoming {
    /// Closes connections where there are more than `most`, for want of descriptors.
    pub fn close_above(&mut self, most: usize) {
        if let Some(taken_over) = &mut self.taken_over {
            taken_over.close_above(most);
        }
    }

    /// Reads what was in one socket; otherwise returns the reason, and the connections.
    fn read(&mut self, contents: Contents) -> Result<(), (String, HashMap<u64, OwnedFd>)> {
        let Contents { state, listeners, connections, .. } = contents;
        if self.taken_over.is_some() {
            return Err(("there is another state, which is in use".into(), connections));
        }
        let header = state.as_ref().map_err(String::clone).and_then(read_header);
        let (Header { server, listeners: records }, mut reader, left) = match header {
            Ok(header) => header,
            Err(why) => return Err((why, connections)),
        };
        self.listeners = matched(records, listeners);
        self.taken_over = Some(TakenOver::read(server, &mut reader, left, connections));
        Ok(())
    }
}

/// The header, a reader of the rest, and the length of that in bytes.
fn read_header(state: &File) -> Result<(Header, BufReader<&File>, u64), String> {
    let unreadable = |error| format!("its state cannot be read: {error}");
    let whole = state.metadata().map_err(unreadable)?.len();
    let (mut reader, mut line) = (BufReader::new(state), Vec::new());
    let length = (&mut reader).take(MAX_HEADER).read_until(b'\n', &mut line).map_err(unreadable)? as u64;
    if line.pop() != Some(b'\n') {
        return Err("its state has no header".into());
    }
    let header = serde_json::from_slice(&line);
    let header = header.map_err(|error| format!("the header of its state is invalid: {error}"))?;
    Ok((header, reader, whole.saturating_sub(length)))
}

/// The listeners that these records are about. Records without a descriptor, and the reverse, are dropped.
fn matched(records: Vec<ListenerRecord>, descriptors: Vec<OwnedFd>) -> Vec<HandedListener> {
    let mut descriptors = Descriptors::from_iter(descriptors);
    let listener = |record: ListenerRecord| {
        let origin = record.origin.clone();
        let listener = descriptors.take(record);
        if listener.is_none() {
            warn!("a listener that was handed over cannot be used: {origin:?}");
        }
        listener
    };
    records.into_iter().filter_map(listener).collect()
}

/// The descriptors of listeners.
#[derive(Debug, Default)]
struct Descriptors {
    /// Sockets that listen, by the number that the kernel gives to each.
    sockets: HashMap<u64, OwnedFd>,
    /// Other files, by device and inode.
    files: HashMap<(u64, u64), OwnedFd>,
}

impl FromIterator<OwnedFd> for Descriptors {
    fn from_iter<T: IntoIterator<Item = OwnedFd>>(descriptors: T) -> Self {
        let mut sorted = Self::default();
        for descriptor in descriptors {
            if let Ok(cookie) = sys::socket_cookie(&descriptor) {
                if sys::is_listening(&descriptor) {
                    sorted.sockets.insert(cookie, descriptor);
                }
            } else if let Ok(id) = sys::file_id(&descriptor) {
                sorted.files.insert(numbers_of(id), descriptor);
            }
        }
        sorted
    }
}

impl Descriptors {
    /// The listener that a record is about.
    fn take(&mut self, record: ListenerRecord) -> Option<HandedListener> {
        let ListenerRecord { cookie, origin, file } = record;
        let socket = StreamListener::try_from(self.sockets.remove(&cookie)?).ok()?;
        // the file of a socket is of no use without its lock
        let file = file.and_then(|FileRecord { socket, lock }| {
            Some(HandedFile { id: file_of(socket), lock: self.files.remove(&lock)? })
        });
        Some(HandedListener { socket, origin, file })
    }
}
