//! Clients that leave, that stall, and that take more than their part.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, getsockopt, send, setsockopt, sockopt};

use super::harness::{Client, DEADLINE, Daemon, Launch, frame, framed, in_parallel};
use super::{REVERSE, SHUFFLE, UPPERCASE, Watch, assert_serves, load_time, rss_limit};
use std::os::fd::AsRawFd;

/// Fault 10: the client has said all that it wants to say, and gets all of it answered.
#[test]
fn half_closed_clients_get_every_answer() {
    // small buffers in the kernel: most answers are still owed when the end of the input comes
    let daemon = Daemon::serving("frame", &["--workers=2", "--send-buffer=4K"]);
    let watch = Watch::begin(&daemon);
    // in their midst one that another thread answers, so that what is behind it waits
    let (small, large) = (frame(REVERSE, b"abc"), "é".repeat(15_000).into_bytes());
    let requests = [small.repeat(10_000), frame(SHUFFLE, &large), small.repeat(20_000)].concat();
    let answers = [framed(b"cba").repeat(10_000), framed(&large), framed(b"cba").repeat(20_000)].concat();
    let mut clients: Vec<Client> = (0..8).map(|_| daemon.connect("frame")).collect();
    for client in &mut clients {
        setsockopt(&client.stream, sockopt::RcvBuf, &16_384).expect("SO_RCVBUF");
        client.send(&requests);
        client.half_close();
    }
    thread::scope(|scope| {
        for mut client in clients {
            let answers = &answers;
            scope.spawn(move || assert!(client.receive_all() == *answers, "not every answer"));
        }
    });
    let statistics = watch.end(&daemon);
    assert_eq!((statistics.answered, statistics.closed_for("finished")), (240_008, 9), "{statistics:?}");
}

/// Fault 11: a reset at every stage of a request and of its answer.
#[test]
fn resets_in_requests_and_answers_are_counted_and_leave_nothing() {
    // a small buffer in the kernel: it never takes a whole answer
    let daemon = Daemon::serving("frame", &["--workers=2", "--send-buffer=64K"]);
    let watch = Watch::begin(&daemon);
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
    // the answer has begun; some have ended their side before, which makes it EPIPE
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
    let statistics = watch.end(&daemon);
    let resets = small.len() as u64 + 1 + 4 + 10;
    assert_eq!((statistics.accepted, statistics.closed_for("reset")), (resets + 2, resets), "{statistics:?}");
}

/// Fault 11: what was done for a client that is gone is not given to the next one.
#[test]
fn work_for_a_client_that_is_gone_reaches_nobody_else() {
    let daemon = Daemon::serving("frame", &["--workers=1"]);
    let watch = Watch::begin(&daemon);
    let large = frame(SHUFFLE, &vec![b'x'; 1 << 20]);
    for round in 1..=10 {
        let mut gone = daemon.connect("frame");
        gone.send(&large);
        daemon.statistics_when(|statistics| statistics.requests == 2 * round - 1);
        gone.reset();
        // it has the place of the other one
        let mut next = daemon.connect("frame");
        assert_serves(&mut next);
        assert!(next.is_silent(Duration::from_millis(50)), "it got something that it has not asked for");
    }
    let statistics = watch.end(&daemon);
    assert_eq!(statistics.answered + statistics.abandoned, 20, "{statistics:?}");
    assert!(statistics.abandoned_by.contains_key("reset"), "{statistics:?}");
}

/// Fault 11: a client from which nothing is wanted, because there is no memory for it.
#[test]
fn a_reset_while_it_waits_for_memory_is_noticed() {
    let arguments = ["--max-buffered=4M", "--request-timeout=none", "--workers=1"];
    let daemon = Daemon::serving("frame", &arguments);
    let watch = Watch::begin(&daemon);
    let mut honest = daemon.connect("frame");
    let begin = &frame(REVERSE, &vec![b'x'; 1_900_000])[..20_000];
    // together they take the shared half, one the reserve; those that come later wait
    let mut clients: Vec<Client> = (0..130).map(|_| daemon.connect("frame")).collect();
    for client in &mut clients {
        client.send(begin);
        assert_serves(&mut honest);
    }
    clients.drain(120..).for_each(Client::reset);
    daemon.statistics_when(|statistics| statistics.closed_for("reset") == 10);
    drop((clients, honest));
    watch.end(&daemon);
}

