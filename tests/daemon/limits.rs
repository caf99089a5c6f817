//! The limits: their exact values, what is logged, recovery, and service for other clients meanwhile.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::action::{REVERSE, UNKNOWN, UPPERCASE};
use crate::harness::{
    Client, DEADLINE, Daemon, DaemonBuilder, Directory, EventLog, LeakCheck, frame, in_parallel, length_prefixed,
    rss_limit,
};
use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};

/// How long to wait for something that must not happen. Chosen without tuning.
const QUIET: Duration = Duration::from_millis(200);

/// Fault 7: the limit is exact, and the next client is served when one leaves.
#[test]
fn connection_limit_is_exact_and_excess_waits_in_backlog() {
    let daemon = Daemon::serving("frame", &["--max-connections=5", "--workers=2"]);
    let leak_check = LeakCheck::begin(&daemon);
    for _ in 0..3 {
        let mut served: Vec<Client> = (0..5).map(|_| daemon.connect("frame")).collect();
        for client in &mut served {
            assert_eq!(client.request(UPPERCASE, b"in"), b"IN");
        }
        let mut waiting: Vec<Client> = (0..5).map(|_| daemon.connect("frame")).collect();
        for client in &mut waiting {
            client.send(&frame(UPPERCASE, b"next"));
        }
        assert!(waiting[0].is_silent(QUIET), "a sixth connection was served");
        daemon.wait_for_line(0, "there are 5 connections, as many as allowed: further clients wait in the backlog");
        assert_eq!(daemon.statistics_when(|_| true).open, 5);
        // each client that leaves makes room for one, in the order in which they connected
        let (first, last) = waiting.split_at_mut(3);
        for client in first {
            drop(served.pop());
            assert_eq!(client.receive_frame(), b"NEXT");
            assert_eq!(daemon.statistics_when(|_| true).open, 5);
        }
        assert_eq!(served[0].request(UPPERCASE, b"still"), b"STILL");
        drop(served);
        for client in last {
            assert_eq!(client.receive_frame(), b"NEXT");
        }
    }
    assert_eq!(leak_check.end(&daemon).accepted, 31);
}

#[test]
fn connection_limit_does_not_spin() {
    let daemon = Daemon::serving("frame", &["--max-connections=1"]);
    let _served = daemon.connect("frame");
    let mut waiting = daemon.connect("frame");
    daemon.wait_for_line(0, "as many as allowed");
    let ran = || daemon.tasks().iter().map(|task| task.ran).sum::<u64>();
    let before = ran();
    assert!(waiting.is_silent(Duration::from_millis(400)));
    let used = Duration::from_nanos(ran() - before);
    assert!(used < Duration::from_millis(5), "{used:?} of processor time in 400 ms");
}

/// Fault 39: a stop at the connection limit serves clients in the backlog as soon as there is room.
#[test]
fn drain_at_connection_limit_serves_backlog() {
    let mut daemon = Daemon::serving("frame", &["--max-connections=1", "--workers=2", "-v"]);
    let mut served = daemon.connect("frame");
    assert_eq!(served.request(UPPERCASE, b"in"), b"IN");
    // an incomplete request, which keeps the connection open during the drain
    served.send(&frame(UPPERCASE, b"half")[..6]);
    let mut waiting: Vec<Client> = (0..3).map(|_| daemon.connect("frame")).collect();
    for client in &mut waiting {
        client.send(&frame(UPPERCASE, b"next"));
    }
    daemon.wait_for_line(0, "as many as allowed");
    daemon.signal(Signal::SIGTERM);
    assert!(waiting[0].is_silent(QUIET), "a second connection was served");
    served.send(b"lf");
    assert_eq!(served.receive_frame(), b"HALF");
    for client in &mut waiting {
        assert_eq!(client.receive_frame(), b"NEXT");
    }
    drop((served, waiting));
    assert_eq!(daemon.wait_exit(), 0);
    let statistics = daemon.last_statistics();
    assert_eq!((statistics.accepted, statistics.answered), (4, 5), "{statistics:?}");
}

