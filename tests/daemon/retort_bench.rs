//! `retort bench` against the real daemon, and against servers that are slow, wrong or stopped.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::buggy_servers::{self, Bug};
use crate::harness::{DEADLINE, Daemon, DaemonBuilder, Directory, RETORT_MEMORY, limited_retort, listener, process_id};
use nix::sys::signal::{Signal, kill};
use retortd::protocol::client_side::ConnectionUse;
use retortd::protocol::{PROTOCOLS, ProtocolInfo};
use serde_json::Value;

fn bench(address: &str, arguments: &[&str]) -> Output {
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

fn measured(address: &str, arguments: &[&str]) -> (Value, i32) {
    report(&bench(address, &[arguments, &["--json"]].concat()))
}

fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {pointer} in {report:#}"))
}

/// Asserts that there were replies, all of them correct.
fn good((report, code): (Value, i32)) -> Value {
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
        let report =
            good(measured(&address, &[&["-P", protocol, "--duration", "100ms"], arguments.as_slice()].concat()));
        assert_eq!(report["protocol"], protocol, "{arguments:?}");
    }
    assert_eq!(daemon.statistics_at_rest().refused, 0, "a benchmark sends no request that is rejected");
}

#[test]
fn open_loop_keeps_its_rate() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let report = good(measured(&address, &["--rate", "1000", "--duration", "1s", "--connections", "4"]));
    let requests = number(&report, "/requests");
    assert!((990.0..=1010.0).contains(&requests), "{requests} requests were due within a second");
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

#[test]
fn bench_prints_table_and_writes_svg() {
    let daemon = Daemon::serving("frame", &[]);
    let directory = Directory::new();
    let plot = directory.path("latency.svg");
    let address = daemon.address("frame").to_string();
    let output = bench(&address, &["--duration", "200ms", "--svg", plot.to_str().unwrap()]);
    let table = String::from_utf8(output.stdout).unwrap();
    for words in ["frame uppercase, 64 bytes, 16 connections, 1 in flight on each", "requests ", "errors ", "p99.9"] {
        assert!(table.contains(words), "{table}");
    }
    let svg = std::fs::read_to_string(plot).unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains("prefers-color-scheme: dark") && svg.contains("p99 "), "{svg}");
}

#[test]
fn impossible_benchmark_exits_2() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let nobody = listener().1.to_string();
    for (address, arguments, words) in [
        (&nobody, vec![], "cannot connect"),
        (&address, vec!["-P", "discard"], "has no replies"),
        (&address, vec!["-P", "chargen"], "without end"),
        (&address, vec!["-P", "respond", "--depth", "2"], "only --depth 1"),
        (&address, vec!["-P", "echo", "--size", "0"], "give a --size"),
        (&address, vec!["-P", "echo", "--action", "reverse"], "has no actions"),
        (&address, vec!["--action", "nonsense"], "no such action"),
        (&address, vec!["--svg", "/nonexistent/plot.svg"], "cannot create /nonexistent/plot.svg"),
        (&address, vec!["--rate", "5", "--depth", "2"], "cannot be used with"),
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
    let output = command.args(["--connections", "1", "--duration", "1ms", "--json"]).output().expect("run retort");
    good(report(&output));
}

#[test]
fn read_timeout_over_64_bit_nanoseconds_does_not_expire() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    // more nanoseconds than 64 bits hold
    good(measured(&address, &["--duration", "100ms", "--connections", "2", "--read-timeout", "5124096h"]));
}

#[test]
fn interrupted_benchmark_keeps_old_svg() {
    let directory = Directory::new();
    let plot = directory.write("latency.svg", "earlier");
    let (tell, told) = mpsc::channel();
    let address = buggy_servers::for_each_client(move |mut stream| {
        let _ = tell.send(());
        let _ = stream.read(&mut [0; 1]);
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_retort"));
    command.args(["bench", &address.to_string(), "--connections", "1", "--duration", "1h", "--svg", &plot]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start retort");
    // the first connection is made before the plot is prepared, the second one for the measurement
    told.iter().take(2).for_each(drop);
    kill(process_id(&child), Signal::SIGINT).expect("interrupt it");
    assert_eq!(child.wait().expect("wait for retort").code(), None);
    assert_eq!(std::fs::read_to_string(&plot).unwrap(), "earlier");
    assert_eq!(directory.names(), ["latency.svg"]);
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
    assert_eq!((ended.status.code(), ended.stderr.len()), (Some(0), 0), "{ended:?}");
    assert!(std::fs::read_to_string(plot).unwrap().ends_with("</svg>\n"));
}
