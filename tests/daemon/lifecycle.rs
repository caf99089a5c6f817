//! From start to exit: signals, drain, reload, and notification of the service manager.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::action::{REVERSE, SHUFFLE, UNKNOWN, UPPERCASE};
use crate::harness::{
    Client, DEADLINE, Daemon, DaemonBuilder, Directory, LeakCheck, ONE_ORDER, SetWhenDropped, frame, in_parallel,
    length_prefixed, listener, wait_until,
};
use nix::sys::signal::Signal;

#[test]
fn sigterm_and_sigint_exit_0_within_a_second_when_idle() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = Daemon::serving("frame", &[]);
        let silent = daemon.connect("frame");
        let mut served = daemon.connect("frame");
        assert_eq!(served.request(UPPERCASE, b"x"), b"X");
        let begun = Instant::now();
        daemon.signal(signal);
        assert_eq!(daemon.wait_exit(), 0);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(daemon.log.text(), "");
        drop(silent);
    }
}

/// Sends requests without pause, `depth` at a time, until the connection is closed; returns the number of replies.
fn request_until_closed(daemon: &Daemon, depth: usize, warm: &AtomicU64) -> u64 {
    let mut client = daemon.connect("frame");
    let requests = frame(REVERSE, b"abc").repeat(depth);
    let mut received = Vec::new();
    let expect = length_prefixed(b"cba");
    while std::io::Write::write_all(&mut client.stream, &requests).is_ok() {
        let mut bytes = [0; 4096];
        match std::io::Read::read(&mut client.stream, &mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(length) => received.extend_from_slice(&bytes[..length]),
        }
        warm.fetch_add(1, Ordering::Relaxed);
    }
    received.extend(client.wait_closed());
    assert!(received.chunks(expect.len()).all(|reply| reply == expect), "a reply is not complete");
    (received.len() / expect.len()) as u64
}

#[test]
fn drain_under_load_replies_to_every_request_read() {
    let mut daemon = Daemon::serving("frame", &["-v", "--workers=2"]);
    let warm = AtomicU64::new(0);
    let received: u64 = thread::scope(|scope| {
        let clients = scope.spawn(|| in_parallel(16, |number| request_until_closed(&daemon, 1 + 4 * number, &warm)));
        wait_until("2000 replies", || warm.load(Ordering::Relaxed) >= 2000);
        daemon.signal(Signal::SIGTERM);
        clients.join().expect("a client failed").into_iter().sum()
    });
    assert_eq!(daemon.wait_exit(), 0);
    let statistics = daemon.last_statistics();
    assert!(received > 2000, "{received}");
    assert_eq!((statistics.answered, statistics.abandoned, statistics.open), (received, 0, 0), "{statistics:?}");
    assert_eq!(statistics.requests, received);
    assert_eq!(statistics.closed_for("stopped"), statistics.closed, "{statistics:?}");
}

/// A client that has sent the first ten bytes of a request, which the daemon has read.
fn client_within(daemon: &Daemon, request: &[u8]) -> Client {
    let mut client = daemon.connect("frame");
    client.send(&request[..10]);
    daemon.statistics_when(|statistics| statistics.bytes_in == 10);
    client
}

#[test]
fn drain_completes_partial_request() {
    let mut daemon = Daemon::serving("frame", &["-v"]);
    let request = frame(REVERSE, b"The LAN Before Time");
    let mut client = client_within(&daemon, &request);
    daemon.begin_drain();
    client.send(&request[10..]);
    assert_eq!(client.receive_all(), length_prefixed(b"emiT erofeB NAL ehT"));
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.last_statistics().closed_for("stopped"), 1);
}

#[test]
fn drain_completes_offloaded_request() {
    let mut daemon = Daemon::serving("frame", &["-v"]);
    let mut client = daemon.connect("frame");
    let text = vec![b'x'; 2 << 20];
    client.send(&frame(SHUFFLE, &text));
    daemon.statistics_when(|statistics| statistics.requests == 1);
    daemon.signal(Signal::SIGTERM);
    assert!(client.receive_all() == length_prefixed(&text), "the reply is not complete");
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.last_statistics().answered, 1);
}