/// Fault 12: connections that are reset as fast as they can be made.
#[test]
fn a_storm_of_resets_leaves_nothing() {
    let daemon = Daemon::serving("frame", &["--workers=2"]);
    let watch = Watch::begin(&daemon);
    let begun = Instant::now();
    let request = frame(UPPERCASE, b"never read");
    let made: u64 = in_parallel(4, |number| {
        let mut made = 0;
        while begun.elapsed() < load_time() {
            let mut client = daemon.connect("frame");
            // one in two has asked something; a write may already meet the reset of a full queue
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
    let statistics = watch.end(&daemon);
    // a client that met a full queue was never accepted: its reset came before its place in the queue
    let known = statistics.accepted + statistics.accept_lost;
    assert!((made - made / 100..=made + 2).contains(&known), "{made} made, {statistics:?}");
}

/// Fault 13: nobody can be made to hold answers without end for a client that does not take them.
#[test]
fn a_client_that_never_reads_is_held_back_and_closed() {
    let daemon = Daemon::serving("frame", &["--workers=1", "--write-timeout=500ms", "-v"]);
    let watch = Watch::begin(&daemon);
    let mut honest = daemon.connect("frame");
    let mut client = daemon.connect("frame");
    client.stream.set_write_timeout(Some(Duration::from_millis(200))).expect("SO_SNDTIMEO");
    let requests = frame(REVERSE, &[b'x'; 1000]).repeat(100);
    let mut sent = 0;
    while client.stream.write_all(&requests).is_ok() {
        sent += requests.len();
        assert!(sent < 64 << 20, "the daemon goes on reading");
        assert_serves(&mut honest);
    }
    assert!(daemon.rss() < rss_limit(watch.rss, 0), "{} bytes more", daemon.rss() - watch.rss);
    daemon.wait_for_line(0, "closed: write-timeout");
    assert_serves(&mut honest);
    drop((client, honest));
    let statistics = watch.end(&daemon);
    assert!(statistics.abandoned_by.contains_key("write-timeout"), "{statistics:?}");
}

/// Fault 13: who takes nothing gains no time by sending.
#[test]
fn chargen_ends_for_a_client_that_sends_and_never_reads() {
    let launch = Launch::new(&["--listen=chargen=127.0.0.1:0", "--write-timeout=500ms", "-v"]);
    let daemon = launch.start();
    let watch = Watch::begin(&daemon);
    let mut client = daemon.connect("chargen");
    let begun = Instant::now();
    client.stream.set_nonblocking(true).expect("non-blocking");
    while client.stream.write(b"x").is_ok() && begun.elapsed() < DEADLINE {
        // the pause between two bytes is what is tested
        thread::sleep(Duration::from_millis(50));
    }
    assert!((400..3000).contains(&begun.elapsed().as_millis()), "closed after {:?}", begun.elapsed());
    drop(client);
    assert_eq!(watch.end(&daemon).closed_for("write-timeout"), 1);
}

/// Fault 14: the deadline is on the whole request, so a byte now and then does not renew it.
#[test]
fn one_byte_at_a_time_does_not_renew_the_deadline() {
    let daemon = Daemon::serving("frame", &["--request-timeout=600ms", "--idle-timeout=none", "-v"]);
    let watch = Watch::begin(&daemon);
    let slow = |request: Vec<u8>| {
        let mut client = daemon.connect("frame");
        let begun = Instant::now();
        for byte in request {
            if client.stream.write_all(&[byte]).is_err() || !client.is_silent(Duration::from_millis(50)) {
                break;
            }
        }
        let took = begun.elapsed();
        assert!((500..1500).contains(&took.as_millis()), "closed after {took:?}");
    };
    // one that is served, one that is refused and only dropped
    slow(frame(REVERSE, &[b'x'; 100]));
    slow(frame(0, &[b'x'; 100]));
    assert_eq!(watch.end(&daemon).closed_for("request-timeout"), 2);
}

/// Fault 14: who has sent much may not rest on it.
#[test]
fn a_burst_does_not_buy_time_for_a_stall() {
    let daemon = Daemon::serving("frame", &["--request-timeout=500ms", "-v"]);
    let watch = Watch::begin(&daemon);
    let mut client = daemon.connect("frame");
    client.send(&frame(REVERSE, &vec![b'x'; 4 << 20])[..3 << 20]);
    let begun = Instant::now();
    client.wait_closed();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(client);
    assert_eq!(watch.end(&daemon).closed_for("request-timeout"), 1);
}

/// Fault 15: who asks nothing goes, in time.
#[test]
fn idle_clients_are_closed_in_time() {
    let daemon = Daemon::serving("frame", &["--idle-timeout=400ms", "-v"]);
    let watch = Watch::begin(&daemon);
    let begun = Instant::now();
    let mut silent: Vec<Client> = (0..20).map(|_| daemon.connect("frame")).collect();
    let mut busy = daemon.connect("frame");
    for client in &mut silent {
        while busy_until_closed(client, &mut busy) {}
    }
    let took = begun.elapsed();
    assert!((350..2000).contains(&took.as_millis()), "closed after {took:?}");
    assert_serves(&mut busy);
    drop((silent, busy));
    let statistics = watch.end(&daemon);
    assert_eq!(statistics.closed_for("idle-timeout"), 20, "{statistics:?}");
}

fn busy_until_closed(client: &mut Client, busy: &mut Client) -> bool {
    assert_serves(busy);
    client.is_silent(Duration::from_millis(20))
}

/// Fault 15: the kernel looks after peers that vanish without a word.
#[test]
fn vanished_peers_are_probed() {
    if !super::available("ss") {
        return;
    }
    let daemon = Daemon::serving("frame", &[]);
    let watch = Watch::begin(&daemon);
    let mut client = daemon.connect("frame");
    assert_serves(&mut client);
    let port = daemon.address("frame").port();
    let words = ["-Htno", "state", "established", "sport", "=", &format!(":{port}")];
    let listed = std::process::Command::new("ss").args(words).output().expect("run ss");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("timer:(keepalive,"), "no keepalive timer: {listed}");
    drop(client);
    watch.end(&daemon);
}

/// Fault 15: what the kernel is told about peers that vanish, seen on our copy of a listener that was handed over.
#[test]
fn the_kernel_knows_when_to_give_up_a_peer() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let copy = listener.try_clone().expect("a copy of the listener");
    let daemon = Launch::new(&[]).with_sockets("frame", vec![listener.into()]).start();
    let watch = Watch::begin(&daemon);
    assert_eq!(getsockopt(&copy, sockopt::KeepAlive), Ok(true));
    // first probed after a minute, given up after a second one, or when an answer is unacknowledged for two
    assert_eq!(getsockopt(&copy, sockopt::TcpKeepIdle), Ok(60));
    assert_eq!(getsockopt(&copy, sockopt::TcpKeepInterval), Ok(15));
    assert_eq!(getsockopt(&copy, sockopt::TcpKeepCount), Ok(4));
    assert_eq!(getsockopt(&copy, sockopt::TcpUserTimeout), Ok(120_000));
    watch.end(&daemon);
}

/// Fault 17: who asks as fast as possible gets no more than a turn in each round.
#[test]
fn greedy_clients_do_not_starve_a_small_one() {
    let daemon = Daemon::serving("frame", &["--workers=1"]);
    let watch = Watch::begin(&daemon);
    let quiet = times(&daemon);
    let over = AtomicBool::new(false);
    let is_late = thread::scope(|scope| {
        for number in 0..6 {
            let (daemon, over) = (&daemon, &over);
            scope.spawn(move || be_greedy(daemon, number, over));
        }
        // whatever happens here: nobody is to be waited for who goes on
        let _end = SetWhenDropped(&over);
        daemon.statistics_when(|statistics| statistics.answered > 5000);
        // a round reads at most 320 KiB of each of them and sends it at most 256 KiB; half of all requests may be late by
        // the machine's other work, and all of two tries
        (0..3).all(|_| {
            let loud = times(&daemon);
            for percent in [50, 99] {
                let [quiet, loud] = [&quiet, &loud].map(|times| times[times.len() * percent / 100]);
                println!("p{percent} {quiet:?} without greedy clients, {loud:?} with them");
            }
            loud[loud.len() / 2] >= Duration::from_millis(100)
        })
    });
    assert!(!is_late, "a round takes too long");
    watch.end(&daemon);
}

/// Sets a flag, even when a test fails.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The times that small requests take, the shortest first.
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

/// Has large messages shuffled without pause, or pipelines small requests: some without ever waiting for an answer.
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
        while client.stream.read(&mut taken).expect("answers") > 0 {}
    });
}

