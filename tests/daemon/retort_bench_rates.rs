//! The loads of `retort bench` whose rate changes, the intervals of a measurement, and the search for a rate.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::harness::{Daemon, Directory, process_id};
use crate::retort_bench::{bench, good, measured, number, silent};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

fn daemon() -> (Daemon, String) {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    (daemon, address)
}

/// The objects of JSON Lines.
fn objects(output: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(output).expect("text");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn stages_have_exactly_the_requests_that_are_due() {
    let (_daemon, address) = daemon();
    let report = good(measured(&address, &["--stages", "200/200ms,100..900/500ms"]));
    let stages = report["stages"].as_array().expect("stages");
    let due: Vec<f64> = stages.iter().map(|stage| number(stage, "/due")).collect();
    assert_eq!(due, [40.0, 250.0], "{report:#}");
    for name in ["replies", "rate_from", "rate_to", "seconds"] {
        assert!(stages.iter().all(|stage| number(stage, &format!("/{name}")) > 0.0), "{report:#}");
    }
    let outcomes = ["/requests", "/late", "/lost"].map(|name| number(&report, name));
    assert!((outcomes.iter().sum::<f64>() - 290.0).abs() < 0.5, "{report:#}");
    assert_eq!((number(&report, "/seconds"), &report["rate"]), (0.7, &Value::Null));
}

#[test]
fn several_threads_make_one_load() {
    let (_daemon, address) = daemon();
    let output = bench(
        &address,
        &["--threads", "2", "-c", "3", "--rate", "500", "-t", "400ms", "--interval", "100ms", "--json"],
    );
    let mut objects = objects(&output.stdout);
    let report = good((objects.pop().expect("a result"), output.status.code().expect("an exit code")));
    let outcomes = ["/requests", "/late", "/lost"].map(|name| number(&report, name));
    assert!((outcomes.iter().sum::<f64>() - 200.0).abs() < 0.5, "{report:#}");
    assert_eq!((number(&report, "/connections"), number(&report, "/threads")), (3.0, 2.0));
    assert_eq!(report["intervals"].as_array(), Some(&objects));
}

#[test]
fn a_thread_needs_a_connection() {
    let (_daemon, address) = daemon();
    let output = bench(&address, &["--threads", "3", "-c", "2"]);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("--threads 3 is more than --connections 2"), "{message}");
}

#[test]
fn a_signal_ends_all_threads() {
    let (_daemon, address) = daemon();
    let mut words = vec!["bench", &address, "--threads", "3", "-t", "1h", "--warm-up", "0", "--json"];
    words.extend(["--interval", "10ms"]);
    let mut child =
        Command::new(env!("CARGO_BIN_EXE_retort")).args(words).stdout(Stdio::piped()).spawn().expect("run retort");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let has_requests = |line: &String| {
        let interval: Value = serde_json::from_str(line).expect("JSON");
        number(&interval, "/requests") > 0.0
    };
    lines.find(has_requests).expect("an interval with replies");
    kill(process_id(&child), Signal::SIGINT).expect("interrupt it");
    let result: Value = serde_json::from_str(&lines.last().expect("the result")).expect("JSON");
    assert_eq!(result["type"], "result");
    assert!(number(&result, "/requests") > 0.0 && child.wait().expect("it ends").success(), "{result:#}");
}

#[test]
fn a_ramp_is_one_stage_and_is_shown_in_the_table() {
    let (_daemon, address) = daemon();
    let output = bench(&address, &["--ramp", "100..900/500ms"]);
    let text = String::from_utf8(output.stdout).unwrap().replace(";\n  ", "; ").replace(",\n  ", ", ");
    assert!(output.status.success() && text.contains(", 100..900/500ms requests/s; measuring for 500ms,"), "{text}");
    let line = text.lines().find(|line| line.starts_with("100..900/500ms ")).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(line.split_whitespace().nth(1), Some("250"), "{text}");
    assert!(text.contains("\nsender "), "{text}");
}

