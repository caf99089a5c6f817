//! Starts daemons, and collects their output, notifications and exit status.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, IoSliceMut, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Once};
use std::thread;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::unistd::Pid;
use retortd::protocol::PROTOCOLS;

use super::{Daemon, Directory, EventLog};

/// The variables of the test's environment that a daemon inherits: the path of programs, and options of sanitizers.
const KEPT: [&str; 3] = ["PATH", "ASAN_OPTIONS", "TSAN_OPTIONS"];

/// How to start a daemon: arguments, environment, wrapping command, inherited sockets.
#[derive(Debug)]
pub struct DaemonBuilder {
    wrapper: Vec<OsString>,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    sockets: Vec<OwnedFd>,
    stderr: Option<Stdio>,
}

impl DaemonBuilder {
    /// With these arguments, and of the test's environment only [`KEPT`].
    pub fn new(arguments: &[&str]) -> Self {
        Self {
            wrapper: Vec::new(),
            arguments: arguments.iter().map(OsString::from).collect(),
            environment: Vec::new(),
            sockets: Vec::new(),
            stderr: None,
        }
    }

    /// Serves every protocol, each on a free port of the loopback interface.
    pub fn every_protocol(arguments: &[&str]) -> Self {
        let mut builder = Self::new(arguments);
        builder
            .arguments
            .extend(PROTOCOLS.iter().map(|protocol| format!("--listen={}=127.0.0.1:0", protocol.name).into()));
        builder
    }

    /// Adds an environment variable.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Runs the daemon by a command that executes its last arguments, such as `prlimit --nofile=64`. A second one is
    /// executed by the first.
    pub fn under(mut self, wrapper: &[impl AsRef<OsStr>]) -> Self {
        self.wrapper.extend(wrapper.iter().map(OsString::from));
        self
    }

    /// Passes sockets as `sd_listen_fds(3)` describes: at most two, with `names` as `LISTEN_FDNAMES`.
    ///
    /// A shell gets them as its standard input and output, gives them the numbers 3 and 4, and sets `LISTEN_PID`.
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

    /// Passes a socket as inetd does: as standard input and standard output.
    pub fn on_standard_socket(mut self, socket: OwnedFd) -> Self {
        self.sockets = vec![socket.try_clone().expect("a copy"), socket];
        self
    }

    /// Redirects standard error; the log is not collected then.
    pub fn stderr(mut self, to: impl Into<Stdio>) -> Self {
        self.stderr = Some(to.into());
        self
    }

    /// Starts the daemon and waits until it is ready.
    pub fn start(self) -> Daemon {
        let mut daemon = self.spawn();
        daemon.wait_ready();
        daemon
    }

    /// Starts a daemon with one listener and waits until its log says that it listens: no service manager has to, and
    /// the log is collected up to that line. It must run with `-v`.
    pub fn start_by_log(self) -> Daemon {
        let mut daemon = self.spawn();
        daemon.wait_ready_in_log();
        daemon
    }

    /// Starts a daemon that is expected to exit by itself, and waits for that.
    pub fn finish(self) -> Finished {
        let mut daemon = self.spawn();
        let code = daemon.wait_exit();
        daemon.output.wait_closed();
        daemon.log.wait_closed();
        let log = daemon.log.all().iter().fold(String::new(), |log, line| log + without_time(line) + "\n");
        Finished { code, output: daemon.output.text(), log }
    }

    /// Starts the daemon without waiting.
    pub fn spawn(self) -> Daemon {
        raise_descriptor_limit();
        let directory = Directory::new();
        let notify = directory.path("notify");
        let socket = UnixDatagram::bind(&notify).expect("bind the notification socket");
        let mut command = self.command(&notify);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        // the command owns this process's copies of the inherited sockets
        drop(command);
        let pid = process_id(&child);
        let log = collect_lines(child.stderr.take());
        let output = collect_lines(child.stdout.take());
        let (notices, stored) = collect_notices(socket);
        let exit = collect_exit(child, notify);
        Daemon { pid, log, output, notices, stored, exit, listening: Vec::new(), _directory: directory }
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

/// The exit code and the output of a daemon that exited by itself.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub output: String,
    /// Its standard error, without the times of the lines.
    pub log: String,
}

impl Finished {
    /// Asserts its exit code, and that its log contains these words.
    #[track_caller]
    pub fn assert_failed(&self, expected: i32, words: &str) {
        assert_eq!(self.code, expected, "{}", self.log);
        assert!(self.log.contains(words), "no {words:?} in the log:\n{}", self.log);
    }
}

/// A line of the log without its time. Clap prints the errors of the command line without one.
fn without_time(line: &str) -> &str {
    match line.split_once(' ') {
        Some((time, rest)) if is_time(time) => rest,
        _ => line,
    }
}

/// Whether a word is the time of a line: `2026-11-21T10:00:00.000Z`.
pub fn is_time(word: &str) -> bool {
    let form = b"dddd-dd-ddTdd:dd:dd.dddZ";
    let matches = |(byte, form): (u8, &u8)| if *form == b'd' { byte.is_ascii_digit() } else { byte == *form };
    word.len() == form.len() && word.bytes().zip(form).all(matches)
}

/// Raises this process's soft limit on descriptors to the hard one: under plain `cargo test` the clients of all tests
/// are descriptors of one process, some tests have thousands, and the usual soft limit is 1024. Done before the first
/// daemon starts, because a daemon inherits it.
fn raise_descriptor_limit() {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("RLIMIT_NOFILE");
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("raise RLIMIT_NOFILE");
    });
}

/// The process id in the type that system calls take.
pub fn process_id(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().expect("a process id"))
}

/// Collects the lines of an output until its end.
pub fn collect_lines(from: Option<impl Read + Send + 'static>) -> EventLog<String> {
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

/// Collects notifications, and the descriptors that they store, until an empty datagram arrives. Other descriptors, such
/// as that of `BARRIER=1`, are closed.
fn collect_notices(socket: UnixDatagram) -> (EventLog<String>, EventLog<Arc<OwnedFd>>) {
    let (events, stored) = (EventLog::new(), EventLog::new());
    let filled = (events.clone(), stored.clone());
    thread::spawn(move || {
        while let Some((text, descriptors)) = receive_notice(&socket) {
            if text.starts_with("FDSTORE=1\n") {
                for descriptor in descriptors {
                    filled.1.push(Arc::new(descriptor));
                }
            }
            filled.0.push(text);
        }
        filled.0.close();
        filled.1.close();
    });
    (events, stored)
}

/// The next datagram that is not empty, with its descriptors.
#[allow(unsafe_code, reason = "takes ownership of descriptors that were received")]
pub fn receive_notice(socket: &UnixDatagram) -> Option<(String, Vec<OwnedFd>)> {
    let (mut datagram, mut space) = (vec![0; 8192], nix::cmsg_space!([RawFd; 4]));
    let mut parts = [IoSliceMut::new(&mut datagram)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let received = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags).ok()?;
    let mut descriptors = Vec::new();
    for control in received.cmsgs().ok()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            // SAFETY: recvmsg(2) has just opened them, and nothing else owns them.
            descriptors.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
        }
    }
    let length = received.bytes;
    (length > 0).then(|| (String::from_utf8_lossy(&datagram[..length]).into_owned(), descriptors))
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