#[test]
fn drain_completes_reply_to_slow_reader() {
    let mut daemon = Daemon::serving("frame", &["-v"]);
    let mut client = daemon.connect("frame");
    let text = vec![b'x'; 32 << 20];
    client.send(&frame(REVERSE, &text));
    let first = client.receive(4);
    daemon.begin_drain();
    assert!(!daemon.has_exited());
    assert!([first, client.receive_all()].concat() == length_prefixed(&text), "the reply is not complete");
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.last_statistics().answered, 1);
}

#[test]
fn drain_timeout_closes_partial_request() {
    let mut daemon = Daemon::serving("frame", &["-v", "--drain-timeout=300ms"]);
    let mut client = client_within(&daemon, &frame(REVERSE, b"never complete"));
    let begun = Instant::now();
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait_exit(), 0);
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    assert_eq!(client.wait_closed(), b"");
    assert_eq!(daemon.last_statistics().closed_for("forced"), 1);
}

#[test]
fn second_sigterm_or_sigint_stops_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = Daemon::serving("frame", &["-v", "--drain-timeout=none"]);
        let mut client = client_within(&daemon, &frame(REVERSE, b"never complete"));
        daemon.begin_drain();
        // it drains for longer than the time within which signals count as one
        assert!(client.is_silent(ONE_ORDER + Duration::from_millis(100)) && !daemon.has_exited());
        daemon.signal(signal);
        assert_eq!(daemon.wait_exit(), 0);
        daemon.wait_for_line(0, "received another SIGTERM or SIGINT: stopping at once");
        assert_eq!(daemon.last_statistics().closed_for("forced"), 1);
    }
}

/// A client of `echo` that sends until the daemon takes no more, because it reads no reply.
fn echo_client_that_does_not_read(daemon: &Daemon) -> Client {
    let client = daemon.connect("echo");
    wait_until("full buffers", || {
        let before = daemon.statistics_when(|_| true).bytes_in;
        while client.send_what_fits(&[b'x'; 16 << 10]) > 0 {}
        before > 0 && daemon.statistics_when(|_| true).bytes_in == before
    });
    client
}

/// Without -v, because a user at the terminal has to know why the daemon goes on.
#[test]
fn stop_that_waits_logs_at_once_what_for_how_long_and_how_to_end_it() {
    for (timeout, time) in [
        ("50s", "for at most 50s (--drain-timeout)"),
        ("900ms", "for at most 900ms (--drain-timeout)"),
        ("none", "without a limit (--drain-timeout=none)"),
    ] {
        let mut daemon = Daemon::serving("frame", &[&format!("--drain-timeout={timeout}")]);
        let (_silent, mut partial, mut unread) =
            (daemon.connect("frame"), daemon.connect("frame"), daemon.connect("frame"));
        partial.send(&frame(REVERSE, b"never complete")[..10]);
        unread.send(&frame(REVERSE, &vec![b'x'; 32 << 20]));
        daemon.statistics_when(|statistics| statistics.requests == 1 && statistics.open == 3);
        let before = daemon.log.len();
        daemon.signal(Signal::SIGINT);
        let (after, line) = daemon.wait_for_line(before, "stopping");
        let words = format!(
            "retortd: stopping: waiting {time} for 2 connections with requests or replies pending; another SIGTERM or \
             SIGINT (Ctrl-C), a second or more later, stops at once"
        );
        assert!(line.ends_with(&words), "{line}");
        if timeout == "900ms" {
            assert_eq!(daemon.wait_exit(), 0);
            continue;
        }
        daemon.stop_now();
        assert_eq!(daemon.wait_exit(), 0);
        daemon.log.wait_closed();
        let later = &daemon.log.all()[after..];
        assert!(matches!(later, [line] if line.ends_with("stopping at once")), "{later:?}");
    }
}

#[test]
fn stop_waits_for_replies_of_protocols_without_requests() {
    let daemon = Daemon::serving("echo", &[]);
    let _client = echo_client_that_does_not_read(&daemon);
    let before = daemon.log.len();
    daemon.signal(Signal::SIGINT);
    daemon.wait_for_line(before, "for 1 connection with requests or replies pending; ");
}

