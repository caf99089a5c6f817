//! Clients that reset their connections, stall, or send more than others.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, getsockopt, send, setsockopt, sockopt};

use super::{LeakCheck, REVERSE, SHUFFLE, UPPERCASE, assert_serves, load_time};
use crate::harness::{Client, Daemon, DaemonBuilder, SetWhenDropped, frame, in_parallel, length_prefixed, listener};
use std::os::fd::AsRawFd;

/// Fault 10: a client that has half-closed gets the replies to all its requests.
#[test]
fn half_closed_clients_get_every_reply() {
    // small kernel buffers: most replies are pending when the daemon reads end of input
    let daemon = Daemon::serving("frame", &["--workers=2", "--send-buffer=4K"]);
    let leak_check = LeakCheck::begin(&daemon);
    // an offloaded request among them, so that those after it wait
    let (small, large) = (frame(REVERSE, b"abc"), "é".repeat(15_000).into_bytes());
    let requests = [small.repeat(10_000), frame(SHUFFLE, &large), small.repeat(20_000)].concat();
    let replies =
        [length_prefixed(b"cba").repeat(10_000), length_prefixed(&large), length_prefixed(b"cba").repeat(20_000)]
            .concat();
    let mut clients: Vec<Client> = (0..8).map(|_| daemon.connect("frame")).collect();
    for client in &mut clients {
        setsockopt(&client.stream, sockopt::RcvBuf, &16_384).expect("SO_RCVBUF");
        client.send(&requests);
        client.half_close();
    }
    thread::scope(|scope| {
        for mut client in clients {
            let replies = &replies;
            scope.spawn(move || assert!(client.receive_all() == *replies, "replies are missing"));
        }
    });
    let statistics = leak_check.end(&daemon);
    assert_eq!((statistics.answered, statistics.closed_for("finished")), (240_008, 9), "{statistics:?}");
}

/// Fault 11: a reset at every stage of a request and of its reply.
#[test]
fn resets_in_requests_and_replies_are_counted() {
    // a small kernel buffer, which cannot hold a whole reply
    let daemon = Daemon::serving("frame", &["--workers=2", "--send-buffer=64K"]);
    let leak_check = LeakCheck::begin(&daemon);
    let small = frame(UPPERCASE, b"hello");
    for length in 0..=small.len() {
        let mut client = daemon.connect("frame");
        client.send(&small[..length]);
        client.reset();
    }
    let large = frame(SHUFFLE, &vec![b'x'; 2 << 20]);
    for length in [1 << 10, 1 << 17, 1 << 20, large.len()] {
        let mut client = daemon.connect("frame");
        client.send(&large[..length]);
        client.reset();
    }
    // the reply is being sent; clients that have half-closed cause EPIPE
    for number in 0..10 {
        let mut client = daemon.connect("frame");
        client.send(&large);
        if number % 2 == 0 {
            client.half_close();
        }
        client.receive(4096);
        client.reset();
    }
    let mut served = daemon.connect("frame");
    assert_serves(&mut served);
    drop(served);
    let statistics = leak_check.end(&daemon);
    let resets = small.len() as u64 + 1 + 4 + 10;
    assert_eq!((statistics.accepted, statistics.closed_for("reset")), (resets + 2, resets), "{statistics:?}");
}

/// Fault 11: the reply for a client that has gone is not sent to the next one.
#[test]
fn reply_of_reset_client_does_not_reach_next_client() {
    let daemon = Daemon::serving("frame", &["--workers=1"]);
    let leak_check = LeakCheck::begin(&daemon);
    let large = frame(SHUFFLE, &vec![b'x'; 1 << 20]);
    for round in 1..=10 {
        let mut gone = daemon.connect("frame");
        gone.send(&large);
        daemon.statistics_when(|statistics| statistics.requests == 2 * round - 1);
        gone.reset();
        // it has the slot of the first client
        let mut next = daemon.connect("frame");
        assert_serves(&mut next);
        assert!(next.is_silent(Duration::from_millis(50)), "the client got bytes without a request");
    }
    let statistics = leak_check.end(&daemon);
    assert_eq!(statistics.answered + statistics.abandoned, 20, "{statistics:?}");
    assert!(statistics.abandoned_by.contains_key("reset"), "{statistics:?}");
}