#[test]
fn connection_limit_of_2_serves_20_clients() {
    let daemon = Daemon::serving("frame", &["--max-connections=2", "--workers=2"]);
    in_parallel(20, |_| {
        for _ in 0..20 {
            assert_eq!(daemon.connect("frame").request(UPPERCASE, b"in"), b"IN");
        }
    });
    assert_eq!(daemon.statistics_at_rest().answered, 400);
}

#[test]
fn raised_connection_limit_admits_waiting_clients() {
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_MAX_CONNECTIONS=1\n");
    let daemon = Daemon::serving("frame", &["--settings", &file]);
    let _served = daemon.connect("frame");
    let mut waiting = daemon.connect("frame");
    daemon.wait_for_line(0, "as many as allowed");
    directory.write("settings", "RETORTD_MAX_CONNECTIONS=2\n");
    daemon.reload();
    assert_eq!(waiting.request(UPPERCASE, b"in"), b"IN");
}

/// Fault 7: one address cannot take all connections.
#[test]
fn source_limit_is_exact() {
    let daemon = DaemonBuilder::new(&["--listen=frame=0", "--max-per-source=3", "--workers=2", "-v"]).start();
    let leak_check = LeakCheck::begin(&daemon);
    let address = SocketAddr::from(([127, 0, 0, 1], daemon.address("frame").port()));
    for round in 1..=3 {
        let mut served: Vec<Client> = (0..3).map(|_| Client::connect(address)).collect();
        for client in &mut served {
            assert_eq!(client.request(UPPERCASE, b"in"), b"IN");
        }
        for _ in 0..4 {
            assert_eq!(Client::connect(address).wait_closed(), b"");
        }
        daemon.wait_for_line(0, ": closed: source-limit");
        // other addresses are not affected, and neither are the connections that are open
        assert_eq!(Client::connect_from([127, 0, 0, 2], address).request(UPPERCASE, b"other"), b"OTHER");
        for client in &mut served {
            assert_eq!(client.request(UPPERCASE, b"still"), b"STILL");
        }
        drop(served.pop());
        daemon.statistics_when(|statistics| statistics.open == 2);
        assert_eq!(Client::connect(address).request(UPPERCASE, b"again"), b"AGAIN");
        drop(served);
        assert_eq!(daemon.statistics_at_rest().closed_for("source-limit"), 4 * round);
    }
    let statistics = leak_check.end(&daemon);
    assert_eq!(statistics.accepted, 1 + 3 * 9, "{statistics:?}");
}

#[test]
fn message_limit_is_exact() {
    for (limit, length) in [("1", 1), ("1000", 1000), ("64K", 65_536), ("2M", 2 << 20)] {
        let daemon = Daemon::serving("frame", &["--max-message", limit]);
        let mut client = daemon.connect("frame");
        let text = vec![b'x'; length + 1];
        assert!(client.request(UPPERCASE, &text[1..]) == text[1..].to_ascii_uppercase(), "{limit}");
        assert_eq!(client.request(UPPERCASE, &text), b"error", "{limit}");
    }
}

#[test]
fn announced_length_over_limit_uses_no_memory() {
    let daemon = Daemon::serving("frame", &["--max-message=1M"]);
    let idle = daemon.rss();
    let mut clients: Vec<Client> = (0..50).map(|_| daemon.connect("frame")).collect();
    for client in &mut clients {
        // the largest length that a header can announce, and few bytes of the message
        client.send(&[0x0f, 0xff, 0xff, 0xff]);
        client.send(&[b'x'; 1000]);
    }
    daemon.statistics_when(|statistics| statistics.bytes_in == 50 * 1004);
    assert!(daemon.peak_rss() < rss_limit(idle, 0));
}

