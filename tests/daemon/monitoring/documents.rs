//! The dashboard, the alerts and docs/monitoring.md agree with one another and with the project; this needs no
//! Prometheus.

use std::collections::BTreeSet;

use retortd::connection::CloseReason;
use serde_json::{Value, json};

use super::files::{alert_names, alerts, all_queries, asked_values, dashboard, document, list, panels, read, text};

/// The data source that a user chooses in the dashboard.
fn chosen_source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// What a panel covers of the grid of the dashboard: columns and lines.
fn cells(panel: &Value) -> Vec<(u64, u64)> {
    let [x, y, width, height] =
        ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().expect("a number of the grid"));
    assert!(width > 0 && height > 0 && x + width <= 24, "the grid of Grafana has 24 columns: {panel}");
    (x..x + width).flat_map(|column| (y..y + height).map(move |line| (column, line))).collect()
}

#[test]
fn panels_have_places_and_numbers_of_their_own() {
    let dashboard = dashboard();
    let (mut places, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for panel in list(&dashboard["panels"]) {
        assert!(numbers.insert(panel["id"].as_u64().expect("an id")), "used twice: {panel}");
        assert!(cells(panel).into_iter().all(|cell| places.insert(cell)), "covers another panel: {panel}");
    }
}

#[test]
fn panels_have_a_unit_and_queries_with_a_legend_and_every_variable() {
    for panel in panels() {
        assert_eq!(panel["datasource"], chosen_source(), "{panel}");
        assert!(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "{panel}");
        for target in list(&panel["targets"]) {
            assert!(!text(target, "legendFormat").is_empty(), "{panel}");
        }
    }
    let queries = all_queries();
    assert!(queries.len() > panels().len(), "{} queries", queries.len());
    for query in queries {
        let selected = query.matches("{job=~\"$job\", instance=~\"$instance\"").count();
        assert_eq!(selected, query.matches('{').count(), "a selector without job and instance: {query}");
        let windows = query.matches("[$__rate_interval]").count();
        assert_eq!(windows, query.matches('[').count(), "a window that does not follow the scrape interval: {query}");
    }
}

#[test]
fn dashboard_can_be_imported_without_a_change() {
    let dashboard = dashboard();
    assert!(dashboard["__inputs"].is_null() && dashboard["id"].is_null(), "exported for another instance of Grafana");
    // the last schema of the classic model
    assert_eq!(dashboard["schemaVersion"], 42);
    let variables: Vec<&str> =
        list(&dashboard["templating"]["list"]).iter().map(|variable| text(variable, "name")).collect();
    assert_eq!(variables, ["datasource", "job", "instance"]);
}

#[test]
fn close_reasons_in_queries_exist() {
    let queries = all_queries().join("\n") + &alerts();
    let asked = asked_values(&queries, "reason");
    assert!(asked.len() > 10, "{asked:?}");
    for reason in asked {
        let matches = |name: &str| match reason.strip_suffix(".*") {
            Some(prefix) => name.starts_with(prefix),
            None => name == reason,
        };
        assert!(CloseReason::ALL.iter().any(|known| matches(known.name())), "no connection closes as {reason}");
    }
}

#[test]
fn document_has_the_description_of_every_panel() {
    let dashboard = dashboard();
    let row = |panel: &Value| match text(panel, "type") {
        "row" => format!("| **{}** | |", text(panel, "title")),
        _ => format!("| {} | {} |", text(panel, "title"), text(panel, "description")),
    };
    assert_eq!(rows("panel"), list(&dashboard["panels"]).iter().map(row).collect::<Vec<_>>());
}

#[test]
fn document_has_every_alert_with_its_severity() {
    let alert = |row: String| row.split(" | ").take(2).map(|cell| cell.replace("| ", "")).collect::<Vec<_>>();
    let documented: Vec<Vec<String>> = rows("alert").into_iter().map(alert).collect();
    let real: Vec<Vec<String>> = alert_names().into_iter().map(|(name, severity)| vec![name, severity]).collect();
    assert!(real.len() >= 15, "{real:?}");
    assert_eq!(documented, real);
}

/// The rows of the table in the document whose first heading is this one.
fn rows(heading: &str) -> Vec<String> {
    let text = document();
    let table = text.lines().skip_while(|line| !line.starts_with(&format!("| {heading} |")));
    table.skip(2).take_while(|line| line.starts_with('|')).map(str::to_string).collect()
}

#[test]
fn alerts_say_what_happens_and_what_to_do() {
    let text = alerts();
    for alert in text.split("- alert: ").skip(1) {
        for key in ["expr:", "severity:", "summary:", "description:", "action:"] {
            assert_eq!(alert.matches(key).count(), 1, "{key} of {alert}");
        }
    }
}

/// promtool compares what fires; this is about tests that are missing.
#[test]
fn alerts_have_tests_in_which_they_fire_and_do_not() {
    let tests = read("packaging/prometheus/alerts_test.yml");
    for (name, _) in alert_names() {
        let cases: Vec<&str> =
            tests.split("- alertname: ").filter(|case| case.starts_with(&format!("{name}\n"))).collect();
        let (silent, firing): (Vec<&str>, Vec<&str>) = cases.iter().partition(|case| case.contains("exp_alerts: []"));
        assert!(!silent.is_empty() && !firing.is_empty(), "{name}: {} and {}", silent.len(), firing.len());
        assert!(firing.iter().all(|case| case.contains("exp_labels:")), "{name}: expects nothing");
    }
}

#[test]
fn document_is_linked_and_the_examples_are_in_the_package() {
    assert!(read("README.md").contains("](docs/monitoring.md)"));
    let examples = read("packaging/debian/examples");
    assert_eq!(examples.lines().collect::<Vec<_>>(), ["packaging/grafana", "packaging/prometheus"]);
    for name in ["packaging/prometheus/", "packaging/grafana/", "/usr/share/doc/retortd/examples/"] {
        assert!(document().contains(name), "{name}");
    }
}

/// The scrape configuration in the document is that of the example.
#[test]
fn document_shows_the_settings_of_the_example() {
    let example = read("packaging/prometheus/prometheus.yml");
    let settings: Vec<&str> = example.lines().map(str::trim).collect();
    let document = document();
    let shown: Vec<&str> = document.lines().skip_while(|line| *line != "    rule_files:").collect();
    let shown = shown.iter().map_while(|line| line.strip_prefix("    ")).map(str::trim);
    let missing: Vec<&str> = shown.clone().filter(|line| !settings.contains(line)).collect();
    assert!(shown.count() > 5 && missing.is_empty(), "{missing:?}");
}
