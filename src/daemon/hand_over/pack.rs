//! Writes the state of a frozen server, and sends its descriptors.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::format::{Header, INHERITED, LISTENERS, ListenerRecord, MAX_HEADER, NAME, STATE};
use super::outgoing::{Outgoing, outgoing};
use crate::daemon::config::origin::Origins;
use crate::daemon::memory_plan::Need;
use crate::daemon::side::SideServices;
use crate::daemon::system_limits::{Memory, physical_memory};
use crate::server::{Frozen, Saved, StatsSnapshot};
use crate::sys::{self, DescriptorReceiver, DescriptorSender, Errno, MAX_DESCRIPTORS, SocketFile};

/// The time in which a service manager closes a descriptor that it does not keep. systemd 254 and later do so in another
/// process, after the barrier. Measured on systemd 257 beside four busy processes: of 1500 descriptors, 625 were closed
/// after the barrier, all but one within 17 ms, and that one after 64 ms. Every hand-over takes that time, and clients
/// wait meanwhile: what the manager has said at the start (`FDSTORE`) is no longer true after a drop-in of the unit.
const CLOSE_TIME: Duration = Duration::from_millis(20);

/// What is packed, for the successor. It is emptied when this is dropped without [`Packed::commit`]: what the predecessor
/// serves afterwards must never be served again from an older state, wherever another descriptor of the socket is.
#[derive(Debug)]
#[must_use = "the connections are handed over by its socket"]
pub struct Packed<'a> {
    socket: DescriptorReceiver,
    /// The other end, which shows whether anybody has `socket`.
    sender: Option<DescriptorSender>,
    /// The services beside the workers. They, and the server that is frozen, outlive this.
    side: &'a SideServices,
    is_committed: bool,
    /// What became of the connections.
    pub saved: Saved,
}

impl Packed<'_> {
    /// Closes the own descriptor of the socket, which the service manager has: nothing in it may be used by this process
    /// any more. Call it before [`Frozen::commit`].
    ///
    /// # Errors
    /// The manager has not kept it, which it does not say. The reason, for the log; the server can go on.
    pub fn commit(mut self) -> Result<(), &'static str> {
        self.is_committed = true;
        let (sender, side) = (self.sender.take(), self.side);
        drop(self);
        if sender.is_some_and(|sender| sender.closes_within(CLOSE_TIME)) {
            return Err("the service manager has not kept them (set FileDescriptorStoreMax=1 in the unit)");
        }
        side.listeners().iter().filter_map(|listener| listener.file.as_ref()).for_each(SocketFile::leave);
        Ok(())
    }
}

/// The one descriptor that the successor has to get.
impl AsFd for Packed<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Packed<'_> {
    fn drop(&mut self) {
        if !self.is_committed {
            // an error ends it, too: there is nothing more to get then
            while let Ok(Some(_)) = self.socket.receive() {}
        }
    }
}

/// Packs the connections of a frozen server, whose statistics are `stats`, and its listeners, which have these origins:
/// the daemon's own, or all of them. Whatever fails, the server can go on.
///
/// # Errors
/// The reason, for the log.
pub fn pack<'a>(
    frozen: &'a mut Frozen<'_>,
    stats: &StatsSnapshot,
    side: &'a SideServices,
    origins: &Origins,
    all_listeners: bool,
) -> Result<Packed<'a>, String> {
    let (sender, socket) = sys::descriptor_pair().map_err(|error| failure("create a socket", error))?;
    let mut packed = Packed { socket, sender: None, side, is_committed: false, saved: Saved::default() };
    let file = sys::memory_file(NAME).map_err(|error| failure("create a file in memory", error))?;
    sender.send(STATE, &[file.as_fd()]).map_err(|error| failure("send the state", error))?;
    let listeners = outgoing(&frozen.listeners(), side.listeners(), origins, all_listeners)
        .and_then(|outgoing| send_listeners(&sender, outgoing))
        .map_err(|error| failure("send the listeners", error))?;
    let mut writer = BufWriter::new(Bounded { to: &file, room: room(stats, physical_memory()) });
    let header = Header { server: frozen.saved_server(), listeners };
    write_header(&mut writer, &header).map_err(|error| failure("write the state", error))?;
    packed.saved =
        frozen.save_sessions(&mut writer, &sender).map_err(|error| failure("save the connections", error))?;
    sys::seal(&file).map_err(|error| failure("seal the state", error))?;
    packed.sender = Some(sender);
    Ok(packed)
}

/// What could not be done, and why.
fn failure(what: &str, error: impl Into<io::Error>) -> String {
    format!("cannot {what}: {}", reason(&error.into()))
}

