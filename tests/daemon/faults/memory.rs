//! The bound on memory: idle memory + buffers of each worker + `--max-buffered` + a constant for each connection.

use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use retortd::connection::{POOL_CAPACITY, READ_BUF_SIZE, REPLY_BUF_SIZE};

use super::{LeakCheck, UPPERCASE, assert_serves, rss_limit};
use crate::harness::{Client, Daemon, frame};

/// Uncharged memory of a connection, in bytes: [`retortd::connection::UNCHARGED_BYTES`] and its own state, rounded up.
const EACH: u64 = 24 * 1024;

/// The limit for resident memory, in bytes.
fn most(leak_check: &LeakCheck, workers: u64, buffered: u64, connections: u64) -> u64 {
    rss_limit(
        leak_check.rss,
        workers * (READ_BUF_SIZE + REPLY_BUF_SIZE + POOL_CAPACITY) as u64 + buffered + connections * EACH,
    )
}

fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

/// Fault 8: every client announces the largest frame, and sends as much of it as the daemon reads.
#[test]
fn largest_frames_of_many_clients_stay_within_budget() {
    const CLIENTS: u64 = 200;
    const BUFFERED: u64 = 320 << 20;
    // small kernel buffers, so that sent bytes have been read by the daemon
    let arguments = ["--max-buffered=320M", "--workers=2", "--recv-buffer=64K"];
    let daemon = Daemon::serving("frame", &arguments);
    let leak_check = LeakCheck::begin(&daemon);
    let mut other = daemon.connect("frame");
    let chunk = vec![b'x'; 4 << 20];
    let mut clients: Vec<(Client, usize)> = (0..CLIENTS).map(|_| (daemon.connect("frame"), 0)).collect();
    for (client, _) in &mut clients {
        setsockopt(&client.stream, sockopt::SndBuf, &65_536).expect("SO_SNDBUF");
        client.send(&0x0fff_ffff_u32.to_be_bytes());
    }
    let (mut slowest, mut moved) = (Duration::ZERO, Instant::now());
    while moved.elapsed() < Duration::from_millis(300) {
        for (client, sent) in &mut clients {
            let fits = client.send_what_fits(&chunk[*sent..]);
            *sent += fits;
            moved = if fits > 0 { Instant::now() } else { moved };
        }
        let start = Instant::now();
        assert_serves(&mut other);
        slowest = slowest.max(start.elapsed());
    }
    let sent: usize = clients.iter().map(|(_, sent)| sent).sum();
    let (peak, most) = (daemon.peak_rss(), most(&leak_check, 2, BUFFERED, CLIENTS + 1));
    println!(
        "{sent} bytes sent; peak {} MiB of {} MiB; slowest small reply {slowest:?}",
        mebibytes(peak),
        mebibytes(most)
    );
    assert!(peak <= most, "{} MiB of {} MiB", mebibytes(peak), mebibytes(most));
    drop((clients, other));
    leak_check.end(&daemon);
}

/// Fault 13: many clients that send requests without end and read no reply.
#[test]
fn clients_that_never_read_stay_within_budget() {
    const CLIENTS: u64 = 400;
    const BUFFERED: u64 = 4 << 20;
    // small kernel buffers, so that unread replies stay in the daemon
    let arguments = ["--max-buffered=4M", "--workers=1", "--write-timeout=none", "--send-buffer=4K"];
    let daemon = Daemon::serving("frame", &arguments);
    let leak_check = LeakCheck::begin(&daemon);
    let mut other = daemon.connect("frame");
    let requests = frame(UPPERCASE, "\u{390}".repeat(300).as_bytes()).repeat(2000);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| daemon.connect("frame")).collect();
    for client in &mut clients {
        setsockopt(&client.stream, sockopt::RcvBuf, &4096).expect("SO_RCVBUF");
        client.send_what_fits(&requests);
        assert_serves(&mut other);
    }
    let (peak, most) = (daemon.peak_rss(), most(&leak_check, 1, BUFFERED, CLIENTS + 1));
    println!("peak {} MiB of {} MiB", mebibytes(peak), mebibytes(most));
    assert!(peak <= most, "{} MiB of {} MiB", mebibytes(peak), mebibytes(most));
    drop((clients, other));
    leak_check.end(&daemon);
}

/// Fault 8: protocols that generate output or discard input without end use no memory.
#[test]
fn chargen_and_discard_use_no_memory() {
    let listen = ["--listen=chargen=127.0.0.1:0", "--listen=discard=127.0.0.1:0", "--listen=echo=127.0.0.1:0"];
    let daemon = super::DaemonBuilder::new(&[&listen[..], &["--workers=1", "--write-timeout=none"]].concat()).start();
    let leak_check = LeakCheck::begin(&daemon);
    let never_read: Vec<Client> = (0..200).map(|_| daemon.connect("chargen")).collect();
    let mut dropped: Vec<Client> = (0..20).map(|_| daemon.connect("discard")).collect();
    let bytes = vec![b'x'; 1 << 20];
    for client in &mut dropped {
        client.send(&bytes);
    }
    let mut reader = daemon.connect("chargen");
    reader.receive(5_000_000);
    daemon.statistics_when(|statistics| statistics.bytes_in == 20 << 20);
    assert!(daemon.peak_rss() <= rss_limit(leak_check.rss, 221 * EACH), "{} MiB", mebibytes(daemon.peak_rss()));
    drop((never_read, dropped, reader));
    leak_check.end(&daemon);
}
