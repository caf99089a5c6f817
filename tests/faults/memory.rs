//! Memory is bounded by arithmetic: what was used when idle, what each worker has, `--max-buffered`, and a constant
//! for each connection.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use retortd::connection::{POOL_CAPACITY, READ_BUF_SIZE, REPLY_BUF_SIZE};

use super::harness::{Client, Daemon, frame, framed, in_parallel};
use super::{REVERSE, UPPERCASE, Watch, assert_serves, rss_limit};

/// What a connection may hold beyond the budget: [`retortd::connection::ALLOWANCE`] and its own record.
const EACH: u64 = 24 * 1024;

/// The formula of the README.
fn most(watch: &Watch, workers: u64, buffered: u64, connections: u64) -> u64 {
    rss_limit(
        watch.rss,
        workers * (READ_BUF_SIZE + REPLY_BUF_SIZE + POOL_CAPACITY) as u64 + buffered + connections * EACH,
    )
}

/// Sends without waiting for room, as much as the kernel takes; how much that was.
fn send_what_fits(client: &mut Client, bytes: &[u8]) -> usize {
    client.stream.set_nonblocking(true).expect("non-blocking");
    let mut sent = 0;
    while let Ok(length @ 1..) = std::io::Write::write(&mut client.stream, &bytes[sent..]) {
        sent += length;
    }
    client.stream.set_nonblocking(false).expect("blocking");
    sent
}

fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

/// Fault 8: each announces the largest frame that there is, and sends of it what it can.
#[test]
fn many_clients_with_the_largest_frame_stay_within_the_budget() {
    const CLIENTS: u64 = 200;
    const BUFFERED: u64 = 320 << 20;
    // small buffers in the kernel, so that what is sent is either read or still the client's
    let arguments = ["--max-buffered=320M", "--workers=2", "--recv-buffer=64K"];
    let daemon = Daemon::serving("frame", &arguments);
    let watch = Watch::begin(&daemon);
    let mut honest = daemon.connect("frame");
    let chunk = vec![b'x'; 4 << 20];
    let mut clients: Vec<(Client, usize)> = (0..CLIENTS).map(|_| (daemon.connect("frame"), 0)).collect();
    for (client, _) in &mut clients {
        setsockopt(&client.stream, sockopt::SndBuf, &65_536).expect("SO_SNDBUF");
        client.send(&0x0fff_ffff_u32.to_be_bytes());
    }
    let (mut slowest, mut moved) = (Duration::ZERO, Instant::now());
    while moved.elapsed() < Duration::from_millis(300) {
        for (client, sent) in &mut clients {
            let fits = send_what_fits(client, &chunk[*sent..]);
            *sent += fits;
            moved = if fits > 0 { Instant::now() } else { moved };
        }
        let asked = Instant::now();
        assert_serves(&mut honest);
        slowest = slowest.max(asked.elapsed());
    }
    let sent: usize = clients.iter().map(|(_, sent)| sent).sum();
    let (peak, most) = (daemon.peak_rss(), most(&watch, 2, BUFFERED, CLIENTS + 1));
    println!(
        "{sent} bytes sent; peak {} MiB of {} MiB; slowest small answer {slowest:?}",
        mebibytes(peak),
        mebibytes(most)
    );
    assert!(peak <= most, "{} MiB of {} MiB", mebibytes(peak), mebibytes(most));
    drop((clients, honest));
    watch.end(&daemon);
}

/// Fault 8: all the memory is taken, by requests that each need a large part of it; they are answered in turn.
#[test]
fn large_requests_are_all_answered_in_the_end() {
    const BUFFERED: u64 = 24 << 20;
    let daemon = Daemon::serving("frame", &["--max-buffered=24M", "--workers=2"]);
    let watch = Watch::begin(&daemon);
    let text = b"ab".repeat(3 << 20);
    let (request, answer) = (frame(REVERSE, &text), framed(&b"ba".repeat(3 << 20)));
    thread::scope(|scope| {
        let crowd = scope.spawn(|| {
            in_parallel(30, |_| {
                assert!(daemon.connect("frame").exchange(&request) == answer, "not the answer");
            });
        });
        let mut honest = daemon.connect("frame");
        while !crowd.is_finished() {
            assert_serves(&mut honest);
        }
        crowd.join().expect("a client failed");
    });
    let (peak, most) = (daemon.peak_rss(), most(&watch, 2, BUFFERED, 31));
    assert!(peak <= most, "{} MiB of {} MiB", mebibytes(peak), mebibytes(most));
    watch.end(&daemon);
}

/// Fault 13: many that ask without end and take no answer.
#[test]
fn clients_that_never_read_stay_within_the_budget() {
    const CLIENTS: u64 = 400;
    const BUFFERED: u64 = 4 << 20;
    // small buffers in the kernel, so that what is not taken stays with the daemon
    let arguments = ["--max-buffered=4M", "--workers=1", "--write-timeout=none", "--send-buffer=4K"];
    let daemon = Daemon::serving("frame", &arguments);
    let watch = Watch::begin(&daemon);
    let mut honest = daemon.connect("frame");
    let requests = frame(UPPERCASE, "\u{390}".repeat(300).as_bytes()).repeat(2000);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| daemon.connect("frame")).collect();
    for client in &mut clients {
        setsockopt(&client.stream, sockopt::RcvBuf, &4096).expect("SO_RCVBUF");
        send_what_fits(client, &requests);
        assert_serves(&mut honest);
    }
    let (peak, most) = (daemon.peak_rss(), most(&watch, 1, BUFFERED, CLIENTS + 1));
    println!("peak {} MiB of {} MiB", mebibytes(peak), mebibytes(most));
    assert!(peak <= most, "{} MiB of {} MiB", mebibytes(peak), mebibytes(most));
    drop((clients, honest));
    watch.end(&daemon);
}

/// Fault 8: services that produce or drop without end hold nothing.
#[test]
fn endless_services_cost_no_memory() {
    let listen = ["--listen=chargen=127.0.0.1:0", "--listen=discard=127.0.0.1:0", "--listen=echo=127.0.0.1:0"];
    let daemon = super::Launch::new(&[&listen[..], &["--workers=1", "--write-timeout=none"]].concat()).start();
    let watch = Watch::begin(&daemon);
    let never_read: Vec<Client> = (0..200).map(|_| daemon.connect("chargen")).collect();
    let mut dropped: Vec<Client> = (0..20).map(|_| daemon.connect("discard")).collect();
    let bytes = vec![b'x'; 1 << 20];
    for client in &mut dropped {
        client.send(&bytes);
    }
    let mut reader = daemon.connect("chargen");
    reader.receive(5_000_000);
    daemon.statistics_when(|statistics| statistics.bytes_in == 20 << 20);
    assert!(daemon.peak_rss() <= rss_limit(watch.rss, 221 * EACH), "{} MiB", mebibytes(daemon.peak_rss()));
    drop((never_read, dropped, reader));
    watch.end(&daemon);
}