/// The client is in the accept queue when the drain begins.
#[test]
fn stop_that_begins_to_wait_later_logs_that_then() {
    let daemon = Daemon::serving("frame", &[]);
    daemon.pause();
    let mut client = daemon.connect("frame");
    client.send(&frame(REVERSE, b"never complete")[..10]);
    daemon.signal(Signal::SIGTERM);
    daemon.signal(Signal::SIGCONT);
    daemon.wait_for_line(0, "for 1 connection with requests or replies pending; ");
}

#[test]
fn second_signal_that_comes_too_early_is_logged() {
    let mut daemon = Daemon::serving("frame", &["--drain-timeout=none"]);
    let request = frame(REVERSE, b"one order");
    let mut client = client_within(&daemon, &request);
    daemon.signal_at_once(&[Signal::SIGINT, Signal::SIGTERM]);
    daemon.wait_for_line(
        0,
        "SIGTERM or SIGINT ignored: less than a second after the last; send it again to stop at once",
    );
    client.send(&request[10..]);
    assert_eq!(client.receive_all(), length_prefixed(b"redro eno"));
    assert_eq!(daemon.wait_exit(), 0);
}

/// Fault 39: two signals at one moment, as timeout(1) sends them.
#[test]
fn simultaneous_signals_count_as_one() {
    let mut daemon = Daemon::serving("frame", &["-v", "--drain-timeout=none"]);
    let request = frame(REVERSE, b"one order");
    let mut client = client_within(&daemon, &request);
    // like timeout(1), and with another signal, which the kernel cannot merge with the first
    for signal in [Signal::SIGTERM, Signal::SIGTERM, Signal::SIGINT] {
        daemon.signal(signal);
    }
    daemon.wait_for_notice(0, "STOPPING=1");
    daemon.statistics_when(|statistics| statistics.open == 1);
    client.send(&request[10..]);
    assert_eq!(client.receive_all(), length_prefixed(b"redro eno"));
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.last_statistics().closed_for("stopped"), 1);
    assert!(!daemon.log.text().contains("received another SIGTERM or SIGINT"), "{}", daemon.log.text());
}

#[test]
fn clients_in_accept_queue_at_sigterm_are_served() {
    let mut daemon = Daemon::serving("frame", &["-v", "--workers=2"]);
    // suspended, so that all clients are in the accept queue when the signal arrives
    daemon.pause();
    let mut clients: Vec<Client> = (0..50).map(|_| daemon.connect("frame")).collect();
    // before the grace period begins: this test may get less of the CPU than the daemon
    for client in &mut clients {
        client.send(&frame(UPPERCASE, b"late"));
    }
    daemon.signal(Signal::SIGTERM);
    daemon.signal(Signal::SIGCONT);
    daemon.wait_for_notice(0, "STOPPING=1");
    for client in &mut clients {
        assert_eq!(client.receive_frame(), b"LATE");
    }
    assert_eq!(daemon.wait_exit(), 0);
    let statistics = daemon.last_statistics();
    assert_eq!((statistics.accepted, statistics.answered), (50, 50));
}

/// Clients that connect, and send a request, after the stop was sent to the only worker, and before it handles it.
/// None: threads cannot be frozen here.
fn connect_late(daemon: &Daemon, address: std::net::SocketAddr) -> Option<Vec<Client>> {
    // a thread sets its name itself: it has done so when it replies
    assert_eq!(Client::connect(address).request(UPPERCASE, b"x"), b"X");
    let frozen = daemon.freeze("worker-0")?;
    daemon.begin_drain();
    let mut clients: Vec<Client> = (0..50).map(|_| Client::connect(address)).collect();
    for client in &mut clients {
        client.send(&frame(UPPERCASE, b"late"));
    }
    drop(frozen);
    Some(clients)
}

#[test]
fn own_listener_is_emptied_before_close() {
    let mut daemon = Daemon::serving("frame", &["-v", "--workers=1"]);
    let Some(mut clients) = connect_late(&daemon, daemon.address("frame")) else { return };
    for client in &mut clients {
        assert_eq!(client.receive_frame(), b"LATE");
    }
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.last_statistics().answered, 51);
}

