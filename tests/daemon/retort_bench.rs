//! `retort bench` against the real daemon, and against servers that are slow, wrong or stopped.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::buggy_servers::{self, Bug};
use crate::harness::{
    DEADLINE, Daemon, DaemonBuilder, Directory, RETORT_MEMORY, available, has_ipv6, limited_retort, listener,
    process_id, skip, wait_until,
};
use nix::sys::signal::{Signal, kill};
use retortd::protocol::client_side::ConnectionUse;
use retortd::protocol::{PROTOCOLS, ProtocolInfo};
use serde_json::Value;

pub fn bench(address: &str, arguments: &[&str]) -> Output {
    let mut all = [&["bench", address], arguments].concat();
    if !all.contains(&"--warm-up") {
        all.extend(["--warm-up", "20ms"]);
    }
    Command::new(env!("CARGO_BIN_EXE_retort")).args(all).output().expect("run retort")
}

/// The report in JSON, and the exit code.
fn report(output: &Output) -> (Value, i32) {
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (report, output.status.code().expect("an exit code"))
}

pub fn measured(address: &str, arguments: &[&str]) -> (Value, i32) {
    report(&bench(address, &[arguments, &["--json"]].concat()))
}

pub fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {pointer} in {report:#}"))
}

/// Asserts that there were replies, all of them correct.
pub fn good((report, code): (Value, i32)) -> Value {
    assert_eq!(code, 0, "{report:#}");
    assert!(number(&report, "/requests") > 0.0, "{report:#}");
    assert!(number(&report, "/latency_us/p50") > 0.0 && number(&report, "/latency_us/max") > 0.0, "{report:#}");
    report
}

/// Asserts that requests failed, with errors of this kind only.
fn failing((report, code): (Value, i32), kind: &str) {
    assert_eq!(code, 1, "{report:#}");
    for (name, count) in report["errors"].as_object().expect("errors by kind") {
        assert_eq!(count.as_u64().unwrap() > 0, name == kind, "{report:#}");
    }
}

#[test]
fn load_options_work_on_every_protocol() {
    let daemon = DaemonBuilder::every_protocol(&[]).start();
    let cases = [
        ("frame", vec!["--depth", "32", "--connections", "8"]),
        ("frame", vec!["--size", "1M", "--connections", "2", "--action", "reverse"]),
        ("frame", vec!["--size", "0"]),
        ("frame", vec!["--action", "shuffle", "--depth", "4"]),
        ("frame", vec!["--action", "random", "--size", "20"]),
        ("frame", vec!["--text", "mixed", "--size", "1000"]),
        ("frame", vec!["--text", "polytonic", "--size", "8K", "--connections", "2"]),
        ("frame", vec!["--text", "greek", "--size", "8K", "--action", "lowercase"]),
        ("frame", vec!["--verify", "length", "--depth", "3"]),
        ("frame", vec!["--reconnect"]),
        ("frame", vec!["--rate", "2000"]),
        ("frame", vec!["--rate", "500", "--reconnect"]),
        ("frame-2021", vec!["--action", "title-case"]),
        ("text", vec!["--depth", "7"]),
        ("echo", vec!["--verify", "length"]),
        ("echo-prefix", vec!["--connections", "1"]),
    ];
    let has_end = |info: &&&ProtocolInfo| {
        !matches!(info.client.connection_use, ConnectionUse::NoReply | ConnectionUse::Streaming)
    };
    let default = PROTOCOLS.iter().filter(has_end).map(|info| (info.name, vec![]));
    for (protocol, arguments) in cases.into_iter().chain(default) {
        let address = daemon.address(protocol).to_string();
        let report = good(measured(&address, &[&["-P", protocol, "--requests", "100"], arguments.as_slice()].concat()));
        assert_eq!(report["protocol"], protocol, "{arguments:?}");
        let takes_messages = report["title"].as_str().is_some_and(|title| title.contains(" bytes"));
        assert_eq!(takes_messages, !matches!(protocol, "daytime" | "time" | "qotd" | "who"), "{report:#}");
    }
    assert_eq!(daemon.statistics_at_rest().refused, 0, "a benchmark sends no request that is rejected");
}

