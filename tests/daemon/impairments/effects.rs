//! Latency, rate, slices and corruption: what they do to the bytes of a client, and how they are counted.

use retortd::protocol::{PROTOCOLS, ProtocolInfo};

use super::{AN_HOUR, acted, has_nothing, impaired, impaired_with, pass, pipelined};
use crate::harness::action::UPPERCASE;
use crate::harness::{Client, DaemonBuilder, any_memory, frame, in_parallel, length_prefixed, try_protocol};

#[test]
fn later_requests_are_served_while_a_reply_is_delayed() {
    let daemon = impaired("frame", AN_HOUR);
    let mut client = daemon.connect("frame");
    for served in 1..=3 {
        client.send(&frame(UPPERCASE, b"abc"));
        daemon.statistics_when(|statistics| statistics.answered == served && acted(statistics) == [("latency", 1)]);
    }
    client.half_close();
    pass(&daemon);
    assert!(has_nothing(&client), "a reply came at once");
    let statistics = daemon.statistics_when(|statistics| statistics.open == 1);
    assert_eq!(statistics.closed_for("finished"), 1, "{statistics:?}");
}

#[test]
fn delayed_replies_keep_their_order() {
    let daemon = impaired("frame", "latency=30ms,jitter=30ms");
    let (requests, replies) = pipelined(300);
    let mut client = daemon.connect("frame");
    for part in requests.chunks(997) {
        client.send(part);
        pass(&daemon);
    }
    assert!(client.receive(replies.len()) == replies, "the replies are not as expected");
    assert_eq!(acted(&daemon.statistics_when(|statistics| statistics.open == 1)), [("latency", 1)]);
}

#[test]
fn a_half_closed_client_gets_all_delayed_bytes_and_the_end() {
    let daemon = impaired("frame", "latency=200ms");
    let (requests, replies) = pipelined(500);
    assert!(daemon.exchange("frame", &requests) == replies, "the replies are not as expected");
    let statistics = daemon.statistics_at_rest();
    assert_eq!((statistics.answered, statistics.closed_for("finished")), (500, 1), "{statistics:?}");
}

/// The connection waits for room among its delayed bytes as for a client that does not read.
#[test]
fn delayed_bytes_are_bounded() {
    const LIMIT: u64 = 64 << 10;
    let daemon = impaired_with("chargen", AN_HOUR, &["--max-delayed=64K"]);
    let client = daemon.connect("chargen");
    let sent = daemon.statistics_when(|statistics| statistics.bytes_out > LIMIT / 2).bytes_out;
    pass(&daemon);
    let before = daemon.connect("chargen");
    let both = daemon.statistics_when(|statistics| statistics.bytes_out > sent + LIMIT / 2).bytes_out;
    assert!(both <= 2 * LIMIT + 1000, "{both} bytes are delayed on two connections");
    assert!(has_nothing(&client) && has_nothing(&before));
    if !any_memory() {
        assert!(daemon.rss() < 64 << 20, "{} bytes", daemon.rss());
    }
}

#[test]
fn a_slow_line_loses_nothing_and_delays_nobody_else() {
    let daemon = impaired("echo", "rate=2M");
    let bytes: Vec<u8> = (0..1 << 20).map(|number: u32| (number % 251) as u8).collect();
    let (slow, others) = std::thread::scope(|scope| {
        let slow = scope.spawn(|| daemon.exchange("echo", &bytes));
        let others = (0..50).map(|_| daemon.exchange("echo-prefix", b"abc")).collect::<Vec<_>>();
        (slow.join().expect("the slow client"), others)
    });
    assert!(slow == bytes, "the bytes of echo are not as expected");
    assert!(others.iter().all(|reply| reply == b"Echo: abc"));
    assert_eq!(acted(&daemon.statistics_at_rest()), [("rate", 1)]);
}

/// More is read from a client only when the rate allows it.
#[test]
fn a_slow_line_slows_down_the_requests_too() {
    let daemon = impaired("discard", "rate=1");
    let client = daemon.connect("discard");
    let sent = client.send_what_fits(&vec![0; 32 << 20]) as u64;
    pass(&daemon);
    let statistics = daemon.statistics_when(|statistics| statistics.bytes_in > 0);
    assert!(statistics.bytes_in < sent, "{} bytes are read", statistics.bytes_in);
    assert_eq!(acted(&statistics), [("rate", 1)]);
}

