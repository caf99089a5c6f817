//! Stalls, cuts, resets, refusals and late ends, exactly where they were asked for.

use super::{acted, has_nothing, impaired, is_served, pass, receive_until_reset};
use crate::harness::action::UPPERCASE;
use crate::harness::{frame, length_prefixed};

/// Requests whose replies have 7 bytes each.
fn three_requests() -> Vec<u8> {
    frame(UPPERCASE, b"abc").repeat(3)
}

fn three_replies() -> Vec<u8> {
    length_prefixed(b"ABC").repeat(3)
}

#[test]
fn a_stalled_connection_sends_nothing_more_and_stays_open() {
    let daemon = impaired("frame", "stall-after=10");
    let mut client = daemon.connect("frame");
    client.send(&three_requests());
    assert_eq!(client.receive(10), three_replies()[..10]);
    client.send(&frame(UPPERCASE, b"one more"));
    pass(&daemon);
    assert!(has_nothing(&client), "more than 10 bytes came");
    let statistics = daemon.statistics_when(|statistics| statistics.open == 1);
    assert_eq!(acted(&statistics), [("stall", 1)]);
    client.reset();
    assert_eq!(daemon.statistics_at_rest().closed_for("reset"), 1);
}

#[test]
fn requests_are_read_after_a_stall_behind_a_reply() {
    let daemon = impaired("frame", "stall-after=7");
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"abc"), b"ABC");
    client.send(&frame(UPPERCASE, b"abc"));
    let statistics = daemon.statistics_when(|statistics| statistics.requests == 2);
    assert_eq!((acted(&statistics), statistics.answered), (vec![("stall", 1)], 1), "{statistics:?}");
    pass(&daemon);
    assert!(has_nothing(&client), "more than 7 bytes came");
}

#[test]
fn a_cut_connection_ends_without_a_reset() {
    let daemon = impaired("frame", "cut-after=10");
    let mut client = daemon.connect("frame");
    client.send(&three_requests());
    assert_eq!(client.receive_all(), three_replies()[..10]);
    // what the client still sends is read, so that no reset destroys what it has not read yet
    client.send(&[b'x'; 10_000]);
    pass(&daemon);
    client.send(&[b'x'; 10_000]);
    drop(client);
    let statistics = daemon.statistics_at_rest();
    assert_eq!((acted(&statistics), statistics.closed_for("impaired")), (vec![("cut", 1)], 1), "{statistics:?}");
    // what follows the tenth byte was never sent; 7 bytes went to the other connection
    assert_eq!((statistics.abandoned_by["impaired"], statistics.bytes_out), (3, 10 + 7), "{statistics:?}");
}

#[test]
fn a_reset_comes_behind_the_last_byte() {
    let daemon = impaired("frame", "reset-after=10");
    let mut client = daemon.connect("frame");
    client.send(&three_requests());
    assert_eq!(receive_until_reset(&mut client), three_replies()[..10]);
    let statistics = daemon.statistics_at_rest();
    assert_eq!((acted(&statistics), statistics.closed_for("impaired")), (vec![("reset", 1)], 1), "{statistics:?}");
    assert_eq!((statistics.abandoned_by["impaired"], statistics.bytes_out), (3, 10), "{statistics:?}");
}

#[test]
fn a_fault_after_the_last_byte_of_a_reply_does_not_lose_it() {
    for option in ["cut-after=14", "reset-after=14"] {
        let daemon = impaired("frame", option);
        let mut client = daemon.connect("frame");
        for _ in 0..2 {
            assert_eq!(client.request(UPPERCASE, b"abc"), b"ABC", "{option}");
        }
        assert_eq!(client.wait_closed(), b"", "{option}");
        drop(client);
        let statistics = daemon.statistics_at_rest();
        assert_eq!((statistics.answered, statistics.abandoned), (2, 0), "{option}");
    }
}

#[test]
fn a_fault_that_is_not_reached_does_nothing() {
    for option in ["stall-after=21", "cut-after=22", "reset-after=22"] {
        let daemon = impaired("frame", option);
        let mut client = daemon.connect("frame");
        client.send(&three_requests());
        assert_eq!(client.receive(21), three_replies(), "{option}");
        if !option.starts_with("stall") {
            client.half_close();
            assert_eq!(client.receive_all(), b"", "{option}");
            let statistics = daemon.statistics_at_rest();
            assert_eq!((acted(&statistics), statistics.closed_for("finished")), (vec![], 1), "{option}");
        }
    }
}

#[test]
fn a_fault_after_no_byte_comes_before_any_request() {
    let daemon = impaired("frame", "cut-after=0");
    assert_eq!(daemon.connect("frame").receive_all(), b"");
    assert_eq!(daemon.statistics_at_rest().closed_for("impaired"), 1);
    let daemon = impaired("frame", "reset-after=0");
    assert!(!is_served(&daemon), "it is reset");
    assert_eq!(daemon.statistics_at_rest().closed_for("impaired"), 1);
    let daemon = impaired("chargen", "stall-after=0");
    let client = daemon.connect("chargen");
    let statistics = daemon.statistics_when(|statistics| !statistics.impaired_by.is_empty());
    assert!(has_nothing(&client), "a byte came");
    assert_eq!((acted(&statistics), statistics.bytes_out, statistics.open), (vec![("stall", 1)], 0, 1));
}

#[test]
fn an_endless_reply_is_cut_at_the_byte() {
    for at in [1, 4096, 1 << 20, (1 << 20) + 1] {
        let daemon = impaired("chargen", &format!("cut-after={at}"));
        assert_eq!(daemon.connect("chargen").receive_all().len(), at);
        let statistics = daemon.statistics_at_rest();
        assert_eq!((statistics.bytes_out, statistics.closed_for("impaired")), (at as u64, 1), "{statistics:?}");
    }
}

#[test]
fn a_fault_waits_for_the_bytes_before_it_that_are_delayed() {
    let daemon = impaired("chargen", "latency=50ms,slice=100,cut-after=1000");
    assert_eq!(daemon.connect("chargen").receive_all().len(), 1000);
    assert_eq!(acted(&daemon.statistics_at_rest()), [("cut", 1), ("latency", 1), ("slice", 1)]);
}

#[test]
fn the_end_of_a_connection_comes_later() {
    let daemon = impaired("daytime", "slow-close=1h");
    let mut client = daemon.connect("daytime");
    client.half_close();
    while client.receive(1) != b"\n" {}
    pass(&daemon);
    assert!(has_nothing(&client), "the end came at once");
    assert_eq!(daemon.statistics_when(|statistics| statistics.open == 1).impaired_by["slow-close"], 1);
    let daemon = impaired("daytime", "slow-close=50ms");
    assert!(daemon.exchange("daytime", b"").ends_with(b"\n"));
    let statistics = daemon.statistics_at_rest();
    assert_eq!((acted(&statistics), statistics.closed_for("impaired")), (vec![("slow-close", 1)], 0));
}

#[test]
fn the_first_connections_are_refused() {
    let daemon = impaired("frame", "refuse-first=3");
    assert_eq!([(); 5].map(|()| is_served(&daemon)), [false, false, false, true, true]);
    let statistics = daemon.statistics_at_rest();
    assert_eq!((acted(&statistics), statistics.closed_for("impaired")), (vec![("refuse", 3)], 3), "{statistics:?}");
    assert_eq!((statistics.accepted, statistics.requests), (5, 2), "{statistics:?}");
}