#[test]
fn open_loop_keeps_its_rate() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let report = good(measured(&address, &["--rate", "1000", "--duration", "1s", "--connections", "4"]));
    let replies: Option<u64> = ["requests", "late", "lost"].map(|name| report[name].as_u64()).into_iter().sum();
    assert_eq!(replies, Some(1000), "{report:#}");
}

/// The server sends no reply for 300 ms: latencies of the open loop include the time for which requests that were due
/// have waited; the closed loop would have measured a single slow reply.
#[test]
fn open_loop_latency_includes_server_stall() {
    let stall = Duration::from_millis(300);
    let (listener, address) = listener();
    thread::spawn(move || {
        // the first connection only checks that the server is there
        let _first = listener.accept().unwrap();
        let (stream, _) = listener.accept().unwrap();
        stall_once(stream, stall);
    });
    let report = good(measured(
        &address.to_string(),
        &["-P", "echo", "--rate", "1000", "--duration", "1s", "--connections", "1", "--size", "8"],
    ));
    let p90 = number(&report, "/latency_us/p90");
    assert!(p90 > 150_000.0, "300 of 1000 requests waited, the longest 300 ms; p90 is {p90} us");
    assert!(number(&report, "/latency_us/max") > 280_000.0, "{report:#}");
}

fn stall_once(mut stream: TcpStream, stall: Duration) {
    let begun = Instant::now();
    let mut stalled = false;
    let mut buffer = [0; 16_384];
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        if !stalled && begun.elapsed() > Duration::from_millis(200) {
            stalled = true;
            thread::sleep(stall);
        }
        if stream.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
}

#[test]
fn errors_are_counted_by_kind() {
    let short = ["--duration", "200ms", "--connections", "2"];
    let address = |bug| buggy_servers::start(bug).to_string();
    failing(
        measured(&address(Bug::CountsCharacters), &[&["--text", "mixed"], short.as_slice()].concat()),
        "wrong_length",
    );
    failing(measured(&address(Bug::AsciiCase), &[&["--text", "mixed"], short.as_slice()].concat()), "wrong_content");
    failing(measured(&address(Bug::LittleEndian), &short), "wrong_length");
    failing(measured(&address(Bug::Hangs), &[&["--read-timeout", "100ms"], short.as_slice()].concat()), "timeout");
    failing(
        measured(&address(Bug::DrawsTwice), &[&["--action", "shuffle"], short.as_slice()].concat()),
        "wrong_content",
    );
    failing(measured(&closing(), &short), "closed_early");
}

/// A server that reads a request and closes.
fn closing() -> String {
    buggy_servers::for_each_client(|mut stream| drop(stream.read(&mut [0; 1024]))).to_string()
}

#[test]
fn server_stop_during_load_is_an_error() {
    let mut daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let load =
        thread::spawn(move || measured(&address, &["--duration", "1s", "--connections", "4", "--warm-up", "0s"]));
    daemon.statistics_when(|statistics| statistics.answered > 100);
    daemon.stop();
    let (report, code) = load.join().unwrap();
    assert_eq!(code, 1, "{report:#}");
    assert!(number(&report, "/requests") > 0.0 && number(&report, "/errors/connect_refused") > 0.0, "{report:#}");
}

#[test]
fn server_cpu_time_is_measured() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let pid = daemon.pid.to_string();
    let report = good(measured(&address, &["--duration", "200ms", "--server-pid", &pid]));
    let cpu = number(&report, "/server_cpu_us_per_request");
    assert!((0.05..10_000.0).contains(&cpu), "{cpu} us");
}

/// The table is printed all the same.
#[test]
fn missing_process_of_the_server_is_an_error() {
    let daemon = Daemon::serving("frame", &[]);
    let output = bench(&daemon.address("frame").to_string(), &["--duration", "50ms", "--server-pid", "2147483647"]);
    let messages = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{messages}");
    assert!(
        messages.starts_with("retort: --server-pid: there is no process 2147483647 on this machine\n"),
        "{messages}"
    );
    assert!(messages.contains("the CPU time of process 2147483647 is missing"), "{messages}");
    assert!(!output.stdout.is_empty());
}

