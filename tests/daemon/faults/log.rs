//! A system log or a service manager that is missing, blocks or restarts.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{LeakCheck, REVERSE, assert_serves, is_root, rss_limit, wait_until};
use crate::harness::{DEADLINE, DaemonBuilder, Directory, Statistics};

/// A daemon that logs to /dev/log, in a mount namespace in which /dev is a directory of the test. None: not possible
/// here.
fn with_dev_log(directory: &Directory, arguments: &[&str]) -> Option<DaemonBuilder> {
    const SCRIPT: &str = "touch $0/null $0/urandom && mount --bind /dev/null $0/null && \
        mount --bind /dev/urandom $0/urandom && mount --rbind $0 /dev && exec \"$@\"";
    let path = directory.path("dev");
    std::fs::create_dir_all(&path).expect("a directory");
    in_mount_namespace(SCRIPT, &path, &[&["--log=syslog"], arguments].concat())
}

fn syslog(directory: &Directory) -> UnixDatagram {
    bind(&directory.path("dev/log"))
}

/// A daemon that logs to the journal, in a mount namespace in which /run is a directory of the test. None: not possible
/// here.
fn with_journal(directory: &Directory, arguments: &[&str]) -> Option<DaemonBuilder> {
    let run = directory.path("run");
    std::fs::create_dir_all(run.join("systemd/journal")).expect("a directory");
    in_mount_namespace("mount --bind $0 /run && exec \"$@\"", &run, &[&["--log=journal"], arguments].concat())
}

fn journal(directory: &Directory) -> UnixDatagram {
    bind(&directory.path("run/systemd/journal/socket"))
}

/// A daemon that a shell script starts in a mount namespace of its own; `$0` in the script is the path. None: not
/// possible here.
fn in_mount_namespace(script: &str, path: &Path, arguments: &[&str]) -> Option<DaemonBuilder> {
    if !is_root() || !super::available("unshare") {
        return None;
    }
    let words = ["unshare", "--mount", "--propagation=private", "sh", "-c", script, path.to_str().expect("UTF-8")];
    let options = ["--listen=frame=127.0.0.1:0", "--workers=1"];
    Some(DaemonBuilder::new(&[&options, arguments].concat()).under(&words))
}

/// A socket that receives datagrams, each within the deadline.
fn bind(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap_or_else(|error| panic!("bind {}: {error}", path.display()));
    socket.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    socket
}

fn next(socket: &UnixDatagram) -> String {
    let mut datagram = [0; 8192];
    let length = socket.recv(&mut datagram).expect("a datagram");
    String::from_utf8_lossy(&datagram[..length]).into_owned()
}

/// Fault 32: while there is no syslog, the log goes to standard error; syslog is used as soon as it appears.
#[test]
fn syslog_is_used_as_soon_as_it_appears() {
    let directory = Directory::new();
    let Some(launch) = with_dev_log(&directory, &["-v"]) else { return };
    let daemon = launch.start();
    assert_serves(&mut daemon.connect("frame"));
    daemon.wait_for_line(0, "closed: finished");
    let socket = syslog(&directory);
    assert_serves(&mut daemon.connect("frame"));
    let first = next(&socket);
    assert!(first.starts_with("<30>") && first.contains(": accepted"), "{first}");
    assert!(next(&socket).contains(": closed: finished"));
    let descriptors = daemon.descriptors();
    // syslog stops, and starts again
    drop(socket);
    std::fs::remove_file(directory.path("dev/log")).expect("remove");
    let before = daemon.log.len();
    assert_serves(&mut daemon.connect("frame"));
    daemon.wait_for_line(before, "closed: finished");
    let socket = syslog(&directory);
    assert_serves(&mut daemon.connect("frame"));
    assert!(next(&socket).contains(": accepted"));
    assert!(next(&socket).contains(": closed: finished"));
    // syslog restarts while nothing is logged
    drop(socket);
    std::fs::remove_file(directory.path("dev/log")).expect("remove");
    let socket = syslog(&directory);
    assert_serves(&mut daemon.connect("frame"));
    assert!(next(&socket).contains(": accepted"));
    assert!(next(&socket).contains(": closed: finished"));
    wait_until("descriptors are back", || daemon.descriptors() <= descriptors);
    wait_until("the sums are right", || {
        daemon.signal(Signal::SIGUSR1);
        Statistics::parse(&next(&socket)).wrong_sum().is_none()
    });
}

/// Fault 32: a syslog that does not read loses messages, but delays nothing; lost messages are counted and reported.
#[test]
fn blocked_syslog_does_not_block_service() {
    let directory = Directory::new();
    let Some(launch) = with_dev_log(&directory, &["-vv"]) else { return };
    let socket = syslog(&directory);
    let mut daemon = launch.start();
    let begun = Instant::now();
    let mut client = daemon.connect("frame");
    assert_serves(&mut client);
    // the log thread has connected
    next(&socket);
    let (descriptors, rss) = (daemon.descriptors(), daemon.rss());
    for _ in 1..2000 {
        assert_serves(&mut client);
    }
    assert_eq!(daemon.descriptors(), descriptors);
    assert!(daemon.rss() <= rss_limit(rss, 0), "{} of {rss} bytes", daemon.rss());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    // every message was sent or dropped
    wait_until("the log thread is idle", || daemon.is_idle("log"));
    socket.set_nonblocking(true).expect("non-blocking");
    let mut datagram = [0; 8192];
    let mut received = String::new();
    while let Ok(length) = socket.recv(&mut datagram) {
        received.push_str(&String::from_utf8_lossy(&datagram[..length]));
    }
    socket.set_nonblocking(false).expect("blocking");
    assert_serves(&mut client);
    // the report may have been sent already while the queue was emptied
    while !received.contains(" log messages were lost") {
        received = next(&socket);
    }
    assert!(received.contains("<28>"), "not a warning: {received}");
    // reported once: only requests are logged from here on
    (0..3).for_each(|_| assert_serves(&mut client));
    for _ in 0..4 {
        let message = next(&socket);
        assert!(message.contains("reverse of 19 bytes answered"), "{message}");
    }
    drop(client);
    drop(socket);
    assert_eq!(daemon.stop(), 0);
    daemon.wait_for_line(0, "log messages dropped ");
    let statistics = daemon.last_statistics();
    assert!(statistics.log_dropped > 1000, "{statistics:?}");
    assert_eq!(statistics.answered, 2004);
}

