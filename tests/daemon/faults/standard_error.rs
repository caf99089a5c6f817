//! Standard error that is closed, full, never read, hangs, or stops processes that write to it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::thread;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, pipe2};

use super::{Injection, REVERSE, assert_serves, rss_limit, wait_until};
use crate::harness::{Daemon, DaemonBuilder, Directory, EventLog, Statistics, available, frame, terminal};

/// A kind of file for standard error, with the end that the test reads.
struct Outlet {
    name: &'static str,
    daemon: OwnedFd,
    test: OwnedFd,
    /// Sends an empty datagram to the reader, which does not notice otherwise that the daemon has exited.
    end: Option<UnixDatagram>,
}

impl Outlet {
    fn new(name: &'static str, daemon: impl Into<OwnedFd>, test: impl Into<OwnedFd>) -> Self {
        Self { name, daemon: daemon.into(), test: test.into(), end: None }
    }

    fn all(directory: &Directory) -> Vec<Self> {
        let (terminal, controller) = terminal();
        let (reader, writer) = pipe();
        let (fifo_reader, fifo_writer) = fifo(directory);
        let (stream, other_stream) = UnixStream::pair().expect("sockets");
        let (datagram, other_datagram) = UnixDatagram::pair().expect("sockets");
        let end = Some(datagram.try_clone().expect("a descriptor"));
        vec![
            Self::new("terminal", terminal, controller),
            Self::new("pipe", writer, reader),
            Self::new("FIFO", fifo_writer, fifo_reader),
            Self::new("stream socket", stream, other_stream),
            Self { end, ..Self::new("datagram socket", datagram, other_datagram) },
        ]
    }
}

/// The ends of a pipe for reading and for writing. They are closed on exec: under plain `cargo test` other threads
/// start programs, and a copy of the reading end in one of them would hide that it is closed here.
fn pipe() -> (OwnedFd, OwnedFd) {
    pipe2(OFlag::O_CLOEXEC).expect("a pipe")
}

/// The ends for reading and for writing.
fn fifo(directory: &Directory) -> (File, File) {
    let path = directory.path("fifo");
    mkfifo(&path, Mode::S_IRWXU).expect("a FIFO");
    // open(2) of a FIFO blocks until the other end is opened, unless it is non-blocking
    let reader = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path).expect("open");
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::empty())).expect("blocking again");
    (reader, OpenOptions::new().write(true).open(&path).expect("open"))
}

/// Collects lines until end of input; that of a terminal without writers is EIO.
fn read_lines(from: OwnedFd) -> EventLog<String> {
    let lines = EventLog::new();
    let filled = lines.clone();
    thread::spawn(move || {
        let (mut from, mut part, mut rest) = (File::from(from), [0; 5000], Vec::new());
        while let Ok(length @ 1..) = from.read(&mut part) {
            rest.extend_from_slice(&part[..length]);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                filled.push(String::from_utf8_lossy(&line).trim_end().to_string());
            }
        }
        filled.close();
    });
    lines
}

/// Waits for the last line after the daemon has exited.
fn wait_last(lines: &EventLog<String>, end: Option<&UnixDatagram>) {
    if let Some(end) = end {
        end.send(b"").expect("an empty datagram");
    }
    lines.wait_closed();
}

/// Sends `hundreds` times 100 requests and receives the replies.
fn send_hundreds(daemon: &Daemon, hundreds: usize) {
    let mut client = daemon.connect("frame");
    let requests = frame(REVERSE, b"the log has a line for this").repeat(100);
    for _ in 0..hundreds {
        client.send(&requests);
        client.receive(requests.len());
    }
}

/// Fault 33, fault 41: standard error of any kind need not be read. For a terminal, poll(2) reports room although
/// write(2) blocks.
#[test]
fn unread_stderr_does_not_block_service() {
    let directory = Directory::new();
    for Outlet { name, daemon: stderr, test, end } in Outlet::all(&directory) {
        let launch = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "-vvv", "--workers=2"]).stderr(stderr);
        let mut daemon = launch.start();
        send_hundreds(&daemon, 20);
        (0..10).for_each(|_| assert_serves(&mut daemon.connect("frame")));
        assert_eq!(daemon.stop(), 0, "{name}");
        // standard error was full: the last line is missing
        let lines = read_lines(test);
        wait_last(&lines, end.as_ref());
        assert!(lines.len() > 20 && !lines.text().contains("statistics: "), "{name}: {}", lines.text());
    }
}