/// Fault 11: a reset of a connection that is not read from while it waits for memory.
#[test]
fn reset_while_waiting_for_memory_closes_connection() {
    let arguments = ["--max-buffered=4M", "--request-timeout=none", "--workers=1"];
    let daemon = Daemon::serving("frame", &arguments);
    let leak_check = LeakCheck::begin(&daemon);
    let mut other = daemon.connect("frame");
    let begin = &frame(REVERSE, &vec![b'x'; 1_900_000])[..20_000];
    // together they use up the shared half of the budget, and one the reserve; later ones wait
    let mut clients: Vec<Client> = (0..130).map(|_| daemon.connect("frame")).collect();
    for client in &mut clients {
        client.send(begin);
        assert_serves(&mut other);
    }
    clients.drain(120..).for_each(Client::reset);
    daemon.statistics_when(|statistics| statistics.closed_for("reset") == 10);
    drop((clients, other));
    leak_check.end(&daemon);
}

/// Fault 12: connections that are reset as fast as they can be made.
#[test]
fn reset_storm_leaves_no_resources() {
    let daemon = Daemon::serving("frame", &["--workers=2"]);
    let leak_check = LeakCheck::begin(&daemon);
    let begun = Instant::now();
    let request = frame(UPPERCASE, b"never read");
    let made: u64 = in_parallel(4, |number| {
        let mut made = 0;
        while begun.elapsed() < load_time() {
            let mut client = daemon.connect("frame");
            // half of the clients send a request; the write fails if a full queue has reset the connection
            let _ = if number % 2 == 0 { client.stream.write(&request) } else { Ok(0) };
            client.reset();
            made += 1;
        }
        made
    })
    .into_iter()
    .sum();
    println!("{} resets a second", made * 1000 / begun.elapsed().as_millis() as u64);
    assert_serves(&mut daemon.connect("frame"));
    let statistics = leak_check.end(&daemon);
    // a client whose handshake met a full queue was never accepted
    let known = statistics.accepted + statistics.accept_lost;
    assert!((made - made / 100..=made + 2).contains(&known), "{made} made, {statistics:?}");
}

/// Fault 14: a client that has sent much at first must not stall for longer because of it.
#[test]
fn burst_does_not_extend_request_timeout() {
    let daemon = Daemon::serving("frame", &["--request-timeout=500ms", "-v"]);
    let leak_check = LeakCheck::begin(&daemon);
    let mut client = daemon.connect("frame");
    client.send(&frame(REVERSE, &vec![b'x'; 4 << 20])[..3 << 20]);
    let begun = Instant::now();
    client.wait_closed();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(client);
    assert_eq!(leak_check.end(&daemon).closed_for("request-timeout"), 1);
}

/// Fault 15: the kernel probes peers that vanish without a packet.
#[test]
fn connections_have_keepalive_timer() {
    if !super::available("ss") {
        return;
    }
    let daemon = Daemon::serving("frame", &[]);
    let leak_check = LeakCheck::begin(&daemon);
    let mut client = daemon.connect("frame");
    assert_serves(&mut client);
    let port = daemon.address("frame").port();
    let words = ["-Htno", "state", "established", "sport", "=", &format!(":{port}")];
    let listed = std::process::Command::new("ss").args(words).output().expect("run ss");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("timer:(keepalive,"), "no keepalive timer: {listed}");
    drop(client);
    leak_check.end(&daemon);
}