#[test]
fn bench_prints_table_and_writes_svg() {
    let daemon = Daemon::serving("frame", &[]);
    let directory = Directory::new();
    let plot = directory.path("latency.svg");
    let address = daemon.address("frame").to_string();
    let output = bench(&address, &["--duration", "200ms", "--svg", plot.to_str().unwrap()]);
    let table = String::from_utf8(output.stdout).unwrap();
    let load = "frame uppercase, 64 bytes, 16 connections, 1 in flight on each";
    assert!(
        table.starts_with(&format!("{address}: {load};\n  measuring for 200ms, after a warm-up of 20ms\n\n")),
        "{table}"
    );
    for words in ["requests ", "replies to requests that were in flight at the end", "lost ", "errors ", "p99.9"] {
        assert!(table.contains(words), "{table}");
    }
    assert!(!table.contains("\nconnect "), "{table}");
    assert!(output.stderr.is_empty());
    let svg = std::fs::read_to_string(plot).unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains("prefers-color-scheme: dark") && svg.contains("p99 "), "{svg}");
}

#[test]
fn extent_of_run_is_announced() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    for (arguments, words) in [
        (vec!["-t", "0.1"], "1 connection, 1 in flight on each; measuring for 100ms, after a warm-up of 20ms"),
        (vec!["-n", "10", "--warm-up", "0"], "; measuring 10 requests\n"),
        (vec!["-n", "1k", "-t", "20"], "; measuring 1,000 requests, at most for 20s, after"),
        (vec!["-s", "1", "-n", "1"], ", 1 byte, "),
        (vec!["-r", "1.005k", "-n", "1"], "1005 requests/s; measuring 1 request,"),
        (vec!["-r", "1", "-n", "1"], ", 1 request/s; measuring"),
    ] {
        let output = bench(&address, &[&["--connections", "1"], arguments.as_slice()].concat());
        let announced = String::from_utf8(output.stdout).unwrap();
        let head = announced.split("\n\n").next().expect("a head");
        assert!(head.lines().all(|line| line.len() <= 80), "{announced}");
        let announced = announced.replace("\n  ", " ");
        assert!(output.status.success() && announced.contains(words), "{announced}");
    }
    let output = bench(&address, &["-n", "1", "--json"]);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "a program reads JSON: {output:?}");
}

#[test]
fn reconnecting_benchmark_reports_times_to_connect() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let report = good(measured(&address, &["--reconnect", "-n", "20"]));
    assert!(number(&report, "/connect_us/p50") > 0.0, "{report:#}");
    assert!(number(&report, "/connect_us/min") <= number(&report, "/latency_us/min"), "{report:#}");
    assert!(good(measured(&address, &["-n", "20"]))["connect_us"].is_null());
    let table = String::from_utf8(bench(&address, &["--reconnect", "-n", "20"]).stdout).unwrap();
    assert!(table.contains("\nconnect "), "{table}");
}

/// A refusal of 5 bytes is an error, even where the correct reply has 5 bytes, or any number.
#[test]
fn refused_requests_are_errors() {
    let daemon = Daemon::serving("frame", &["--max-message=3"]);
    let address = daemon.address("frame").to_string();
    for arguments in [
        vec!["--size", "5"],
        vec!["--size", "5", "--verify", "length"],
        vec!["--size", "5", "--action", "shuffle", "--verify", "length"],
        vec!["--size", "64", "--action", "random"],
        vec!["--size", "64", "--action", "random", "--verify", "length"],
    ] {
        let (report, code) = measured(&address, &[&["-n", "20"], arguments.as_slice()].concat());
        assert!(code == 1 && report["requests"] == 0 && report["late"] == 0, "{arguments:?} {report:#}");
    }
}

#[test]
fn more_connections_than_descriptors_are_refused_at_start() {
    if !available("prlimit") {
        return;
    }
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let limited = |limit: &str, connections: &str| {
        let mut command = Command::new("prlimit");
        command.args([&format!("--nofile={limit}"), env!("CARGO_BIN_EXE_retort"), "bench", &address]);
        command.args(["--connections", connections, "-n", "100", "--warm-up", "0", "--json"]);
        command.output().expect("run prlimit")
    };
    let output = limited("64:64", "100");
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("this process may open 64") && message.contains("(ulimit -n 116)"), "{message}");
    good(report(&limited("64:128", "100")));
}

