//! Errors of accept(2), the backlog, and the limits on connections.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Injection, LeakCheck, SHUFFLE, UPPERCASE, assert_serves, available, injected, wait_until};
use crate::harness::{Client, Daemon, DaemonBuilder, frame, in_parallel, length_prefixed};
use crate::headers::TCP4;

/// Fault 1: accept4(2) fails for want of descriptors or memory, for a while.
#[test]
fn accept_backs_off_and_recovers_from_resource_errors() {
    for (error, words) in [
        ("EMFILE", "Too many open files"),
        ("ENFILE", "Too many open files in system"),
        ("ENOBUFS", "No buffer space available"),
        ("ENOMEM", "Cannot allocate memory"),
    ] {
        let daemon = Daemon::serving("frame", &["--workers=1", "-v"]);
        let leak_check = LeakCheck::begin(&daemon);
        let injection = format!("accept4:error={error}:when=2..5");
        let Some(injection) = Injection::into_workers(&daemon, 1, &[&injection]) else { return };
        let mut served = daemon.connect("frame");
        assert_serves(&mut served);
        let mut late = daemon.connect("frame");
        daemon.wait_for_line(0, words);
        assert_serves(&mut served);
        assert_serves(&mut late);
        daemon.wait_for_line(0, "accepting on frame=");
        drop((served, late, injection));
        let statistics = leak_check.end(&daemon);
        assert_eq!((statistics.accepted, statistics.accept_paused), (3, 4), "{error}: {statistics:?}");
        assert_eq!(daemon.lines_with("cannot accept on"), 1, "{error}: logged more than once");
    }
}

/// The daemon logs the end of a condition after [`QUIET`] without an occurrence, and while it lasts one line per
/// [`INTERVAL`] (`server::condition`).
const QUIET: Duration = Duration::from_secs(2);
const INTERVAL: Duration = Duration::from_secs(60);

/// The maximum number of lines of each kind about a condition that began at `begun` or later.
fn most_lines(begun: Instant) -> usize {
    1 + usize::try_from(begun.elapsed().as_secs() / INTERVAL.as_secs()).expect("a short time")
}

/// The number of occurrences in the line about the end of a condition: `again (3 times in 0.4 s)`.
fn times_in(line: &str) -> Option<u64> {
    line.split_once("again (").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
}

/// Fault 41: an error that recurs is logged once, and its end after some time without it.
#[test]
fn intermittent_accept_errors_are_logged_once() {
    let daemon = Daemon::serving("frame", &["--workers=1"]);
    let leak_check = LeakCheck::begin(&daemon);
    let Some(injection) = Injection::into_workers(&daemon, 1, &["accept4:error=EMFILE:when=1+2"]) else { return };
    let begun = Instant::now();
    for _ in 0..10 {
        assert_serves(&mut daemon.connect("frame"));
    }
    let took = begun.elapsed();
    drop(injection);
    let (_, end) = daemon.wait_for_line(0, "accepting on frame=");
    let statistics = leak_check.end(&daemon);
    assert!(statistics.accept_paused >= 10, "{statistics:?}");
    // an error after a longer pause begins another condition: a slow machine may have caused one
    let counted = times_in(&end);
    assert!(
        counted == Some(statistics.accept_paused) || took >= QUIET && counted < Some(statistics.accept_paused),
        "{end}"
    );
    let most = most_lines(begun);
    for words in ["cannot accept on", "accepting on"] {
        assert!(daemon.lines_with(words) <= most, "{}", daemon.log.text());
    }
}

/// Fault 1: without a back-off, accept4(2) would fail half a million times per second.
#[test]
fn persistent_emfile_does_not_spin() {
    let daemon = Daemon::serving("frame", &["--workers=1"]);
    let leak_check = LeakCheck::begin(&daemon);
    let mut served = daemon.connect("frame");
    assert_serves(&mut served);
    let Some(injection) = Injection::into_workers(&daemon, 1, &["accept4:error=EMFILE"]) else { return };
    let mut waiting = daemon.connect("frame");
    daemon.wait_for_line(0, "cannot accept on");
    let paused = || daemon.statistics_when(|_| true).accept_paused;
    let (before, begun) = (paused(), Instant::now());
    assert!(waiting.is_silent(Duration::from_secs(1)));
    let tries = paused() - before;
    let most = begun.elapsed().as_millis() as u64 / 100 + 2;
    assert!((5..=most).contains(&tries), "{tries} tries in {:?}", begun.elapsed());
    // the back-off must not delay requests of open connections
    let before = paused();
    (0..100).for_each(|_| assert_serves(&mut served));
    assert!(paused() - before < 100, "accept4 was called for each request of an open connection");
    drop((served, waiting, injection));
    leak_check.end(&daemon);
}

