//! `/metrics`: its formats, and what it says about the clients.

#![allow(clippy::cast_precision_loss, reason = "counts of tests are small")]

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::Signal;
use retortd::protocol::PROTOCOLS;

use super::{ask, daemon, every_protocol, get, scrape};
use crate::harness::action::UPPERCASE;
use crate::harness::{Daemon, SetWhenDropped, available, echo_ping, frame, length_prefixed, skip, wait_until};

/// Reads `OpenMetrics` from standard input with the parser of Prometheus' client library for Python; prints the number
/// of families and samples.
const PARSER: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(sys.stdin.read()))
print(len(families), sum(len(family.samples) for family in families))
";
/// The system's interpreter: the library is one of its packages.
const PYTHON: &str = "/usr/bin/python3";

/// The output of a command that gets this input; it has to succeed, and to complain about nothing.
fn output_of(program: &str, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("start the program");
    let mut stdin = child.stdin.take().expect("its input");
    let output = thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input.as_bytes()).expect("write the input"));
        child.wait_with_output().expect("its output")
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{program}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

fn open_metrics(daemon: &Daemon) -> String {
    let request = "GET /metrics HTTP/1.1\r\nHost: retortd\r\n\
                   Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n\r\n";
    let reply = ask(daemon, request.as_bytes());
    let media_type = "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(reply.head.contains(media_type), "{}", reply.head);
    reply.content
}

#[test]
fn promtool_has_no_complaint() {
    if available("promtool") {
        let text = get(&every_protocol(&[]), "/metrics").content;
        assert_eq!(output_of("promtool", &["check", "metrics"], &text), "");
    }
}

#[test]
fn a_strict_parser_accepts_open_metrics() {
    let has_library = Command::new(PYTHON).args(["-c", "import prometheus_client"]).output();
    if !has_library.is_ok_and(|output| output.status.success()) {
        skip("python3-prometheus-client is not installed");
        return;
    }
    let daemon = every_protocol(&[]);
    let prometheus = scrape(&daemon);
    let counts = output_of(PYTHON, &["-c", PARSER], &open_metrics(&daemon));
    assert_eq!(counts.trim(), format!("{} {}", prometheus.types.len(), prometheus.series.len()));
}

#[test]
fn both_formats_have_the_same_series() {
    let daemon = every_protocol(&[]);
    let samples = |text: &str| {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| line.rsplit_once(' ').expect("a value").0.to_string()).collect::<Vec<_>>()
    };
    let (prometheus, text) = (get(&daemon, "/metrics").content, open_metrics(&daemon));
    assert_eq!(samples(&prometheus), samples(&text));
    assert!(text.ends_with("\n# EOF\n") && text.contains("\n# UNIT retortd_sent_bytes bytes\n"));
    let families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(families.contains(&"retortd_sent_bytes counter") && families.contains(&"retortd_build info"));
}

#[test]
fn a_head_request_gets_no_content() {
    let reply = ask(&every_protocol(&[]), b"HEAD /metrics HTTP/1.1\r\nHost: retortd\r\n\r\n");
    assert_eq!((reply.status, reply.content.as_str()), (200, ""));
}

/// One connection of each kind of end, on a protocol of its own.
fn cause_traffic(daemon: &Daemon) {
    assert_eq!(daemon.exchange("frame", &frame(UPPERCASE, b"hi")), length_prefixed(b"HI"));
    assert_eq!(daemon.exchange("echo", b"hello"), b"hello");
    daemon.connect("upper").reset();
    daemon.connect("text").exchange(b"no action\n");
}

#[test]
fn metrics_agree_with_the_statistics_of_the_log() {
    let daemon = every_protocol(&[]);
    cause_traffic(&daemon);
    let statistics = daemon.statistics_when(|statistics| statistics.accepted == 4 && statistics.open == 0);
    let metrics = scrape(&daemon);
    for (sum, expected) in [
        ("retortd_accepted_connections_total", statistics.accepted),
        ("retortd_closed_connections_total", statistics.closed),
        ("retortd_requests_total", statistics.requests),
        ("retortd_received_bytes_total", statistics.bytes_in),
        ("retortd_sent_bytes_total", statistics.bytes_out),
    ] {
        assert!((metrics.sum(sum, None) - expected as f64).abs() < 0.5, "{sum}: {expected}");
    }
    for (reason, count) in &statistics.closed_by {
        let suffix = format!("reason=\"{reason}\"}}");
        let series = metrics.series.iter().filter(|(key, _)| key.ends_with(&suffix));
        assert!((series.map(|(_, value)| value).sum::<f64>() - *count as f64).abs() < 0.5, "{reason}");
    }
    for (series, value) in [
        ("retortd_requests_total{protocol=\"frame\",result=\"answered\"}", 1.0),
        ("retortd_received_bytes_total{protocol=\"echo\"}", 5.0),
        ("retortd_sent_bytes_total{protocol=\"echo\"}", 5.0),
        ("retortd_listeners{protocol=\"frame\"}", 1.0),
        ("retortd_closed_connections_total{protocol=\"upper\",reason=\"reset\"}", 1.0),
        ("retortd_accepted_connections_total{protocol=\"discard\"}", 0.0),
        ("retortd_requests_in_flight", 0.0),
    ] {
        assert!((metrics.value(series) - value).abs() < 0.5, "{series}: {}", metrics.value(series));
    }
}

