//! Starts the real daemon for a test, talks to it, and looks at it from outside.
//!
//! A [`Daemon`] has its own notification socket: [`DaemonBuilder::start`] returns when it has said `READY=1`, and its ports
//! are read from its status line, so tests use port 0 and never collide. Its log, its output and what it tells the
//! service manager are collected as they come ([`EventLog`]). It is killed when dropped; a test that fails prints its log.
//! Nothing here sleeps to let something happen: waiting is for an event, or for what tells nobody ([`wait_until`]),
//! until [`DEADLINE`].

pub mod action;
mod client;
mod event_log;
mod leak_check;
mod observe;
mod replay;
mod skip;
mod statistics;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

pub use client::{Client, echo_ping, frame, in_parallel, length_prefixed};
pub use event_log::EventLog;
pub use leak_check::LeakCheck;
pub use observe::{any_memory, available, limited, rss_limit, wait_until};
pub use replay::{replay_all, try_protocol};
pub use skip::skip;
pub use statistics::Statistics;

/// How long to wait for what must happen; generous, because other tests run at the same time.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Signals closer together than this are one order to stop (SIGNALS in retortd(8)).
pub const ONE_ORDER: Duration = Duration::from_secs(1);

/// What a daemon gets of the test's own environment: where programs are, and how sanitizers are to behave.
const KEPT: [&str; 3] = ["PATH", "ASAN_OPTIONS", "TSAN_OPTIONS"];

/// A directory of a test's own, removed when dropped.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("retortd-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The names of all that is in it.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("list the directory of the test");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in UTF-8")).collect()
    }

    /// Writes a file; its path.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("write a file of the test");
        path.to_str().expect("a path in UTF-8").to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How to start a daemon.
#[derive(Debug)]
pub struct DaemonBuilder {
    wrapper: Vec<OsString>,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    sockets: Vec<OwnedFd>,
    stderr: Option<Stdio>,
}

impl DaemonBuilder {
    /// With these arguments, and nothing of the test's own environment but [`KEPT`].
    pub fn new(arguments: &[&str]) -> Self {
        Self {
            wrapper: Vec::new(),
            arguments: arguments.iter().map(OsString::from).collect(),
            environment: Vec::new(),
            sockets: Vec::new(),
            stderr: None,
        }
    }

    /// With one more variable.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Through a command that executes what follows it, such as `prlimit --nofile=64`; the next one goes inside.
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper.extend(wrapper.iter().map(OsString::from));
        self
    }

    /// With sockets handed over as `sd_listen_fds(3)` has it; two at most, with these `LISTEN_FDNAMES`.
    ///
    /// They travel as standard input and output of a shell, which gives them their numbers and its own process id.
    pub fn with_sockets(mut self, names: &str, sockets: Vec<OwnedFd>) -> Self {
        let redirections = match sockets.len() {
            1 => "3<&0 0</dev/null",
            2 => "3<&0 4<&1 0</dev/null 1>/dev/null",
            _ => panic!("one or two sockets can be handed over"),
        };
        let script = format!("exec {redirections}; export LISTEN_PID=$$; exec \"$@\"");
        self.wrapper.extend(["sh", "-c", &script, "sh"].map(OsString::from));
        let count = sockets.len().to_string();
        self.sockets = sockets;
        self.env("LISTEN_FDS", count).env("LISTEN_FDNAMES", names)
    }

    /// With standard error going elsewhere: the log is not collected then.
    pub fn stderr(mut self, to: impl Into<Stdio>) -> Self {
        self.stderr = Some(to.into());
        self
    }

    /// Starts it and waits until it is ready.
    pub fn start(self) -> Daemon {
        let mut daemon = self.spawn();
        daemon.wait_ready();
        daemon
    }

    /// Starts it where it is expected to end by itself: exit code and what it wrote.
    pub fn finish(self) -> Finished {
        let mut daemon = self.spawn();
        let code = daemon.wait_exit();
        daemon.output.wait_closed();
        daemon.log.wait_closed();
        Finished { code, output: daemon.output.text(), log: daemon.log.text() }
    }

    /// Starts it and waits for nothing.
    pub fn spawn(self) -> Daemon {
        raise_descriptor_limit();
        let directory = Directory::new();
        let notify = directory.path("notify");
        let socket = UnixDatagram::bind(&notify).expect("bind the notification socket");
        let mut command = self.command(&notify);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        // the command holds this process's copies of sockets that were handed over
        drop(command);
        let pid = process_id(&child);
        let log = collect_lines(child.stderr.take());
        let output = collect_lines(child.stdout.take());
        let notices = collect_notices(socket);
        let exit = collect_exit(child, notify);
        Daemon { pid, log, output, notices, exit, listening: Vec::new(), _directory: directory }
    }

    fn command(self, notify: &Path) -> Command {
        let mut words = self.wrapper;
        words.push(env!("CARGO_BIN_EXE_retortd").into());
        words.extend(self.arguments);
        let mut command = Command::new(&words[0]);
        let kept = KEPT.into_iter().filter_map(|name| Some((name, env::var_os(name)?)));
        command.args(&words[1..]).env_clear().envs(kept);
        command.env("NOTIFY_SOCKET", notify).envs(self.environment);
        let mut sockets = self.sockets.into_iter();
        command.stdin(sockets.next().map_or_else(Stdio::null, Stdio::from));
        command.stdout(sockets.next().map_or_else(Stdio::piped, Stdio::from));
        command.stderr(self.stderr.unwrap_or_else(Stdio::piped));
        command
    }
}