#[test]
fn inherited_listener_queue_is_left_to_next_instance() {
    let (listener, address) = listener();
    let launch = |socket: std::net::TcpListener| {
        DaemonBuilder::new(&["-v", "--workers=1"]).with_sockets("frame", vec![socket.into()]).start()
    };
    let mut daemon = launch(listener.try_clone().expect("a copy of the listener"));
    let Some(mut clients) = connect_late(&daemon, address) else { return };
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.last_statistics().accepted, 1);
    let _successor = launch(listener);
    for client in &mut clients {
        assert_eq!(client.receive_frame(), b"LATE");
    }
}

#[test]
fn restarts_on_inherited_socket_lose_no_connection() {
    let (listener, address) = listener();
    let start = || {
        let socket = listener.try_clone().expect("a copy of the listener");
        DaemonBuilder::new(&["-v"]).with_sockets("frame", vec![socket.into()]).start()
    };
    let over = AtomicBool::new(false);
    let request_until_over = |_| {
        let mut sent = 0;
        while !over.load(Ordering::Relaxed) {
            assert_eq!(Client::connect(address).request(UPPERCASE, b"x"), b"X");
            sent += 1;
        }
        sent
    };
    let (served, sent) = thread::scope(|scope| {
        let clients = scope.spawn(|| in_parallel(4, request_until_over));
        let _end = SetWhenDropped(&over);
        let mut served = 0;
        for round in 0..5 {
            let mut daemon = start();
            daemon.statistics_when(|statistics| statistics.answered > 100);
            if round == 4 {
                over.store(true, Ordering::Relaxed);
                daemon.statistics_at_rest();
            }
            assert_eq!(daemon.stop(), 0);
            served += daemon.last_statistics().answered;
        }
        let sent: u64 = clients.join().expect("a client failed").into_iter().sum();
        (served, sent)
    });
    assert_eq!(served, sent);
}

/// Fault 27: killed while clients are connected, the daemon can bind its port again at once.
#[test]
fn sigkill_leaves_port_free_for_restart() {
    let mut daemon = Daemon::serving("frame", &[]);
    let listen = format!("--listen=frame={}", daemon.address("frame"));
    for _ in 0..5 {
        let mut clients: Vec<Client> = (0..20).map(|_| daemon.connect("frame")).collect();
        for client in &mut clients {
            assert_eq!(client.request(UPPERCASE, b"x"), b"X");
        }
        daemon.signal(Signal::SIGKILL);
        assert_eq!(daemon.wait_exit(), 128 + 9);
        daemon = DaemonBuilder::new(&[&listen]).start();
    }
    let leak_check = LeakCheck::begin(&daemon);
    assert_eq!(daemon.connect("frame").request(UPPERCASE, b"again"), b"AGAIN");
    assert_eq!(leak_check.end(&daemon).answered, 1);
}

#[test]
fn sigterm_during_start_never_hangs() {
    for attempt in 0..30 {
        let mut daemon = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0"]).spawn();
        // at some point between execve(2) and the first check for signals
        thread::sleep(Duration::from_micros(100 * attempt));
        daemon.signal(Signal::SIGTERM);
        let code = daemon.wait_exit();
        assert!([0, 128 + 15].contains(&code), "{code}: {}", daemon.log.text());
    }
}

#[test]
fn sigusr1_logs_statistics() {
    let daemon = Daemon::serving("frame", &[]);
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    assert_eq!(client.request(UNKNOWN, b"x"), b"error");
    // a reply is counted after it is sent: the client may have it before
    let statistics = daemon.statistics_when(|statistics| statistics.answered + statistics.refused == 2);
    assert_eq!((statistics.accepted, statistics.open, statistics.closed), (1, 1, 0));
    assert_eq!((statistics.requests, statistics.answered, statistics.refused), (2, 1, 1));
    assert_eq!((statistics.bytes_in, statistics.bytes_out), (10, 14));
    assert!(daemon.log.all().iter().all(|line| line.contains(" retortd: statistics: ")), "{}", daemon.log.text());
}