/// In a network namespace where a source address has ten ports. Two addresses have enough for 14 connections, after
/// those of `ping` and of the first attempt; one has not.
#[test]
fn exhausted_ports_are_named_and_ipv6_loopback_has_several_sources() {
    if !has_ipv6() || !["unshare", "ip"].iter().all(|tool| available(tool)) {
        return;
    }
    let script = r#"ip link set lo up && ip address add fd00::1/128 dev lo nodad || exit 77
        echo 40000 40009 >/proc/sys/net/ipv4/ip_local_port_range || exit 77
        "$1" --listen frame=[::1]:8083 & server=$!
        until "$2" ping -q -c 1 ::1 >/dev/null 2>&1; do kill -0 $server || exit 1; done
        "$2" bench ::1 --connections 14 -n 100 --warm-up 0 --json
        ip address del fd00::1/128 dev lo
        "$2" bench ::1 --connections 14 -n 100 --warm-up 0 --json
        kill $server"#;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "sh", "-c", script, "sh"]);
    let programs = [env!("CARGO_BIN_EXE_retortd"), env!("CARGO_BIN_EXE_retort")];
    let output = command.args(programs).output().expect("run unshare");
    if output.status.code() == Some(77) || output.stderr.starts_with(b"unshare: ") {
        return skip("network namespaces are not allowed here");
    }
    let reports: Vec<Value> = serde_json::Deserializer::from_slice(&output.stdout).into_iter().flatten().collect();
    let [two_sources, one_source] = &reports[..] else { panic!("not two reports: {output:?}") };
    assert!(two_sources["requests"] == 100 && two_sources["errors"]["no_free_port"] == 0, "{two_sources:#}");
    assert!(number(one_source, "/errors/no_free_port") > 0.0, "{one_source:#}");
    let example = one_source["example"].as_str().expect("a message");
    assert!(example.contains("ip address add") && example.contains("ip_local_port_range"), "{example}");
}

#[test]
fn impossible_benchmark_exits_2() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let nobody = listener().1.to_string();
    let too_many = ["5/1s"; 65].join(",");
    for (address, arguments, words) in [
        (&nobody, vec![], "cannot connect"),
        (&address, vec!["-P", "discard", "--depth", "2"], "has no meaning with -P discard"),
        (&address, vec!["-P", "discard", "--size", "0"], "must be at least 1"),
        (&address, vec!["--source", "::1"], "another family"),
        (&address, vec!["--source", "192.0.2.1"], "not an address of this machine"),
        (&address, vec!["--source", "127.0.0.1,224.0.0.1"], "--source 224.0.0.1: a multicast address: not an address"),
        (&address, vec!["-P", "respond", "--depth", "2"], "only --depth 1"),
        (&address, vec!["-P", "echo", "--size", "0"], "give a --size"),
        (&address, vec!["-P", "echo", "--action", "reverse"], "has no actions"),
        (&address, vec!["--action", "nonsense"], "no such action"),
        (&address, vec!["--svg", "/nonexistent/plot.svg"], "cannot create /nonexistent/plot.svg"),
        (&address, vec!["--hdr", "/nonexistent/latency.hgrm"], "cannot create /nonexistent/latency.hgrm"),
        (&address, vec!["--csv", "/nonexistent/intervals.csv"], "cannot create /nonexistent/intervals.csv"),
        (&address, vec!["--svg", "same", "--csv", "same"], "--svg and --csv name the same file"),
        (&address, vec!["--rate", "5", "--depth", "2"], "cannot be used with"),
        (&address, vec!["--stages", "5/1s", "--requests", "9"], "cannot be used with"),
        (&address, vec!["--stages", &too_many], "65 stages, of at most 64"),
        (&address, vec!["--find-rate"], "--slo <BOUND>"),
        (&address, vec!["--find-rate", "--slo", "p99=5ms", "--rate", "9"], "cannot be used with"),
        (&address, vec!["-P", "respond", "--find-rate", "--slo", "p99=5ms"], "only --depth 1"),
    ] {
        let output = bench(address, &arguments);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(words), "{arguments:?}: {message}");
    }
}

