//! Faults made for real: injected errors, limits, resets, signals, lossy networks, a log that fails.
//!
//! Every test breaks something while honest clients are served, and in the end holds the daemon to its statistics, its
//! descriptors and its memory ([`LeakCheck`]). What needs root or a tool says that it skips and why where there is none;
//! `make fault-test` runs all of it, as root and with more patience than `cargo test`.

mod accept;
mod crowds;
mod input;
mod life;
mod log;
mod memory;
mod network;
mod peers;
mod standard_error;
mod system_calls;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::action::{REVERSE, SHUFFLE, UPPERCASE};
use crate::harness::{
    Client, Daemon, DaemonBuilder, Directory, LeakCheck, Statistics, available, rss_limit, skip, wait_until,
};

/// Whether the clients of a service are served as if nothing had happened.
fn assert_serves(client: &mut Client) {
    assert_eq!(client.request(REVERSE, b"The LAN Before Time"), b"emiT erofeB NAL ehT");
}

/// How long a load lasts: `RETORTD_FAULT_SECONDS`, or a short while.
fn load_time() -> Duration {
    let seconds = env::var("RETORTD_FAULT_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    seconds.map_or(Duration::from_millis(1500), Duration::from_secs)
}

/// Whether this runs as root; a test that must says that it skips.
#[track_caller]
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip("not root");
    }
    root
}

/// A daemon for `frame` under strace(1), which makes system calls fail as `injections` say.
///
/// `-D` makes strace the grandchild, so that signals reach the daemon itself.
fn injected(injections: &[&str], arguments: &[&str]) -> Option<DaemonBuilder> {
    if !available("strace") {
        return None;
    }
    let launch = DaemonBuilder::new(&[&["--listen=frame=127.0.0.1:0"], arguments].concat());
    Some(launch.under(&strace(injections).iter().map(String::as_str).collect::<Vec<_>>()))
}

/// The words of a strace command; only calls that stand in `trace=` can be injected.
fn strace(injections: &[&str]) -> Vec<String> {
    let calls: Vec<&str> = injections.iter().map(|each| each.split(':').next().unwrap_or_default()).collect();
    let trace = format!("trace={}", calls.join(","));
    let mut words = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", &trace].map(String::from).to_vec();
    for injection in injections {
        words.extend(["-e".to_string(), format!("inject={injection}")]);
    }
    words
}

/// System calls of some threads of a running daemon that fail until this is dropped.
struct Injection(Child);

impl Injection {
    /// Into the workers, of which there are so many. strace counts the calls of each thread apart.
    fn into_workers(daemon: &Daemon, workers: usize, injections: &[&str]) -> Option<Self> {
        let names: Vec<String> = (0..workers).map(|number| format!("worker-{number}")).collect();
        Self::into_threads(daemon, &names.iter().map(String::as_str).collect::<Vec<_>>(), injections)
    }

    /// Into the threads of these names.
    fn into_threads(daemon: &Daemon, names: &[&str], injections: &[&str]) -> Option<Self> {
        Self::attach(daemon, names, &strace(injections))
    }

    /// Has strace do with the threads of these names what the words of a command say.
    fn attach(daemon: &Daemon, names: &[&str], words: &[String]) -> Option<Self> {
        if !available("strace") {
            return None;
        }
        let threads = || daemon.tasks().into_iter().filter(|task| names.contains(&task.name.as_str()));
        // a thread gives itself its name when it runs for the first time
        wait_until("the threads run", || threads().count() == names.len());
        let threads: Vec<String> = threads().map(|task| format!("--attach={}", task.id)).collect();
        // without -D and -f: these threads and no others
        let options = words.iter().filter(|word| !["strace", "-D", "-f", "-qq"].contains(&word.as_str()));
        let mut strace = Command::new("strace");
        strace.args(options).args(&threads).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = strace.spawn().expect("start strace");
        let told = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        assert_eq!(told.take(threads.len()).filter(|line| line.contains("attached")).count(), threads.len());
        Some(Self(child))
    }
}

impl Drop for Injection {
    /// SIGINT has strace let go of the threads (strace(1)).
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.0.id()).expect("a pid")), Signal::SIGINT);
        let _ = self.0.wait();
    }
}

/// The system calls of one thread of a running daemon, as strace(1) notes them until the end of this.
struct Trace {
    attached: Injection,
    notes: PathBuf,
    _directory: Directory,
}

impl Trace {
    /// The `calls` of the thread, some of which may fail as `injections` say.
    fn of_thread(daemon: &Daemon, thread: &str, calls: &str, injections: &[&str]) -> Option<Self> {
        let directory = Directory::new();
        let notes = directory.path("calls");
        let output = notes.to_str().expect("a path in UTF-8");
        let mut words = ["-o", output, "-e", &format!("trace={calls}")].map(String::from).to_vec();
        words.extend(injections.iter().flat_map(|injection| ["-e".into(), format!("inject={injection}")]));
        let attached = Injection::attach(daemon, &[thread], &words)?;
        Some(Self { attached, notes, _directory: directory })
    }

    /// Lets the thread go; its calls, oldest first.
    fn end(self) -> Vec<String> {
        drop(self.attached);
        let calls = fs::read_to_string(self.notes).expect("read what strace has noted");
        calls.lines().map(String::from).collect()
    }
}