#[test]
fn sighup_reloads_settings_file() {
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_MAX_MESSAGE=10\n");
    let daemon = Daemon::serving("frame", &["--settings", &file]);
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"eleven byte"), b"error");
    directory.write("settings", "RETORTD_MAX_MESSAGE=11\nRETORTD_VERBOSE=2\n");
    daemon.reload();
    // the new limits apply to open connections, too
    assert_eq!(client.request(UPPERCASE, b"eleven byte"), b"ELEVEN BYTE");
    daemon.wait_for_line(0, "uppercase of 11 bytes answered in");
    directory.write("settings", "# nothing\n");
    daemon.reload();
    let before = daemon.log.len();
    assert_eq!(client.request(UPPERCASE, &[b'x'; 100]), [b'X'; 100]);
    assert_eq!(daemon.connect("frame").request(UPPERCASE, b"x"), b"X");
    assert_eq!(daemon.statistics_when(|statistics| statistics.answered == 3).refused, 1);
    assert!(daemon.log.all()[before..].iter().all(|line| line.contains("statistics: ")), "requests are still logged");
}

#[test]
fn reload_completes_after_every_worker() {
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_MAX_MESSAGE=10\n");
    let daemon = Daemon::serving("frame", &["--settings", &file, "--workers=1"]);
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"eleven byte"), b"error");
    directory.write("settings", "RETORTD_MAX_MESSAGE=11\n");
    let Some(frozen) = daemon.freeze("worker-0") else { return };
    let before = daemon.notices.len();
    daemon.signal(Signal::SIGHUP);
    let (next, _) = daemon.wait_for_line(0, "a worker missed the reload");
    daemon.wait_for_line(next, "reloaded");
    daemon.wait_for_notice(before, "READY=1");
    drop(frozen);
    assert_eq!(client.request(UPPERCASE, b"eleven byte"), b"ELEVEN BYTE");
}

#[test]
fn reload_with_invalid_settings_keeps_old_settings() {
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_MAX_MESSAGE=10\n");
    let daemon = Daemon::serving("frame", &["--settings", &file]);
    for (text, words) in [
        ("RETORTD_MAX_MESSAGE=1000\nRETORTD_WORKERS=none\n", ":2: RETORTD_WORKERS: invalid value 'none'"),
        ("RETORTD_MAX_MESSAGE=1000\nRETORTD_COLOUR=red\n", ":2: there is no setting RETORTD_COLOUR"),
        ("RETORTD_MAX_MESSAGE=1000\nRETORTD_QUOTES=/nonexistent\n", "cannot read /nonexistent"),
        ("RETORTD_MAX_MESSAGE=1000\nRETORTD_SEED='\n", ":2: a quote is not closed"),
    ] {
        directory.write("settings", text);
        let before = daemon.log.len();
        daemon.reload();
        let (_, line) = daemon.wait_for_line(before, "cannot reload: ");
        assert!(line.contains(words) && line.ends_with("; the running configuration stays in force"), "{line}");
        assert_eq!(daemon.connect("frame").request(UPPERCASE, b"eleven byte"), b"error");
    }
    std::fs::remove_file(&file).expect("remove");
    daemon.reload();
    daemon.wait_for_line(0, "No such file or directory");
    assert_eq!(daemon.connect("frame").request(UPPERCASE, b"eleven byte"), b"error");
}

#[test]
fn reload_without_optional_settings_file_applies_defaults() {
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_MAX_MESSAGE=10\n");
    let daemon = Daemon::serving("frame", &["-v", "--settings", &format!("-{file}")]);
    assert_eq!(daemon.connect("frame").request(UPPERCASE, b"eleven byte"), b"error");
    std::fs::remove_file(&file).expect("remove");
    daemon.reload();
    daemon.wait_for_line(0, &format!("there is no file {file}"));
    assert_eq!(daemon.connect("frame").request(UPPERCASE, b"eleven byte"), b"ELEVEN BYTE");
}

#[test]
fn reload_warns_about_settings_that_need_restart() {
    let directory = Directory::new();
    let file = directory.write("settings", "");
    let daemon = Daemon::serving("frame", &["--settings", &file]);
    daemon.reload();
    assert!(!daemon.log.text().contains("restart"), "{}", daemon.log.text());
    directory.write("settings", "RETORTD_WORKERS=7\n");
    daemon.reload();
    daemon.wait_for_line(0, "change only with a restart");
}