/// Fault 33, fault 41: lines that could not be written are counted, and those that were written are complete.
#[test]
fn stderr_reports_lost_lines_when_read_again() {
    let directory = Directory::new();
    for Outlet { name, daemon: stderr, test, end } in Outlet::all(&directory) {
        let launch = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "-vvv", "--workers=1"]).stderr(stderr);
        let mut daemon = launch.start();
        assert_serves(&mut daemon.connect("frame"));
        let (descriptors, rss) = (daemon.descriptors(), daemon.rss());
        send_hundreds(&daemon, 200);
        wait_until("descriptors are back", || daemon.descriptors() <= descriptors);
        assert!(daemon.rss() <= rss_limit(rss, 3 << 20), "{name}: {} of {rss} bytes", daemon.rss());
        let lines = read_lines(test);
        let report = lines.wait_for(0, |line| line.contains(" log messages were lost"));
        let (after, _) = report.unwrap_or_else(|| panic!("{name}: not reported"));
        assert_serves(&mut daemon.connect("frame"));
        let last = lines.wait_for(after, |line| line.contains("closed: finished"));
        assert!(last.is_some(), "{name}: logging has stopped");
        assert_eq!(daemon.stop(), 0, "{name}");
        wait_last(&lines, end.as_ref());
        assert_is_complete(name, &lines.all());
    }
}

/// Asserts that every line is complete, and that the reported losses add up to the number in the last statistics.
fn assert_is_complete(name: &str, lines: &[String]) {
    for line in lines {
        // 2026-11-21T10:00:00.000Z retortd: ...
        assert_eq!(line.find("Z retortd: "), Some(23), "{name}: {line}");
    }
    let counts = lines.iter().filter_map(|line| line.split_once("retortd: ")?.1.strip_suffix(LOST));
    let reported: u64 = counts.map(|count| count.parse::<u64>().expect("a number")).sum();
    let statistics = Statistics::parse(lines.last().expect("a log"));
    assert_eq!((statistics.wrong_sum(), statistics.log_dropped), (None, reported), "{name}");
    assert!(reported > 1000, "{name}: {reported}");
}

/// The words after the number of lost lines.
const LOST: &str = " log messages were lost: the log did not take them";

/// Fault 41: a write to a file can hang, too: on a network file system whose server is down.
#[test]
fn hanging_log_file_does_not_block_service() {
    let directory = Directory::new();
    let path = directory.write("log", "");
    let file = OpenOptions::new().append(true).open(&path).expect("open the log");
    let mut daemon = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "-v", "--workers=1"]).stderr(file).start();
    let Some(injection) = Injection::into_threads(&daemon, &["log"], &["write:delay_enter=100s"]) else { return };
    (0..10).for_each(|_| assert_serves(&mut daemon.connect("frame")));
    let before = std::fs::read_to_string(&path).expect("read the log");
    assert!(before.lines().all(|line| line.contains(" listening on ")), "{before}");
    drop(injection);
    assert_eq!(daemon.stop(), 0);
    let log = std::fs::read_to_string(&path).expect("read the log");
    assert_eq!(log.lines().filter(|line| line.contains("closed: finished")).count(), 10, "{log}");
}

/// Fault 41: a file that has reached `RLIMIT_FSIZE` gets SIGXFSZ, whose default action ends the process.
#[test]
fn log_file_at_size_limit_does_not_end_daemon() {
    const LIMIT: u64 = 8192;
    if !available("prlimit") {
        return;
    }
    let directory = Directory::new();
    let path = directory.write("log", "");
    let open = || OpenOptions::new().append(true).open(&path).expect("open the log");
    let limit = format!("--fsize={LIMIT}");
    let prlimit = ["prlimit", &limit];
    let mut daemon = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "-vv"]).stderr(open()).under(&prlimit).start();
    send_hundreds(&daemon, 20);
    wait_until("the file is full", || open().metadata().is_ok_and(|file| file.len() == LIMIT));
    wait_until("the log thread is idle", || daemon.is_idle("log"));
    // as logrotate(8) does with copytruncate
    open().set_len(0).expect("truncate");
    assert_serves(&mut daemon.connect("frame"));
    assert_eq!(daemon.stop(), 0);
    let log = std::fs::read_to_string(&path).expect("read the log");
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines[0].is_empty(), "the truncated line has no newline: {log}");
    assert!(lines[1].ends_with(LOST), "{log}");
    assert_is_complete("file", &lines[1..].iter().map(|line| (*line).to_string()).collect::<Vec<_>>());
    // a failed start exits with its own code, not by the signal
    open().write_all(&[b'x'; LIMIT as usize]).expect("fill the log");
    for (argument, code) in [("--settings=/nonexistent", 78), ("--nonsense", 2)] {
        let finished = DaemonBuilder::new(&[argument]).stderr(open()).under(&prlimit).finish();
        assert_eq!(finished.code, code, "{argument}");
    }
}

