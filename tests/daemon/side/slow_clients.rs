//! Clients of the services beside the workers that are slow, many, or silent: they cost other clients nothing.

use std::io::Read;
use std::process::Command;

use super::{Reply, agent_line, daemon, get, scrape};
use crate::harness::{Client, available, echo_ping, wait_until};

/// The limit on connections (`MAX_CLIENTS` in `event_loop.rs`).
const MAX_CLIENTS: usize = 8;

#[test]
fn a_request_may_come_byte_by_byte() {
    let daemon = daemon(&["echo"], &[]);
    let mut slow = daemon.connect("metrics");
    for byte in b"GET /readyz HTTP/1.0\r\n\r\n" {
        slow.send(&[*byte]);
        assert_eq!(get(&daemon, "/readyz").status, 200, "others are answered meanwhile");
    }
    assert_eq!(Reply::read(slow.stream).content, "ready\n");
}

#[test]
fn a_request_that_does_not_become_complete_is_answered_so() {
    let daemon = daemon(&["echo"], &[]);
    let mut slow = daemon.connect("metrics");
    slow.send(b"GET /readyz HTTP/1.0\r\n");
    assert_eq!(Reply::read(slow.stream).status, 408);
}

/// Fault 50: the number of connections and their time are limited, and clients of the protocols notice nothing.
#[test]
fn many_silent_connections_are_bounded_and_cost_clients_nothing() {
    let daemon = daemon(&["echo"], &[]);
    assert_eq!(get(&daemon, "/readyz").status, 200);
    wait_until("the probe has ended", || daemon.is_idle("side-services"));
    let before = daemon.descriptors();
    let silent: Vec<Client> = (0..100).map(|_| daemon.connect("metrics")).collect();
    wait_until("there are as many as allowed", || daemon.descriptors() == before + MAX_CLIENTS);
    let mut client = daemon.connect("echo");
    for _ in 0..100 {
        echo_ping(&mut client);
        assert!(daemon.descriptors() <= before + MAX_CLIENTS + 1);
    }
    drop(silent);
    assert_eq!(get(&daemon, "/readyz").status, 200, "their places are free again");
}

/// Without places that are given up, the probe would wait for 60 seconds.
#[test]
fn a_crowd_does_not_keep_probes_out() {
    let daemon = daemon(&["echo"], &[]);
    let mut first = daemon.connect("metrics");
    first.send(b"GET /readyz HTTP/1.0\r\n");
    let _crowd: Vec<Client> = (1..100).map(|_| daemon.connect("metrics")).collect();
    assert_eq!(agent_line(&daemon), "up ready 100%\n", "the other listener has its turn");
    assert_eq!(get(&daemon, "/livez").content, "alive\n");
    assert_eq!(Reply::read(first.stream).status, 408);
}

#[test]
fn a_client_that_does_not_read_has_its_reply_in_the_end() {
    let daemon = daemon(&["echo"], &[]);
    let mut slow = daemon.connect("metrics");
    slow.send(b"GET /metrics HTTP/1.0\r\n\r\n");
    for _ in 0..20 {
        assert!(scrape(&daemon).value("retortd_workers") > 0.0);
    }
    let mut byte = [0];
    let mut text = Vec::new();
    while slow.stream.read(&mut byte).expect("a byte") == 1 {
        text.push(byte[0]);
    }
    assert!(text.ends_with(b"\n"));
}

/// Fault 51: the descriptors reserved for other uses are taken, such as by a library: the thread waits, and does not
/// spin.
#[test]
fn a_want_of_descriptors_is_survived() {
    if !available("prlimit") {
        return;
    }
    let daemon = daemon(&["echo"], &["-v"]);
    assert_eq!(get(&daemon, "/readyz").status, 200);
    let set_limit = |limit: usize| {
        let limit = format!("--nofile={limit}:");
        let done = Command::new("prlimit").args(["--pid", &daemon.pid.to_string(), &limit]).status();
        assert!(done.is_ok_and(|status| status.success()), "prlimit");
    };
    // poll(2) that begins later would fail first: it takes no more descriptors than the limit
    wait_until("the probe has ended", || daemon.is_idle("side-services"));
    set_limit(3);
    let mut waiting = daemon.connect("metrics");
    waiting.send(b"GET /readyz HTTP/1.0\r\n\r\n");
    daemon.wait_for_line(0, "cannot accept on metrics=127.0.0.1:");
    set_limit(200);
    assert_eq!(Reply::read(waiting.stream).content, "ready\n");
    assert_eq!(daemon.lines_with("cannot accept on metrics"), 1);
}
