//! The throughput that `retort bench` measures in one direction, and the addresses that its connections come from.

use crate::harness::{Daemon, DaemonBuilder, has_ipv6, listener};
use crate::retort_bench::{bench, measured, number};
use serde_json::Value;

/// Asserts that bytes were carried without an error.
fn carried((report, code): (Value, i32)) -> Value {
    assert_eq!((code, &report["type"]), (0, &Value::from("one-way")), "{report:#}");
    assert!(number(&report, "/bytes") > 0.0 && number(&report, "/bytes_per_second") > 0.0, "{report:#}");
    let connections = report["connections"].as_array().expect("connections");
    let sum: u64 = connections.iter().filter_map(|connection| connection["bytes"].as_u64()).sum();
    assert_eq!(report["bytes"], sum, "{report:#}");
    report
}

#[test]
fn what_the_peer_acknowledges_is_counted() {
    let daemon = Daemon::serving("discard", &[]);
    let address = daemon.address("discard").to_string();
    let process = daemon.pid.to_string();
    let words = ["-P", "discard", "-c", "3", "-t", "300ms", "--server-pid", &process];
    let report = carried(measured(&address, &words));
    assert_eq!((&report["counted"], &report["direction"]), (&Value::from("acknowledged"), &Value::from("send")));
    assert_eq!((report["connections"].as_array().map(Vec::len), number(&report, "/size")), (Some(3), 131_072.0));
    for name in ["/connections/0/tcp/cwnd_segments", "/connections/0/tcp/segment_bytes", "/server_cpu_us_per_mib"] {
        assert!(number(&report, name) > 0.0, "{name}: {report:#}");
    }
}

#[test]
fn the_pattern_of_chargen_is_verified_over_ipv6() {
    if !has_ipv6() {
        return;
    }
    let daemon = DaemonBuilder::new(&["--listen", "chargen=[::1]:0"]).start();
    let address = daemon.address("chargen").to_string();
    for verify in ["content", "length"] {
        let words = ["-P", "chargen", "-c", "2", "-t", "200ms", "--verify", verify];
        assert_eq!(carried(measured(&address, &words))["counted"], "received");
    }
    let output = bench(&address, &["-P", "discard", "-t", "10s", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), number(&report, "/errors/wrong_content")), (Some(1), 16.0), "{report:#}");
}

#[test]
fn intervals_of_throughput_are_lines_before_the_table() {
    let daemon = Daemon::serving("discard", &[]);
    let address = daemon.address("discard").to_string();
    let output = bench(&address, &["-P", "discard", "-t", "300ms", "--interval", "100ms"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success() && text.contains(" s ") && text.contains("mean RTT"), "{text}");
    assert!(text.contains("\nacknowledged ") && text.contains("\nlimited by receive window "), "{text}");
}

#[test]
fn options_without_a_meaning_for_throughput_are_refused() {
    let daemon = Daemon::serving("discard", &[]);
    let address = daemon.address("discard").to_string();
    for (protocol, option) in
        [("discard", "--rate=5"), ("discard", "--requests=5"), ("chargen", "--size=5"), ("discard", "--threads=2")]
    {
        let output = bench(&address, &["-P", protocol, option]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && message.contains("has no meaning with -P"), "{message}");
    }
}

#[test]
fn connections_come_from_the_given_sources_in_turn() {
    let (listener, address) = listener();
    let server = std::thread::spawn(move || {
        let peers = listener.incoming().take(5).map(|client| client.expect("a connection"));
        peers.map(|client| client.peer_addr().expect("an address").ip().to_string()).collect::<Vec<_>>()
    });
    bench(
        &address.to_string(),
        &["-P", "echo", "-c", "4", "--source", "127.0.0.7,127.0.0.9", "-n", "4", "--warm-up", "0"],
    );
    let mut peers = server.join().expect("the server ends");
    // The first connection finds out whether the server accepts.
    peers.remove(0);
    peers.sort();
    assert_eq!(peers, ["127.0.0.7", "127.0.0.7", "127.0.0.9", "127.0.0.9"]);
}
