//! `retort bench --compare`.

use std::fs;

use crate::harness::{Daemon, Directory};
use crate::retort_bench::{bench, good, measured};
use serde_json::{Value, json};

/// A run with twenty complete intervals, of which some may be without replies.
const RUN: [&str; 4] = ["--duration", "1010ms", "--interval", "50ms"];

/// The report in the file, with every figure of the intervals and of the whole run as `change` makes it.
pub fn changed(report: &Value, factor: f64) -> Value {
    // on a busy machine an interval may be without replies, and so without latencies
    let scale = |part: &mut Value| {
        for name in ["p50", "p99"] {
            if let Some(latency) = part["latency_us"].get_mut(name) {
                *latency = json!(latency.as_f64().expect("a number") * factor);
            }
        }
    };
    let mut report = report.clone();
    scale(&mut report);
    report["intervals"].as_array_mut().expect("intervals").iter_mut().for_each(scale);
    report
}

#[test]
fn a_run_is_worse_than_one_that_was_a_thousand_times_faster() {
    let (daemon, directory) = (Daemon::serving("frame", &[]), Directory::new());
    let address = daemon.address("frame").to_string();
    let report = bench(&address, &[&RUN[..], &["--json"]].concat()).stdout;
    let last = report.split(|&byte| byte == b'\n').rfind(|line| !line.is_empty()).expect("a report");
    let report: Value = serde_json::from_slice(last).expect("JSON");
    for (factor, code, verdict) in [(0.001, 3, "slower"), (1000.0, 0, "faster")] {
        let earlier = directory.write("earlier.json", changed(&report, factor).to_string());
        let output = bench(&address, &[&RUN[..], &["--compare", &earlier, "--tolerance", "900%"]].concat());
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let line = text.lines().rfind(|line| line.starts_with("p99 ")).unwrap_or_else(|| panic!("{text}"));
        assert!(line.contains(&format!("times  {verdict} (p = 0.000)")), "{text}");
        assert_eq!(output.status.code(), Some(code), "{text}");
    }
}

/// Of more than 3600 intervals, neighbours are added together: 37 s of 10 ms are intervals of 20 ms.
#[test]
fn intervals_of_another_length_are_refused_before_the_run() {
    let (daemon, directory) = (Daemon::serving("frame", &[]), Directory::new());
    let address = daemon.address("frame").to_string();
    let report = bench(&address, &["--json", "--duration", "100ms", "--interval", "10ms"]).stdout;
    let earlier = directory.write("earlier.json", report);
    for (arguments, length, advice) in [
        (&["--duration", "100ms"][..], "1s", "give --interval 10ms\n"),
        (&["-n", "1000"], "1s", "give --interval 10ms\n"),
        (&["--duration", "100ms", "--interval", "20ms"], "20ms", "give --interval 10ms\n"),
        (&["--duration", "37s", "--interval", "10ms"], "20ms", "give --interval 10ms, and measure for at most 36s\n"),
    ] {
        let output = bench(&address, &[arguments, &["--compare", &earlier]].concat());
        let message = String::from_utf8(output.stderr).expect("UTF-8");
        let words = format!("its intervals are 10ms long, and those of this run {length}: {advice}");
        assert!(message.ends_with(&words), "{message}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
    }
}

#[test]
fn few_intervals_cannot_tell() {
    let (daemon, directory) = (Daemon::serving("frame", &[]), Directory::new());
    let address = daemon.address("frame").to_string();
    let report = good(measured(&address, &["--duration", "50ms"]));
    let earlier = directory.write("earlier.json", changed(&report, 0.001).to_string());
    let report = good(measured(&address, &["--duration", "50ms", "--compare", &earlier]));
    let comparison = &report["comparison"];
    assert_eq!((&comparison["with"], &comparison["worse"]), (&json!(earlier), &json!(false)), "{report:#}");
    let verdicts = comparison["figures"].as_array().expect("figures").iter().map(|figure| &figure["verdict"]);
    assert_eq!(verdicts.collect::<Vec<_>>(), ["cannot tell"; 3], "{report:#}");
}

#[test]
fn other_loads_and_bad_files_are_refused_before_the_run() {
    let (daemon, directory) = (Daemon::serving("frame", &[]), Directory::new());
    let address = daemon.address("frame").to_string();
    let [report, mixed] = ["ascii", "mixed"]
        .map(|text| good(measured(&address, &["-n", "100", "--size", "32", "--text", text])).to_string());
    for (text, words) in [
        (mixed.as_str(), "it measured 'frame uppercase, 32 bytes of mixed text, 16 connections, 1 in flight on each'"),
        (report.as_str(), "it measured 'frame uppercase, 32 bytes, 16 connections, 1 in flight on each'"),
        (&report[..report.len() / 2], "it is not a complete JSON report"),
        ("", "it is empty"),
    ] {
        let earlier = directory.write("earlier.json", text);
        let output = bench(&address, &["--compare", &earlier]);
        let message = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(message.contains(words) && message.contains("earlier.json"), "{message}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    }
    let gone = directory.path("gone.json");
    let output = bench(&address, &["--compare", gone.to_str().expect("UTF-8")]);
    assert_eq!((output.status.code(), fs::exists(gone).expect("look for the file")), (Some(2), false));
}

#[test]
fn earlier_runs_are_drawn_over_a_new_one() {
    let (daemon, directory) = (Daemon::serving("frame", &[]), Directory::new());
    let address = daemon.address("frame").to_string();
    let earlier = directory.write("earlier.json", good(measured(&address, &["-n", "100", "--size", "32"])).to_string());
    let plot = directory.path("latency.svg").to_str().expect("UTF-8").to_owned();
    let drawn = bench(&address, &["-n", "100", "--svg", &plot, "--overlay", &earlier]);
    assert_eq!(drawn.status.code(), Some(0));
    let svg = fs::read_to_string(&plot).expect("a drawing");
    let title = "earlier.json: frame uppercase, 32 bytes, 16 connections, 1 in flight on each";
    assert!(svg.contains("class=\"curve run1\"") && svg.contains(title), "{svg}");
    let five = ["--overlay", &earlier].repeat(5);
    for (arguments, words) in [
        ([&["--svg", &plot][..], &five].concat(), "--overlay: 5 runs, of at most 4"),
        (vec!["--svg", &plot, "--overlay", "gone.json"], "cannot read gone.json"),
        (vec!["--overlay", &earlier], "--svg <FILE>"),
    ] {
        let output = bench(&address, &arguments);
        let message = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(message.contains(words), "{message}");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
