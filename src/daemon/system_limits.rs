//! The limits of the system: descriptors, memory, processors, and, for the log, the kernel's TCP settings.

use std::fs;
use std::path::Path;
use std::thread;

use log::debug;

use crate::server::{self, Listener};
use crate::sys::{self, Errno, EventFd, StreamListener};
use crate::units::counted;

/// The largest number of descriptors for which the kernel's table has room from the start. Chosen: as many as
/// systemd/retortd.service allows; the table takes half a MiB of the kernel's memory.
const MAX_RESERVED_DESCRIPTORS: u64 = 1 << 16;

/// Has the kernel make room for descriptors, so that no worker waits for that when it accepts a connection. To be
/// called before there are other threads.
pub fn reserve_descriptors() {
    let number = sys::raise_descriptor_limit().min(MAX_RESERVED_DESCRIPTORS);
    let reserved = EventFd::new().and_then(|any| sys::reserve_descriptors(&any, number));
    if let Err(error) = reserved {
        debug!("accepting may pause: the table of descriptors cannot be enlarged: {}", error.desc());
    }
}

/// The number of processors that this process may use, by CPU affinity and cgroup quota; 1 if it is unknown.
#[must_use]
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// An amount of memory, and the limit that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The amount.
    pub bytes: u64,
    /// The name of the limit.
    pub limit: &'static str,
}

impl Memory {
    /// The limit of a process that nobody has limited.
    pub const MACHINE: &'static str = "the memory of this machine";

    /// Whether this process may use less than the machine has.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limit != Self::MACHINE
    }

    /// A soft limit of this process on a resource, in bytes; `None` if there is none (getrlimit(2)).
    fn of_process(bytes: Option<u64>, limit: &'static str) -> Self {
        Self { bytes: bytes.unwrap_or(u64::MAX), limit }
    }
}

/// The memory that this process may use: the smallest of the machine's memory, the limit of its control group, and its
/// limits on address space and data.
#[must_use]
pub fn memory() -> Memory {
    let of_process = [(sys::address_space_limit(), "RLIMIT_AS"), (sys::data_limit(), "RLIMIT_DATA")];
    of_process.into_iter().map(|(bytes, limit)| Memory::of_process(bytes, limit)).fold(physical_memory(), smaller)
}

/// The memory that this process may use with files in memory, which are no part of its address space: the smaller of the
/// machine's memory and the limit of its control group.
#[must_use]
pub fn physical_memory() -> Memory {
    let machine = sys::machine_memory().unwrap_or(u64::MAX);
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let cgroup = cgroups.lines().filter_map(cgroup_limit).min().unwrap_or(u64::MAX);
    let machine = Memory { bytes: machine, limit: Memory::MACHINE };
    smaller(machine, Memory { bytes: cgroup, limit: "the memory limit of the control group" })
}

/// The smaller one; of equal ones the first.
fn smaller(one: Memory, other: Memory) -> Memory {
    if other.bytes < one.bytes { other } else { one }
}

/// The smallest memory limit of a control group and the groups above it, in bytes. `line` is a line of
/// /proc/self/cgroup (cgroups(7)).
fn cgroup_limit(line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    match controllers {
        // above memory.high the kernel slows the processes down until they are of no use
        "" => smallest(Path::new("/sys/fs/cgroup"), path, &["memory.max", "memory.high"]),
        v1 if v1.split(',').any(|controller| controller == "memory") => {
            smallest(Path::new("/sys/fs/cgroup/memory"), path, &["memory.limit_in_bytes"])
        }
        _ => None,
    }
}