/// Fault 15: the keepalive options, read from the test's copy of an inherited listener.
#[test]
fn keepalive_and_user_timeout_are_set() {
    let (listener, _) = listener();
    let copy = listener.try_clone().expect("a copy of the listener");
    let daemon = DaemonBuilder::new(&[]).with_sockets("frame", vec![listener.into()]).start();
    let leak_check = LeakCheck::begin(&daemon);
    assert_eq!(getsockopt(&copy, sockopt::KeepAlive), Ok(true));
    // the first probe after a minute, closed after another one, or when data is unacknowledged for two minutes
    assert_eq!(getsockopt(&copy, sockopt::TcpKeepIdle), Ok(60));
    assert_eq!(getsockopt(&copy, sockopt::TcpKeepInterval), Ok(15));
    assert_eq!(getsockopt(&copy, sockopt::TcpKeepCount), Ok(4));
    assert_eq!(getsockopt(&copy, sockopt::TcpUserTimeout), Ok(120_000));
    leak_check.end(&daemon);
}

/// Fault 17: clients that send requests as fast as possible get a bounded share of each iteration of the event loop.
#[test]
fn greedy_clients_do_not_starve_small_requests() {
    let daemon = Daemon::serving("frame", &["--workers=1"]);
    let leak_check = LeakCheck::begin(&daemon);
    let quiet = times(&daemon);
    let over = AtomicBool::new(false);
    let is_late = thread::scope(|scope| {
        for number in 0..6 {
            let (daemon, over) = (&daemon, &over);
            scope.spawn(move || be_greedy(daemon, number, over));
        }
        let _end = SetWhenDropped(&over);
        daemon.statistics_when(|statistics| statistics.answered > 5000);
        // an iteration reads at most 320 KiB from each client and sends it at most 256 KiB; as other programs use the
        // CPU, only the median counts, and the best of three attempts
        (0..3).all(|_| {
            let loud = times(&daemon);
            for percent in [50, 99] {
                let [quiet, loud] = [&quiet, &loud].map(|times| times[times.len() * percent / 100]);
                println!("p{percent} {quiet:?} without greedy clients, {loud:?} with them");
            }
            loud[loud.len() / 2] >= Duration::from_millis(100)
        })
    });
    assert!(!is_late, "an iteration of the event loop takes too long");
    leak_check.end(&daemon);
}

/// The latencies of small requests, sorted.
fn times(daemon: &Daemon) -> Vec<Duration> {
    let mut client = daemon.connect("frame");
    let mut times: Vec<Duration> = (0..300)
        .map(|_| {
            let begun = Instant::now();
            assert_serves(&mut client);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times
}

/// Sends requests without waiting for replies: large ones that are offloaded, or small ones.
fn be_greedy(daemon: &Daemon, number: usize, over: &AtomicBool) {
    let mut client = daemon.connect("frame");
    let requests = match number {
        0 | 1 => frame(SHUFFLE, &vec![b'x'; 1 << 20]),
        _ => frame(REVERSE, b"abc").repeat(5000),
    };
    let mut writer = client.stream.try_clone().expect("a second handle");
    thread::scope(|scope| {
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                writer.write_all(&requests).expect("send");
            }
            writer.shutdown(Shutdown::Write).expect("shutdown");
        });
        let mut taken = vec![0; 1 << 20];
        while client.stream.read(&mut taken).expect("replies") > 0 {}
    });
}

/// Fault 17: at most as many threads as workers process offloaded requests, at the lowest priority.
#[test]
fn offload_threads_are_limited_and_niced() {
    let daemon = Daemon::serving("frame", &["--workers=2"]);
    let leak_check = LeakCheck::begin(&daemon);
    let text = vec![b'x'; 1 << 20];
    in_parallel(8, |_| assert!(daemon.connect("frame").request(SHUFFLE, &text) == text));
    let offload_threads: Vec<i32> =
        daemon.tasks().iter().filter(|task| task.name == "offload").map(|task| task.id).collect();
    assert!((1..=2).contains(&offload_threads.len()), "{} threads", offload_threads.len());
    for thread in offload_threads {
        let stat = std::fs::read_to_string(format!("/proc/{}/task/{thread}/stat", daemon.pid)).expect("a thread");
        // proc_pid_stat(5): the name in parentheses is the second field, the nice value the nineteenth
        let nice = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(16));
        assert_eq!(nice, Some("19"), "{stat}");
    }
    leak_check.end(&daemon);
}