#[test]
fn intervals_are_objects_before_the_report() {
    let (_daemon, address) = daemon();
    let output = bench(&address, &["--rate", "1000", "--duration", "350ms", "--interval", "100ms", "--json"]);
    let mut objects = objects(&output.stdout);
    let report = good((objects.pop().expect("a report"), output.status.code().expect("an exit code")));
    assert_eq!(report["type"], "result");
    assert_eq!(report["intervals"].as_array(), Some(&objects), "the report has them again");
    assert_eq!(objects.len(), 4, "{objects:?}");
    for (interval, from) in objects.iter().zip([0.0, 0.1, 0.2, 0.3]) {
        assert_eq!((&interval["type"], &interval["partial"]), (&"interval".into(), &Value::from(from > 0.25)));
        assert!((number(interval, "/from_seconds") - from).abs() < 1e-9, "{objects:?}");
    }
    assert!((number(&objects[3], "/until_seconds") - 0.35).abs() < 1e-9, "{objects:?}");
    let replies = number(&report, "/requests_per_second") * number(&report, "/seconds");
    for (name, of_report) in [("/requests", replies), ("/bytes_received", number(&report, "/bytes_received"))] {
        let sum: f64 = objects.iter().map(|interval| number(interval, name)).sum();
        assert!((sum - of_report).abs() < 0.5, "{objects:?} {report:#}");
    }
}

