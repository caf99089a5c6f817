//! Writes the state of a frozen server, and sends its descriptors.

use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};

use super::format::{Header, LISTENERS, ListenerRecord, MAX_HEADER, NAME, STATE};
use super::listening::{Outgoing, outgoing};
use crate::daemon::config::origin::Origins;
use crate::daemon::memory_plan::Need;
use crate::daemon::side::SideServices;
use crate::daemon::system_limits::{Memory, physical_memory};
use crate::server::{Frozen, Saved, StatsSnapshot};
use crate::sys::{self, DescriptorReceiver, DescriptorSender, Errno, MAX_DESCRIPTORS, SocketFile};

/// The bytes of a connection's state beside those that the budget counts. Derived: its line has 20 fields, with the
/// longest names and numbers 600 bytes, and up to 4 KiB of a PROXY header follow.
const CONNECTION_STATE: u64 = 5 * 1024;

/// What is packed, for the successor. It is emptied when this is dropped without [`Packed::commit`]: what the predecessor
/// serves afterwards must never be served again from an older state, wherever another descriptor of the socket is.
#[derive(Debug)]
#[must_use = "the connections are handed over by its socket"]
pub struct Packed<'a> {
    socket: DescriptorReceiver,
    /// The services beside the workers. They, and the server that is frozen, outlive this.
    side: &'a SideServices,
    is_committed: bool,
    /// What became of the connections.
    pub saved: Saved,
}

impl Packed<'_> {
    /// The successor gets it: nothing in it may be used by this process any more. Call it before [`Frozen::commit`].
    pub fn commit(mut self) {
        self.side.listeners().iter().filter_map(|listener| listener.file.as_ref()).for_each(SocketFile::leave);
        self.is_committed = true;
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
    check_memory(stats, physical_memory())?;
    let (sender, socket) = sys::descriptor_pair().map_err(|error| failure("create a socket", error))?;
    let mut packed = Packed { socket, side, is_committed: false, saved: Saved::default() };
    let file = sys::memory_file(NAME).map_err(|error| failure("create a file in memory", error))?;
    sender.send(STATE, &[file.as_fd()]).map_err(|error| failure("send the state", error))?;
    let listeners = outgoing(&frozen.listeners(), side.listeners(), origins, all_listeners)
        .and_then(|outgoing| send_listeners(&sender, outgoing))
        .map_err(|error| failure("send the listeners", error))?;
    let mut writer = BufWriter::new(&file);
    let header = Header { server: frozen.saved_server(), listeners };
    write_header(&mut writer, &header).map_err(|error| failure("write the state", error))?;
    packed.saved =
        frozen.save_sessions(&mut writer, &sender).map_err(|error| failure("save the connections", error))?;
    writer.flush().map_err(|error| failure("write the state", error))?;
    sys::seal(&file).map_err(|error| failure("seal the state", error))?;
    Ok(packed)
}

/// What could not be done, and why.
fn failure(what: &str, error: impl Into<io::Error>) -> String {
    format!("cannot {what}: {}", reason(&error.into()))
}

/// Sends the sockets and lock files of the listeners; returns what is to be written about them.
fn send_listeners(sender: &DescriptorSender, outgoing: Vec<Outgoing<'_>>) -> io::Result<Vec<ListenerRecord>> {
    let sockets = outgoing.iter().map(|outgoing| outgoing.socket);
    let locks = outgoing.iter().filter_map(|outgoing| outgoing.lock.as_ref()).map(AsFd::as_fd);
    let descriptors: Vec<BorrowedFd<'_>> = sockets.chain(locks).collect();
    for descriptors in descriptors.chunks(MAX_DESCRIPTORS) {
        sender.send(LISTENERS, descriptors)?;
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

/// Checks that the state has room in memory beside what the server holds: a control group counts the file in memory, too,
/// and would kill the daemon. The file is no part of the address space, so other limits do not matter.
fn check_memory(stats: &StatsSnapshot, memory: Memory) -> Result<(), String> {
    let state = CONNECTION_STATE.saturating_mul(stats.open).saturating_add(stats.gauges.buffered);
    let workers = usize::try_from(stats.gauges.workers).unwrap_or(usize::MAX);
    let connections = usize::try_from(stats.open).unwrap_or(usize::MAX);
    let held = Need { workers, buffered: stats.gauges.buffered, connections }.bytes();
    let needed = held.saturating_add(state);
    if needed <= memory.bytes {
        return Ok(());
    }
    let Memory { bytes, limit } = memory;
    Err(format!(
        "the state of {connections} connections needs {state} bytes beside {held}, more than {limit} ({bytes} bytes)"
    ))
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
    use crate::server::Gauges;

    #[test]
    fn a_state_that_memory_has_no_room_for_is_not_written() {
        let buffered = 100 << 20;
        let gauges = Gauges { workers: 2, buffered, ..Gauges::default() };
        let stats = StatsSnapshot { open: 1000, gauges, ..StatsSnapshot::default() };
        let state = buffered + 1000 * CONNECTION_STATE;
        let held = Need { workers: 2, buffered, connections: 1000 }.bytes();
        let memory = |bytes| Memory { bytes, limit: "the limit" };
        assert_eq!(check_memory(&stats, memory(held + state)), Ok(()));
        let refused = check_memory(&stats, memory(held + state - 1)).expect_err("too little");
        assert!(refused.contains("more than the limit"), "{refused}");
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
