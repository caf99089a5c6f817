//! The throughput that `retort bench` measures in one direction, and the addresses that its connections come from.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use crate::buggy_servers;
use crate::harness::{Daemon, DaemonBuilder, Directory, has_ipv6, listener, process_id};
use crate::retort_bench::{bench, measured, number};
use nix::sys::signal::{Signal, kill};
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
    assert_eq!((report["connections"].as_array().map(Vec::len), number(&report, "/size")), (Some(3), 129_024.0));
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

/// What is between two intervals, or after the last one, would be missing in one of them.
#[test]
fn intervals_of_throughput_add_up_to_the_result() {
    let daemon = DaemonBuilder::new(&["--listen", "discard=127.0.0.1:0 chargen=127.0.0.1:0"]).start();
    for (protocol, connections) in [("chargen", "16"), ("discard", "16"), ("discard", "200")] {
        let address = daemon.address(protocol).to_string();
        let words = ["-P", protocol, "-c", connections, "-t", "250ms", "--interval", "100ms", "--json"];
        let output = bench(&address, &words);
        let text = String::from_utf8(output.stdout).expect("text");
        let mut objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let report = carried((objects.pop().expect("a report"), output.status.code().expect("an exit code")));
        assert!(objects.iter().all(|interval| interval["type"] == "one-way-interval"), "{text}");
        assert_eq!((&objects[0]["from_seconds"], &objects[0]["partial"]), (&Value::from(0.0), &Value::from(false)));
        for pair in objects.windows(2) {
            assert_eq!(pair[0]["until_seconds"], pair[1]["from_seconds"], "{text}");
        }
        assert_eq!(objects.last().map(|last| &last["until_seconds"]), Some(&report["seconds"]), "{text}");
        let sum: u64 = objects.iter().filter_map(|interval| interval["bytes"].as_u64()).sum();
        assert_eq!(report["bytes"], sum, "{text}");
        let is_sender = protocol == "discard";
        assert_eq!((report["retransmits"].is_null(), report["size"].is_null()), (!is_sender, !is_sender), "{text}");
    }
}

/// Options of measurements that have requests with replies.
#[test]
fn options_without_a_meaning_for_throughput_are_refused() {
    let directory = Directory::new();
    let file = directory.path("file").display().to_string();
    let earlier = directory.write("earlier", "");
    let (discard, chargen) = (["discard"], ["chargen"]);
    let both = ["discard", "chargen"];
    for (protocols, words) in [
        (&both[..], &["--action", "reverse"][..]),
        (&both, &["--depth", "2"]),
        (&both, &["--rate", "5"]),
        (&both, &["--ramp", "1..2/1s"]),
        (&both, &["--stages", "5/1s"]),
        (&both, &["--find-rate=1..2", "--slo", "p50=1s"]),
        (&both, &["--reconnect"]),
        (&both, &["--requests", "5"]),
        (&both, &["--threads", "2"]),
        (&both, &["--svg", &file]),
        (&both, &["--hdr", &file]),
        (&both, &["--csv", &file]),
        (&both, &["--compare", &earlier]),
        (&chargen, &["--size", "5"]),
        (&chargen, &["--text", "mixed"]),
        (&discard, &["--verify", "length"]),
    ] {
        for protocol in protocols {
            // nothing listens there: options are checked first
            let output = bench("127.0.0.1:9", &[&["-P", protocol], words].concat());
            let message = String::from_utf8_lossy(&output.stderr);
            let name = words[0].split('=').next().expect("a name");
            let expected = format!("{name} has no meaning with -P {protocol}");
            assert!(output.status.code() == Some(2) && message.contains(&expected), "{words:?}: {message}");
        }
    }
    assert_eq!(directory.names(), ["earlier"]);
}