/// What a daemon came to that ended by itself.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub output: String,
    pub log: String,
}

/// Raises this process's soft limit on descriptors to the hard one: under plain `cargo test` the clients of all tests are
/// descriptors of one process, some tests have thousands, and the usual soft limit is 1024. Done before the first daemon
/// starts, because a daemon inherits it.
fn raise_descriptor_limit() {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("RLIMIT_NOFILE");
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("raise RLIMIT_NOFILE");
    });
}

/// The process id, as system calls take it.
pub fn process_id(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().expect("a process id"))
}

fn collect_lines(from: Option<impl Read + Send + 'static>) -> EventLog<String> {
    let events = EventLog::new();
    let filled = events.clone();
    let Some(from) = from else {
        filled.close();
        return events;
    };
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            filled.push(String::from_utf8_lossy(&line).into_owned());
        }
        filled.close();
    });
    events
}

/// An empty datagram ends it.
fn collect_notices(socket: UnixDatagram) -> EventLog<String> {
    let events = EventLog::new();
    let filled = events.clone();
    thread::spawn(move || {
        let mut datagram = vec![0; 8192];
        while let Ok(length @ 1..) = socket.recv(&mut datagram) {
            filled.push(String::from_utf8_lossy(&datagram[..length]).into_owned());
        }
        filled.close();
    });
    events
}

fn collect_exit(mut child: Child, notify: PathBuf) -> EventLog<ExitStatus> {
    let events = EventLog::new();
    let filled = events.clone();
    thread::spawn(move || {
        filled.push(child.wait().expect("wait for the daemon"));
        filled.close();
        let end = UnixDatagram::unbound().expect("a socket");
        let _ = end.send_to(b"", notify);
    });
    events
}

/// A daemon that a test has started.
#[derive(Debug)]
pub struct Daemon {
    pub pid: Pid,
    /// The lines of its standard error.
    pub log: EventLog<String>,
    /// The lines of its standard output.
    pub output: EventLog<String>,
    /// What it told the service manager.
    pub notices: EventLog<String>,
    exit: EventLog<ExitStatus>,
    listening: Vec<(String, SocketAddr)>,
    /// Removed when the daemon has ended.
    _directory: Directory,
}

impl Daemon {
    /// Serves one protocol on a free port of the loopback interface.
    pub fn serving(protocol: &str, arguments: &[&str]) -> Self {
        let listen = format!("--listen={protocol}=127.0.0.1:0");
        DaemonBuilder::new(&[&[listen.as_str()], arguments].concat()).start()
    }

    /// Waits for `READY=1` and learns where it listens.
    pub fn wait_ready(&mut self) {
        let ready = self.notices.wait_for(0, |notice| notice.contains("READY=1"));
        let Some((_, ready)) = ready else { panic!("the daemon did not become ready: {}", self.log.text()) };
        self.listening = listening(&ready);
    }

    /// The same for a daemon without a service manager; it must run with `-vv`.
    pub fn wait_ready_in_log(&mut self) {
        let (_, line) = self.wait_for_line(0, "ready: ");
        let status = line.split_once("ready: ").map(|(_, status)| format!("STATUS={status}"));
        self.listening = listening(&status.expect("checked"));
    }

    /// Where it serves that protocol.
    pub fn address(&self, protocol: &str) -> SocketAddr {
        let found = self.listening.iter().find(|(name, _)| name == protocol);
        found.unwrap_or_else(|| panic!("{protocol} is not served: {:?}", self.listening)).1
    }