#[test]
fn intervals_are_lines_before_the_table() {
    let (_daemon, address) = daemon();
    let output = bench(&address, &["--duration", "250ms", "--interval", "100ms", "--connections", "2"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.contains("requests/s      MB/s")).collect();
    let times: Vec<&str> = lines[1..4].iter().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(times, ["0.10", "0.20", "0.25"], "{text}");
    assert!(lines[3].ends_with("(partial)") && lines[4].is_empty(), "{text}");
    assert!(lines[5].starts_with("requests "), "{text}");
}

#[test]
fn the_sender_is_measured_in_open_loops_only() {
    let (_daemon, address) = daemon();
    let open = good(measured(&address, &["--rate", "500", "--duration", "200ms"]));
    assert!(number(&open, "/sender_lateness_us/max") <= number(&open, "/latency_us/max"), "{open:#}");
    assert_eq!(open["unsent"], 0, "{open:#}");
    let closed = good(measured(&address, &["--duration", "100ms"]));
    assert_eq!((&closed["sender_lateness_us"], &closed["unsent"]), (&Value::Null, &Value::Null), "{closed:#}");
    assert!(number(&closed, "/first_byte_us/p50") > 0.0, "{closed:#}");
}

/// A search in a small range, with bounds that a server on a busy machine keeps.
const SEARCH: [&str; 5] = ["--find-rate=100..200", "--slo", "p50=1s,errors=50%", "--duration", "100ms"];

#[test]
fn the_highest_rate_is_found_and_confirmed() {
    let (_daemon, address) = daemon();
    let (report, code) = measured(&address, &SEARCH);
    assert_eq!((code, &report["outcome"], &report["limited_by"]), (0, &"found".into(), &"range".into()), "{report:#}");
    assert!((number(&report, "/rate") - 200.0).abs() < 1e-9, "{report:#}");
    let runs = report["runs"].as_array().expect("runs");
    assert!(runs.iter().all(|run| number(run, "/replies") > 0.0), "{report:#}");
    assert_eq!(runs.last().expect("a run")["phase"], "confirmation");
    let confirmation = &report["confirmation"];
    assert!((number(confirmation, "/seconds") - 0.3).abs() < 1e-9 && confirmation["type"] == "result", "{report:#}");
    assert_eq!(confirmation["rate"], report["rate"], "{report:#}");
}

/// So it can be compared with one.
#[test]
fn the_confirming_run_is_reported_as_one_with_the_rate_is() {
    let (directory, (_daemon, address)) = (Directory::new(), daemon());
    let plot = directory.path("latency.svg");
    let (found, _) = measured(&address, &[&SEARCH[..], &["--svg", plot.to_str().expect("UTF-8")]].concat());
    let earlier = directory.write("earlier.json", found.to_string());
    let report = good(measured(&address, &["--rate", "200", "-t", "50ms", "--compare", &earlier]));
    let title = report["title"].as_str().expect("a title");
    assert!(title.ends_with(", 200 requests/s"), "{title}");
    assert_eq!((&found["confirmation"]["title"], &report["comparison"]["with"]), (&report["title"], &earlier.into()));
    let svg = fs::read_to_string(plot).expect("a drawing");
    assert!(svg.contains(title) && !svg.contains("100 to 200"), "{svg}");
}

#[test]
fn a_search_prints_its_limit_each_run_and_the_rate() {
    let (_daemon, address) = daemon();
    let output = bench(&address, &[&SEARCH[..], &["--warm-up", "0"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    let text = text.replace(";\n  ", "; ").replace(",\n  ", ", ");
    assert!(output.status.success(), "{text}");
    // (2 rates + 5 halvings) x 2 runs of 0.1 s, 8 of 0.3 s, and for each a second of waiting
    for part in [
        "100 to 200 requests/s with p50=1s,errors=50%; each rate: measuring for 100ms; all: at most 26s\n",
        "  confirmed\n",
        "\nlatency ",
        "\nhighest rate with p50=1s,errors=50%: 200 requests/s, the end of the range",
    ] {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
}

/// No request gets a reply.
#[test]
fn a_server_that_misses_the_bounds_at_the_lowest_rate_is_a_failure() {
    let (address, _told) = silent();
    let output = bench(&address, &[&SEARCH[..], &["--warm-up", "0", "--read-timeout", "50ms"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let last = "not even the lowest rate keeps p50=1s,errors=50%;\n  at 100 requests/s: p50 no reply, 10 of 10 failed; \
                limited by the server\n";
    assert!(text.ends_with(last), "{text}");
}

/// With bounds of four percentiles, a row is wider than a terminal.
#[test]
fn rows_and_results_of_a_search_fit_on_a_terminal() {
    let (_daemon, address) = daemon();
    let bounds = "p50=1s,p90=1s,p99=1s,p99.9=1s,p99.99=1s,max=1s,errors=50%";
    let output = bench(&address, &["--find-rate=100..200", "--slo", bounds, "-t", "50ms", "--warm-up", "0"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.lines().all(|line| line.len() <= 80), "{text}");
    let whole = text.replace(";\n  ", "; ").replace(",\n  ", ",");
    assert!(whole.contains(&format!("\nhighest rate with {bounds}: 200 requests/s")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("  ") && line.ends_with("  confirmed")), "{text}");
}

#[test]
fn an_interrupted_search_says_what_it_knows() {
    let (address, told) = silent();
    let mut command = Command::new(env!("CARGO_BIN_EXE_retort"));
    command.args(["bench", &address, "--find-rate", "--slo", "p99=5ms", "--connections", "1", "--warm-up", "1h"]);
    let child = command.stdout(Stdio::piped()).spawn().expect("start retort");
    // the first connection only finds the server
    told.iter().take(2).for_each(drop);
    kill(process_id(&child), Signal::SIGINT).expect("interrupt it");
    let ended = child.wait_with_output().expect("wait for retort");
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.ends_with("\ninterrupted: no rate has kept p99=5ms so far\n"), "{text}");
}

/// It serves the run at the lowest rate, and is stopped in the next one.
#[test]
fn a_search_ends_when_the_server_cannot_be_reached_any_more() {
    let (mut daemon, address) = daemon();
    let mut command = Command::new(env!("CARGO_BIN_EXE_retort"));
    command.args(["bench", &address, "--find-rate", "--slo", "p50=1s,errors=50%", "-t", "300ms", "--warm-up", "0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start retort");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.by_ref().any(|line| line.ends_with("  kept")), "the first run");
    daemon.stop();
    let rest: Vec<String> = lines.collect();
    let ended = child.wait_with_output().expect("wait for retort");
    let message = String::from_utf8(ended.stderr).expect("text");
    assert_eq!(ended.status.code(), Some(2), "{message}");
    assert_eq!(message, format!("retort: cannot connect to {address} any more: connect refused\n"));
    // The run in progress may have replies.
    let missed = rest.iter().filter(|line| line.ends_with("  missed (connect refused)")).count();
    assert!((1..=2).contains(&missed), "{rest:?}");
    assert!(rest.iter().any(|line| line.starts_with("interrupted: ")), "{rest:?}");
}
