//! Signals and faults during start and stop.

use std::io::Write;
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};

use super::{Injection, LeakCheck, REVERSE, SHUFFLE, assert_serves, available, injected, strace, wait_until};
use crate::harness::{Client, Daemon, DaemonBuilder, ONE_ORDER, frame, in_parallel, length_prefixed};

/// The system calls of a start, roughly in their order; a signal is injected into the first three of each.
const START: [&str; 14] = [
    "execve",
    "openat",
    "read",
    "fstat",
    "rt_sigaction",
    "eventfd2",
    "socket",
    "setsockopt",
    "bind",
    "listen",
    "prlimit64",
    "epoll_create1",
    "epoll_ctl",
    "clone3",
];

/// Fault 26: a signal at every point of the start.
#[test]
fn signal_at_any_point_of_start_stops() {
    for (call, signal) in START.into_iter().zip([Signal::SIGTERM, Signal::SIGINT].into_iter().cycle()) {
        for when in 1..=3 {
            let injection = format!("{call}:signal={signal}:when={when}");
            let Some(launch) = injected(&[&injection], &["--workers=2", "--drain-timeout=5s", "-v"]) else { return };
            let mut daemon = launch.spawn();
            // a system call that is made less often than `when` sends no signal
            let ready = |daemon: &Daemon| daemon.notices.all().iter().any(|notice| notice.contains("READY=1"));
            wait_until("ready or gone", || ready(&daemon) || daemon.has_exited());
            if !daemon.has_exited() && !daemon.notices.all().iter().any(|notice| notice.contains("STOPPING=1")) {
                daemon.signal(signal);
            }
            let code = daemon.wait_exit();
            // before its handlers are installed, signals have their default action
            let killed = 128 + signal as i32;
            assert!([0, killed].contains(&code), "{injection}: {code}: {}", daemon.log.text());
            let caught = ["bind", "listen", "epoll_create1", "epoll_ctl", "clone3"].contains(&call);
            assert!(!caught || code == 0, "{injection}: killed although signals are caught");
            assert!(code != 0 || daemon.last_statistics().open == 0, "{injection}");
        }
    }
}

/// Fault 26: other signals during the start and the drain.
#[test]
fn other_signals_during_start_and_drain_have_no_effect() {
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGPIPE] {
        for call in ["bind", "epoll_create1", "clone3"] {
            let injection = format!("{call}:signal={signal}:when=1");
            let Some(launch) = injected(&[&injection], &["--workers=2", "-v"]) else { return };
            let mut daemon = launch.start();
            let mut client = daemon.connect("frame");
            client.send(&frame(REVERSE, b"begun before the stop")[..8]);
            daemon.statistics_when(|statistics| statistics.bytes_in == 8);
            daemon.begin_drain();
            for _ in 0..20 {
                daemon.signal(signal);
            }
            assert!(client.is_silent(Duration::from_millis(100)), "the drain was cut short");
            client.send(&frame(REVERSE, b"begun before the stop")[8..]);
            assert_eq!(client.receive_frame(), b"pots eht erofeb nugeb");
            assert_eq!(daemon.wait_exit(), 0, "{injection}: {}", daemon.log.text());
            assert_eq!(daemon.last_statistics().answered, 1);
        }
    }
}

/// Fault 25: clients that send without end do not delay the stop.
#[test]
fn input_flood_does_not_delay_stop() {
    for (drain, within) in [("--drain-timeout=1s", 5), ("--drain-timeout=none", 5)] {
        let mut daemon = DaemonBuilder::new(&["--listen=discard=127.0.0.1:0", "--workers=1", drain, "-v"]).start();
        let address = daemon.address("discard");
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(move || {
                    let mut client = Client::connect(address);
                    let bytes = vec![b'x'; 1 << 20];
                    while client.stream.write_all(&bytes).is_ok() {}
                });
            }
            daemon.statistics_when(|statistics| statistics.bytes_in > 50 << 20);
            let begun = Instant::now();
            daemon.signal(Signal::SIGTERM);
            if drain.ends_with("none") {
                daemon.wait_for_notice(0, "STOPPING=1");
                let stopping = Instant::now();
                // a second signal within ONE_ORDER would count as the first
                wait_until("the exit, or the time for the second signal", || {
                    daemon.has_exited() || stopping.elapsed() > ONE_ORDER
                });
                let _ = kill(daemon.pid, Signal::SIGTERM);
            }
            assert_eq!(daemon.wait_exit(), 0);
            assert!(begun.elapsed() < Duration::from_secs(within), "{drain}: took {:?}", begun.elapsed());
        });
        daemon.last_statistics();
    }
}

