//! Real faults: injected errors, limits, resets, signals, lossy networks, a log that fails. `Fault N` is row N of
//! docs/faults.md.
//!
//! A test causes a fault while other clients are served, and checks in the end that statistics add up and that
//! descriptors and memory are back ([`LeakCheck`]). Tests that need root or a tool are skipped without, and say so.
//! `make fault-test` runs this module as root, one test at a time and with longer loads than `cargo test`.

mod accept;
mod crowds;
mod input;
mod life;
mod log;
mod memory;
mod network;
mod peers;
mod proxy_headers;
mod standard_error;
mod system_calls;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::harness::action::{REVERSE, SHUFFLE, UPPERCASE};
use crate::harness::{
    Client, Daemon, DaemonBuilder, Directory, LeakCheck, Statistics, available, is_root, process_id, rss_limit,
    wait_until,
};

/// Asserts that a request gets its correct reply.
fn assert_serves(client: &mut Client) {
    assert_eq!(client.request(REVERSE, b"The LAN Before Time"), b"emiT erofeB NAL ehT");
}

/// The duration of a load: `RETORTD_FAULT_SECONDS`, or 1.5 s, which is chosen without tuning.
fn load_time() -> Duration {
    let seconds = env::var("RETORTD_FAULT_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    seconds.map_or(Duration::from_millis(1500), Duration::from_secs)
}

/// A daemon for `frame` under strace(1) with these `injections` (`CALL:error=...`). None: strace is not installed.
///
/// With `-D` strace is a grandchild, so that signals reach the daemon itself.
fn injected(injections: &[&str], arguments: &[&str]) -> Option<DaemonBuilder> {
    if !available("strace") {
        return None;
    }
    let launch = DaemonBuilder::new(&[&["--listen=frame=127.0.0.1:0"], arguments].concat());
    Some(launch.under(&strace(injections)))
}

/// The words of a strace command with these `injections`, which runs the command after it.
fn strace(injections: &[&str]) -> Vec<String> {
    [["strace", "-D", "-f", "-qq"].map(String::from).to_vec(), injecting(injections)].concat()
}

/// The options of strace for these `injections` alone. Only system calls in `trace=` can be injected.
fn injecting(injections: &[&str]) -> Vec<String> {
    let calls: Vec<&str> = injections.iter().map(|each| each.split(':').next().unwrap_or_default()).collect();
    options("/dev/null", &calls.join(","), injections)
}

/// The options of strace for a trace of these `calls` (in its syntax) in the file `output`, with `injections`.
fn options(output: &str, calls: &str, injections: &[&str]) -> Vec<String> {
    let mut words = ["-o", output, "-e", &format!("trace={calls}")].map(String::from).to_vec();
    words.extend(injections.iter().flat_map(|injection| ["-e".into(), format!("inject={injection}")]));
    words
}

/// An injection into some threads of a running daemon, until this is dropped.
struct Injection(Child);

impl Injection {
    /// Injects into the workers 0 to `workers` - 1. strace counts the calls of each thread separately (`when=`).
    fn into_workers(daemon: &Daemon, workers: usize, injections: &[&str]) -> Option<Self> {
        let names: Vec<String> = (0..workers).map(|number| format!("worker-{number}")).collect();
        Self::into_threads(daemon, &names.iter().map(String::as_str).collect::<Vec<_>>(), injections)
    }

    /// Injects into the threads with these names.
    fn into_threads(daemon: &Daemon, names: &[&str], injections: &[&str]) -> Option<Self> {
        Self::attach(daemon, names, &injecting(injections))
    }

    /// Attaches strace, with `options`, to the threads with these names; without `-f`, which would include others.
    /// None: strace is not installed.
    fn attach(daemon: &Daemon, names: &[&str], options: &[String]) -> Option<Self> {
        if !available("strace") {
            return None;
        }
        let threads = || daemon.tasks().into_iter().filter(|task| names.contains(&task.name.as_str()));
        // a thread sets its name when it starts to run
        wait_until("the threads run", || threads().count() == names.len());
        let threads: Vec<String> = threads().map(|task| format!("--attach={}", task.id)).collect();
        let mut strace = Command::new("strace");
        strace.args(options).args(&threads).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = strace.spawn().expect("start strace");
        let messages = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        assert_eq!(messages.take(threads.len()).filter(|line| line.contains("attached")).count(), threads.len());
        Some(Self(child))
    }
}

impl Drop for Injection {
    /// SIGINT makes strace detach from the threads (strace(1)).
    fn drop(&mut self) {
        let _ = kill(process_id(&self.0), Signal::SIGINT);
        let _ = self.0.wait();
    }
}

/// A trace of these `calls` (in strace's syntax) of the only worker. None: strace is not installed.
pub fn trace_worker(daemon: &Daemon, calls: &str) -> Option<Trace> {
    Trace::of_thread(daemon, "worker-0", calls, &[])
}

/// A trace of the system calls of one thread of a running daemon, by strace(1).
pub struct Trace {
    attached: Injection,
    notes: PathBuf,
    _directory: Directory,
}

impl Trace {
    /// Traces these `calls` (in strace's syntax), with `injections`. None: strace is not installed.
    fn of_thread(daemon: &Daemon, thread: &str, calls: &str, injections: &[&str]) -> Option<Self> {
        let directory = Directory::new();
        let notes = directory.path("calls");
        let output = notes.to_str().expect("a path in UTF-8");
        let attached = Injection::attach(daemon, &[thread], &options(output, calls, injections))?;
        Some(Self { attached, notes, _directory: directory })
    }

    /// Detaches from the thread and returns its calls, oldest first.
    pub fn end(self) -> Vec<String> {
        drop(self.attached);
        let calls = fs::read_to_string(self.notes).expect("read what strace has noted");
        calls.lines().map(String::from).collect()
    }
}
