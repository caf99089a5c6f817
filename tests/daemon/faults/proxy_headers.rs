//! PROXY headers that are invalid, incomplete or slow.

use std::time::{Duration, Instant};

use super::{LeakCheck, UPPERCASE, assert_serves};
use crate::harness::{Client, Daemon, frame, in_parallel};
use crate::headers::TCP4;

/// The start of a header of version 2 that is as long as allowed: 4096 bytes.
const LONGEST: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x0f\xf0";
/// No start of a header, whatever follows.
const INVALID: &[&[u8]] = &[
    b"GET / HTTP/1.0\r\n\r\n",
    b"\0",
    b"PROXY TCP4 192.0.2.10 198.51.100.1 56324 65536\r\n",
    b"PROXY TCP4 192.0.2.10\r\n",
    b"PROXY TCP4 192.0.2.10 198.51.100.1 56324 443\n",
    &[b'P'; 200],
    // version 1 in the binary form, more than 4096 bytes, fewer than its addresses have, a wrong checksum
    b"\r\n\r\n\0\r\nQUIT\n\x11\x11\x00\x0c\xc0\x00\x02\x0a\xc6\x33\x64\x01\xdc\x04\x01\xbb",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x0f\xf1",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0b\xc0\x00\x02\x0a\xc6\x33\x64\x01\xdc\x04\x01",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x13\xc0\x00\x02\x0a\xc6\x33\x64\x01\xdc\x04\x01\xbb\x03\0\x04\0\0\0\0",
];

/// A daemon that expects headers, with a client that it serves.
fn serving(arguments: &[&str]) -> (Daemon, LeakCheck, Client) {
    let daemon = Daemon::serving_behind_proxy("frame", &[&["--workers=2"], arguments].concat());
    let leak_check = LeakCheck::begin(&daemon);
    let mut served = daemon.connect("frame");
    served.send(TCP4);
    assert_serves(&mut served);
    (daemon, leak_check, served)
}

/// Fault 45: bytes that are no header, in front of a request.
#[test]
fn invalid_headers_close_their_connections_alone() {
    let (daemon, leak_check, mut served) = serving(&[]);
    in_parallel(8, |_| {
        for header in INVALID {
            let bytes = [header, &frame(UPPERCASE, b"in")[..]].concat();
            assert_eq!(daemon.connect("frame").exchange_or_closed(&bytes), b"", "{}", header.escape_ascii());
        }
    });
    assert_serves(&mut served);
    drop(served);
    let statistics = leak_check.end(&daemon);
    assert_eq!((statistics.closed_for("proxy-header"), statistics.requests), (8 * INVALID.len() as u64, 2));
    assert_eq!(daemon.lines_with("no valid PROXY header from"), 1, "{}", daemon.log.text());
}

/// Fault 45: the client half-closes, or resets the connection, at every byte of a header.
#[test]
fn incomplete_headers_close_their_connections_alone() {
    let (daemon, leak_check, mut served) = serving(&[]);
    let longest = [LONGEST, &[0; 4096]].concat();
    let lengths = (1..TCP4.len()).map(|length| &TCP4[..length]).chain((1..16).map(|length| &LONGEST[..length]));
    let starts: Vec<&[u8]> = lengths.chain([&longest[..4095]]).collect();
    for start in &starts {
        assert_eq!(daemon.connect("frame").exchange_or_closed(start), b"", "{}", start.escape_ascii());
        let mut client = daemon.connect("frame");
        client.send(start);
        client.reset();
    }
    assert_serves(&mut served);
    drop(served);
    let statistics = leak_check.end(&daemon);
    let expected = starts.len() as u64;
    assert_eq!((statistics.closed_for("proxy-header"), statistics.closed_for("reset")), (expected, expected));
    assert_eq!(statistics.requests, 2);
}

/// Fault 46: clients that send almost all of the longest header and stop, and one that never stops.
#[test]
fn slow_headers_are_closed_at_the_timeout() {
    let (daemon, leak_check, mut served) = serving(&["--proxy-timeout=1s"]);
    let almost = [LONGEST, &[0; 4079]].concat();
    let begun = Instant::now();
    let mut slow = daemon.connect("frame");
    let mut stopped: Vec<Client> = (0..200).map(|_| daemon.connect("frame")).collect();
    for client in &mut stopped {
        client.send(&almost);
    }
    slow.send(LONGEST);
    while slow.is_silent(Duration::from_millis(20)) {
        slow.send(b"\0");
    }
    assert!(begun.elapsed() >= Duration::from_millis(990), "{:?}", begun.elapsed());
    for client in &mut stopped {
        assert_eq!(client.wait_closed(), b"");
    }
    assert_serves(&mut served);
    drop((served, slow, stopped));
    let statistics = leak_check.end(&daemon);
    assert_eq!((statistics.closed_for("proxy-timeout"), statistics.requests), (201, 2), "{statistics:?}");
}