#[test]
fn exit_idle_exits_0_after_last_connection() {
    let mut daemon = Daemon::serving("frame", &["--exit-idle=300ms", "-v"]);
    let mut client = daemon.connect("frame");
    assert!(client.is_silent(Duration::from_millis(700)));
    assert_eq!(client.request(UPPERCASE, b"still here"), b"STILL HERE");
    let begun = Instant::now();
    drop(client);
    assert_eq!(daemon.wait_exit(), 0);
    assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
    daemon.wait_for_line(0, "stopping: no connection for 300ms");
}

#[test]
fn service_manager_gets_ready_status_reloading_and_stopping() {
    let mut daemon = Daemon::serving("frame", &[]);
    let mut client = daemon.connect("frame");
    (0..3).for_each(|_| assert_eq!(client.request(UPPERCASE, b"x"), b"X"));
    let address = daemon.address("frame");
    daemon.wait_for_notice(0, &format!("STATUS=listening on frame={address}; 1 connection, 3 requests"));
    let before = daemon.notices.len();
    daemon.reload();
    let (at, reloading) = daemon.wait_for_notice(before, "RELOADING=1");
    let stamp = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    let stamp: u64 = stamp.and_then(|stamp| stamp.parse().ok()).expect("a time stamp in the same message");
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("the monotonic clock");
    let now = u64::try_from(now.tv_sec() * 1_000_000 + now.tv_nsec() / 1000).expect("a time after the start");
    assert!(stamp <= now && now - stamp < 60_000_000, "{stamp} at {now}");
    daemon.wait_for_notice(at, "READY=1");
    client.send(&frame(UPPERCASE, b"begun")[..5]);
    daemon.statistics_when(|statistics| statistics.bytes_in == 20);
    daemon.signal(Signal::SIGTERM);
    let (at, stopping) = daemon.wait_for_notice(at, "STOPPING=1");
    assert!(stopping.contains("STATUS=stopping; 1 connection, 3 requests\n"), "{stopping}");
    // while it drains, it extends its timeout repeatedly
    let (at, _) = daemon.wait_for_notice(at, "EXTEND_TIMEOUT_USEC=10000000");
    daemon.wait_for_notice(at, "EXTEND_TIMEOUT_USEC=10000000");
    client.send(&frame(UPPERCASE, b"begun")[5..]);
    assert_eq!(client.receive_all(), length_prefixed(b"BEGUN"));
    assert_eq!(daemon.wait_exit(), 0);
    let notices = &daemon.notices.all()[at..];
    let mut statuses = notices.iter().flat_map(|notice| notice.lines()).filter(|line| line.starts_with("STATUS="));
    assert!(statuses.all(|status| status.starts_with("STATUS=stopping; 1 connection, ")), "{notices:?}");
}

fn with_watchdog(microseconds: &str) -> Daemon {
    let launch = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "--workers=2"]);
    launch.env("WATCHDOG_USEC", microseconds).start()
}

#[test]
fn watchdog_is_notified_four_times_per_period() {
    let begun = Instant::now();
    let daemon = with_watchdog("400000");
    let mut at = 0;
    for _ in 0..8 {
        at = daemon.wait_for_notice(at, "WATCHDOG=1").0;
    }
    // at most four in each period
    assert!(begun.elapsed() > Duration::from_millis(600), "{:?}", begun.elapsed());
}

#[test]
fn watchdog_is_not_notified_while_worker_is_frozen() {
    let daemon = with_watchdog("200000");
    daemon.wait_for_notice(0, "WATCHDOG=1");
    let Some(frozen) = daemon.freeze("worker-1") else { return };
    // a reload keeps its place among notifications and lines: what precedes it may have been sent before the freeze
    daemon.reload();
    let (before, mut line) = (daemon.notices.len(), daemon.log.len());
    for _ in 0..6 {
        line = daemon.wait_for_line(line, "a worker missed its heartbeat").0;
    }
    daemon.reload();
    let after = daemon.notices.all().split_off(before);
    // the worker may have acknowledged one heartbeat just before
    let notified = after.iter().filter(|notice| notice.contains("WATCHDOG=1")).count();
    assert!(notified <= 1, "the watchdog was notified: {after:?}");
    let before = daemon.notices.len();
    drop(frozen);
    daemon.wait_for_notice(before, "WATCHDOG=1");
}