/// The smallest number in these files of the control group `path` and of the groups above it, up to `root`.
fn smallest(root: &Path, path: &str, files: &[&str]) -> Option<u64> {
    let group = root.join(path.trim_start_matches('/'));
    let groups = group.ancestors().take_while(|group| group.starts_with(root));
    let files = groups.flat_map(|group| files.iter().map(|file| group.join(file)));
    // "max" is no limit
    files.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

/// Disables huge pages for this process (`PR_SET_THP_DISABLE`, prctl(2)): where the system always uses them, the first
/// bytes of a large message would occupy 2 MiB.
pub fn disable_huge_pages() {
    if let Err(error) = sys::disable_huge_pages() {
        debug!(
            "cannot disable huge pages: {error}; where the system always uses them, a large message occupies 2 MiB at once"
        );
    }
}

/// Logs the limits that the kernel grants (`-vv`).
pub fn log_system_limits(listeners: &[Listener], backlog: Option<u32>, config: &server::ServerConfig) {
    let backlog = backlog.map_or("the maximum".to_string(), |backlog| backlog.to_string());
    debug!(
        "accept backlog: {backlog} requested, {} allowed (net.core.somaxconn); handshakes in progress: {} \
         (net.ipv4.tcp_max_syn_backlog)",
        sysctl("net/core/somaxconn"),
        sysctl("net/ipv4/tcp_max_syn_backlog"),
    );
    let retries = sysctl("net/ipv4/tcp_synack_retries");
    let timeout = retries.parse().map_or("unknown".into(), |retries| format!("{} s", connect_timeout(retries)));
    debug!("SYN/ACK retries: {retries} (net.ipv4.tcp_synack_retries); an unanswered connect fails after {timeout}");
    let connections = config.limits.max_connections.unwrap_or(usize::MAX);
    let buffered = config.limits.max_buffered.map_or("any number of".into(), |bytes| bytes.to_string());
    let workers = counted(config.workers, "worker");
    debug!("at most {connections} connections, {buffered} bytes of unfinished requests and replies, on {workers}");
    for listener in listeners {
        log_buffers(&listener.name, &listener.socket);
    }
}

fn log_buffers(name: &str, socket: &StreamListener) {
    let size = |size: Result<usize, Errno>| size.map_or("unknown".into(), |size| size.to_string());
    debug!(
        "{name}: receive buffer {} (at most {}, net.ipv4.tcp_rmem), send buffer {} (at most {}, net.ipv4.tcp_wmem)",
        size(sys::receive_buffer(socket)),
        maximum(&sysctl("net/ipv4/tcp_rmem")),
        size(sys::send_buffer(socket)),
        maximum(&sysctl("net/ipv4/tcp_wmem")),
    );
}

/// The last of three numbers: minimum, default, maximum (tcp(7)).
fn maximum(triple: &str) -> &str {
    triple.split_whitespace().next_back().unwrap_or("unknown")
}

/// Seconds until the kernel gives up on a SYN/ACK: it waits one second, and after each retry twice as long as before
/// (RFC 6298).
fn connect_timeout(retries: u32) -> u64 {
    (1u64 << (retries.min(62) + 1)) - 1
}

/// The value of a kernel setting, by its path below /proc/sys (sysctl(8)).
fn sysctl(name: &str) -> String {
    let path = Path::new("/proc/sys").join(name);
    fs::read_to_string(path).map_or("unknown".into(), |value| value.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_timeouts_are_those_of_tcp_7() {
        assert_eq!([0, 1, 5, 6].map(connect_timeout), [1, 3, 63, 127]);
    }

    #[test]
    fn memory_of_this_process_is_known() {
        assert!(memory().bytes > 1 << 20);
        assert_eq!(cgroup_limit("7:cpu,cpuacct:/x"), None);
    }

    #[test]
    fn smallest_limit_of_all_groups_counts() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        let group = root.join("system.slice/retortd.service");
        fs::create_dir_all(&group).expect("directories");
        let write = |directory: &Path, file: &str, text: &str| fs::write(directory.join(file), text).expect("write");
        let limit = || smallest(root, "/system.slice/retortd.service", &["memory.max", "memory.high"]);
        assert_eq!(limit(), None);
        write(&group, "memory.max", "max\n");
        write(&group, "memory.high", "max\n");
        assert_eq!(limit(), None);
        write(&group, "memory.max", "3000\n");
        assert_eq!(limit(), Some(3000));
        write(&group, "memory.high", "2000\n");
        assert_eq!(limit(), Some(2000));
        write(root, "memory.max", "1000\n");
        assert_eq!(limit(), Some(1000));
    }
}