#[test]
fn memory_grows_with_received_bytes_not_announced_length() {
    let daemon = Daemon::serving("frame", &[]);
    let idle = daemon.rss();
    let mut clients: Vec<Client> = (0..50).map(|_| daemon.connect("frame")).collect();
    for client in &mut clients {
        client.send(&[0x0f, 0xff, 0xff, 0xff]);
        client.send(&vec![b'x'; 50_000]);
    }
    daemon.statistics_when(|statistics| statistics.bytes_in == 50 * 50_004);
    assert!(daemon.peak_rss() < rss_limit(idle, 50 * 50_004 * 2), "{}", daemon.peak_rss() - idle);
}

/// Memory that is not charged to the budget, in bytes: 16 KiB for each connection, and 8 MiB of recycled buffers for
/// each worker.
fn beside_the_budget(clients: u64, workers: u64) -> u64 {
    clients * (16 << 10) + workers * (8 << 20)
}

/// Fault 8: together the requests need several times the budget; they get their replies one after another, and small
/// ones meanwhile.
#[test]
fn large_requests_share_small_budget() {
    for (clients, budget, length) in [(80, 8 << 20, 1 << 20), (30, 24 << 20, 6 << 20)] {
        let daemon = Daemon::serving("frame", &["--workers=2", &format!("--max-buffered={budget}")]);
        let leak_check = LeakCheck::begin(&daemon);
        let mut small = daemon.connect("frame");
        let request = frame(REVERSE, &b"ab".repeat(length / 2));
        let reply = b"ba".repeat(length / 2);
        let (most, last) = request.split_at(request.len() - 1);
        let gate = EventLog::new();
        let mut served = 0;
        let request_large = |number: usize| {
            let mut client = daemon.connect("frame");
            client.send(most);
            gate.wait_for(0, |()| true);
            client.send(last);
            assert!(client.receive_frame() == reply, "client {number}");
        };
        thread::scope(|scope| {
            let crowd = scope.spawn(|| in_parallel(clients as usize, request_large));
            // no request is complete: when the budget is exhausted, nothing more is read
            let read = Cell::new(0);
            daemon.statistics_when(|statistics| {
                statistics.accepted == clients + 2 && read.replace(statistics.bytes_in) == statistics.bytes_in
            });
            gate.push(());
            while !crowd.is_finished() {
                assert_eq!(small.request(UPPERCASE, b"small"), b"SMALL");
                served += 1;
            }
            crowd.join().expect("a client failed");
        });
        let limit = rss_limit(leak_check.rss, budget + beside_the_budget(clients + 1, 2));
        assert!(daemon.peak_rss() < limit, "{} of {limit} bytes", daemon.peak_rss());
        drop(small);
        assert_eq!(leak_check.end(&daemon).answered, clients + served);
    }
}

#[test]
fn reused_buffers_are_charged_to_budget() {
    let (clients, budget) = (60, 8 << 20);
    let daemon = Daemon::serving("frame", &["--max-buffered=8M", "--workers=1"]);
    let idle = daemon.rss();
    let text = vec![b'x'; 1 << 20];
    let begin = &frame(REVERSE, &text)[..20_000];
    let mut begun = Vec::new();
    for _ in 0..clients {
        // a complete request leaves a recycled buffer, which the next incomplete one gets
        let mut client = daemon.connect("frame");
        client.send(&frame(REVERSE, &text));
        if client.is_silent(QUIET) {
            // the incomplete requests hold the whole budget
            break;
        }
        assert!(client.receive_frame() == text);
        client.send(begin);
        begun.push(client);
    }
    let limit = rss_limit(idle, budget + beside_the_budget(clients, 1));
    assert!(daemon.peak_rss() < limit, "{} of {limit}", daemon.peak_rss());
}

#[test]
fn request_timeout_frees_budget_of_stalled_requests() {
    let arguments = ["--max-buffered=4M", "--request-timeout=300ms", "--workers=1"];
    let daemon = Daemon::serving("frame", &arguments);
    // each sends a part of a large request and stalls: together they hold the shared half of the budget, one the
    // reserve
    let mut greedy: Vec<Client> = (0..130).map(|_| daemon.connect("frame")).collect();
    let begin = &frame(REVERSE, &vec![b'x'; 1_900_000])[..20_000];
    for client in &mut greedy {
        client.send(begin);
    }
    // small requests need no budget
    assert_eq!(daemon.connect("frame").request(UPPERCASE, b"small"), b"SMALL");
    // a large one waits until the stalled ones are closed
    let text = vec![b'y'; 1_500_000];
    assert!(daemon.connect("frame").request(REVERSE, &text) == text);
    let statistics = daemon.statistics_at_rest();
    assert_eq!(statistics.closed_for("request-timeout"), 130, "{statistics:?}");
}