#[test]
fn notify_socket_may_be_abstract() {
    let name = format!("retortd-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("an abstract name");
    let manager = UnixDatagram::bind_addr(&address).expect("bind");
    manager.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    let mut daemon =
        DaemonBuilder::new(&["--listen=frame=127.0.0.1:0"]).env("NOTIFY_SOCKET", format!("@{name}")).spawn();
    let mut message = [0; 1000];
    let length = manager.recv(&mut message).expect("a message");
    assert!(message[..length].starts_with(b"READY=1\nSTATUS=listening on frame=127.0.0.1:"));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn missing_notify_socket_logs_warning() {
    let launch = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "-vv"]).env("NOTIFY_SOCKET", "/nonexistent/notify");
    let mut daemon = launch.spawn();
    daemon.wait_for_line(0, "cannot reach the service manager at /nonexistent/notify");
    daemon.wait_ready_in_log();
    assert_eq!(daemon.connect("frame").request(UPPERCASE, b"x"), b"X");
    assert_eq!(daemon.stop(), 0);
}

/// A service manager whose socket is full until it is read.
struct BusyManager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl BusyManager {
    fn new(directory: &Directory) -> Self {
        let path = directory.path("full");
        let socket = UnixDatagram::bind(&path).expect("bind");
        socket.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        let manager = Self { socket, path };
        manager.fill();
        manager
    }

    fn fill(&self) {
        let other = UnixDatagram::unbound().expect("a socket");
        other.set_nonblocking(true).expect("non-blocking");
        while other.send_to(b"full", &self.path).is_ok() {}
    }

    /// Reads messages until one is about the state of the service.
    fn next_state(&self) -> String {
        let mut message = [0; 4096];
        loop {
            let length = self.socket.recv(&mut message).expect("a message");
            let text = String::from_utf8_lossy(&message[..length]).into_owned();
            if ["READY=1\n", "RELOADING=1\n", "STOPPING=1\n"].iter().any(|state| text.starts_with(state)) {
                return text;
            }
        }
    }
}

#[test]
fn full_notify_socket_does_not_block_service() {
    let directory = Directory::new();
    let manager = BusyManager::new(&directory);
    let launch = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "-vv"]).env("WATCHDOG_USEC", "100000");
    let mut daemon = launch.env("NOTIFY_SOCKET", &manager.path).start_by_log();
    let mut client = daemon.connect("frame");
    for _ in 0..3 {
        assert_eq!(client.request(UPPERCASE, b"x"), b"X");
        assert!(client.is_silent(Duration::from_millis(60)));
    }
    assert_eq!(daemon.stop(), 0);
}

/// Fault 43: the socket of the service manager is full when READY, RELOADING and STOPPING are due.
#[test]
fn full_notify_socket_gets_ready_reloading_and_stopping_later() {
    let directory = Directory::new();
    let manager = BusyManager::new(&directory);
    let launch = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "-vv"]).env("NOTIFY_SOCKET", &manager.path);
    let mut daemon = launch.start_by_log();
    let mut line = 0;
    for _ in 0..2 {
        daemon.signal(Signal::SIGHUP);
        line = daemon.wait_for_line(line, "reloaded").0;
    }
    assert!(manager.next_state().starts_with("READY=1\nSTATUS=listening on frame=127.0.0.1:"));
    let reloading = manager.next_state();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert!(manager.next_state().starts_with("READY=1\n"));
    let request = frame(REVERSE, b"still draining");
    let mut client = client_within(&daemon, &request);
    manager.fill();
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_line(0, "stopping: received SIGTERM or SIGINT");
    let stopping = manager.next_state();
    assert!(stopping.starts_with("STOPPING=1\nSTATUS=stopping"), "{stopping}");
    client.send(&request[10..]);
    assert_eq!(client.receive_all(), length_prefixed(b"gniniard llits"));
    assert_eq!(daemon.wait_exit(), 0);
}

