//! System calls that transfer less than requested, or fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use super::{Injection, LeakCheck, REVERSE, Trace, UPPERCASE, assert_serves, injected, load_time, strace};
use crate::harness::{
    Client, Daemon, DaemonBuilder, available, connection, frame, in_parallel, length_prefixed, listener,
};

/// Fault 23: a socket is reported ready, but read or write fails with EAGAIN.
#[test]
fn spurious_readiness_loses_nothing() {
    let daemon = Daemon::serving("frame", &["--workers=2"]);
    let leak_check = LeakCheck::begin(&daemon);
    let injections =
        ["recvfrom:error=EAGAIN:when=2+3", "sendto:error=EAGAIN:when=2+3", "sendmsg:error=EAGAIN:when=2+3"];
    let Some(injection) = Injection::into_workers(&daemon, 2, &injections) else { return };
    in_parallel(4, |_| {
        let mut client = daemon.connect("frame");
        (0..50).for_each(|_| assert_serves(&mut client));
        let text = vec![b'a'; 300_000];
        (0..5).for_each(|_| assert!(client.request(UPPERCASE, &text).iter().all(|byte| *byte == b'A')));
    });
    drop(injection);
    assert_eq!(leak_check.end(&daemon).answered, 220);
}

/// Fault 23: the smallest socket buffers, so that each send takes a few hundred bytes.
#[test]
fn short_sends_lose_nothing() {
    let daemon = Daemon::serving("frame", &["--workers=1", "--send-buffer=1"]);
    let leak_check = LeakCheck::begin(&daemon);
    let grows = "\u{390}x".repeat(20_000);
    let requests = [frame(REVERSE, &[b'r'; 5000]), frame(UPPERCASE, grows.as_bytes()), frame(9, b"?")].concat();
    let reply = grows.to_uppercase();
    let replies =
        [length_prefixed(&[b'r'; 5000]), length_prefixed(reply.as_bytes()), length_prefixed(b"error")].concat();
    in_parallel(4, |_| {
        let client = daemon.connect("frame");
        nix::sys::socket::setsockopt(&client.stream, nix::sys::socket::sockopt::RcvBuf, &1).expect("SO_RCVBUF");
        assert!(client.exchange(&requests.repeat(5)) == replies.repeat(5), "wrong replies");
    });
    let statistics = leak_check.end(&daemon);
    assert_eq!((statistics.answered, statistics.refused), (40, 20));
}

/// Fault 23: splice(2) moves nothing although there are bytes and room, or the system refuses a pipe.
#[test]
fn large_input_is_sent_back_although_splice_or_a_pipe_fails() {
    let input: Vec<u8> = (0..8 << 20).map(|at: u32| (at % 251) as u8).collect();
    for failing in ["splice:error=EAGAIN:when=2+3", "pipe2:error=EMFILE", "fcntl:error=EPERM"] {
        let daemon = Daemon::serving("echo", &["--workers=1"]);
        let leak_check = LeakCheck::begin(&daemon);
        let Some(injection) = Injection::into_workers(&daemon, 1, &[failing]) else { return };
        assert!(daemon.exchange("echo", &input) == input, "{failing}: other bytes");
        drop(injection);
        let statistics = leak_check.end(&daemon);
        assert_eq!((statistics.bytes_out, statistics.closed_for("finished")), (8 << 20, 2), "{failing}");
    }
}

/// A step of the event loop that takes long is named in the log, at the level of details only.
#[test]
fn long_iteration_is_logged_with_its_longest_step() {
    for (level, expected) in [("-vv", true), ("-v", false)] {
        let daemon = Daemon::serving("frame", &["--workers=1", level]);
        let mut client = daemon.connect("frame");
        assert_serves(&mut client);
        let Some(injection) = Injection::into_workers(&daemon, 1, &["sendto:delay_enter=20000"]) else { return };
        assert_serves(&mut client);
        drop(injection);
        assert_serves(&mut client);
        let named = format!("; its longest step: an event of frame {}, ", client.address());
        daemon.statistics_when(|statistics| statistics.answered == 3);
        let lines = daemon.log.all();
        let is_named = |line: &String| line.contains("worker 0: an iteration ") && line.contains(&named);
        assert_eq!(lines.iter().any(is_named), expected, "{lines:#?}");
    }
}

/// Fault 41: poll(2) fails again and again: the main thread does not spin, and does not log each failure.
#[test]
fn failing_poll_backs_off() {
    let daemon = Daemon::serving("frame", &["--workers=1"]);
    let leak_check = LeakCheck::begin(&daemon);
    let begun = Instant::now();
    let Some(trace) = Trace::of_thread(&daemon, "retortd", "poll", &["poll:error=ENOMEM"]) else { return };
    // signals are handled nevertheless
    for _ in 0..5 {
        daemon.statistics_when(|_| true);
        assert_serves(&mut daemon.connect("frame"));
    }
    let failed = trace.end().iter().filter(|call| call.contains("ENOMEM")).count();
    let most = begun.elapsed().as_millis() as usize / 100 + 1;
    assert!((2..=most).contains(&failed), "{failed} in {:?}", begun.elapsed());
    let lines = daemon.lines_with("cannot wait for signals");
    assert!((1..=1 + most / 600).contains(&lines), "{lines} lines");
    leak_check.end(&daemon);
}