#[test]
fn message_larger_than_budget_gets_error() {
    let daemon = Daemon::serving("frame", &["--max-buffered=4M"]);
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(REVERSE, &vec![b'x'; 3 << 20]), b"error");
    assert_eq!(client.request(UPPERCASE, b"next"), b"NEXT");
}

/// Fault 15: clients that send nothing are closed, and those that send requests are not.
#[test]
fn idle_timeout_closes_only_silent_clients() {
    let daemon = Daemon::serving("frame", &["--idle-timeout=400ms"]);
    let leak_check = LeakCheck::begin(&daemon);
    let begun = Instant::now();
    let mut silent: Vec<Client> = (0..20).map(|_| daemon.connect("frame")).collect();
    let mut active = daemon.connect("frame");
    for client in &mut silent {
        while client.is_silent(Duration::from_millis(20)) {
            assert_eq!(active.request(UPPERCASE, b"x"), b"X");
        }
    }
    let took = begun.elapsed();
    assert!((350..2000).contains(&took.as_millis()), "closed after {took:?}");
    while begun.elapsed() < Duration::from_millis(800) {
        assert_eq!(active.request(UPPERCASE, b"x"), b"X");
        assert!(active.is_silent(Duration::from_millis(20)));
    }
    for client in &mut silent {
        assert_eq!(client.wait_closed(), b"");
    }
    let statistics = daemon.statistics_when(|statistics| statistics.open == 1);
    assert_eq!(statistics.closed_for("idle-timeout"), 20, "{statistics:?}");
    assert_eq!(active.wait_closed(), b"");
    drop((silent, active));
    assert_eq!(leak_check.end(&daemon).closed_for("idle-timeout"), 21);
}

#[test]
fn idle_timeout_does_not_expire_early() {
    let daemon = Daemon::serving("frame", &["--idle-timeout=300ms"]);
    let begun = Instant::now();
    let mut client = daemon.connect("frame");
    assert_eq!(client.wait_closed(), b"");
    assert!(begun.elapsed() >= Duration::from_millis(295), "{:?}", begun.elapsed());
}

/// Fault 14: the timeout is for the whole request, so that a byte now and then does not renew it.
#[test]
fn single_bytes_do_not_renew_request_timeout() {
    for (protocol, request) in [
        ("frame", frame(REVERSE, &[b'x'; 10_000])),
        ("text", b"reverse 10000 ".iter().copied().chain([b'x'; 10_000]).collect()),
        ("length-prefix", length_prefixed(&[b'x'; 10_000])),
        ("upper-line", vec![b'x'; 10_000]),
        // a rejected request, whose message is read and discarded
        ("frame", frame(UNKNOWN, &[b'x'; 10_000])),
    ] {
        let daemon = Daemon::serving(protocol, &["--request-timeout=400ms", "--idle-timeout=none"]);
        let leak_check = LeakCheck::begin(&daemon);
        let mut client = daemon.connect(protocol);
        let begun = Instant::now();
        for byte in request {
            let sent = client.stream.write_all(&[byte]);
            if sent.is_err() || !client.is_silent(Duration::from_millis(10)) {
                break;
            }
        }
        let lasted = begun.elapsed();
        assert!((395..1500).contains(&lasted.as_millis()), "{protocol}: {lasted:?}");
        drop(client);
        let statistics = leak_check.end(&daemon);
        assert_eq!(statistics.closed_for("request-timeout"), 1, "{protocol}: {statistics:?}");
    }
}