/// Fault 17: large messages have as many threads as there are workers, and those give way to everybody else.
#[test]
fn threads_for_large_messages_are_few_and_give_way() {
    let daemon = Daemon::serving("frame", &["--workers=2"]);
    let watch = Watch::begin(&daemon);
    let text = vec![b'x'; 1 << 20];
    in_parallel(8, |_| assert!(daemon.connect("frame").ask(SHUFFLE, &text) == text));
    let offload: Vec<i32> = daemon.tasks().iter().filter(|task| task.name == "offload").map(|task| task.id).collect();
    assert!((1..=2).contains(&offload.len()), "{} threads", offload.len());
    for thread in offload {
        let stat = std::fs::read_to_string(format!("/proc/{}/task/{thread}/stat", daemon.pid)).expect("a thread");
        // proc_pid_stat(5): the name in parentheses is the second field, the nice value the nineteenth
        let nice = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(16));
        assert_eq!(nice, Some("19"), "{stat}");
    }
    watch.end(&daemon);
}

/// Fault 17: a crowd that comes in at once is let in a few at a time.
#[test]
fn a_crowd_that_connects_keeps_nobody_waiting() {
    const CROWD: usize = 400;
    let daemon = Daemon::serving("frame", &["--workers=1", "-vv"]);
    let watch = Watch::begin(&daemon);
    let mut served = daemon.connect("frame");
    assert_serves(&mut served);
    // stopped, so that the crowd and the request are there at the same time
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
    watch.end(&daemon);
}

/// Fault 18: urgent data is no part of the stream, and no reason for anything.
#[test]
fn urgent_data_has_no_effect() {
    let daemon = Daemon::serving("frame", &["--workers=1"]);
    let watch = Watch::begin(&daemon);
    let mut client = daemon.connect("frame");
    let request = frame(UPPERCASE, b"urgent");
    for at in 0..request.len() {
        client.send(&request[..at]);
        assert_eq!(send(client.stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB), Ok(1));
        client.send(&request[at..]);
        assert_eq!(client.receive_frame(), b"URGENT");
    }
    drop(client);
    assert_eq!(watch.end(&daemon).refused, 0);
}

/// Fault 16: segments of one byte, in both directions.
#[test]
fn tiny_segments_and_tiny_windows_change_nothing() {
    let daemon = Daemon::serving("frame", &["--workers=2", "--send-buffer=1", "--recv-buffer=1"]);
    let watch = Watch::begin(&daemon);
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
        assert!(client.exchange(&requests) == framed(&reversed).repeat(3), "not the answers");
    });
    assert_eq!(watch.end(&daemon).answered, 16);
}
