//! The files that `retort bench` writes.

use std::fs;

use crate::harness::{Daemon, Directory};
use crate::retort_bench::{bench, good, measured, number};

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