#[test]
fn every_request_that_was_replied_to_has_a_duration() {
    let daemon = every_protocol(&[]);
    cause_traffic(&daemon);
    daemon.statistics_when(|statistics| statistics.accepted == 4 && statistics.open == 0);
    // an iteration records them at its end, after it has sent the replies
    wait_until("the durations of an answered and a refused request are there", || {
        let metrics = scrape(&daemon);
        let [requests, recorded, sum] =
            ["requests_total", "request_duration_seconds_count", "request_duration_seconds_sum"]
                .map(|family| metrics.sum(&format!("retortd_{family}"), None));
        let of_text = metrics.value("retortd_request_duration_seconds_count{protocol=\"text\"}");
        of_text > 0.5 && recorded > 1.5 && (requests - recorded).abs() < 0.5 && sum > 0.0
    });
}

#[test]
fn scrapes_and_probes_count_in_no_statistic() {
    let daemon = every_protocol(&["-v", "--max-connections=1", "--max-per-source=1", "--max-rate=1"]);
    for _ in 0..3 {
        let metrics = scrape(&daemon);
        assert!(metrics.sum("retortd_accepted_connections_total", None).abs() < 0.5);
        assert_eq!([get(&daemon, "/readyz").status, get(&daemon, "/livez").status], [200, 200]);
    }
    assert_eq!(daemon.statistics_at_rest().accepted, 0);
    assert_eq!(daemon.lines_with("accepted\n"), 0);
}

#[test]
fn connections_add_up_and_counters_never_fall_under_load() {
    let daemon = every_protocol(&["--workers=2"]);
    let names = ["frame", "echo", "discard", "daytime"];
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = SetWhenDropped(&ended);
        for name in names {
            let (daemon, ended) = (&daemon, &ended);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    daemon.connect(name).exchange_or_closed(&frame(UPPERCASE, b"hi"));
                }
            });
        }
        let mut before = scrape(&daemon);
        for _ in 0..50 {
            let metrics = scrape(&daemon);
            for protocol in PROTOCOLS {
                let [accepted, closed, open] =
                    ["accepted_connections_total", "closed_connections_total", "connections"]
                        .map(|family| metrics.sum(&format!("retortd_{family}"), Some(protocol.name)));
                assert!((accepted - closed - open).abs() < 0.5, "{}: {accepted} {closed} {open}", protocol.name);
            }
            for counter in metrics.counters() {
                assert!(metrics.value(counter) >= before.value(counter), "{counter} has fallen");
            }
            before = metrics;
        }
        let accepted = |name| before.sum("retortd_accepted_connections_total", Some(name));
        assert!(names.into_iter().all(|name| accepted(name) > 0.0), "there was load");
        drop(end);
    });
}

#[test]
fn gauges_follow_the_clients() {
    let daemon = daemon(&["echo"], &["--max-connections=7", "--max-buffered=8M", "--workers=3"]);
    let mut clients = [daemon.connect("echo"), daemon.connect("echo")];
    clients.iter_mut().for_each(echo_ping);
    let metrics = scrape(&daemon);
    for (series, value) in [
        ("retortd_connections{protocol=\"echo\"}", 2.0),
        ("retortd_connections_limit", 7.0),
        ("retortd_buffered_limit_bytes", 8_388_608.0),
        ("retortd_workers", 3.0),
        ("retortd_stopping", 0.0),
        ("retortd_listeners{protocol=\"echo\"}", 1.0),
        ("retortd_listeners{protocol=\"frame\"}", 0.0),
    ] {
        assert!((metrics.value(series) - value).abs() < 0.5, "{series}: {}", metrics.value(series));
    }
    let open = metrics.value("process_open_fds");
    assert!(open > 10.0 && open < metrics.value("process_max_fds"), "{open}");
    assert!(metrics.value("process_resident_memory_bytes") > 1e6);
    assert!(metrics.value("process_cpu_seconds_total") > 0.0);
    assert!(metrics.value("process_start_time_seconds") > 1.6e9);
    drop(clients);
    wait_until("the clients are gone", || scrape(&daemon).sum("retortd_connections", None) < 0.5);
}

#[test]
fn reloads_are_counted_by_result() {
    let directory = crate::harness::Directory::new();
    let file = directory.write("settings", "RETORTD_MAX_CONNECTIONS=5\n");
    let daemon = daemon(&["echo"], &["--settings", &file]);
    daemon.reload();
    directory.write("settings", "RETORTD_MAX_CONNECTIONS=x\n");
    let line = daemon.log.len();
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_line(line, "cannot reload");
    let metrics = scrape(&daemon);
    for result in ["success", "failure"] {
        let series = format!("retortd_reloads_total{{result=\"{result}\"}}");
        assert!((metrics.value(&series) - 1.0).abs() < 0.5, "{series}");
    }
}
