//! Clients that close while requests, memory or messages of theirs are pending, and crowds of them: rows 35 to 42.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};

use super::{LeakCheck, REVERSE, SHUFFLE, Trace, UPPERCASE, assert_serves, available, rss_limit};
use crate::harness::action::RANDOM;
use crate::harness::{
    Client, Daemon, DaemonBuilder, Directory, SetWhenDropped, any_memory, frame, length_prefixed, wait_until,
};

/// More connections than the number from which on a worker returns their memory to the system (1024).
const CROWD: usize = 1100;
const MIB: usize = 1 << 20;

/// Fault 35: the result of an offloaded request arrives when its client has gone and another has the slot.
#[test]
fn offload_result_of_closed_connection_is_dropped() {
    let daemon = Daemon::serving("frame", &["--workers=1"]);
    let crowd: Vec<Client> = (0..CROWD).map(|_| daemon.connect("frame")).collect();
    let mut victim = daemon.connect("frame");
    assert_serves(&mut victim);
    victim.send(&frame(SHUFFLE, &vec![b's'; 8 * MIB]));
    let Some(frozen) = daemon.freeze_at_work() else { return };
    crowd.into_iter().chain([victim]).for_each(Client::reset);
    daemon.statistics_at_rest();
    let mut strangers: Vec<Client> = (0..CROWD + 10).map(|_| daemon.connect("frame")).collect();
    strangers.iter_mut().for_each(assert_serves);
    drop(frozen);
    // the next result arrives after the late one
    assert!(strangers[0].request(SHUFFLE, &vec![b't'; 2 * MIB]) == vec![b't'; 2 * MIB]);
    for stranger in &mut strangers {
        stranger.stream.set_nonblocking(true).expect("non-blocking");
        assert!(stranger.stream.read(&mut [0]).is_err(), "a client got the reply to another one's request");
    }
    drop(strangers);
    let statistics = daemon.statistics_at_rest();
    assert_eq!((statistics.abandoned, statistics.in_flight), (1, 0), "{statistics:?}");
}

/// Fault 38: queued requests of clients that have gone are dropped, with their memory, before a thread processes them.
#[test]
fn queued_requests_of_closed_connections_are_dropped() {
    let daemon = Daemon::serving("frame", &["--workers=1"]);
    let mut other = daemon.connect("frame");
    let text = vec![b'x'; 100_000];
    assert!(other.request(SHUFFLE, &text) == text);
    let leak_check = LeakCheck::begin_with(&daemon, 1);
    let Some(frozen) = daemon.freeze("offload") else { return };
    let gone: Vec<Client> = (0..8)
        .map(|_| {
            let mut client = daemon.connect("frame");
            client.send(&frame(SHUFFLE, &vec![b'x'; 8 * MIB]));
            client
        })
        .collect();
    daemon.statistics_when(|statistics| statistics.in_flight == 8);
    gone.into_iter().for_each(Client::reset);
    daemon.statistics_when(|statistics| statistics.abandoned == 8 && statistics.open == 1);
    wait_until("their memory is back", || daemon.rss() <= rss_limit(leak_check.rss, 8 << 20));
    drop(frozen);
    assert!(other.request(SHUFFLE, &text) == text);
    drop(other);
    leak_check.end(&daemon);
}

/// Fault 39: clients that connect without pause do not delay the stop.
#[test]
fn connection_flood_does_not_delay_stop() {
    let mut daemon =
        DaemonBuilder::new(&["--listen=daytime=127.0.0.1:0", "--workers=2", "--drain-timeout=2s", "-v"]).start();
    let (address, over) = (daemon.address("daytime"), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    if let Ok(stream) = std::net::TcpStream::connect(address) {
                        Client::from_stream(stream).reset();
                    }
                }
            });
        }
        let _end = SetWhenDropped(&over);
        daemon.statistics_when(|statistics| statistics.accepted > 100);
        assert_eq!(daemon.stop(), 0);
    });
    daemon.last_statistics();
}

/// Fault 39: connections that one worker accepts for another one that has ended are counted.
#[test]
fn connections_dropped_at_stop_are_counted() {
    const SERVED: u64 = 10;
    let mut daemon = Daemon::serving("frame", &["--workers=2", "-v"]);
    let mut served: Vec<Client> = (0..SERVED).map(|_| daemon.connect("frame")).collect();
    served.iter_mut().for_each(assert_serves);
    let Some(last) = daemon.freeze("worker-0") else { return };
    let Some(first) = daemon.freeze("worker-1") else { return };
    // for each worker these connections come before the stop, and it accepts at least one of them first
    let late: Vec<Client> = (0..40).map(|_| daemon.connect("frame")).collect();
    daemon.begin_drain();
    daemon.stop_now();
    daemon.wait_for_line(0, "stopping at once");
    wait_until("the main thread has sent the order", || daemon.is_idle("retortd"));
    drop(first);
    wait_until("the first worker has ended", || daemon.tasks().iter().all(|task| task.name != "worker-1"));
    // the other worker has more connections than the ended one, and dispatches the next one to it
    drop(last);
    assert_eq!(daemon.wait_exit(), 0);
    // last_statistics() checks the sums
    let statistics = daemon.last_statistics();
    assert!(statistics.accepted >= SERVED + 2 && statistics.open == 0, "{statistics:?}");
    drop((served, late));
}