/// Fault 1: the limit on descriptors is lowered below the number in use.
#[test]
fn descriptor_exhaustion_does_not_affect_open_connections() {
    if !available("prlimit") {
        return;
    }
    let daemon = Daemon::serving("frame", &["--workers=2", "-v"]);
    let leak_check = LeakCheck::begin(&daemon);
    let mut served: Vec<Client> = (0..20).map(|_| daemon.connect("frame")).collect();
    served.iter_mut().for_each(assert_serves);
    let limit = |files: usize| {
        let pid = format!("--pid={}", daemon.pid);
        let set = std::process::Command::new("prlimit").args([&pid, &format!("--nofile={files}:")]).status();
        assert!(set.is_ok_and(|status| status.success()), "prlimit failed");
    };
    limit(daemon.descriptors());
    let mut late: Vec<Client> = (0..5).map(|_| daemon.connect("frame")).collect();
    daemon.wait_for_line(0, "Too many open files");
    served.iter_mut().for_each(assert_serves);
    // a connection that is closed makes room for one that waits
    served.truncate(15);
    late.iter_mut().for_each(assert_serves);
    daemon.wait_for_line(0, "accepting on frame=");
    drop((served, late));
    assert_eq!(leak_check.end(&daemon).closed_for("finished"), 26);
}

/// Fault 2: errors of accept4(2) that concern one client must not affect the next one.
#[test]
fn lost_clients_of_failed_accepts_are_counted() {
    for error in ["ECONNABORTED", "EPROTO", "ENETDOWN", "EPERM", "EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ENONET"] {
        // lost clients must not count for the limit
        let daemon = Daemon::serving("frame", &["--workers=1", "--max-connections=6"]);
        let leak_check = LeakCheck::begin(&daemon);
        let injection = format!("accept4:error={error}:when=2..5");
        let Some(injection) = Injection::into_workers(&daemon, 1, &[&injection]) else { return };
        let mut clients: Vec<Client> = (0..3).map(|_| daemon.connect("frame")).collect();
        clients.iter_mut().for_each(assert_serves);
        drop((clients, injection));
        let statistics = leak_check.end(&daemon);
        assert_eq!((statistics.accepted, statistics.accept_lost), (4, 4), "{error}: {statistics:?}");
        assert_eq!(daemon.unasked_lines(), [""; 0], "{error}");
    }
}

/// Fault 2: an error that does not dequeue the client repeats at once, such as the denial of a security module.
#[test]
fn persistent_eperm_does_not_spin() {
    let daemon = Daemon::serving("frame", &["--workers=1"]);
    let leak_check = LeakCheck::begin(&daemon);
    let Some(injection) = Injection::into_workers(&daemon, 1, &["accept4:error=EPERM"]) else { return };
    let mut waiting = daemon.connect("frame");
    assert!(waiting.is_silent(Duration::from_secs(1)));
    let lost = daemon.statistics_when(|_| true).accept_lost;
    assert!((10..1500).contains(&lost), "{lost} attempts in a second");
    drop(injection);
    assert_serves(&mut waiting);
    // the series has ended: a single error later causes no back-off
    let Some(injection) = Injection::into_workers(&daemon, 1, &["accept4:error=EPERM:when=1"]) else { return };
    assert_serves(&mut daemon.connect("frame"));
    drop((waiting, injection));
    assert_eq!(leak_check.end(&daemon).accepted, 3);
    assert_eq!(daemon.lines_with("cannot accept on"), 1, "{}", daemon.log.text());
}

/// Fault 3: system calls fail with EINTR.
#[test]
fn interrupted_system_calls_are_retried() {
    // without read(2) and write(2) on eventfds, which are non-blocking and so never interrupted
    let calls = ["accept4", "epoll_wait", "recvfrom", "sendto", "sendmsg", "writev", "poll"];
    let injections: Vec<String> = calls.iter().map(|call| format!("{call}:error=EINTR:when=4+3")).collect();
    let injections: Vec<&str> = injections.iter().map(String::as_str).collect();
    let Some(launch) = injected(&injections, &["--workers=2"]) else { return };
    let mut daemon = launch.start();
    let leak_check = LeakCheck::begin(&daemon);
    in_parallel(4, |_| {
        let mut client = daemon.connect("frame");
        (0..100).for_each(|_| assert_serves(&mut client));
        let large = vec![b'x'; 300_000];
        assert!(client.request(UPPERCASE, &large).iter().all(|byte| *byte == b'X'));
    });
    assert_eq!(leak_check.end(&daemon).answered, 404);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(daemon.unasked_lines(), [""; 0]);
}