/// Fault 25: a client that has sent something before each of the drain's reads, and then is silent.
#[test]
fn client_silent_after_drain_reads_does_not_delay_stop() {
    let mut daemon =
        DaemonBuilder::new(&["--listen=discard=127.0.0.1:0", "--workers=1", "--drain-timeout=none", "-v"]).start();
    let client = daemon.connect("discard");
    daemon.statistics_when(|statistics| statistics.open == 1);
    // 200 reads return data without an event
    let Some(injection) = Injection::into_workers(&daemon, 1, &["recvfrom:retval=100:when=1..200"]) else { return };
    assert_eq!(daemon.stop(), 0);
    let statistics = daemon.last_statistics();
    assert_eq!((statistics.bytes_in, statistics.closed_for("stopped")), (20_000, 1), "{statistics:?}");
    drop((client, injection));
}

/// Fault 29: a request that arrives after the signal, but before the worker handles the stop, gets its reply.
#[test]
fn request_arriving_with_sigterm_gets_its_reply() {
    let mut daemon = Daemon::serving("frame", &["--workers=1", "-v"]);
    let mut client = daemon.connect("frame");
    assert_serves(&mut client);
    let Some(frozen) = daemon.freeze("worker-0") else { return };
    daemon.begin_drain();
    client.send(&frame(REVERSE, b"just in time"));
    drop(frozen);
    assert_eq!(client.receive_all(), length_prefixed(b"emit ni tsuj"));
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.last_statistics().answered, 2);
}

/// Fault 29: a connection that one worker accepts and dispatches to another, which is draining already.
#[test]
fn connection_handed_to_other_worker_at_stop_is_served() {
    let mut daemon = Daemon::serving("frame", &["--workers=2", "-v"]);
    // both workers run
    in_parallel(8, |_| assert_serves(&mut daemon.connect("frame")));
    daemon.statistics_at_rest();
    let Some(frozen) = daemon.freeze("worker-0") else { return };
    let mut busy: Vec<Client> = (0..2).map(|_| daemon.connect("frame")).collect();
    busy.iter_mut().for_each(assert_serves);
    // worker 1 has two more connections than worker 0 now, and dispatches the next one to it
    let slow = ["accept4:delay_exit=500000:when=1"];
    let Some(injection) = Injection::into_threads(&daemon, &["worker-1"], &slow) else { return };
    let mut late = daemon.connect("frame");
    late.send(&frame(REVERSE, b"late"));
    assert!(late.is_silent(Duration::from_millis(150)));
    daemon.begin_drain();
    drop(frozen);
    assert_eq!(late.receive_all(), length_prefixed(b"etal"));
    assert_eq!(daemon.wait_exit(), 0);
    let statistics = daemon.last_statistics();
    assert_eq!((statistics.accepted, statistics.answered), (11, 11), "{statistics:?}");
    drop((busy, injection));
}

/// Fault 29: input after the stop must not cause a reset that discards a reply in the kernel's send buffer.
#[test]
fn input_after_stop_does_not_reset_last_reply() {
    let mut daemon = Daemon::serving("frame", &["--workers=1", "--send-buffer=1M", "-v"]);
    let mut client = daemon.connect("frame");
    setsockopt(&client.stream, sockopt::RcvBuf, &4096).expect("SO_RCVBUF");
    let text = vec![b'x'; 100_000];
    client.send(&frame(REVERSE, &text));
    daemon.statistics_when(|statistics| statistics.answered == 1);
    daemon.begin_drain();
    // the daemon half-closes, which the client cannot notice before it has read the reply
    thread::sleep(Duration::from_millis(50));
    client.send(b"too late");
    assert!(client.receive_all() == length_prefixed(&text), "the reply is not complete");
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.last_statistics().closed_for("stopped"), 1);
}