/// Fault 17: connections of a crowd are accepted in batches.
#[test]
fn mass_connect_does_not_delay_open_connections() {
    const CROWD: usize = 400;
    let daemon = Daemon::serving("frame", &["--workers=1", "-vv"]);
    let leak_check = LeakCheck::begin(&daemon);
    let mut served = daemon.connect("frame");
    assert_serves(&mut served);
    // suspended, so that the crowd and the request arrive at the same time
    daemon.pause();
    let crowd: Vec<Client> = (0..CROWD).map(|_| daemon.connect("frame")).collect();
    let before = daemon.log.len();
    served.send(&frame(UPPERCASE, b"served"));
    daemon.signal(Signal::SIGCONT);
    assert_eq!(served.receive_frame(), b"SERVED");
    let (answered, _) = daemon.wait_for_line(before, "uppercase of 6 bytes answered");
    let accepted = daemon.log.all()[before..answered].iter().filter(|line| line.ends_with(": accepted")).count();
    assert!(accepted < CROWD / 4, "{accepted} were accepted first");
    drop((crowd, served));
    leak_check.end(&daemon);
}

/// Fault 18: urgent data is not part of the stream, and has no effect.
#[test]
fn urgent_data_has_no_effect() {
    let daemon = Daemon::serving("frame", &["--workers=1"]);
    let leak_check = LeakCheck::begin(&daemon);
    let mut client = daemon.connect("frame");
    let request = frame(UPPERCASE, b"urgent");
    for at in 0..request.len() {
        client.send(&request[..at]);
        assert_eq!(send(client.stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB), Ok(1));
        client.send(&request[at..]);
        assert_eq!(client.receive_frame(), b"URGENT");
    }
    assert_eq!(client.request(UPPERCASE, b"after"), b"AFTER");
    drop(client);
    assert_eq!(leak_check.end(&daemon).refused, 0);
}

/// Fault 18: nor has it on large input, which is not read.
#[test]
fn urgent_data_has_no_effect_on_large_input() {
    let daemon = DaemonBuilder::every_protocol(&["--workers=1"]).start();
    // after a read of as much, the next input is not read
    let large: Vec<u8> = (0..60_000_u32).map(|i| (i % 251) as u8).collect();
    for protocol in ["echo", "discard"] {
        let mut client = daemon.connect(protocol);
        for piece in [&large, &large[..5], &large, &large] {
            client.send(piece);
            assert!(protocol == "discard" || client.receive(piece.len()) == piece, "other bytes");
            assert_eq!(send(client.stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB), Ok(1));
        }
        client.send(b"the end");
        client.half_close();
        let expected: &[u8] = if protocol == "echo" { b"the end" } else { b"" };
        assert_eq!(client.receive_all(), expected, "{protocol}");
    }
    let statistics = daemon.statistics_at_rest();
    assert_eq!(statistics.closed_by.get("finished"), Some(&statistics.closed), "{:?}", statistics.closed_by);
}

/// Fault 16: segments of one byte, in both directions.
#[test]
fn tiny_segments_and_windows_lose_nothing() {
    let daemon = Daemon::serving("frame", &["--workers=2", "--send-buffer=1", "--recv-buffer=1"]);
    let leak_check = LeakCheck::begin(&daemon);
    let text: Vec<u8> = (0..100_000).map(|i| b"abcdefg"[i % 7]).collect();
    let reversed: Vec<u8> = text.iter().rev().copied().collect();
    in_parallel(4, |_| {
        let mut client = daemon.connect("frame");
        setsockopt(&client.stream, sockopt::RcvBuf, &1).expect("SO_RCVBUF");
        for byte in frame(REVERSE, b"one byte at a time") {
            client.send(&[byte]);
        }
        assert_eq!(client.receive_frame(), b"emit a ta etyb eno");
        let requests = frame(REVERSE, &text).repeat(3);
        assert!(client.exchange(&requests) == length_prefixed(&reversed).repeat(3), "wrong replies");
    });
    assert_eq!(leak_check.end(&daemon).answered, 16);
}
