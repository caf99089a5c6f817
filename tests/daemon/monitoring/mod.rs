//! The files of packaging/prometheus and packaging/grafana.
//!
//! A test is skipped where promtool is not installed; `.ci/run` installs it.

mod documents;
mod files;

use std::process::Command;

use crate::harness::available;

/// Asserts that promtool finds no fault in a file of packaging/prometheus.
#[track_caller]
fn assert_promtool(arguments: &[&str]) {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/prometheus");
    let output = Command::new("promtool").args(arguments).current_dir(directory).output().expect("run promtool");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && text.contains("SUCCESS"), "promtool {arguments:?}:\n{text}");
}

#[test]
fn promtool_accepts_the_alerts_their_tests_and_the_configuration() {
    if !available("promtool") {
        return;
    }
    assert_promtool(&["check", "rules", "--lint=all", "--lint-fatal", "alerts.yml"]);
    assert_promtool(&["test", "rules", "alerts_test.yml"]);
    assert_promtool(&["check", "config", "--lint=all", "--lint-fatal", "prometheus.yml"]);
}