/// Sends the sockets and lock files of the listeners; returns what is to be written about them.
fn send_listeners(sender: &DescriptorSender, outgoing: Vec<Outgoing<'_>>) -> io::Result<Vec<ListenerRecord>> {
    for payload in [LISTENERS, INHERITED] {
        let outgoing = || outgoing.iter().filter(|outgoing| outgoing.record.origin.payload() == payload);
        let locks = outgoing().filter_map(|outgoing| outgoing.lock.as_ref()).map(AsFd::as_fd);
        let descriptors: Vec<BorrowedFd<'_>> = outgoing().map(|outgoing| outgoing.socket).chain(locks).collect();
        for descriptors in descriptors.chunks(MAX_DESCRIPTORS) {
            sender.send(payload, descriptors)?;
        }
    }
    Ok(outgoing.into_iter().map(|outgoing| outgoing.record).collect())
}

fn write_header(to: &mut impl Write, header: &Header) -> io::Result<()> {
    let mut line = serde_json::to_vec(header)?;
    line.push(b'\n');
    if line.len() as u64 > MAX_HEADER {
        return Err(io::Error::other(format!("the header has {} bytes: more than {MAX_HEADER}", line.len())));
    }
    to.write_all(&line)
}

/// The bytes of memory that are left for the state beside what the server holds: a control group counts the file in
/// memory, too, and would kill the daemon. The file is no part of the address space, so other limits do not matter.
fn room(stats: &StatsSnapshot, memory: Memory) -> u64 {
    let [workers, connections] =
        [stats.gauges.workers, stats.open].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    memory.bytes.saturating_sub(Need { workers, buffered: stats.gauges.buffered, connections }.bytes())
}

/// A file that gets no longer than memory allows.
#[derive(Debug)]
struct Bounded<'a> {
    to: &'a File,
    /// Bytes that may still be written.
    room: u64,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room.checked_sub(bytes.len() as u64);
        let room = room.ok_or_else(|| io::Error::other("it needs more than the memory that is left"))?;
        let written = self.to.write(bytes)?;
        self.room = room + (bytes.len() - written) as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An error in words that say what to change, where the kernel's do not.
fn reason(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ETOOMANYREFS) => {
            "the user of this process has too many descriptors on their way: raise LimitNOFILE= or ulimit -n".into()
        }
        Some(Errno::EAGAIN) => "the socket is full: raise net.core.wmem_max".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::hand_over::format::ListenerOrigin;
    use crate::server::{Gauges, SavedServer};

    #[test]
    fn a_state_gets_no_longer_than_memory_allows() {
        let buffered = 100 << 20;
        let gauges = Gauges { workers: 2, buffered, ..Gauges::default() };
        let stats = StatsSnapshot { open: 1000, gauges, ..StatsSnapshot::default() };
        let held = Need { workers: 2, buffered, connections: 1000 }.bytes();
        let room = |bytes| room(&stats, Memory { bytes, limit: "the limit" });
        assert_eq!([held - 1, held, held + 7].map(room), [0, 0, 7]);
        let file = sys::memory_file("test").expect("a file");
        let mut bounded = Bounded { to: &file, room: 7 };
        bounded.write_all(b"1234").expect("write");
        bounded.write_all(b"567").expect("write");
        let error = bounded.write_all(b"8").expect_err("no room");
        assert!(failure("write", error).ends_with("it needs more than the memory that is left"));
        assert_eq!(file.metadata().expect("metadata").len(), 7);
    }

    #[test]
    fn a_header_that_would_not_be_read_is_not_written() {
        let record = |length: u64| {
            let name = "x".repeat(usize::try_from(length).expect("a length"));
            ListenerRecord { cookie: 1, origin: ListenerOrigin::Inherited { name }, file: None }
        };
        let written = |length| {
            let mut text = Vec::new();
            let header = Header { server: SavedServer::default(), listeners: vec![record(length)] };
            write_header(&mut text, &header).map(|()| text.len() as u64)
        };
        let least = written(0).expect("a header");
        assert_eq!(written(MAX_HEADER - least).expect("a header"), MAX_HEADER);
        written(MAX_HEADER - least + 1).expect_err("one byte more");
    }

    #[test]
    fn errors_say_what_to_raise() {
        for (error, word) in
            [(Errno::ETOOMANYREFS, "LimitNOFILE="), (Errno::EAGAIN, "wmem_max"), (Errno::EMFILE, "Too many open files")]
        {
            let reason = failure("send", error);
            assert!(reason.starts_with("cannot send: ") && reason.contains(word), "{reason}");
        }
    }
}
