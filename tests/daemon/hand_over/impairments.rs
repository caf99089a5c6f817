//! What impaired listeners hold back, and what they have counted, goes on in the successor.

use super::without_manager;
use crate::harness::action::UPPERCASE;
use crate::harness::{Client, Daemon, DaemonBuilder, Directory, Statistics, frame, length_prefixed};
use crate::impairments::is_served;

/// A daemon whose settings file has one listener, with impairments that change.
struct Impaired {
    daemon: Daemon,
    directory: Directory,
    protocol: &'static str,
}

impl Impaired {
    fn start(protocol: &'static str, options: &str) -> Self {
        let directory = Directory::new();
        let file = directory.write("settings", settings(protocol, options));
        let words = ["-v", "--hand-over", "--workers=1", "--seed=3", "--settings", &file];
        Self { daemon: without_manager(DaemonBuilder::new(&words), 1), directory, protocol }
    }

    /// Writes the settings for the next reload or hand-over.
    fn write(&self, options: &str) {
        self.directory.write("settings", settings(self.protocol, options));
    }

    fn reload(&self, options: &str) {
        self.write(options);
        let before = self.daemon.log.len();
        self.daemon.signal(nix::sys::signal::Signal::SIGHUP);
        self.daemon.wait_for_line(before, "reloaded");
    }

    /// A client with three requests, whose replies have 7 bytes each, of which all are in the hands of the daemon.
    fn client(&self) -> Client {
        let mut client = self.daemon.connect("frame");
        client.send(&frame(UPPERCASE, b"abc").repeat(3));
        self.daemon.statistics_when(|statistics| statistics.bytes_in == 21);
        client
    }
}

fn settings(protocol: &str, options: &str) -> String {
    format!("RETORTD_LISTEN={protocol}=127.0.0.1:0{options}\n")
}

fn replies(count: usize) -> Vec<u8> {
    length_prefixed(b"ABC").repeat(count)
}

fn acted(statistics: &Statistics, kind: &str) -> u64 {
    statistics.impaired_by.get(kind).copied().unwrap_or(0)
}

#[test]
fn delayed_bytes_are_handed_over() {
    let impaired = Impaired::start("frame", ",latency=1h");
    let mut client = impaired.client();
    for _ in 0..3 {
        assert_eq!(impaired.daemon.hand_over(), 1);
    }
    let statistics = impaired.daemon.statistics_when(|statistics| statistics.answered == 3);
    assert_eq!(acted(&statistics, "latency"), 1, "{statistics:?}");
    assert!(client.is_silent(std::time::Duration::from_millis(1)), "the delay is over");
    impaired.reload("");
    assert_eq!(client.receive(21), replies(3));
    assert_eq!(client.request(UPPERCASE, b"on"), b"ON");
}

#[test]
fn a_half_closed_client_gets_its_delayed_bytes_and_then_the_end() {
    let impaired = Impaired::start("frame", ",latency=1h");
    let mut client = impaired.client();
    client.half_close();
    assert_eq!(impaired.daemon.hand_over(), 1);
    impaired.reload("");
    assert_eq!(client.receive_all(), replies(3));
    assert_eq!(impaired.daemon.statistics_at_rest().closed_for("finished"), 1);
}

#[test]
fn a_stalled_connection_stays_so() {
    let impaired = Impaired::start("frame", ",stall-after=10");
    let mut client = impaired.client();
    assert_eq!(client.receive(10), replies(2)[..10]);
    assert_eq!(impaired.daemon.hand_over(), 1);
    client.send(&frame(UPPERCASE, b"abc"));
    let statistics = impaired.daemon.statistics_when(|statistics| statistics.open == 1);
    assert_eq!(acted(&statistics, "stall"), 1, "{statistics:?}");
    assert!(client.is_silent(std::time::Duration::from_millis(1)), "the stall has ended");
    impaired.reload("");
    assert_eq!(client.receive(18), replies(4)[10..]);
}

#[test]
fn sent_bytes_are_counted_on() {
    let impaired = Impaired::start("frame", ",cut-after=30");
    let mut client = impaired.client();
    assert_eq!(client.receive(21), replies(3));
    assert_eq!(impaired.daemon.hand_over(), 1);
    client.send(&frame(UPPERCASE, b"abc").repeat(3));
    assert_eq!(client.receive_all(), replies(3)[..9]);
    drop(client);
    assert_eq!(impaired.daemon.statistics_at_rest().closed_for("impaired"), 1);
}

#[test]
fn a_successor_with_other_settings_does_what_a_reload_does() {
    let impaired = Impaired::start("frame", ",latency=1h");
    let mut client = impaired.client();
    impaired.write(",stall-after=7");
    assert_eq!(impaired.daemon.hand_over(), 1);
    assert_eq!(client.receive(21), replies(3), "delayed bytes are due at once");
    client.send(&frame(UPPERCASE, b"abc").repeat(2));
    assert_eq!(client.receive(7), replies(1), "bytes are counted anew");
    impaired.daemon.statistics_when(|statistics| acted(statistics, "stall") == 1);
}

/// Connections are numbered on, so that the same ones are impaired as without a hand-over.
#[test]
fn corruption_and_the_numbers_of_connections_go_on() {
    const LENGTH: usize = 200_000;
    let received = |hand_over: bool| {
        let impaired = Impaired::start("chargen", ",corrupt=0.01,latency=5ms,jitter=5ms,slice=1000,rate=10M");
        let mut first = impaired.daemon.connect("chargen");
        let mut bytes = first.receive(LENGTH);
        if hand_over {
            assert_eq!(impaired.daemon.hand_over(), 1);
        }
        bytes.extend(first.receive(LENGTH));
        (bytes, impaired.daemon.connect("chargen").receive(LENGTH))
    };
    let (with, without) = (received(true), received(false));
    assert!(with.0 == without.0, "the bytes of a connection that is handed over differ");
    assert!(with.1 == without.1, "the bytes of the next connection differ");
    assert!(with.0[..LENGTH] != with.1[..], "two connections are corrupted alike");
}

#[test]
fn refused_connections_are_not_refused_again() {
    let impaired = Impaired::start("frame", ",refuse-first=1");
    assert!(!is_served(&impaired.daemon) && is_served(&impaired.daemon));
    let mut client = impaired.daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    assert_eq!(impaired.daemon.hand_over(), 1);
    assert!(is_served(&impaired.daemon));
    let statistics = impaired.daemon.statistics_when(|statistics| statistics.open == 1);
    assert_eq!(acted(&statistics, "refuse"), 1, "{statistics:?}");
}
