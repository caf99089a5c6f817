//! What the system grants: descriptors, memory, processors, and the kernel's TCP settings for the log.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread;

use log::{debug, warn};

use crate::daemon::config::args::{LEAST_BUFFERED, Settings};
use crate::daemon::exit_status::Failure;
use crate::server::{BoundListener, ServerLimits};
use crate::sys::{self, Errno};

/// Descriptors kept for what is no connection: standard ones, epoll, eventfds, the log, the manager.
const RESERVE: u64 = 32;
/// Descriptors of each worker: its epoll instance and its mailbox.
const PER_WORKER: u64 = 2;

/// How many threads are to serve: as asked, or the processors that this process may use (affinity and cgroup quota).
#[must_use]
pub fn workers(settings: &Settings) -> usize {
    settings.workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

/// The limits to keep to, with the defaults that depend on the system.
///
/// # Errors
/// When more connections are asked for than there may be descriptors.
pub fn limits(settings: &Settings, listeners: usize) -> Result<ServerLimits, Failure> {
    let reserve = RESERVE + PER_WORKER * workers(settings) as u64 + listeners as u64;
    Ok(ServerLimits {
        message: settings.max_message,
        buffered: settings.max_buffered.unwrap_or_else(|| Some(default_buffered(memory().bytes))),
        connections: Some(connections(settings.max_connections, reserve, sys::raise_descriptor_limit())?),
        per_source: settings.max_per_source,
        idle: settings.idle_timeout,
        request: settings.request_timeout,
        write: settings.write_timeout,
        line: settings.max_line,
        min_rate: settings.min_rate,
    })
}

/// The limit on connections: never more than there may be descriptors, so that accept(2) does not run out of them.
fn connections(asked: Option<usize>, reserve: u64, descriptors: u64) -> Result<usize, Failure> {
    let most = usize::try_from(descriptors.saturating_sub(reserve).max(1)).unwrap_or(usize::MAX);
    match asked {
        Some(asked) if asked > most => Err(Failure::configuration(format!(
            "cannot allow {asked} connections: this process may open {descriptors} files and keeps {reserve} for itself"
        ))
        .with_hint("raise LimitNOFILE= or ulimit -n, or lower --max-connections")),
        asked => Ok(asked.unwrap_or(most)),
    }
}

/// An amount of memory, and what limits it to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    bytes: u64,
    limit: &'static str,
}

impl Memory {
    /// Not warned about with `none`: everybody who switches the limit off accepts this one.
    const MACHINE: &'static str = "the memory of this machine";

    /// What a soft resource limit of this process allows (getrlimit(2)).
    fn of_process(bytes: Option<u64>, limit: &'static str) -> Self {
        Self { bytes: bytes.unwrap_or(u64::MAX), limit }
    }
}

/// The memory that this process may use: the least of what the machine has, its cgroup allows, and its limits on
/// address space and data allow.
fn memory() -> Memory {
    let machine = sys::machine_memory().unwrap_or(u64::MAX);
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let cgroup = cgroups.lines().filter_map(cgroup_limit).min().unwrap_or(u64::MAX);
    let limits = [
        Memory { bytes: machine, limit: Memory::MACHINE },
        Memory { bytes: cgroup, limit: "the memory limit of the control group" },
        Memory::of_process(sys::address_space_limit(), "RLIMIT_AS"),
        Memory::of_process(sys::data_limit(), "RLIMIT_DATA"),
    ];
    limits.into_iter().fold(limits[0], |least, limit| if limit.bytes < least.bytes { limit } else { least })
}

/// The default of `--max-buffered`: a quarter of the memory, as the buffers are not all that needs memory, and never
/// less than may be asked for.
fn default_buffered(memory: u64) -> u64 {
    (memory / 4).max(LEAST_BUFFERED)
}

/// Warns when more is asked for with `--max-buffered` than this process may use.
pub fn warn_about_memory(settings: &Settings) {
    if let Some(warning) = settings.max_buffered.and_then(|asked| too_much(asked, memory())) {
        warn!("{warning}");
    }
}

/// Why a limit on buffers is above the memory; without a limit only memory that somebody has limited counts.
fn too_much(asked: Option<u64>, memory: Memory) -> Option<String> {
    let Memory { bytes, limit } = memory;
    let asked = match asked {
        Some(asked) if asked > bytes => asked.to_string(),
        None if limit != Memory::MACHINE => "none".into(),
        _ => return None,
    };
    Some(format!("--max-buffered={asked} is above {limit} ({bytes} bytes): memory may run out before the limit is met"))
}

