//! The histogram that `retort bench` prints below the table.

use crate::harness::{Daemon, run_on_terminal};
use crate::retort_bench::{bench, silent};
use serde_json::Value;

const HEAD: &str = "latency up to";

/// The numbers of requests in the rows of the histogram; none if there is no histogram.
fn requests(text: &str) -> Vec<u64> {
    let rows = text.lines().skip_while(|line| !line.starts_with(HEAD)).skip(1).take_while(|line| !line.is_empty());
    let number = |row: &str| {
        assert!(row.len() <= 80, "{text}");
        row.split_whitespace().nth(2)?.replace(',', "").parse().ok()
    };
    rows.map(|row| number(row).unwrap_or_else(|| panic!("{row:?} in {text}"))).collect()
}

/// What a benchmark that succeeds prints to a pipe.
fn printed(address: &str, arguments: &[&str]) -> String {
    let output = bench(address, arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn every_request_is_in_the_histogram_of_a_terminal() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let run = ["bench", &address, "-n", "500", "-c", "2", "--warm-up", "0"];
    let shown = run_on_terminal(&run);
    let rows = requests(&shown);
    assert!(rows.iter().sum::<u64>() == 500 && rows.len() <= 21, "{shown}");
    let json = run_on_terminal(&[&run[..], &["--json"]].concat());
    assert_eq!(serde_json::from_str::<Value>(&json).expect("one object")["requests"], 500);
}

#[test]
fn a_pipe_gets_the_histogram_with_the_option_only() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let run = ["-n", "500", "-c", "2", "--warm-up", "0"];
    assert!(!printed(&address, &run).contains(HEAD));
    let text = printed(&address, &[&run[..], &["--histogram"]].concat());
    assert_eq!(requests(&text).iter().sum::<u64>(), 500, "{text}");
}

#[test]
fn the_histogram_has_the_requests_of_all_stages() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let text = printed(&address, &["--stages", "200/100ms,500/200ms", "--warm-up", "0", "--histogram"]);
    assert_eq!(requests(&text).iter().sum::<u64>(), 120, "{text}");
}

#[test]
fn the_histogram_of_a_search_is_that_of_the_confirming_run() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let search = ["--find-rate=100..200", "--slo", "p50=1s,errors=50%", "-t", "100ms", "--warm-up", "0"];
    let text = printed(&address, &[&search[..], &["--histogram"]].concat());
    assert_eq!(requests(&text).iter().sum::<u64>(), 60, "300 ms of 200 requests/s: {text}");
    assert!(text.rsplit("\n\n").next().is_some_and(|last| last.starts_with("highest rate with ")), "{text}");
}

#[test]
fn without_replies_there_is_no_histogram() {
    let (address, _told) = silent();
    let output = bench(&address, &["--histogram", "-t", "100ms", "-c", "1", "--read-timeout", "20ms"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("\nerrors ") && !text.contains(HEAD), "{text}");
}

#[test]
fn the_histogram_is_refused_where_it_cannot_be() {
    let daemon = Daemon::serving("discard", &[]);
    let address = daemon.address("discard").to_string();
    for (arguments, words) in [
        (["--histogram", "--json"].as_slice(), "the argument '--histogram' cannot be used with '--json'"),
        (&["--histogram", "-P", "discard"], "--histogram has no meaning with -P discard"),
    ] {
        let output = bench(&address, arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && message.contains(words), "{message}");
    }
}