/// Fault 4: a client resets its connection before it is accepted, so that only accept4 tells its address.
#[test]
fn reset_before_accept_is_counted_as_reset() {
    let daemon = Daemon::serving("frame", &["-vv", "--max-per-source=100"]);
    let leak_check = LeakCheck::begin(&daemon);
    daemon.pause();
    let clients: Vec<Client> = (0..10).map(|_| daemon.connect("frame")).collect();
    let address = clients[9].address();
    clients.into_iter().for_each(Client::reset);
    daemon.signal(Signal::SIGCONT);
    assert_serves(&mut daemon.connect("frame"));
    let statistics = leak_check.end(&daemon);
    assert_eq!((statistics.accepted, statistics.closed_for("reset")), (12, 10), "{statistics:?}");
    daemon.wait_for_line(0, &format!("frame {address}: closed: reset"));
}

/// Fault 4: such a client is judged as others are, at the accept as behind its header.
#[test]
fn reset_before_accept_leaves_the_address_for_lists_and_headers() {
    for (option, header, argument, reason) in [
        ("", &b""[..], "--allow=127.0.0.1", "reset"),
        ("", b"", "--deny=127.0.0.1", "denied"),
        ("", b"", "--max-rate-per-source=100", "reset"),
        (",proxy", TCP4, "--proxy-from=127.0.0.1", "reset"),
        (",proxy", TCP4, "--proxy-from=192.0.2.0/24", "proxy-untrusted"),
        (",proxy", TCP4, "--allow=192.0.2.10", "reset"),
        (",proxy", TCP4, "--deny=192.0.2.10", "denied"),
        (",proxy", b"PROXY UNKNOWN\r\n", "--deny=127.0.0.1", "denied"),
    ] {
        let daemon = DaemonBuilder::new(&[&format!("--listen=frame=127.0.0.1:0{option}"), argument]).start();
        daemon.pause();
        for _ in 0..10 {
            let mut client = daemon.connect("frame");
            client.send(&[header, &frame(UPPERCASE, b"in")].concat());
            client.reset();
        }
        daemon.signal(Signal::SIGCONT);
        let statistics = daemon.statistics_when(|statistics| statistics.closed == 10);
        let requests = if reason == "reset" { 10 } else { 0 };
        let seen = (statistics.closed_for(reason), statistics.requests);
        assert_eq!(seen, (10, requests), "{option} {argument}: {statistics:?}");
    }
}

/// Returns whether a new client gets its reply. False: the kernel reset the connection before the daemon accepted it.
fn is_served(daemon: &Daemon) -> bool {
    let mut stream = daemon.connect("frame").stream;
    let mut reply = [0; 6];
    match stream.write_all(&frame(UPPERCASE, b"hi")).and_then(|()| stream.read_exact(&mut reply)) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
        result => result.expect("a reply"),
    }
    assert_eq!(reply, *length_prefixed(b"HI"));
    true
}

/// Fault 5: more clients than the accept queue holds; the kernel retries their handshakes.
#[test]
fn backlog_overflow_recovers() {
    let daemon = Daemon::serving("frame", &["--backlog=4", "--workers=1"]);
    let leak_check = LeakCheck::begin(&daemon);
    let before = overflows();
    daemon.pause();
    std::thread::scope(|scope| {
        let crowd = scope.spawn(|| in_parallel(30, |_| while !is_served(&daemon) {}));
        wait_until("the queue overflows", || overflows() > before);
        daemon.signal(Signal::SIGCONT);
        crowd.join().expect("a client was not served");
    });
    assert_eq!(leak_check.end(&daemon).answered, 30);
}

/// The number of connections that the kernel has rejected because an accept queue was full (/proc/net/netstat).
fn overflows() -> u64 {
    let table = std::fs::read_to_string("/proc/net/netstat").expect("read /proc/net/netstat");
    let mut rows = table.lines().filter_map(|line| line.strip_prefix("TcpExt:")).map(str::split_whitespace);
    let (names, values) = (rows.next().expect("names"), rows.next().expect("values"));
    let value = names.zip(values).find(|(name, _)| *name == "ListenOverflows").map(|(_, value)| value.parse());
    value.expect("ListenOverflows").expect("a number")
}

/// Fault 6: `epoll_ctl(2)` fails for one connection.
#[test]
fn failed_epoll_add_closes_only_that_connection() {
    for error in ["ENOSPC", "ENOMEM"] {
        let daemon = Daemon::serving("frame", &["--workers=1"]);
        let leak_check = LeakCheck::begin(&daemon);
        let injection = format!("epoll_ctl:error={error}:when=2");
        let Some(injection) = Injection::into_workers(&daemon, 1, &[&injection]) else { return };
        let mut first = daemon.connect("frame");
        assert_serves(&mut first);
        let mut unlucky = daemon.connect("frame");
        assert_eq!(unlucky.wait_closed(), b"");
        let mut third = daemon.connect("frame");
        assert_serves(&mut third);
        assert_serves(&mut first);
        drop((first, third, injection));
        let statistics = leak_check.end(&daemon);
        assert_eq!((statistics.accepted, statistics.closed_for("resources")), (4, 1), "{statistics:?}");
        daemon.wait_for_line(0, "cannot watch the connection");
    }
}