/// Fault 32: no message is longer than syslog takes (RFC 3164 section 4.1).
#[test]
fn syslog_messages_are_at_most_1024_bytes() {
    for format in ["--log-format=text", "--log-format=json"] {
        log_long_lines_to_syslog(format);
    }
}

fn log_long_lines_to_syslog(format: &str) {
    let directory = Directory::new();
    // client bytes and values of settings are truncated earlier; the name of a file is not
    let long_path = ["d"; 5].map(|name| name.repeat(250)).join("/");
    std::fs::create_dir_all(directory.path(&long_path)).expect("directories");
    let file = format!("{long_path}/settings");
    let settings = directory.write(&file, "");
    let Some(launch) = with_dev_log(&directory, &["-vvv", "--settings", &settings, format]) else { return };
    let socket = syslog(&directory);
    let daemon = launch.start();
    let mut client = daemon.connect("frame");
    assert!(client.request(REVERSE, &vec![b'\n'; 50_000]).len() == 50_000);
    drop(client);
    directory.write(&file, "RETORTD_IDLE_TIMEOUT=x\n");
    let mut longest = 0;
    loop {
        // after each message, because the line about a reload is lost while the queue of the socket is full
        daemon.signal(Signal::SIGHUP);
        let message = next(&socket);
        longest = longest.max(message.len());
        assert!(!message.contains('\n'), "{message}");
        assert_eq!(message.ends_with('}'), format.ends_with("json"), "{message}");
        if message.contains("cannot reload") {
            break;
        }
    }
    assert!((900..=1024).contains(&longest), "{longest}");
}

/// Fault 32: as for syslog; lines have fields.
#[test]
fn journal_is_used_as_soon_as_it_appears() {
    let directory = Directory::new();
    let Some(launch) = with_journal(&directory, &["-vv"]) else { return };
    let daemon = launch.start();
    let mut client = daemon.connect("frame");
    assert_serves(&mut client);
    daemon.wait_for_line(0, "reverse of 19 bytes answered");
    for _ in 0..2 {
        let socket = journal(&directory);
        assert_serves(&mut client);
        let fields = next(&socket);
        let begin = "PRIORITY=7\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=retortd\nMESSAGE=frame 127.0.0.1:";
        assert!(fields.starts_with(begin), "{fields}");
        let peer = format!("RETORTD_PEER={}", client.address());
        for field in ["RETORTD_LISTENER=frame", &peer, "RETORTD_ACTION=reverse", "RETORTD_LENGTH=19"] {
            assert!(fields.lines().any(|line| line == field), "{field}: {fields}");
        }
        // the journal stops, and starts again
        drop(socket);
        std::fs::remove_file(directory.path("run/systemd/journal/socket")).expect("remove");
        let before = daemon.log.len();
        assert_serves(&mut client);
        daemon.wait_for_line(before, "reverse of 19 bytes answered");
    }
}

/// Fault 32: a journal that does not read delays nothing, and gets every line that the queue had room for.
#[test]
fn blocked_journal_does_not_block_service() {
    const REQUESTS: usize = 2000;
    let directory = Directory::new();
    let Some(launch) = with_journal(&directory, &["-vv"]) else { return };
    let socket = journal(&directory);
    let mut daemon = launch.start();
    let mut client = daemon.connect("frame");
    (0..REQUESTS).for_each(|_| assert_serves(&mut client));
    let mut answered = 0;
    while answered < REQUESTS {
        answered += usize::from(next(&socket).contains("\nRETORTD_ACTION=reverse\n"));
    }
    // the exit does not wait for it either
    (0..REQUESTS).for_each(|_| assert_serves(&mut client));
    drop(client);
    assert_eq!(daemon.stop(), 0);
}

/// Fault 34: there is no service manager.
#[test]
fn missing_notify_socket_variable_is_no_fault() {
    let words = ["env", "--unset=NOTIFY_SOCKET"];
    let mut daemon = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "-vv"]).under(&words).start_by_log();
    let leak_check = LeakCheck::begin(&daemon);
    assert_serves(&mut daemon.connect("frame"));
    leak_check.end(&daemon);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(daemon.notices.len(), 0);
}

/// Fault 34: the manager's socket goes away and comes back.
#[test]
fn lost_notify_socket_does_not_stop_service() {
    let directory = Directory::new();
    let path = directory.path("manager");
    let socket = bind(&path);
    let launch = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "-vv"]).env("WATCHDOG_USEC", "100000");
    let mut daemon = launch.env("NOTIFY_SOCKET", &path).start_by_log();
    assert!(next(&socket).starts_with("READY=1"));
    drop(socket);
    let leak_check = LeakCheck::begin(&daemon);
    let mut client = daemon.connect("frame");
    assert!(client.is_silent(Duration::from_millis(300)));
    assert_serves(&mut client);
    drop(client);
    leak_check.end(&daemon);
    assert_eq!(daemon.stop(), 0);
}
