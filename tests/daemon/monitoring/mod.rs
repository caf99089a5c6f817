//! A real Prometheus scrapes the daemon, with the configuration, the alerts and the dashboard of packaging/.
//!
//! The query of each panel has to return series while clients are served, and each alert has to be about series that
//! exist. A test is skipped where Prometheus is not installed; `.ci/run` installs it.

mod documents;
mod files;
mod prometheus;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::harness::action::{SHUFFLE, UPPERCASE};
use crate::harness::{Daemon, Directory, available, echo_ping, wait_until};
use crate::side::every_protocol;
use files::{alerts, all_queries, dashboard, document, list, panels, queries, read, selectors, text};
use prometheus::{Prometheus, http_get};

/// The length of a message that is not transformed on the event loop: longer than `MAX_PREPROCESS_INLINE` of the
/// protocols with framed texts.
const OFFLOADED: usize = 1 << 20;

/// Causes what the panels are about: connections that end in several ways, requests that are answered, refused and
/// offloaded, a reload.
fn cause_traffic(daemon: &Daemon) {
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"hi"), b"HI");
    assert_eq!(client.request(SHUFFLE, &vec![b'a'; OFFLOADED]).len(), OFFLOADED);
    assert_eq!(daemon.exchange("echo", b"hello"), b"hello");
    assert_eq!(daemon.exchange("text", b"no action"), b"5 error");
    daemon.reload();
}

/// A query of the dashboard with the values of its variables. The window holds all scrapes of a test.
fn substituted(query: &str, instance: SocketAddr) -> String {
    let query = query.replace("$__rate_interval", "1m").replace("$job", "retortd");
    query.replace("$instance", &instance.to_string())
}

#[test]
fn queries_of_every_panel_return_series() {
    let daemon = every_protocol(&[]);
    let target = daemon.address("metrics");
    let Some(prometheus) = Prometheus::scraping(target) else { return };
    // the increase of a counter needs a scrape before it
    cause_traffic(&daemon);
    for panel in panels() {
        for query in queries(&panel) {
            let query = substituted(&query, target);
            assert!(!query.contains('$'), "a variable without a value: {query}");
            wait_until(&format!("'{}' shows something: {query}", text(&panel, "title")), || {
                prometheus.query(&query).iter().any(|value| value.is_finite())
            });
        }
    }
}

#[test]
fn variables_and_annotations_of_the_dashboard_have_values() {
    let daemon = every_protocol(&[]);
    let target = daemon.address("metrics");
    let Some(prometheus) = Prometheus::scraping(target) else { return };
    let dashboard = dashboard();
    let variables = list(&dashboard["templating"]["list"]).iter().filter(|one| text(one, "type") == "query");
    for variable in variables {
        let query = substituted(text(&variable["query"], "query"), target);
        let arguments = query.strip_prefix("label_values(").and_then(|query| query.strip_suffix(')'));
        let (selector, label) = arguments.and_then(|query| query.rsplit_once(", ")).expect("label_values");
        let values = prometheus.get(&format!("label/{label}/values"), &[("match[]", selector)]);
        let expected = if label == "job" { "retortd".to_string() } else { target.to_string() };
        assert_eq!(list(&values), [expected], "{query}");
    }
    for annotation in list(&dashboard["annotations"]["list"]) {
        // evaluated without an error; the daemon was not restarted
        assert!(prometheus.query(&substituted(text(annotation, "expr"), target)).is_empty(), "{annotation}");
    }
}

#[test]
fn alerts_are_about_series_that_exist_and_do_not_fire_for_a_healthy_daemon() {
    let daemon = every_protocol(&[]);
    let Some(prometheus) = Prometheus::scraping(daemon.address("metrics")) else { return };
    let rules = prometheus.evaluated_rules();
    assert_eq!(rules.len(), alerts().matches("- alert: ").count());
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_ne!(rule["state"], "firing", "{rule}");
        for selector in selectors(text(rule, "query")) {
            // after a scrape that takes longer than the interval here, no series has a value until the next one
            let what = format!("there is {selector}, which {} is about", rule["name"]);
            wait_until(&what, || !prometheus.query(selector).is_empty());
        }
    }
}

/// Of the alerts that wait for nothing these are the ones that a test can cause.
#[test]
fn alerts_fire_for_their_cause() {
    let settings = Directory::new();
    let file = settings.write("settings", "");
    let daemon = every_protocol(&[&format!("--settings={file}"), "--max-connections=1"]);
    let Some(prometheus) = Prometheus::scraping(daemon.address("metrics")) else { return };
    settings.write("settings", "RETORTD_IDLE_TIMEOUT=soon\n");
    daemon.signal(Signal::SIGHUP);
    let mut served = daemon.connect("echo");
    echo_ping(&mut served);
    let _waiting = daemon.connect("echo");
    for alert in ["RetortdReloadFailed", "RetortdConnectionsAtLimit"] {
        prometheus.wait_firing(alert);
    }
}

/// The name of a family, without what the kinds of samples have behind it.
fn family(sample: &str) -> &str {
    let name = sample.split(['{', ' ']).next().unwrap_or_default();
    let mut suffixes = ["_bucket", "_sum", "_count"].into_iter();
    suffixes.find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

#[test]
fn exposition_documents_and_queries_name_the_same_families() {
    let daemon = every_protocol(&[]);
    let body = http_get(daemon.address("metrics"), "/metrics");
    let exported: BTreeSet<&str> =
        body.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(family).collect();
    assert!(exported.len() > 30, "{exported:?}");
    let metrics = read("docs/metrics.md");
    let documented: BTreeSet<&str> = selectors(&metrics).into_iter().map(family).collect();
    let unknown: Vec<_> = exported.difference(&documented).collect();
    assert!(unknown.is_empty(), "docs/metrics.md lacks {unknown:?}");
    let used = all_queries().join("\n") + &alerts() + &document();
    let invented: BTreeSet<&str> =
        selectors(&used).into_iter().map(family).filter(|name| !exported.contains(name)).collect();
    assert!(invented.is_empty(), "the daemon does not export {invented:?}");
}

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