/// Fault 44: a server whose replies have no end, under load.
#[test]
fn endless_replies_are_errors_in_bounded_memory() {
    let begun = Instant::now();
    for (protocol, more, bytes, kind) in [
        ("daytime", vec![], b"x".as_slice(), "wrong_length"),
        ("ack", vec!["--verify", "length"], b"x", "wrong_length"),
        ("frame", vec!["--action", "shuffle"], b"x", "wrong_length"),
        ("frame", vec!["--action", "random"], b"x", "wrong_length"),
        ("text", vec!["--action", "random"], b"134217728 ", "wrong_length"),
        ("echo", vec!["--size", "4"], b"abcd", "wrong_length"),
    ] {
        let address = buggy_servers::flooding(bytes).to_string();
        let mut command = limited_retort(RETORT_MEMORY);
        command.args([
            "bench",
            &address,
            "-P",
            protocol,
            "--connections",
            "2",
            "--warm-up",
            "0",
            "--duration",
            "200ms",
        ]);
        let output = command.args(["--read-timeout", "5m", "--json"]).args(more).output().expect("run retort");
        failing(report(&output), kind);
    }
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
}

/// A reply of `random` may have 134,217,727 bytes: a long one is verified as it arrives, and not buffered.
#[test]
fn long_random_replies_are_not_buffered() {
    let address = buggy_servers::for_each_client(|mut stream| {
        let _ = stream.write_all(b"\x07\xff\xff\xff");
        while stream.write_all(&[b'a'; 1 << 14]).is_ok() {}
    });
    let mut command = limited_retort(RETORT_MEMORY);
    command.args(["bench", &address.to_string(), "--action", "random", "--connections", "4", "--warm-up", "0"]);
    let output = command.args(["--duration", "2s", "--read-timeout", "1s"]).output().expect("run retort");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// The requests in flight have 128 MiB in total.
#[test]
fn deep_pipelines_use_bounded_memory() {
    let daemon = Daemon::serving("echo", &[]);
    let mut command = limited_retort(RETORT_MEMORY);
    let address = daemon.address("echo").to_string();
    command.args(["bench", &address, "-P", "echo", "--size", "64K", "--depth", "2048", "--warm-up", "0"]);
    let output = command.args(["--connections", "1", "--requests", "2048", "--json"]).output().expect("run retort");
    assert_eq!(good(report(&output))["requests"], 2048);
}

#[test]
fn longest_timeouts_do_not_expire() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let longest = ["--read-timeout", "366d", "--write-timeout", "366d", "--connect-timeout", "366d"];
    good(measured(&address, &[&["--duration", "100ms", "--connections", "2"], longest.as_slice()].concat()));
}

/// A server that never replies, and a receiver that gets a message for each connection.
pub fn silent() -> (String, mpsc::Receiver<()>) {
    let (tell, told) = mpsc::channel();
    let address = buggy_servers::for_each_client(move |mut stream| {
        let _ = tell.send(());
        let _ = stream.read_to_end(&mut Vec::new());
    });
    (address.to_string(), told)
}

#[test]
fn interrupt_during_warm_up_exits_2_and_keeps_old_svg() {
    let directory = Directory::new();
    let plot = directory.write("latency.svg", "earlier");
    let (address, told) = silent();
    let mut command = Command::new(env!("CARGO_BIN_EXE_retort"));
    command.args(["bench", &address, "--connections", "1", "--warm-up", "1h", "--duration", "1h", "--svg", &plot]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start retort");
    // the first connection is made before the plot is prepared, the second one for the measurement
    told.iter().take(2).for_each(drop);
    kill(process_id(&child), Signal::SIGINT).expect("interrupt it");
    let ended = child.wait_with_output().expect("wait for retort");
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    let title = String::from_utf8(ended.stdout).unwrap();
    assert!(title.ends_with("after a warm-up of 1h\n") && !title.contains("\n\n"), "only the title: {title}");
    let message = String::from_utf8(ended.stderr).unwrap();
    assert!(message.contains("retort: interrupted during the warm-up"), "{message}");
    assert_eq!(std::fs::read_to_string(&plot).unwrap(), "earlier");
    assert_eq!(directory.names(), ["latency.svg"]);
}

#[test]
fn interrupt_ends_measurement_and_prints_report() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let before = daemon.statistics_when(|_| true).answered;
        let mut command = Command::new(env!("CARGO_BIN_EXE_retort"));
        command.args(["bench", &address, "--connections", "2", "--warm-up", "0", "--duration", "1h", "--json"]);
        let child = command.stdout(Stdio::piped()).spawn().expect("start retort");
        daemon.statistics_when(|statistics| statistics.answered > before + 100);
        kill(process_id(&child), signal).expect("interrupt it");
        let report = good(report(&child.wait_with_output().expect("wait for retort")));
        let (seconds, rate) = (number(&report, "/seconds"), number(&report, "/requests_per_second"));
        assert!((0.0..3600.0).contains(&seconds), "{report:#}");
        let replies = number(&report, "/requests");
        assert!((seconds * rate - replies).abs() < 1.0, "without a warm-up: {report:#}");
        assert_eq!((&report["lost"], &report["interrupted"]), (&0.into(), &true.into()), "{report:#}");
    }
}

