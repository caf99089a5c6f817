//! What is written for Prometheus and Grafana: the panels and queries of the dashboard, and the alerts, as text.

use std::fs;

use serde_json::Value;

/// A file of the project.
pub fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn alerts() -> String {
    read("packaging/prometheus/alerts.yml")
}

pub fn document() -> String {
    read("docs/monitoring.md")
}

pub fn dashboard() -> Value {
    serde_json::from_str(&read("packaging/grafana/retortd.json")).expect("the dashboard is JSON")
}

/// The entries of an array.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A string of an object.
#[track_caller]
pub fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_else(|| panic!("no text '{key}' in {object}"))
}

/// The panels of the dashboard that have queries: all but the rows.
pub fn panels() -> Vec<Value> {
    list(&dashboard()["panels"]).iter().filter(|panel| text(panel, "type") != "row").cloned().collect()
}

/// The queries of a panel.
pub fn queries(panel: &Value) -> Vec<String> {
    list(&panel["targets"]).iter().map(|target| text(target, "expr").to_string()).collect()
}

/// The queries of all panels and of the annotations.
pub fn all_queries() -> Vec<String> {
    let dashboard = dashboard();
    let annotations = list(&dashboard["annotations"]["list"]).iter().map(|one| text(one, "expr").to_string());
    panels().iter().flat_map(queries).chain(annotations).collect()
}

/// The names of the alerts, with their severity.
pub fn alert_names() -> Vec<(String, String)> {
    let text = alerts();
    let parts = text.split("- alert: ").skip(1);
    let line = |part: &str| part.lines().next().unwrap_or_default().to_string();
    parts.map(|part| (line(part), line(part.split("severity: ").nth(1).expect("a severity")))).collect()
}

/// The selectors of time series in a query or a file of rules, such as `retortd_requests_total{result="refused"}`.
pub fn selectors(text: &str) -> Vec<&str> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let begins = ["retortd_", "process_"].into_iter().flat_map(|prefix| text.match_indices(prefix));
    let begins = begins.filter(|(at, _)| !text[..*at].ends_with(is_name));
    let selector = |(at, _)| {
        let rest: &str = &text[at..];
        let name = rest.find(|character: char| !is_name(character)).unwrap_or(rest.len());
        let labels = rest[name..].strip_prefix('{').and_then(|labels| labels.find('}'));
        &rest[..labels.map_or(name, |end| name + end + 2)]
    };
    begins.map(selector).collect()
}

/// The values of a label for which a text asks by `=` or `=~` or excludes by `!~`: the parts between `|`.
pub fn asked_values<'a>(text: &'a str, label: &str) -> Vec<&'a str> {
    let operators = ["=\"", "=~\"", "!~\""].map(|operator| format!("{label}{operator}"));
    let asked = operators.iter().flat_map(|begin| text.split(begin.as_str()).skip(1));
    asked.flat_map(|rest| rest.split('"').next().unwrap_or_default().split('|')).collect()
}

#[test]
fn selectors_have_their_labels() {
    let query = "sum(rate(retortd_a_total{b=\"c\"}[5m])) / process_d - up";
    assert_eq!(selectors(query), ["retortd_a_total{b=\"c\"}", "process_d"]);
    assert_eq!(asked_values("x{reason=~\"a|b\", y=\"z\"} + x{reason!~\"c\"}", "reason"), ["a", "b", "c"]);
}
