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
use crate::sys::{self, DescriptorReceiver, StreamListener};

/// What a predecessor has handed over; nothing if there was none.
#[derive(Debug, Default)]
pub struct Incoming {
    /// Sockets that listen.
    pub listeners: Vec<HandedListener>,
    /// The connections, with the state of the server.
    pub taken_over: Option<TakenOver>,
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
        let contents = contents::receive(&socket, &mut incoming.has_own_listeners);
        if incoming.taken_over.is_some() {
            warn!("another predecessor's state is dropped: one is in use already");
            continue;
        }
        match contents.and_then(read) {
            Ok((listeners, taken_over)) => {
                incoming.listeners = listeners;
                incoming.taken_over = Some(taken_over);
            }
            Err(why) => warn!("what a predecessor has handed over cannot be used: {why}; its connections are closed"),
        }
    }
    incoming
}

fn read(contents: Contents) -> Result<(Vec<HandedListener>, TakenOver), String> {
    let Contents { state, listeners, connections } = contents;
    let whole = state.metadata().map_err(|error| format!("its state has no length: {error}"))?.len();
    let mut reader = BufReader::new(state);
    let (Header { server, listeners: records }, length) = read_header(&mut reader)?;
    let listeners = matched(records, listeners);
    let left = whole.saturating_sub(length);
    Ok((listeners, TakenOver::read(server, &mut reader, left, connections)))
}

/// The header, and its length in bytes.
fn read_header(from: &mut BufReader<File>) -> Result<(Header, u64), String> {
    let mut line = Vec::new();
    let read = from.take(MAX_HEADER).read_until(b'\n', &mut line);
    let length = read.map_err(|error| format!("its state cannot be read: {error}"))? as u64;
    if line.pop() != Some(b'\n') {
        return Err("its state has no header".into());
    }
    let header =
        serde_json::from_slice(&line).map_err(|error| format!("the header of its state is invalid: {error}"))?;
    Ok((header, length))
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