#[test]
fn slices_are_sent_one_by_one() {
    const REPLY: usize = 2000;
    let daemon = impaired("echo", "slice=3");
    let Some(trace) = crate::faults::trace_worker(&daemon, "sendto,sendmsg,write,writev") else { return };
    let bytes: Vec<u8> = (0..REPLY).map(|number| (number % 251) as u8).collect();
    assert_eq!(daemon.exchange("echo", &bytes), bytes);
    assert_eq!(acted(&daemon.statistics_at_rest()), [("slice", 1)]);
    let sends = trace.end();
    // write(2) is for the event loop's own descriptors
    let results = sends.iter().filter(|call| !call.starts_with("write(")).filter_map(|call| call.rsplit_once("= "));
    let lengths: Vec<usize> = results.filter_map(|(_, length)| length.trim().parse().ok()).collect();
    assert_eq!(lengths.iter().sum::<usize>(), REPLY, "{sends:?}");
    assert!(lengths.iter().all(|length| *length <= 3), "{lengths:?}");
}

#[test]
fn slices_with_a_gap_arrive_in_full() {
    let daemon = impaired("text", "slice=1,slice-gap=1ms");
    let request = b"uppercase 3 abc".as_slice();
    let mut client = daemon.connect("text");
    client.send(&request.repeat(20));
    client.half_close();
    let reply = client.receive_all();
    let plain = DaemonBuilder::new(&["--listen=text=127.0.0.1:0"]).start().exchange("text", &request.repeat(20));
    assert!(!plain.is_empty());
    assert_eq!(reply.escape_ascii().to_string(), plain.escape_ascii().to_string());
    assert_eq!(acted(&daemon.statistics_at_rest()), [("slice", 1)]);
}

#[test]
fn every_byte_has_one_wrong_bit_with_a_chance_of_one() {
    let daemon = impaired("frame", "corrupt=1");
    let mut client = daemon.connect("frame");
    client.send(&frame(UPPERCASE, b"the request is read as it was sent"));
    let expected = length_prefixed(b"THE REQUEST IS READ AS IT WAS SENT");
    for (received, sent) in client.receive(expected.len()).into_iter().zip(expected) {
        assert_eq!((received ^ sent).count_ones(), 1, "{sent} became {received}");
    }
    daemon.statistics_when(|statistics| statistics.answered == 1 && acted(statistics) == [("corrupt", 1)]);
}

#[test]
fn every_protocol_is_served_with_all_delays_at_once() {
    let listeners: Vec<String> = PROTOCOLS
        .iter()
        .map(|info| {
            format!("--listen={}=127.0.0.1:0,latency=2ms,jitter=2ms,slice=7,rate=10M,slow-close=1ms", info.name)
        })
        .collect();
    let arguments: Vec<&str> = listeners.iter().map(String::as_str).chain(["-v", "--workers=2"]).collect();
    let daemon = DaemonBuilder::new(&arguments).start();
    for info in PROTOCOLS {
        let info: &ProtocolInfo = info;
        try_protocol(&daemon, info);
    }
}

#[test]
fn several_workers_serve_impaired_connections() {
    // less jitter than latency: otherwise some connections have no delay at all
    let daemon = impaired_with("frame", "latency=10ms,jitter=5ms,slice=100", &["--workers=3"]);
    let (requests, replies) = pipelined(100);
    let received = in_parallel(30, |_| daemon.exchange("frame", &requests));
    assert!(received.iter().all(|received| *received == replies), "the replies are not as expected");
    let statistics = daemon.statistics_at_rest();
    assert_eq!(acted(&statistics), [("latency", 30), ("slice", 30)]);
    assert_eq!((statistics.answered, statistics.closed_for("finished")), (3000, 30), "{statistics:?}");
}

#[test]
fn no_timer_of_a_client_runs_while_the_server_delays_its_reply() {
    let timeouts = ["--write-timeout=100ms", "--idle-timeout=100ms", "--request-timeout=100ms", "--min-rate=1M"];
    let daemon = impaired_with("frame", "latency=1s", &timeouts);
    let mut client = daemon.connect("frame");
    client.send(&frame(UPPERCASE, b"abc"));
    assert_eq!(client.receive_frame(), b"ABC");
    assert_eq!(client.wait_closed(), b"");
    assert_eq!(daemon.statistics_at_rest().closed_for("idle-timeout"), 1);
}

/// A connection whose client has gone is not kept for the bytes that are delayed.
#[test]
fn a_client_that_resets_is_closed_at_once() {
    let daemon = impaired("frame", AN_HOUR);
    let mut client: Client = daemon.connect("frame");
    client.send(&frame(UPPERCASE, b"abc"));
    daemon.statistics_when(|statistics| statistics.answered == 1);
    client.reset();
    assert_eq!(daemon.statistics_at_rest().closed_for("reset"), 1);
}
