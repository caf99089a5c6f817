//! Observes a daemon from outside, by proc(5) and ptrace(2).

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::net::{Ipv6Addr, TcpListener};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, geteuid};

use super::{DEADLINE, Daemon, skip};

/// CPU time, in nanoseconds, after which a thread is in the middle of a request of 8 MiB. Chosen: a hundred times what
/// it needs to begin, and a tenth of what the request takes at least.
const IN_THE_MIDDLE: u64 = 5_000_000;

/// One thread of the daemon.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its thread id (gettid(2)).
    pub id: i32,
    pub name: String,
    /// CPU time in nanoseconds.
    pub ran: u64,
}

impl Daemon {
    pub fn proc(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.pid))
    }

    /// A number in /proc/PID/status, such as `VmRSS` (in KiB) or `Threads`.
    pub fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(self.proc("status")).expect("read the status of the daemon");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        value.unwrap_or_else(|| panic!("no {field} in {status}"))
    }

    /// Resident memory, in bytes.
    pub fn rss(&self) -> u64 {
        self.status("VmRSS") * 1024
    }

    /// The peak of resident memory, in bytes.
    pub fn peak_rss(&self) -> u64 {
        self.status("VmHWM") * 1024
    }

    /// The number of open descriptors.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(self.proc("fd")).expect("list the descriptors of the daemon").count()
    }

    /// The pipes that it has open, by their names in proc(5), `pipe:[NUMBER]`: a descriptor of each.
    pub fn pipes(&self) -> BTreeMap<String, PathBuf> {
        let descriptors = fs::read_dir(self.proc("fd")).expect("list the descriptors of the daemon");
        let paths = descriptors.filter_map(|descriptor| Some(descriptor.ok()?.path()));
        let links = paths.filter_map(|path| Some((fs::read_link(&path).ok()?.to_str()?.to_string(), path)));
        links.filter(|(name, _)| name.starts_with("pipe:")).collect()
    }

    /// Its threads.
    pub fn tasks(&self) -> Vec<Task> {
        let tasks = fs::read_dir(self.proc("task")).expect("list the threads of the daemon");
        tasks.filter_map(|task| task_of(&task.ok()?.path())).collect()
    }

    /// Stops one of its threads while it sleeps, so that it holds no lock. None: this is not allowed here, and the test
    /// is noted as skipped.
    #[track_caller]
    pub fn freeze(&self, thread: &str) -> Option<FrozenThread> {
        let task = self.tasks().into_iter().find(|task| task.name == thread);
        let id = task.unwrap_or_else(|| panic!("no thread {thread}")).id;
        wait_until(&format!("{thread} is idle"), || self.sleeps(id));
        FrozenThread::freeze(id)
    }

    /// Stops the thread that processes a large request, in the middle of the first one of its life, where it holds no
    /// lock. None: see [`Self::freeze`].
    #[track_caller]
    pub fn freeze_at_work(&self) -> Option<FrozenThread> {
        let at_work = || self.tasks().into_iter().find(|task| task.name == "offload" && task.ran > IN_THE_MIDDLE);
        wait_until("a request is processed", || at_work().is_some());
        FrozenThread::freeze(at_work().expect("it stays at work").id)
    }

    /// Whether a thread of this name sleeps.
    pub fn is_idle(&self, thread: &str) -> bool {
        self.tasks().iter().any(|task| task.name == thread && self.sleeps(task.id))
    }

    /// Whether a thread sleeps (`State` in proc(5)).
    pub fn sleeps(&self, thread: i32) -> bool {
        let status = fs::read_to_string(self.proc(&format!("task/{thread}/status")));
        status.expect("read the status of a thread").contains("\nState:\tS")
    }
}

/// Whether there are bytes in a pipe, of which this is a path in proc(5).
pub fn has_bytes(pipe: &Path) -> bool {
    let pipe = File::open(pipe).expect("open the pipe");
    let mut watched = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    poll(&mut watched, PollTimeout::ZERO).expect("poll the pipe") > 0
}

/// A stopped thread of another process; it runs on when this is dropped.
#[derive(Debug)]
pub struct FrozenThread(Pid);

impl FrozenThread {
    #[track_caller]
    fn freeze(thread: i32) -> Option<Self> {
        let thread = Pid::from_raw(thread);
        match ptrace::seize(thread, ptrace::Options::empty()) {
            Err(Errno::EPERM | Errno::ENOSYS) => {
                skip("ptrace(2) is not allowed here");
                return None;
            }
            result => result.expect("seize the thread"),
        }
        ptrace::interrupt(thread).expect("interrupt the thread");
        waitpid(thread, Some(WaitPidFlag::__WALL)).expect("wait until the thread is stopped");
        Some(Self(thread))
    }
}

impl Drop for FrozenThread {
    fn drop(&mut self) {
        match ptrace::detach(self.0, None) {
            // it was killed, and its process waits until its tracer has seen that
            Err(Errno::ESRCH) => drop(waitpid(self.0, Some(WaitPidFlag::__WALL))),
            result => result.expect("let the thread run on"),
        }
    }
}

fn task_of(path: &Path) -> Option<Task> {
    let name = fs::read_to_string(path.join("comm")).ok()?.trim().to_string();
    let ran = fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse().ok()?;
    let id = path.file_name()?.to_str()?.parse().ok()?;
    Some(Task { id, name, ran })
}

/// Waits, by polling, until a condition holds whose change causes no event.
pub fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !happened() {
        assert!(Instant::now() < deadline, "not reached: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a program is installed; if not, the test is noted as skipped.
#[track_caller]
pub fn available(program: &str) -> bool {
    let words = format!("command -v {program}");
    let found =
        Command::new("sh").args(["-c", &words]).stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !found {
        skip(&format!("{program} is not installed"));
    }
    found
}

/// Whether the test runs as root; if not, it is noted as skipped.
#[track_caller]
pub fn is_root() -> bool {
    let root = geteuid().is_root();
    if !root {
        skip("not root");
    }
    root
}

/// Whether this machine has IPv6; if not, the test is noted as skipped.
#[track_caller]
pub fn has_ipv6() -> bool {
    let found = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !found {
        skip("there is no IPv6 here");
    }
    found
}

/// Whether memory is not limited: under a sanitizer, which needs much itself (`RETORTD_TEST_ANY_MEMORY`).
pub fn any_memory() -> bool {
    env::var_os("RETORTD_TEST_ANY_MEMORY").is_some()
}

/// The limit, in bytes, for a daemon that used `idle` bytes when it was idle and may use `more` now; none under a
/// sanitizer.
pub fn rss_limit(idle: u64, more: u64) -> u64 {
    if any_memory() {
        return u64::MAX;
    }
    // 4 MiB, chosen without tuning, for the allocator's overhead and for stack pages that are used for the first time
    idle + more + (4 << 20)
}