#[test]
fn an_interrupted_run_is_marked_in_the_table() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_retort"));
    command.args(["bench", &address, "--connections", "2", "--warm-up", "0", "--duration", "1h"]);
    let child = command.stdout(Stdio::piped()).spawn().expect("start retort");
    daemon.statistics_when(|statistics| statistics.answered > 100);
    kill(process_id(&child), Signal::SIGINT).expect("interrupt it");
    let ended = child.wait_with_output().expect("wait for retort");
    let table = String::from_utf8(ended.stdout).expect("text");
    assert!(ended.status.success() && table.contains("\n\ninterrupted after "), "{table}");
    assert!(!String::from_utf8_lossy(&bench(&address, &["-n", "1"]).stdout).contains("interrupted"), "it was not");
}

/// Each connection gets one reply, and no other.
#[test]
fn requests_without_a_reply_are_a_failure() {
    let address = buggy_servers::for_each_client(|mut stream| {
        let mut message = [0; 64];
        let _ = stream.read_exact(&mut message).and_then(|()| stream.write_all(&message));
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let address = address.to_string();
    let output = bench(&address, &["-P", "echo", "-c", "2", "--warm-up", "0", "-t", "1s", "--json"]);
    let (result, code) = report(&output);
    assert_eq!((code, &result["lost"]), (1, &2.into()), "{result:#}");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("the latencies do not include 2 requests without a reply"), "{message}");
}

#[test]
fn a_run_without_any_reply_is_a_failure_and_has_no_latencies() {
    let (address, _told) = silent();
    let output = bench(&address, &["-c", "1", "--rate", "50", "--warm-up", "0", "-t", "100ms", "--json"]);
    let (result, code) = report(&output);
    assert_eq!((code, &result["lost"], &result["requests"]), (1, &5.into(), &0.into()), "{result:#}");
    assert_eq!((&result["latency_us"], &result["first_byte_us"]), (&Value::Null, &Value::Null), "{result:#}");
    assert!(number(&result, "/sender_lateness_us/max") > 0.0, "{result:#}");
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(message, "retort: no request that was measured has a reply\n");
}

/// The report cannot be printed, because the reader of standard output reads nothing.
#[test]
fn second_interrupt_ends_benchmark_at_once() {
    let (address, told) = silent();
    let (mut output, _reader) = UnixStream::pair().unwrap();
    output.set_nonblocking(true).unwrap();
    while output.write(&[0; 4096]).is_ok() {}
    output.set_nonblocking(false).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_retort"));
    command.args(["bench", &address, "--connections", "1", "--warm-up", "0", "--duration", "1h", "--json"]);
    let mut child = command.stdout(OwnedFd::from(output)).spawn().expect("start retort");
    told.iter().take(2).for_each(drop);
    let id = process_id(&child);
    kill(id, Signal::SIGINT).expect("interrupt it");
    let blocked = || {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("retort runs");
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).expect("a mask");
        u64::from_str_radix(mask.trim(), 16).expect("a number") != 0
    };
    wait_until("the first signal is taken", || !blocked());
    kill(id, Signal::SIGINT).expect("interrupt it again");
    assert_eq!(child.wait().expect("wait for retort").signal(), Some(Signal::SIGINT as i32));
}

#[test]
fn svg_is_written_when_stdout_is_closed() {
    let daemon = Daemon::serving("frame", &[]);
    let directory = Directory::new();
    let plot = directory.path("latency.svg");
    let (closed, output) = UnixStream::pair().unwrap();
    drop(closed);
    let mut command = Command::new(env!("CARGO_BIN_EXE_retort"));
    command.args(["bench", &daemon.address("frame").to_string(), "--duration", "50ms", "--svg"]).arg(&plot);
    let ended = command.stdout(OwnedFd::from(output)).output().expect("run retort");
    let message = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.success() && message.is_empty(), "{message}");
    assert!(std::fs::read_to_string(plot).unwrap().ends_with("</svg>\n"));
}
