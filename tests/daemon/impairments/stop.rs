//! The end of the daemon while it holds bytes back.

use std::time::Duration;

use super::{AN_HOUR, has_nothing, impaired_with};
use crate::harness::action::UPPERCASE;
use crate::harness::{Client, DEADLINE, Daemon, frame, length_prefixed};

/// A client that has sent a request, which the daemon has answered into the delay.
fn waiting(daemon: &Daemon) -> Client {
    let mut client = daemon.connect("frame");
    client.send(&frame(UPPERCASE, b"abc"));
    daemon.statistics_when(|statistics| statistics.answered == 1);
    client
}

/// Without the limit of the drain it would take an hour.
#[test]
fn the_drain_timeout_ends_an_hours_delay() {
    for options in [AN_HOUR, "slice=1,slice-gap=1h", "slow-close=1h", "rate=1"] {
        let mut daemon = impaired_with("frame", options, &["--drain-timeout=300ms"]);
        let mut client = waiting(&daemon);
        client.half_close();
        assert_eq!(daemon.stop(), 0, "{options}");
        client.wait_closed();
        assert_eq!(daemon.last_statistics().open, 0, "{options}");
    }
}

#[test]
fn a_stalled_connection_ends_with_the_drain() {
    let mut daemon = impaired_with("frame", "stall-after=3", &["--drain-timeout=300ms"]);
    let mut client = daemon.connect("frame");
    client.send(&frame(UPPERCASE, b"abc"));
    assert_eq!(client.receive(3), length_prefixed(b"ABC")[..3]);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(client.wait_closed(), b"");
}

/// Nobody has to wait for a drain whose end comes before the bytes.
#[test]
fn bytes_that_are_due_after_the_drain_do_not_prolong_it() {
    let drain = 4 * DEADLINE;
    let mut daemon = impaired_with("frame", AN_HOUR, &[&format!("--drain-timeout={}s", drain.as_secs())]);
    let mut client = waiting(&daemon);
    assert!(has_nothing(&client));
    assert_eq!(daemon.stop(), 0);
    assert_eq!(client.wait_closed(), b"");
}

#[test]
fn bytes_that_are_due_within_the_drain_are_sent() {
    let mut daemon = impaired_with("frame", "latency=500ms", &["--drain-timeout=30s"]);
    let mut client = waiting(&daemon);
    daemon.begin_drain();
    assert_eq!(client.receive_all(), length_prefixed(b"ABC"));
    assert_eq!(daemon.wait_exit(), 0);
}

/// What is accepted during `--drain-delay` is impaired as before.
#[test]
fn the_second_signal_ends_a_delay_at_once() {
    let mut daemon = impaired_with("frame", AN_HOUR, &["--drain-delay=1h", "--drain-timeout=none"]);
    let mut client = waiting(&daemon);
    daemon.begin_drain();
    let late = daemon.connect("frame").is_silent(Duration::from_millis(1));
    assert!(late, "a connection during the delay is closed");
    daemon.stop_now();
    daemon.stop_now();
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(client.wait_closed(), b"");
}