/// The report of a benchmark that ends with an error of this class on each of its connections, and with this advice.
fn failed(address: &str, arguments: &[&str], class: &str, advice: &str) {
    let output = bench(address, &[arguments, &["-c", "2", "--json"]].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    for (name, count) in report["errors"].as_object().expect("errors by class") {
        assert_eq!(*count, if name == class { 2 } else { 0 }, "{report:#}");
    }
    assert!(String::from_utf8_lossy(&output.stderr).contains(advice), "{output:?}");
}

#[test]
fn a_wrong_pattern_is_a_failure_unless_only_the_length_counts() {
    let address = buggy_servers::for_each_client(|mut client| while client.write_all(&[b'x'; 4096]).is_ok() {});
    let address = address.to_string();
    failed(&address, &["-P", "chargen", "--warm-up", "1h"], "wrong_content", "--verify length permits others");
    carried(measured(&address, &["-P", "chargen", "-c", "2", "-t", "100ms", "--verify", "length"]));
}

/// It ends with the timeout, and not with the measurement.
#[test]
fn a_server_that_takes_no_bytes_is_a_failure() {
    let (_listener, address) = listener();
    let arguments = ["-P", "discard", "-t", "1h", "--write-timeout", "100ms"];
    failed(&address.to_string(), &arguments, "timeout", "");
}

#[test]
fn a_server_that_sends_no_bytes_is_a_failure() {
    let (_listener, address) = listener();
    let arguments = ["-P", "chargen", "-t", "1h", "--read-timeout", "100ms"];
    failed(&address.to_string(), &arguments, "timeout", "");
}

#[test]
fn a_server_that_replies_is_no_discard() {
    let daemon = Daemon::serving("echo", &[]);
    let address = daemon.address("echo").to_string();
    failed(&address, &["-P", "discard", "--warm-up", "1h"], "wrong_content", "the server replies: it is no discard");
}

#[test]
fn a_server_that_closes_is_a_failure() {
    for protocol in ["discard", "chargen"] {
        let address = buggy_servers::for_each_client(drop).to_string();
        let report = bench(&address, &["-P", protocol, "-c", "2", "--warm-up", "1h", "--json"]);
        let report: Value = serde_json::from_slice(&report.stdout).expect("JSON");
        // bytes that arrive after the end are answered with a reset
        let errors: Option<u64> =
            ["closed_early", "reset"].map(|class| report["errors"][class].as_u64()).into_iter().sum();
        assert_eq!(errors, Some(2), "{report:#}");
    }
}

#[test]
fn nothing_carried_is_a_failure_without_an_error() {
    let (_listener, address) = listener();
    let output = bench(&address.to_string(), &["-P", "chargen", "-c", "1", "-t", "50ms"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing was carried"), "{output:?}");
}

#[test]
fn unix_sockets_have_no_state_of_tcp() {
    let directory = Directory::new();
    let path = format!("unix:{}", directory.path("discard.sock").display());
    let _daemon = DaemonBuilder::new(&["--listen", &format!("discard={path}")]).start();
    let report = carried(measured(&path, &["-P", "discard", "-c", "2", "-t", "100ms"]));
    assert_eq!((&report["counted"], &report["retransmits"]), (&Value::from("sent"), &Value::Null));
    assert_eq!((&report["connections"][0]["tcp"], &report["connections"][1]["tcp"]), (&Value::Null, &Value::Null));
}

/// A benchmark for an hour, and a receiver that gets a message when a connection of it has carried bytes.
fn endless(warm_up: &str) -> (Child, mpsc::Receiver<()>) {
    let (tell, told) = mpsc::channel();
    let address = buggy_servers::for_each_client(move |mut client| {
        let mut buffer = vec![0; 1 << 16];
        // the connection that finds out whether the server accepts carries nothing
        while client.read(&mut buffer).is_ok_and(|received| received > 0) {
            let _ = tell.send(());
        }
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_retort"));
    command.args(["bench", &address.to_string(), "-P", "discard", "-c", "1", "-t", "1h", "--json"]);
    command.args(["--warm-up", warm_up]).stdout(Stdio::piped()).stderr(Stdio::piped());
    (command.spawn().expect("start retort"), told)
}

#[test]
fn an_interrupt_ends_the_measurement_with_a_report() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (child, told) = endless("0");
        // more than the buffers of the first connection hold: some of it is acknowledged
        told.iter().take(100).for_each(drop);
        kill(process_id(&child), signal).expect("interrupt it");
        let ended = child.wait_with_output().expect("wait for retort");
        let report = serde_json::from_slice(&ended.stdout).expect("JSON");
        let report = carried((report, ended.status.code().expect("an exit code")));
        assert_eq!(report["interrupted"], true, "{report:#}");
        assert!(number(&report, "/seconds") < 3600.0, "{report:#}");
    }
}

#[test]
fn an_interrupt_during_the_warm_up_measures_nothing() {
    let (child, told) = endless("1h");
    told.recv().expect("bytes");
    kill(process_id(&child), Signal::SIGINT).expect("interrupt it");
    let ended = child.wait_with_output().expect("wait for retort");
    let message = String::from_utf8_lossy(&ended.stderr);
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(2), 0), "{message}");
    assert!(message.contains("interrupted during the warm-up: nothing was measured"), "{message}");
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