/// Fault 6: `epoll_ctl(2)` fails when the interest of a connection changes.
#[test]
fn failed_epoll_modify_closes_only_that_connection() {
    let daemon = Daemon::serving("frame", &["--workers=1"]);
    let leak_check = LeakCheck::begin(&daemon);
    let Some(injection) = Injection::into_workers(&daemon, 1, &["epoll_ctl:error=ENOMEM:when=3"]) else { return };
    let mut first = daemon.connect("frame");
    assert_serves(&mut first);
    let mut unlucky = daemon.connect("frame");
    // an offloaded request: the connection is not read from meanwhile, so its interest changes
    unlucky.send(&frame(SHUFFLE, &vec![b'x'; 100_000]));
    assert_eq!(unlucky.wait_closed(), b"");
    assert_serves(&mut first);
    drop((first, injection));
    let statistics = leak_check.end(&daemon);
    assert_eq!((statistics.closed_for("resources"), statistics.abandoned), (1, 1), "{statistics:?}");
}

/// Fault 6: `epoll_ctl(2)` fails when a listener is to be added again.
#[test]
fn failed_epoll_add_of_listener_is_retried() {
    let daemon = Daemon::serving("frame", &["--workers=1", "--max-connections=1"]);
    let leak_check = LeakCheck::begin(&daemon);
    // the first call adds the client, the second removes the listener at the limit, the third adds it again
    let Some(injection) = Injection::into_workers(&daemon, 1, &["epoll_ctl:error=ENOSPC:when=3..7"]) else { return };
    let mut served = daemon.connect("frame");
    assert_serves(&mut served);
    let mut waiting = daemon.connect("frame");
    daemon.wait_for_line(0, "as many as allowed");
    // the line may be about LeakCheck's client, and is not repeated within a minute; so wait, too
    assert!(waiting.is_silent(Duration::from_secs(1)));
    let begun = Instant::now();
    drop(served);
    assert_serves(&mut waiting);
    // five failures with a back-off between them
    assert!((400..3000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    drop((waiting, injection));
    assert_eq!(leak_check.end(&daemon).accepted, 3);
}

/// Fault 41: clients that connect and close at the limit are one condition: one line when it begins, and one when it
/// has ended, although nothing else wakes the daemon then.
#[test]
fn connection_limit_reached_repeatedly_is_logged_once() {
    let launch = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "--max-connections=2", "--workers=2", "-vv"]);
    let daemon = launch.under(&["env", "--unset=NOTIFY_SOCKET"]).start_by_log();
    let begun = Instant::now();
    in_parallel(20, |_| (0..20).for_each(|_| assert_serves(&mut daemon.connect("frame"))));
    let took = begun.elapsed();
    let (_, end) = daemon.wait_for_line(0, "there is room for connections again (");
    assert!(times_in(&end) > Some(10) || took >= QUIET, "the limit was not reached: {end}");
    for words in ["there are 2 connections, as many as allowed", "there is room for connections again"] {
        assert!(daemon.lines_with(words) <= most_lines(begun), "{}", daemon.log.text());
    }
}

/// Fault 9: no thread can be started for offloaded requests; the workers process them.
#[test]
fn offloaded_requests_run_inline_without_threads() {
    let daemon = Daemon::serving("frame", &["--workers=2"]);
    let leak_check = LeakCheck::begin(&daemon);
    let Some(injection) = Injection::into_workers(&daemon, 2, &["clone3:error=EAGAIN"]) else { return };
    let text = vec![b'a'; 200_000];
    in_parallel(8, |_| {
        let mut client = daemon.connect("frame");
        (0..20).for_each(|_| assert!(client.request(SHUFFLE, &text) == text));
    });
    daemon.wait_for_line(0, "cannot start a thread for a large message");
    drop(injection);
    assert_eq!(leak_check.end(&daemon).answered, 160);
}

/// Fault 9: a resource that the daemon needs is missing at start.
#[test]
fn failed_start_exits_71_and_names_cause() {
    for (injection, words) in [
        ("clone3:error=EAGAIN:when=2", "cannot start a worker thread: Resource temporarily unavailable"),
        ("epoll_create1:error=EMFILE:when=2", "cannot set up epoll: Too many open files"),
        ("eventfd2:error=ENFILE:when=1", "cannot catch signals: "),
        ("eventfd2:error=ENFILE:when=3", "cannot create an eventfd: Too many open files in system"),
    ] {
        let Some(launch) = injected(&[injection], &["--workers=2"]) else { return };
        let finished = launch.finish();
        assert_eq!(finished.code, 71, "{injection}: {}", finished.log);
        assert!(finished.log.contains(words), "{injection}: {}", finished.log);
    }
}