#[test]
fn fair_rate_extends_request_timeout() {
    let daemon = Daemon::serving("frame", &["--request-timeout=300ms"]);
    let mut client = daemon.connect("frame");
    let text = vec![b'x'; 60_000];
    let request = frame(REVERSE, &text);
    let (last, pieces) =
        request.chunks(4000).collect::<Vec<_>>().split_last().map(|(l, p)| (*l, p.to_vec())).expect("pieces");
    for piece in pieces {
        client.send(piece);
        assert!(client.is_silent(Duration::from_millis(60)));
    }
    client.send(last);
    assert!(client.receive_frame() == text);
}

/// Sends requests and reads nothing, until the daemon takes no more for [`QUIET`].
fn fill(client: &mut Client, requests: &[u8]) {
    client.stream.set_write_timeout(Some(QUIET)).expect("SO_SNDTIMEO");
    let mut sent = 0;
    while client.stream.write_all(requests).is_ok() {
        sent += requests.len();
        assert!(sent < 64 << 20, "the daemon reads on");
    }
}

/// Fault 13: the daemon does not read from a client while it has replies for it that the client does not take.
#[test]
fn write_timeout_closes_client_that_never_reads() {
    let daemon = Daemon::serving("frame", &["--write-timeout=600ms", "--workers=1", "-v"]);
    let leak_check = LeakCheck::begin(&daemon);
    let mut other = daemon.connect("frame");
    let requests = [frame(REVERSE, &[b'x'; 1000]).repeat(100), frame(REVERSE, &[b'x'; 10_000]).repeat(20)];
    let mut clients: Vec<Client> = (0..5).map(|_| daemon.connect("frame")).collect();
    thread::scope(|scope| {
        let start = |(number, client): (usize, _)| {
            let requests: &[u8] = &requests[number % 2];
            scope.spawn(move || fill(client, requests))
        };
        let threads: Vec<_> = clients.iter_mut().enumerate().map(start).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            assert_eq!(other.request(UPPERCASE, b"other"), b"OTHER");
        }
    });
    // at most one round of replies is held for each
    assert!(daemon.peak_rss() < rss_limit(leak_check.rss, 0), "{} more", daemon.peak_rss() - leak_check.rss);
    daemon.wait_for_line(0, "closed: write-timeout");
    assert_eq!(other.request(UPPERCASE, b"other"), b"OTHER");
    daemon.statistics_when(|statistics| statistics.closed_for("write-timeout") == 5);
    drop((clients, other));
    let statistics = leak_check.end(&daemon);
    assert_eq!(statistics.closed_for("write-timeout"), 5, "{statistics:?}");
    assert!(statistics.abandoned_by["write-timeout"] > 0, "{statistics:?}");
}

/// Fault 13: a client that takes nothing is closed, and does not gain time by sending.
#[test]
fn write_timeout_closes_chargen_client_that_never_reads() {
    for sends in [false, true] {
        let daemon = Daemon::serving("chargen", &["--write-timeout=500ms"]);
        let leak_check = LeakCheck::begin(&daemon);
        let mut client = daemon.connect("chargen");
        let begun = Instant::now();
        client.stream.set_nonblocking(true).expect("non-blocking");
        while sends && client.stream.write(b"x").is_ok() && begun.elapsed() < DEADLINE {
            // the pause between two bytes is what is tested
            thread::sleep(Duration::from_millis(50));
        }
        daemon.statistics_when(|statistics| statistics.closed_for("write-timeout") == 1);
        assert!((400..3000).contains(&begun.elapsed().as_millis()), "{sends}: closed after {:?}", begun.elapsed());
        drop(client);
        assert_eq!(leak_check.end(&daemon).closed_for("write-timeout"), 1);
    }
}

