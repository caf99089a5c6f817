//! Writes the state of a frozen server, and sends its descriptors.

use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};

use super::format::{Header, LISTENERS, MAX_HEADER, NAME, STATE};
use super::listening::{Listening, Outgoing};
use crate::daemon::memory_plan::Need;
use crate::daemon::system_limits::{Memory, physical_memory};
use crate::server::{Frozen, StatsSnapshot};
use crate::sys::{self, DescriptorReceiver, DescriptorSender, Errno, MAX_DESCRIPTORS};

/// The bytes of a connection's state beside those that the budget counts. Derived: its line has 20 fields, with the
/// longest names and numbers 600 bytes, and up to 4 KiB of a PROXY header follow.
const CONNECTION_STATE: u64 = 5 * 1024;

/// What is packed, for the successor. It is emptied when this is dropped without [`Packed::commit`]: what the predecessor
/// serves afterwards must never be served again from an older state, wherever another descriptor of the socket is.
#[derive(Debug)]
#[must_use = "the connections are handed over by its socket"]
pub struct Packed<'a> {
    socket: DescriptorReceiver,
    listening: Listening<'a>,
    is_committed: bool,
    /// Connections that are in it.
    pub handed_over: u64,
    /// Connections that are not.
    pub left: u64,
}

impl Packed<'_> {
    /// The successor gets it: nothing in it may be used by this process any more.
    pub fn commit(mut self) {
        self.listening.leave_files();
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

/// Packs the connections of a frozen server, whose statistics are `stats`, and its listeners: the daemon's own, or all of
/// them. Whatever fails, the server can go on.
///
/// # Errors
/// The reason, for the log.
pub fn pack<'a>(
    frozen: &'a Frozen<'_>,
    stats: &StatsSnapshot,
    listening: Listening<'a>,
    all_listeners: bool,
) -> Result<Packed<'a>, String> {
    check_memory(stats, physical_memory())?;
    let system = |what| move |error: io::Error| format!("cannot {what}: {}", reason(&error));
    let (sender, socket) = sys::descriptor_pair().map_err(|error| system("create a socket")(error.into()))?;
    let mut packed = Packed { socket, listening, is_committed: false, handed_over: 0, left: 0 };
    let file = sys::memory_file(NAME).map_err(|error| system("create a file in memory")(error.into()))?;
    sender.send(STATE, &[file.as_fd()]).map_err(|error| system("send the state")(error.into()))?;
    let outgoing = packed.listening.outgoing(all_listeners);
    let listeners = outgoing.and_then(|outgoing| send_listeners(&sender, outgoing));
    let header = Header { server: frozen.saved_server(), listeners: listeners.map_err(system("send the listeners"))? };
    let mut writer = BufWriter::new(&file);
    write_header(&mut writer, &header).map_err(system("write the state"))?;
    let saved = frozen.save_sessions(&mut writer, &sender).map_err(system("save the connections"))?;
    writer.flush().map_err(system("write the state"))?;
    drop(writer);
    sys::seal(&file).map_err(|error| system("seal the state")(error.into()))?;
    (packed.handed_over, packed.left) = (saved.handed_over, saved.left);
    Ok(packed)
}

/// Sends the sockets and lock files of the listeners; returns what is to be written about them.
fn send_listeners(
    sender: &DescriptorSender,
    outgoing: Vec<Outgoing<'_>>,
) -> io::Result<Vec<super::format::ListenerRecord>> {
    let of_listener = |outgoing: &'_ Outgoing<'_>| {
        let lock = outgoing.lock.as_ref().map(AsFd::as_fd);
        [Some(outgoing.socket.as_fd()), lock].into_iter().flatten()
    };
    let descriptors: Vec<BorrowedFd<'_>> = outgoing.iter().flat_map(of_listener).collect();
    for descriptors in descriptors.chunks(MAX_DESCRIPTORS) {
        sender.send(LISTENERS, descriptors)?;
    }
    drop(descriptors);
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
    Err(format!("the state of {connections} connections needs {state} bytes beside {held}, more than {limit} ({bytes} bytes)"))
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
