//! The files that `retort bench` writes.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output};

use crate::buggy_servers::{self, Bug};
use crate::harness::{Daemon, DaemonBuilder, Directory};
use crate::retort_bench::{bench, good, measured, number};
use crate::retort_bench_compare::changed;

/// The report of a short run with these options, and the file that `option` names.
fn with_file(option: &str, arguments: &[&str]) -> (serde_json::Value, String) {
    let daemon = Daemon::serving("frame", &[]);
    let directory = Directory::new();
    let path = directory.path("file");
    let path = path.to_str().expect("UTF-8");
    let report = good(measured(&daemon.address("frame").to_string(), &[&[option, path], arguments].concat()));
    (report, fs::read_to_string(path).expect("the file"))
}

#[test]
fn hdr_text_has_every_request_and_milliseconds() {
    let (report, text) = with_file("--hdr", &["--rate", "500", "--duration", "200ms"]);
    let (head, lines) = text.split_once("\n\n").expect("a head");
    assert_eq!(head.split_whitespace().collect::<Vec<_>>(), ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
    let last = lines.lines().rfind(|line| !line.starts_with('#')).expect("a line");
    let last: Vec<&str> = last.split_whitespace().collect();
    let max_us = number(&report, "/latency_us/max");
    assert!((last[0].parse::<f64>().expect("a number") * 1e3 - max_us).abs() < 1.0, "{text} {report:#}");
    assert_eq!((last[1], last[3]), ("1.000000", "inf"), "{text}");
    let count = lines.lines().find_map(|line| line.split("Total count    = ").nth(1)).expect("a count");
    assert_eq!(last[2], count.trim_end_matches(']').trim(), "{text}");
}

#[test]
fn csv_has_a_row_for_each_interval() {
    let (report, text) = with_file("--csv", &["--rate", "500", "--duration", "250ms"]);
    assert_eq!(text.lines().count(), 2, "a second is the default: {text}");
    assert!((number(&report, "/seconds") - 0.25).abs() < 1e-9, "{report:#}");
    let daemon = Daemon::serving("frame", &[]);
    let directory = Directory::new();
    let path = directory.path("intervals.csv");
    let arguments = ["--duration", "250ms", "--interval", "100ms", "--csv", path.to_str().expect("UTF-8")];
    let output = bench(&daemon.address("frame").to_string(), &arguments);
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(path).expect("the file");
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{text}");
    let times: Vec<(&str, &str)> = rows.iter().map(|row| (row[1], row[2])).collect();
    assert_eq!(times, [("until_seconds", "partial"), ("0.1", "0"), ("0.2", "0"), ("0.25", "1")], "{text}");
}

/// A file that exists and one that does not, which the options name with different paths.
#[test]
fn options_that_name_the_same_file_are_refused_and_it_is_kept() {
    let (daemon, directory) = (Daemon::serving("frame", &[]), Directory::new());
    let address = daemon.address("frame").to_string();
    let earlier = good(measured(&address, &["-n", "100"])).to_string();
    let existing = directory.write("earlier.json", &earlier);
    let dotted = directory.path("./earlier.json").to_str().expect("UTF-8").to_owned();
    let [new, dotted_new] =
        ["new.out", "./new.out"].map(|name| directory.path(name).to_str().expect("UTF-8").to_owned());
    for (first, path, second, other) in [
        ("--svg", &existing, "--csv", &dotted),
        ("--svg", &new, "--hdr", &dotted_new),
        ("--compare", &existing, "--csv", &dotted),
        ("--compare", &existing, "--hdr", &existing),
    ] {
        let output = bench(&address, &[first, path, second, other, "-n", "100"]);
        let message = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(message.contains(&format!("{first} and {second} name the same file")), "{message}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    }
    let output = bench(&address, &["--svg", &dotted, "--overlay", &existing, "-n", "100"]);
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(message.contains("--overlay and --svg name the same file"), "{message}");
    assert_eq!(fs::read_to_string(&existing).expect("the file"), earlier);
    assert!(!fs::exists(new).expect("look for the file"));
}

/// A benchmark whose reader has closed standard output.
fn without_reader(address: &str, arguments: &[&str]) -> Output {
    let (closed, output) = UnixStream::pair().expect("sockets");
    drop(closed);
    let mut command = Command::new(env!("CARGO_BIN_EXE_retort"));
    command.args(["bench", address, "--warm-up", "0"]).args(arguments).stdout(OwnedFd::from(output));
    command.output().expect("run retort")
}

/// The runs without a file would take an hour.
#[test]
fn a_run_that_its_reader_has_cut_short_is_not_a_success() {
    let daemon = DaemonBuilder::every_protocol(&[]).start();
    for (protocol, arguments) in [
        ("frame", &["--interval", "10ms", "--duration", "1h"][..]),
        ("frame", &["--interval", "10ms", "--duration", "1h", "--json"]),
        ("discard", &["--interval", "10ms", "--duration", "1h"]),
        ("frame", &["--find-rate=100..1M", "--slo", "errors=50%", "--duration", "50ms"]),
    ] {
        let address = daemon.address(protocol).to_string();
        let ended = without_reader(&address, &[&["-P", protocol], arguments].concat());
        assert_eq!(
            (ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()),
            (Some(1), ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_file_is_complete_and_the_status_that_of_the_whole_run_without_a_reader() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let directory = Directory::new();
    let csv = directory.path("intervals.csv").to_str().expect("UTF-8").to_owned();
    let run = ["--interval", "50ms", "--duration", "250ms", "--csv", &csv];
    let wrong = buggy_servers::start(Bug::LittleEndian).to_string();
    for (address, code) in [(&address, 0), (&wrong, 1)] {
        let ended = without_reader(address, &run);
        assert_eq!(ended.status.code(), Some(code), "{ended:?}");
        let rows = fs::read_to_string(&csv).expect("the file");
        assert_eq!(rows.lines().count(), 1 + 5, "{rows}");
        fs::remove_file(&csv).expect("remove it");
    }
}

#[test]
fn a_failed_or_worse_run_has_its_status_without_a_reader() {
    let (daemon, directory) = (Daemon::serving("frame", &[]), Directory::new());
    let address = daemon.address("frame").to_string();
    let wrong = buggy_servers::start(Bug::LittleEndian).to_string();
    let ended = without_reader(&wrong, &["--duration", "50ms"]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let run = ["--duration", "510ms", "--interval", "50ms", "--json"];
    let report = bench(&address, &run).stdout;
    let last = report.split(|&byte| byte == b'\n').rfind(|line| !line.is_empty()).expect("a report");
    let faster = changed(&serde_json::from_slice(last).expect("JSON"), 0.001).to_string();
    let earlier = directory.write("earlier.json", faster);
    // The file keeps the run going when the first interval cannot be printed.
    let csv = directory.path("intervals.csv").to_str().expect("UTF-8").to_owned();
    let ended = without_reader(&address, &[&run[..], &["--compare", &earlier, "--csv", &csv]].concat());
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
}