/// Fault 41: with `stty tostop` a terminal stops background processes that write to it.
#[test]
fn terminal_does_not_stop_background_daemon() {
    // a shell with job control: the daemon is in a process group of its own, in the background
    const SCRIPT: &str = "set -m; stty tostop <&2; setpriv --pdeathsig=KILL \"$@\" & \
        trap 'kill -TERM $!' TERM; wait $!; wait $!";
    if !["setsid", "setpriv", "stty"].iter().all(|program| available(program)) {
        return;
    }
    let (terminal, controller) = terminal();
    let words = ["sh", "-c", "exec setsid --ctty \"$@\" <&2", "sh", "sh", "-c", SCRIPT, "sh"];
    let launch = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "-v"]).stderr(terminal).under(&words);
    let mut daemon = launch.start();
    let lines = read_lines(controller);
    assert_serves(&mut daemon.connect("frame"));
    assert!(lines.wait_for(0, |line| line.contains("closed: finished")).is_some(), "{}", lines.text());
    assert_eq!(daemon.stop(), 0);
}

/// Fault 33: standard error is closed, full or broken.
#[test]
fn closed_or_full_stderr_does_not_block_service() {
    let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let (reader, broken) = pipe();
    drop(reader);
    let arguments = ["--listen=frame=127.0.0.1:0", "-vvv"];
    let launches = [
        DaemonBuilder::new(&arguments).under(&["sh", "-c", "exec \"$@\" 2>&-", "sh"]),
        DaemonBuilder::new(&arguments).under(&["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"]),
        DaemonBuilder::new(&arguments).stderr(full),
        DaemonBuilder::new(&arguments).stderr(broken),
    ];
    for launch in launches {
        let mut daemon: Daemon = launch.start();
        let descriptors = daemon.descriptors();
        for _ in 0..50 {
            assert_serves(&mut daemon.connect("frame"));
        }
        let replies = || daemon.notices.all().iter().any(|notice| notice.contains(" 50 requests"));
        wait_until("50 requests in the status", replies);
        wait_until("descriptors are back", || daemon.descriptors() <= descriptors);
        assert_eq!(daemon.stop(), 0);
    }
}

/// Fault 33: requests are logged while nothing reads the log; they get their replies, and use no memory.
#[test]
fn unread_stderr_uses_no_memory_for_logged_requests() {
    let (reader, writer) = pipe();
    let daemon = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "-vvv", "--workers=1"]).stderr(writer).start();
    let mut client = daemon.connect("frame");
    assert_serves(&mut client);
    let before = daemon.rss();
    let requests = frame(REVERSE, &[0; 100]).repeat(100);
    for _ in 0..800 {
        client.send(&requests);
        client.receive(104 * 100);
    }
    assert!(daemon.rss() < rss_limit(before, 0), "{} bytes more", daemon.rss() - before);
    drop((reader, client));
}

/// Fault 3: an interrupted write of a log line is retried.
#[test]
fn interrupted_log_write_is_retried() {
    if !super::available("strace") {
        return;
    }
    let directory = Directory::new();
    let path = directory.write("log", "");
    let file = OpenOptions::new().append(true).open(&path).expect("open the log");
    // only for this file: writes to eventfds are non-blocking and never interrupted
    let words = [super::strace(&["write:error=EINTR:when=1+2"]), vec!["-P".into(), path.clone()]].concat();
    let launch = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "-vv", "--workers=1"]).stderr(file).under(&words);
    let mut daemon = launch.start();
    let mut client = daemon.connect("frame");
    (0..20).for_each(|_| assert_serves(&mut client));
    drop(client);
    assert_eq!(daemon.stop(), 0);
    let log = std::fs::read_to_string(&path).expect("read the log");
    assert_eq!(log.lines().filter(|line| line.contains("reverse of 19 bytes answered")).count(), 20, "{log}");
    assert!(log.contains("log messages dropped 0"), "{log}");
}