/// Fault 24: an inherited socket that rejects socket options is served without them.
#[test]
fn rejected_options_of_inherited_socket_log_warning() {
    if !available("strace") {
        return;
    }
    let (listener, _) = listener();
    let words = strace(&["setsockopt:error=ENOPROTOOPT"]);
    let launch = DaemonBuilder::new(&["--recv-buffer=64K"]).with_sockets("frame", vec![listener.into()]).under(&words);
    let daemon = launch.start();
    for option in ["TCP_NODELAY", "SO_KEEPALIVE", "TCP_USER_TIMEOUT", "SO_RCVBUF"] {
        let words = format!("cannot set {option} on inherited frame=127.0.0.1:");
        let (_, line) = daemon.wait_for_line(0, &words);
        assert!(line.ends_with("; serving without it"), "{line}");
    }
    let leak_check = LeakCheck::begin(&daemon);
    assert_serves(&mut daemon.connect("frame"));
    leak_check.end(&daemon);
}

/// Fault 24: the connection of an `Accept=yes` unit rejects socket options.
#[test]
fn rejected_options_of_inherited_connection_log_warning() {
    if !available("strace") {
        return;
    }
    let (client, server) = connection();
    let words = strace(&["setsockopt:error=ENOPROTOOPT"]);
    let launch = DaemonBuilder::new(&["-v"]).with_sockets("connection", vec![server.into()]).under(&words);
    let mut daemon = launch.spawn();
    daemon.wait_for_line(0, "cannot set TCP_NODELAY on the inherited connection: Protocol not available");
    assert_eq!(Client::from_stream(client).exchange(&frame(REVERSE, b"abc")), length_prefixed(b"cba"));
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.last_statistics().answered, 1);
}

/// Fault 24: the daemon's own socket rejects socket options other than `SO_REUSEADDR`, which is required.
#[test]
fn rejected_options_of_own_socket_log_warning() {
    let Some(launch) = injected(&["setsockopt:error=ENOPROTOOPT:when=2+"], &[]) else { return };
    let daemon = launch.start();
    for option in ["TCP_NODELAY", "SO_KEEPALIVE", "TCP_USER_TIMEOUT"] {
        let (_, line) = daemon.wait_for_line(0, &format!("cannot set {option} on 127.0.0.1:"));
        assert!(line.ends_with("; serving without it"), "{line}");
    }
    let leak_check = LeakCheck::begin(&daemon);
    assert_serves(&mut daemon.connect("frame"));
    leak_check.end(&daemon);
}

/// Fault 3: a thousand signals per second, to all threads, one after another.
#[test]
fn signal_storm_at_every_thread_loses_nothing() {
    if !available("python3") {
        return;
    }
    let daemon = Daemon::serving("frame", &["--workers=2"]);
    let leak_check = LeakCheck::begin(&daemon);
    let mut storm = storm(&daemon);
    let over = AtomicBool::new(false);
    let sent: u64 = thread::scope(|scope| {
        let clients = scope.spawn(|| in_parallel(4, |_| request_until(&daemon, &over)));
        let ended = storm.wait().expect("wait for the storm");
        over.store(true, Ordering::Relaxed);
        assert!(ended.success(), "the storm of signals failed");
        clients.join().expect("a client failed").into_iter().sum()
    });
    assert!(sent > 100, "{sent} requests in total");
    assert_eq!(leak_check.end(&daemon).answered, sent);
    assert!(daemon.lines_with("reloaded") > 100, "few signals were handled");
}

/// Sends SIGHUP to one thread after another, 1000 per second; by Python, because nix has no tgkill(2).
fn storm(daemon: &Daemon) -> std::process::Child {
    const SCRIPT: &str = "import ctypes, os, sys, time\n\
        pid, count = int(sys.argv[1]), int(sys.argv[2]); libc = ctypes.CDLL(None)\n\
        threads = [int(thread) for thread in os.listdir(f'/proc/{pid}/task')]\n\
        begun = time.monotonic()\n\
        for number in range(count):\n\
        \u{20}   libc.tgkill(pid, threads[number % len(threads)], 1)\n\
        \u{20}   time.sleep(max(0, begun + number / 1000 - time.monotonic()))\n";
    let arguments = [daemon.pid.to_string(), load_time().as_millis().to_string()];
    std::process::Command::new("python3").args(["-c", SCRIPT]).args(arguments).spawn().expect("start python3")
}

fn request_until(daemon: &Daemon, over: &AtomicBool) -> u64 {
    let mut client = daemon.connect("frame");
    let large = vec![b'x'; 200_000];
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        (0..20).for_each(|_| assert_serves(&mut client));
        assert!(client.request(REVERSE, &large) == large);
        sent += 21;
    }
    sent
}