    /// All that it serves, and where.
    pub fn listening(&self) -> &[(String, SocketAddr)] {
        &self.listening
    }

    pub fn connect(&self, protocol: &str) -> Client {
        Client::connect(self.address(protocol))
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid, signal).expect("send a signal to the daemon");
    }

    /// Stops it where it is, until it gets SIGCONT; waits for that, as kill(2) returns before its threads have stopped.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
        waitid(Id::Pid(self.pid), WaitPidFlag::WSTOPPED).expect("wait until the daemon has stopped");
    }

    /// Waits for a message to the service manager that contains `words`, from number `from` on.
    pub fn wait_for_notice(&self, from: usize, words: &str) -> (usize, String) {
        let found = self.notices.wait_for(from, |notice| notice.contains(words));
        found.unwrap_or_else(|| panic!("{words:?} was not said: {:?}", self.notices.all()))
    }

    /// Waits for its end; the exit code, or 128 and the number of the signal that killed it.
    pub fn wait_exit(&mut self) -> i32 {
        let Some((_, status)) = self.exit.wait_for(0, |_| true) else { panic!("the daemon did not end") };
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
    }

    pub fn has_exited(&self) -> bool {
        self.exit.len() > 0
    }

    /// Asks it to stop with SIGTERM and waits for its end.
    pub fn stop(&mut self) -> i32 {
        self.signal(Signal::SIGTERM);
        self.wait_exit()
    }

    /// Orders it to stop at once, after an order to stop that it has noticed.
    pub fn stop_now(&self) {
        thread::sleep(ONE_ORDER + Duration::from_millis(100));
        self.signal(Signal::SIGTERM);
    }

    /// Waits for a line of the log that contains `words`, from line `from` on; the number of the line after it.
    pub fn wait_for_line(&self, from: usize, words: &str) -> (usize, String) {
        let found = self.log.wait_for(from, |line| line.contains(words));
        found.unwrap_or_else(|| panic!("no line with {words:?} in the log:\n{}", self.log.text()))
    }

    /// Has the settings read again (SIGHUP) and waits until that is done.
    pub fn reload(&self) {
        let (before, line) = (self.notices.len(), self.log.len());
        self.signal(Signal::SIGHUP);
        self.wait_for_line(line, "reload");
        let done = self.notices.wait_for(before, |notice| notice.contains("READY=1"));
        assert!(done.is_some(), "no READY=1 after SIGHUP:\n{}", self.log.text());
    }

    /// The statistics at a moment at which `wanted` holds and the sums are right: while something goes on, figures that
    /// were read one after the other may differ by what happened between.
    pub fn statistics_when(&self, wanted: impl Fn(&Statistics) -> bool) -> Statistics {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let before = self.log.len();
            self.signal(Signal::SIGUSR1);
            let (_, line) = self.wait_for_line(before, "statistics: ");
            let statistics = Statistics::parse(&line);
            if wanted(&statistics) && statistics.wrong_sum().is_none() {
                return statistics;
            }
            assert!(Instant::now() < deadline, "not reached ({:?}): {line}", statistics.wrong_sum());
            // counters change without telling anybody
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The statistics when every connection has ended.
    pub fn statistics_at_rest(&self) -> Statistics {
        self.statistics_when(|statistics| statistics.open == 0)
    }

    /// The statistics that it logged last; at its end with `-v`.
    pub fn last_statistics(&self) -> Statistics {
        self.log.wait_closed();
        let lines = self.log.all();
        let line = lines.iter().rev().find(|line| line.contains("statistics: "));
        let statistics = Statistics::parse(line.expect("a line with statistics"));
        assert_eq!(statistics.wrong_sum(), None, "{statistics:?}");
        statistics
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.has_exited() {
            let _ = kill(self.pid, Signal::SIGKILL);
            self.exit.wait_for(0, |_| true);
        }
        if thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log.text());
        }
    }
}

/// The names and addresses in `STATUS=listening on frame=[::]:8083, echo=127.0.0.1:7; ...`.
fn listening(notice: &str) -> Vec<(String, SocketAddr)> {
    let status = notice.lines().find_map(|line| line.strip_prefix("STATUS=listening on ")).unwrap_or_default();
    let listeners = status.split(';').next().unwrap_or_default();
    let pairs = listeners.split(", ").filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, address)| (name.to_string(), reachable(address.parse().expect("an address")))).collect()
}

/// Where a client finds what listens on all addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