/// The memory limit of one line of /proc/self/cgroup (cgroups(7)), of the group or any group above it.
fn cgroup_limit(line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        v1 if v1.split(',').any(|controller| controller == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let group = PathBuf::from(root).join(path.trim_start_matches('/'));
    let groups = group.ancestors().take_while(|group| group.starts_with(root));
    groups.filter_map(|group| fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()).min()
}

/// Has the kernel give this process pages of the usual size only (`PR_SET_THP_DISABLE`, prctl(2)): where huge pages are
/// always used, a few bytes of a large message would cost 2 MiB.
pub fn refuse_huge_pages() {
    if let Err(error) = sys::disable_huge_pages() {
        debug!(
            "cannot do without huge pages: {error}; where the system always uses them, a large message costs 2 MiB at once"
        );
    }
}

/// Tells the log what the kernel grants (`-vv`).
pub fn report(listeners: &[BoundListener], settings: &Settings, limits: &ServerLimits) {
    let asked = settings.backlog.map_or("the most".to_string(), |backlog| backlog.to_string());
    debug!(
        "accept backlog: {asked} asked, {} allowed (net.core.somaxconn); not yet acknowledged: {} (net.ipv4.tcp_max_syn_backlog)",
        sysctl("net/core/somaxconn"),
        sysctl("net/ipv4/tcp_max_syn_backlog"),
    );
    let retries = sysctl("net/ipv4/tcp_synack_retries");
    let patience = retries.parse().map_or("unknown".into(), |retries| format!("{} s", connect_timeout(retries)));
    debug!(
        "SYN/ACK retries: {retries} (net.ipv4.tcp_synack_retries); a connect that nobody answers fails after {patience}"
    );
    let connections = limits.connections.unwrap_or(usize::MAX);
    let buffered = limits.buffered.map_or("any number of".into(), |bytes| bytes.to_string());
    debug!("at most {connections} connections, holding {buffered} bytes, on {} workers", workers(settings));
    for listener in listeners {
        report_buffers(&listener.name, &listener.socket);
    }
}

fn report_buffers(name: &str, socket: &TcpListener) {
    let size = |size: Result<usize, Errno>| size.map_or("unknown".into(), |size| size.to_string());
    debug!(
        "{name}: receive buffer {} (at most {}, net.ipv4.tcp_rmem), send buffer {} (at most {}, net.ipv4.tcp_wmem)",
        size(sys::receive_buffer(socket)),
        maximum(&sysctl("net/ipv4/tcp_rmem")),
        size(sys::send_buffer(socket)),
        maximum(&sysctl("net/ipv4/tcp_wmem")),
    );
}

/// The last of three numbers: least, default, most (tcp(7)).
fn maximum(triple: &str) -> &str {
    triple.split_whitespace().next_back().unwrap_or("unknown")
}

/// Seconds until the kernel gives up on a SYN/ACK: it waits one second, then twice as long after each retry (RFC 6298).
fn connect_timeout(retries: u32) -> u64 {
    (1u64 << (retries.min(62) + 1)) - 1
}

fn sysctl(name: &str) -> String {
    let path = Path::new("/proc/sys").join(name);
    fs::read_to_string(path).map_or("unknown".into(), |value| value.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_timeouts_as_tcp_7_has_them() {
        assert_eq!([0, 1, 5, 6].map(connect_timeout), [1, 3, 63, 127]);
    }

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        assert_eq!(connections(None, 40, 1024), Ok(984));
        assert_eq!(connections(Some(10), 40, 1024), Ok(10));
        let refused = connections(Some(985), 40, 1024).expect_err("more than there are").to_string();
        assert!(refused.starts_with("cannot allow 985 connections: this process may open 1024 files"), "{refused}");
    }

    #[test]
    fn the_default_for_buffers_is_a_quarter() {
        assert_eq!(default_buffered(1 << 30), 1 << 28);
        assert_eq!(default_buffered(1 << 20), 1 << 20);
    }

    #[test]
    fn what_is_above_the_memory_is_warned_about() {
        let address_space = Memory { bytes: 1000, limit: "RLIMIT_AS" };
        let words = |asked| {
            format!(
                "--max-buffered={asked} is above RLIMIT_AS (1000 bytes): memory may run out before the limit is met"
            )
        };
        assert_eq!(too_much(Some(1000), address_space), None);
        assert_eq!(too_much(Some(1001), address_space), Some(words("1001")));
        assert_eq!(too_much(None, address_space), Some(words("none")));
        let machine = Memory { bytes: 1000, limit: Memory::MACHINE };
        assert!(too_much(Some(1001), machine).is_some());
        assert_eq!(too_much(None, machine), None);
    }

    #[test]
    fn this_process_may_use_some_memory() {
        assert!(memory().bytes > 1 << 20);
        assert_eq!(cgroup_limit("7:cpu,cpuacct:/x"), None);
    }
}