/// Fault 28: while a slow system call blocks a worker, the watchdog is not notified; afterwards it is again.
#[test]
fn watchdog_is_not_notified_while_worker_hangs() {
    if !available("strace") {
        return;
    }
    // every eighth epoll_wait, from the third on, returns a second late
    let words = strace(&["epoll_wait:delay_exit=1000000:when=3+8"]);
    let launch = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "--workers=1"]).env("WATCHDOG_USEC", "400000");
    let daemon = launch.under(&words).start();
    let (line, _) = daemon.wait_for_line(0, "a worker missed its heartbeat");
    let before = daemon.notices.len();
    daemon.wait_for_notice(before, "WATCHDOG=1");
    daemon.wait_for_line(line, "a worker missed its heartbeat");
    let descriptors = daemon.descriptors();
    assert_serves(&mut daemon.connect("frame"));
    assert_eq!(daemon.statistics_at_rest().answered, 1);
    wait_until("descriptors are back", || daemon.descriptors() <= descriptors);
}

/// Fault 25: every request that was read gets its reply, whenever the signal arrives.
#[test]
fn drain_at_any_moment_replies_to_every_request_read() {
    for attempt in 0..10 {
        let mut daemon = Daemon::serving("frame", &["-v", "--workers=2"]);
        let received: u64 = thread::scope(|scope| {
            let clients = scope.spawn(|| in_parallel(6, |number| request_until_closed(&daemon, number)));
            daemon.statistics_when(|statistics| statistics.answered > 300 + 150 * attempt);
            daemon.signal(Signal::SIGTERM);
            clients.join().expect("a client failed").into_iter().sum()
        });
        assert_eq!(daemon.wait_exit(), 0);
        let statistics = daemon.last_statistics();
        assert_eq!((statistics.answered, statistics.abandoned), (received, 0), "{statistics:?}");
    }
}

fn request_until_closed(daemon: &Daemon, number: usize) -> u64 {
    let mut client = daemon.connect("frame");
    let text = vec![b'x'; 1 + number * 30_000];
    // the larger ones are offloaded
    let request = frame(if number < 3 { REVERSE } else { SHUFFLE }, &text);
    let mut replies = 0;
    while client.stream.write_all(&request).is_ok() {
        let mut header = [0; 4];
        let mut reply = vec![0; text.len()];
        let read = std::io::Read::read_exact(&mut client.stream, &mut header);
        if read.and_then(|()| std::io::Read::read_exact(&mut client.stream, &mut reply)).is_err() {
            break;
        }
        replies += 1;
    }
    replies
}

/// Fault 7, with a reload: a lower budget blocks no request that waits for memory.
#[test]
fn lowered_budget_hangs_no_waiting_request() {
    let directory = crate::harness::Directory::new();
    let file = directory.write("settings", "RETORTD_MAX_BUFFERED=16M\n");
    let daemon = Daemon::serving("frame", &["--settings", &file, "--workers=1", "--request-timeout=3s"]);
    let leak_check = LeakCheck::begin(&daemon);
    let request = frame(REVERSE, &vec![b'x'; 7 << 20]);
    let (first, rest) = request.split_at(2 << 20);
    let mut clients: Vec<Client> = (0..8).map(|_| daemon.connect("frame")).collect();
    thread::scope(|scope| {
        for client in &mut clients {
            // fails if the connection is closed before
            scope.spawn(|| drop(client.stream.write_all(first)));
        }
        // one request has all the memory that it needs, and the others wait
        daemon.statistics_when(|statistics| statistics.bytes_in > 6 << 20);
        directory.write("settings", "RETORTD_MAX_BUFFERED=4M\n");
        daemon.reload();
    });
    thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| {
                // served, rejected, or closed for want of memory, but not left waiting
                let sent = client.stream.write_all(rest).and_then(|()| client.stream.shutdown(Shutdown::Write));
                let reply = client.wait_closed();
                assert!(sent.is_err() || [0, 9, request.len()].contains(&reply.len()), "{} bytes", reply.len());
            });
        }
    });
    drop(clients);
    assert_serves(&mut daemon.connect("frame"));
    leak_check.end(&daemon);
}
