//! Starts the real daemon for a test, sends it requests, and observes it from outside.
//!
//! A [`Daemon`] has its own notification socket: [`DaemonBuilder::start`] returns after `READY=1`, and reads the ports
//! from the status line, so that tests use port 0 and never collide. Log, output and notifications are collected as
//! they arrive ([`EventLog`]). The daemon is killed when dropped; a test that fails prints its log. Nothing here sleeps
//! in the hope that something happens: it waits for an event, or polls a state that causes none ([`wait_until`]), until
//! [`DEADLINE`].

pub mod action;
mod builder;
mod client;
mod daemon;
mod event_log;
mod leak_check;
mod markdown;
mod observe;
mod replay;
mod retort;
mod skip;
mod statistics;
mod terminal;

use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

pub use builder::{DaemonBuilder, Finished, collect_lines, is_time, process_id, receive_notice};
pub use client::{Client, SetWhenDropped, echo_ping, frame, in_parallel, length_prefixed};
pub use daemon::Daemon;
pub use event_log::EventLog;
pub use leak_check::LeakCheck;
pub use markdown::marked_blocks;
pub use observe::{any_memory, available, has_bytes, has_ipv6, is_root, rss_limit, wait_until};
pub use replay::{replay_all, try_protocol};
pub use retort::{RETORT_MEMORY, limited_retort, retort, run, run_on_terminal, stderr, stdout};
pub use skip::skip;
pub use statistics::Statistics;
pub use terminal::{shown_on, terminal};

/// The longest wait for an event that must happen. Chosen without tuning: generous, because other tests run meanwhile.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Two signals to stop within this time count as one (SIGNALS in retortd(8)).
pub const ONE_ORDER: Duration = Duration::from_secs(1);

/// A test's temporary directory, removed when dropped.
#[derive(Debug)]
pub struct Directory(TempDir);

impl Directory {
    pub fn new() -> Self {
        // some daemons run as another user
        let readable = Permissions::from_mode(0o755);
        let directory = tempfile::Builder::new().prefix("retortd-test-").permissions(readable).tempdir();
        Self(directory.expect("a directory for the test"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The names of all entries.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("list the directory of the test");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in UTF-8")).collect()
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("write a file of the test");
        path.to_str().expect("a path in UTF-8").to_string()
    }
}

/// A listener on a free port of the loopback interface, and its address.
pub fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
    let address = listener.local_addr().expect("the listener's address");
    (listener, address)
}

/// The client's and the server's end of a connection over the loopback interface.
pub fn connection() -> (TcpStream, TcpStream) {
    let (listener, address) = listener();
    let client = TcpStream::connect(address).expect("connect");
    (client, listener.accept().expect("accept").0)
}