/// Receives a large reply slowly, and sends a byte after each part.
fn take_slowly(client: &mut Client, length: usize) -> Vec<u8> {
    let mut taken = Vec::new();
    while taken.len() < length {
        let mut piece = vec![0; (length - taken.len()).min(length / 20 + 1)];
        client.stream.read_exact(&mut piece).unwrap_or_else(|error| panic!("after {} bytes: {error}", taken.len()));
        taken.extend(piece);
        let _ = client.stream.write_all(&[0]);
        // longer in total than a connection without pending output lingers
        thread::sleep(Duration::from_millis(30));
    }
    taken
}

/// Fault 40: the kernel has the whole reply, of which the client has received little, and the client sends: a stop must
/// not truncate the reply.
#[test]
fn drain_keeps_reply_in_kernel_send_buffer() {
    let mut daemon = Daemon::serving("frame", &["--workers=1", "-v"]);
    let mut client = daemon.connect("frame");
    setsockopt(&client.stream, sockopt::RcvBuf, &16_384).expect("SO_RCVBUF");
    let text = vec![b'a'; MIB];
    client.send(&frame(UPPERCASE, &text));
    daemon.statistics_when(|statistics| statistics.answered == 1);
    let mut other = daemon.connect("frame");
    assert_serves(&mut other);
    daemon.signal(Signal::SIGTERM);
    // processed after the first client
    assert_eq!(other.wait_closed(), b"");
    client.send(b"more");
    let reply = length_prefixed(&text.to_ascii_uppercase());
    assert!(take_slowly(&mut client, reply.len()) == reply);
    client.half_close();
    drop(other);
    assert_eq!(daemon.wait_exit(), 0);
    let statistics = daemon.last_statistics();
    assert_eq!((statistics.answered, statistics.closed_for("stopped")), (2, 2), "{statistics:?}");
}

/// Fault 36: replies to slow readers are charged with their real size, not with the largest possible one.
#[test]
fn slow_readers_of_random_replies_leave_memory_to_others() {
    let daemon = Daemon::serving("frame", &["--workers=2", "--max-buffered=32M", "--send-buffer=4K", "--seed=1"]);
    let mut slow: Vec<Client> = (0..4).map(|_| daemon.connect("frame")).collect();
    for client in &mut slow {
        setsockopt(&client.stream, sockopt::RcvBuf, &4096).expect("SO_RCVBUF");
        client.send(&frame(RANDOM, &vec![b'x'; 200_000]));
        // the reply is being sent
        client.receive(100);
    }
    let text = vec![b'y'; 4 * MIB];
    assert!(daemon.connect("frame").request(REVERSE, &text).iter().all(|byte| *byte == b'y'));
    // and no slow reader was closed for that
    for client in &mut slow {
        client.receive(100);
    }
    slow.into_iter().for_each(Client::reset);
    daemon.statistics_at_rest();
}

/// Fault 37: connections whose timeouts expire at the same time are closed in batches; other events are handled in
/// between.
#[test]
fn mass_timeout_closes_in_small_batches() {
    let directory = Directory::new();
    let settings = directory.write("settings", "");
    let daemon = Daemon::serving("frame", &["--workers=1", "--settings", &settings]);
    let mut crowd: Vec<Client> = (0..2 * CROWD).map(|_| daemon.connect("frame")).collect();
    daemon.statistics_when(|statistics| statistics.open == 2 * CROWD as u64);
    let Some(trace) = Trace::of_thread(&daemon, "worker-0", "shutdown,?epoll_wait,?epoll_pwait", &[]) else { return };
    directory.write("settings", "RETORTD_IDLE_TIMEOUT=1ms\n");
    daemon.reload();
    for client in &mut crowd {
        assert_eq!(client.wait_closed(), b"");
    }
    let calls = trace.end();
    // the trace may contain signals, too
    let passes = calls.split(|call| call.contains("epoll_"));
    let passes = passes.map(|calls| calls.iter().filter(|call| call.starts_with("shutdown(")).count());
    assert_eq!(passes.clone().sum::<usize>(), 2 * CROWD);
    // a pass ends after a millisecond, in which strace traces fewer calls than this on any machine
    let longest = passes.max().expect("a pass");
    assert!(longest <= 256, "{longest} at once");
    drop(crowd);
    let statistics = daemon.statistics_at_rest();
    assert_eq!(statistics.closed_for("idle-timeout"), 2 * CROWD as u64, "{statistics:?}");
}