/// Fault 43: the socket of the service manager is full from READY to STOPPING.
#[test]
fn full_notify_socket_gets_ready_before_stopping() {
    let directory = Directory::new();
    let manager = BusyManager::new(&directory);
    let launch = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "-vv"]).env("NOTIFY_SOCKET", &manager.path);
    let mut daemon = launch.start_by_log();
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_line(0, "reloaded");
    let request = frame(REVERSE, b"still draining");
    let mut client = client_within(&daemon, &request);
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_line(0, "stopping: received SIGTERM or SIGINT");
    let states = [manager.next_state(), manager.next_state()];
    assert!(states[0].starts_with("READY=1\n") && states[1].starts_with("STOPPING=1\n"), "{states:?}");
    client.send(&request[10..]);
    assert_eq!(client.receive_all(), length_prefixed(b"gniniard llits"));
    assert_eq!(daemon.wait_exit(), 0);
}

#[test]
fn unreasonable_watchdog_period_is_limited_or_rejected() {
    for microseconds in ["1", "1000"] {
        let daemon = with_watchdog(microseconds);
        let (from, begun) = (daemon.notices.len(), Instant::now());
        let mut at = from;
        for _ in 0..20 {
            at = daemon.wait_for_notice(at, "WATCHDOG=1").0;
        }
        // a message every 10 ms, not every 250 ns
        assert!(begun.elapsed() > Duration::from_millis(100), "{microseconds}: {:?}", begun.elapsed());
    }
    for microseconds in ["0", "-5", "abc", "18446744073709551615"] {
        let daemon = with_watchdog(microseconds);
        daemon.wait_for_line(0, &format!("WATCHDOG_USEC={microseconds} is not a period"));
    }
}

#[test]
fn invalid_notify_socket_logs_warning() {
    for (name, warned) in [("vsock:2:99", true), ("notify", true), ("", false)] {
        let mut daemon =
            DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "-vv"]).env("NOTIFY_SOCKET", name).start_by_log();
        let words =
            format!("cannot reach the service manager at {name}: neither an absolute path nor an abstract name");
        assert_eq!(daemon.log.text().contains(&words), warned, "{}", daemon.log.text());
        assert_eq!(daemon.stop(), 0);
    }
}

#[test]
fn main_thread_sleeps_without_service_manager() {
    let daemon = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "-vv"]).env("NOTIFY_SOCKET", "").start_by_log();
    let mut client = daemon.connect("frame");
    daemon.statistics_when(|statistics| statistics.open == 1);
    let waits = || daemon.status("voluntary_ctxt_switches");
    // it has written the statistics and sleeps again; the kernel counts the switch shortly after it shows the state
    let last = AtomicU64::new(0);
    wait_until("the main thread sleeps", || {
        daemon.sleeps(daemon.pid.as_raw()) && last.swap(waits(), Ordering::Relaxed) == waits()
    });
    let before = waits();
    assert!(client.is_silent(Duration::from_millis(500)));
    assert_eq!(waits(), before);
}

#[test]
fn idle_daemon_uses_no_cpu() {
    let daemon = Daemon::serving("frame", &[]);
    let mut clients: Vec<Client> = (0..10).map(|_| daemon.connect("frame")).collect();
    for client in &mut clients {
        assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    }
    clients[0].send(&frame(UPPERCASE, b"unfinished")[..6]);
    daemon.statistics_when(|statistics| statistics.bytes_in == 56);
    let ran = |daemon: &Daemon| daemon.tasks().iter().map(|task| task.ran).sum::<u64>();
    let before = ran(&daemon);
    assert!(clients[0].is_silent(Duration::from_millis(500)));
    let used = Duration::from_nanos(ran(&daemon) - before);
    assert!(used < Duration::from_millis(5), "{used:?} of processor time in 500 ms of silence");
}

#[test]
fn sighup_and_sigusr1_under_load_lose_no_request() {
    let daemon = Daemon::serving("frame", &["--workers=2"]);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                daemon.signal(Signal::SIGHUP);
                daemon.signal(Signal::SIGUSR1);
                thread::sleep(Duration::from_micros(500));
            }
        });
        let _end = SetWhenDropped(&over);
        in_parallel(4, |_| {
            let mut client = daemon.connect("frame");
            (0..1000).for_each(|_| assert_eq!(client.request(REVERSE, b"abc"), b"cba"));
        });
    });
    assert_eq!(daemon.statistics_at_rest().answered, 4000);
}