#[test]
fn write_timeout_spares_slow_reader() {
    let daemon = Daemon::serving("frame", &["--write-timeout=400ms"]);
    let mut client = daemon.connect("frame");
    let text = vec![b'x'; 24 << 20];
    client.send(&frame(REVERSE, &text));
    let mut received = Vec::new();
    let begun = Instant::now();
    let mut piece = vec![0; 512 << 10];
    while received.len() < text.len() + 4 {
        let length = client.stream.read(&mut piece).expect("a reply in pieces");
        received.extend_from_slice(&piece[..length]);
        // the pauses are what is tested: each read makes room for more output
        thread::sleep(Duration::from_millis(20));
    }
    assert!(begun.elapsed() > Duration::from_millis(800), "too quick to show anything: {:?}", begun.elapsed());
    assert!(received == length_prefixed(&text));
}

/// Fault 36: a client that does not take its reply keeps the memory, until another client has waited for it.
#[test]
fn min_rate_closes_slow_reader_when_memory_is_needed() {
    let arguments = ["--max-buffered=8M", "--workers=1", "--send-buffer=4K"];
    let times = ["--idle-timeout=none", "--request-timeout=none", "--write-timeout=none"];
    let daemon = Daemon::serving("frame", &[&arguments[..], &times].concat());
    let request = frame(REVERSE, &vec![b'x'; 3 << 20]);
    // three quarters of the shared half
    let mut slow = daemon.connect("frame");
    setsockopt(&slow.stream, sockopt::RcvBuf, &4096).expect("SO_RCVBUF");
    slow.send(&request);
    slow.receive(100);
    // the last quarter, and half of the reserve
    let mut unfinished = daemon.connect("frame");
    unfinished.send(&request[..2 << 20]);
    daemon.statistics_when(|statistics| statistics.bytes_in == (request.len() + (2 << 20)) as u64);
    // more than the other half
    let mut waiting = daemon.connect("frame");
    assert_eq!(waiting.request(REVERSE, &request[4..]).len(), 3 << 20);
    // its memory has been freed; what is in the kernel's buffer could still be read, until the write timeout
    drop(slow);
    let statistics = daemon.statistics_when(|statistics| statistics.closed > 0);
    assert_eq!((statistics.closed, statistics.closed_for("min-rate")), (1, 1), "{statistics:?}");
    assert_eq!(statistics.abandoned_by["min-rate"], 1, "{statistics:?}");
    unfinished.send(&request[2 << 20..]);
    assert_eq!(unfinished.receive_frame().len(), 3 << 20);
}

#[test]
fn limits_set_to_none_are_off() {
    let times = ["idle-timeout", "request-timeout", "write-timeout", "drain-delay", "drain-timeout", "exit-idle"];
    let amounts = ["max-connections", "max-per-source", "max-buffered", "max-message", "max-line", "min-rate"];
    let arguments: Vec<String> = times.iter().chain(&amounts).map(|name| format!("--{name}=none")).collect();
    let daemon = Daemon::serving("frame", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let mut client = daemon.connect("frame");
    assert!(client.is_silent(QUIET));
    client.send(&frame(REVERSE, b"abc")[..5]);
    assert!(client.is_silent(QUIET));
    client.send(&frame(REVERSE, b"abc")[5..]);
    assert_eq!(client.receive_frame(), b"cba");
}

#[test]
fn reload_shortens_idle_timeout_of_open_connections() {
    let directory = Directory::new();
    let file = directory.write("settings", "");
    let daemon = Daemon::serving("frame", &["--settings", &file]);
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    directory.write("settings", "RETORTD_IDLE_TIMEOUT=200ms\n");
    daemon.reload();
    assert_eq!(client.wait_closed(), b"");
    assert_eq!(daemon.statistics_at_rest().closed_for("idle-timeout"), 1);
}

#[test]
fn half_closed_client_gets_all_pipelined_replies() {
    let daemon = Daemon::serving("frame", &["--workers=1"]);
    let client = daemon.connect("frame");
    let [first, second] = [b'x', b'y'].map(|letter| vec![letter; 3 << 20]);
    daemon.signal(Signal::SIGUSR1);
    // received while they are sent: the buffers of the sockets need not have room for all
    let replies = client.exchange(&[frame(REVERSE, &first), frame(REVERSE, &second)].concat());
    assert!(replies == [length_prefixed(&first), length_prefixed(&second)].concat(), "{} bytes", replies.len());
}