/// Fault 42: the memory of a crowd is returned to the system, whatever the size of its requests.
#[test]
fn memory_of_crowd_is_returned() {
    for length in [900, 3_000, 5_000, 15_000, 30_000] {
        let daemon = Daemon::serving("frame", &["--workers=2"]);
        let leak_check = LeakCheck::begin(&daemon);
        let begun = frame(UPPERCASE, &vec![b'x'; length]);
        let mut crowd: Vec<Client> = (0..3000).map(|_| daemon.connect("frame")).collect();
        for client in &mut crowd {
            client.send(&begun[..length]);
        }
        daemon.statistics_when(|statistics| statistics.bytes_in >= (crowd.len() * length) as u64);
        // in no order, so that memory in use lies between memory that is free
        let mut crowd: Vec<Option<Client>> = crowd.into_iter().map(Some).collect();
        for number in 0..crowd.len() {
            let chosen = number * 1_871 % crowd.len();
            drop(crowd[chosen].take());
        }
        assert!(crowd.iter().all(Option::is_none));
        leak_check.end(&daemon);
    }
}

/// Fault 42: transparent huge pages are off for the daemon, so that a page is not larger than what was written to it.
#[test]
fn transparent_huge_pages_are_disabled() {
    let daemon = Daemon::serving("frame", &[]);
    assert_eq!(daemon.status("THP_enabled"), 0);
}

/// Fault 42: with little address space, connections are rejected before an allocation fails.
#[test]
fn small_address_space_rejects_connections_only() {
    if !available("prlimit") || any_memory() {
        return;
    }
    for megabytes in [24, 48] {
        let limit = format!("--as={}", megabytes << 20);
        // more connections than the address space has room for
        let options = ["--listen=frame=127.0.0.1:0", "--workers=1", "--max-buffered=1G", "--max-connections=2k", "-v"];
        let launch = DaemonBuilder::new(&options);
        let daemon = launch.under(&["prlimit", &limit]).start();
        let begun = frame(SHUFFLE, &vec![b'x'; 60_000]);
        let mut crowd: Vec<Client> = (0..900).map(|_| daemon.connect("frame")).collect();
        for client in &mut crowd {
            // fails on a rejected connection
            let _ = client.stream.write_all(&begun[..50_000]);
        }
        let resources = |statistics: &super::Statistics| statistics.closed_for("resources") > 0;
        daemon.statistics_when(resources);
        drop(crowd);
        daemon.statistics_at_rest();
        assert_serves(&mut daemon.connect("frame"));
    }
}

/// Fault 42: the announced length of a request counts for `RLIMIT_DATA`. The log says at every level that connections
/// close because of that, once for all of them.
#[test]
fn want_of_memory_for_requests_is_warned_about_once() {
    if !available("prlimit") || any_memory() {
        return;
    }
    let limit = format!("--data={}", 64 << 20);
    let launch = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "--workers=1"]);
    let daemon = launch.under(&["prlimit", &limit]).start();
    let begun = frame(SHUFFLE, &vec![b'x'; 3_000_000]);
    let mut crowd: Vec<Client> = (0..40).map(|_| daemon.connect("frame")).collect();
    for client in &mut crowd {
        // fails on a connection that is closed already
        let _ = client.stream.write_all(&begun[..50_000]);
    }
    daemon.statistics_when(|statistics: &super::Statistics| statistics.closed_for("resources") > 1);
    drop(crowd);
    daemon.statistics_at_rest();
    assert_eq!(daemon.lines_with("no memory for a request or its reply"), 1);
    assert_serves(&mut daemon.connect("frame"));
}

/// Fault 42: threads, the log and buffers of all sizes do not exhaust a small address space.
#[test]
fn mixed_load_in_small_address_space_is_survived() {
    if !available("prlimit") || any_memory() {
        return;
    }
    let limit = format!("--as={}", 40 << 20);
    // more connections than the address space has room for
    let options = ["--listen=frame=127.0.0.1:0", "--workers=2", "--max-buffered=1G", "--max-connections=2k", "-vv"];
    let launch = DaemonBuilder::new(&options);
    let daemon = launch.under(&["prlimit", &limit]).start();
    let mut crowd = std::collections::VecDeque::new();
    for number in 0..12_000 {
        let length = [1, 3_000, 5_000, 17_000, 100_000, 1_000_000][number % 6];
        let request = frame([SHUFFLE, UPPERCASE][number % 2], &vec![b'x'; length]);
        let mut client = daemon.connect("frame");
        client.stream.set_nonblocking(true).expect("O_NONBLOCK");
        // as much as the kernel takes; fails on a rejected connection
        let _ = client.stream.write(&request[..request.len() - number % 3]);
        crowd.push_back(client);
        if crowd.len() > 900 {
            crowd.pop_front();
        }
    }
    drop(crowd);
    let statistics = daemon.statistics_at_rest();
    assert!(statistics.closed_for("resources") > 0, "{statistics:?}");
    assert_serves(&mut daemon.connect("frame"));
}
