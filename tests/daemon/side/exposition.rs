//! A strict parser of the text format 0.0.4 of Prometheus, as its documentation describes it: more strict than
//! Prometheus itself, which accepts other orders, comments and white space.

use std::collections::{BTreeMap, BTreeSet};

/// The bounds and values of the buckets of a family, by their other labels.
type Buckets = BTreeMap<String, Vec<(f64, f64)>>;

/// The series of an exposition, by name and labels as they are written, and the types of the families.
#[derive(Clone, Debug)]
pub struct Exposition {
    pub series: BTreeMap<String, f64>,
    pub types: BTreeMap<String, String>,
}

impl Exposition {
    pub fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n') && !text.contains(['\r', '\t']), "lines end in LF alone");
        let mut parsed = Self { series: BTreeMap::new(), types: BTreeMap::new() };
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let (name, help) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).expect(line);
            assert!(is_name(name) && !help.is_empty(), "{line}");
            let line = lines.next().expect("a type");
            let (same, kind) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')).expect(line);
            assert_eq!(same, name, "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(parsed.types.insert(name.into(), kind.into()).is_none(), "{name} is there twice");
            let mut buckets = BTreeMap::new();
            let mut has_samples = false;
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                parsed.add(line, name, kind, &mut buckets);
                has_samples = true;
            }
            assert!(has_samples, "{name} has no samples");
            parsed.check_histogram(name, kind, &buckets);
        }
        parsed
    }

    fn add(&mut self, line: &str, name: &str, kind: &str, buckets: &mut Buckets) {
        let (key, value) = line.rsplit_once(' ').expect(line);
        let (sample, labels) = match key.split_once('{') {
            Some((sample, labels)) => (sample, labels.strip_suffix('}').expect(line)),
            None => (key, ""),
        };
        let suffix = sample.strip_prefix(name).expect(line);
        let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(suffixes.contains(&suffix), "{line}");
        let labels = parse_labels(labels);
        let value = number(value);
        assert!(kind == "gauge" || (value >= 0.0 && value.is_finite()), "{line}");
        assert_eq!(labels.contains_key("le"), suffix == "_bucket", "{line}");
        if let Some(bound) = labels.get("le") {
            // of the series with the other labels
            let others: Vec<String> = labels
                .iter()
                .filter(|(name, _)| **name != "le")
                .map(|(name, value)| format!("{name}=\"{value}\""))
                .collect();
            buckets.entry(others.join(",")).or_default().push((number(bound), value));
        }
        assert!(self.series.insert(key.into(), value).is_none(), "{key} is there twice");
    }

    fn check_histogram(&self, name: &str, kind: &str, buckets: &Buckets) {
        if kind != "histogram" {
            return;
        }
        assert!(!buckets.is_empty(), "{name}");
        for (labels, buckets) in buckets {
            assert!(buckets.is_sorted_by(|one, two| one.0 < two.0 && one.1 <= two.1), "{name}: {buckets:?}");
            let (bound, count) = buckets.last().expect("a bucket");
            let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
            assert_eq!((*bound, *count), (f64::INFINITY, self.value(&format!("{name}_count{labels}"))), "{name}");
            assert!(self.series.contains_key(&format!("{name}_sum{labels}")), "{name}");
        }
    }

    /// The value of a series.
    pub fn value(&self, series: &str) -> f64 {
        *self.series.get(series).unwrap_or_else(|| panic!("there is no series {series}"))
    }

    /// The sum of the series of a family, for one protocol or for all.
    pub fn sum(&self, family: &str, protocol: Option<&str>) -> f64 {
        let protocol = protocol.map(|protocol| format!("protocol=\"{protocol}\""));
        let series = self.series.iter().filter(|(key, _)| {
            let labels = key.strip_prefix(family).and_then(|rest| rest.strip_prefix('{'));
            labels.is_some_and(|labels| protocol.as_ref().is_none_or(|protocol| labels.contains(protocol)))
        });
        let values: Vec<f64> = series.map(|(_, value)| *value).collect();
        assert!(!values.is_empty(), "there is no series of {family} for {protocol:?}");
        values.iter().sum()
    }

    /// The counters, and the buckets and sums of histograms: what never falls.
    pub fn counters(&self) -> BTreeSet<&str> {
        let is_counter = |key: &&String| {
            let name = key.split('{').next().expect("a name");
            let kind = ["", "_bucket", "_sum", "_count"]
                .into_iter()
                .find_map(|suffix| self.types.get(name.strip_suffix(suffix)?))
                .expect("a family");
            kind != "gauge"
        };
        self.series.keys().filter(is_counter).map(String::as_str).collect()
    }
}

fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(is_part) && name.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Labels without escapes, which this daemon does not need.
fn parse_labels(text: &str) -> BTreeMap<&str, &str> {
    let mut labels = BTreeMap::new();
    for label in text.split(',').filter(|_| !text.is_empty()) {
        let (name, value) = label.split_once('=').expect(label);
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).expect(label);
        assert!(is_name(name) && !value.is_empty() && !value.contains(['"', '\\']), "{label}");
        assert!(labels.insert(name, value).is_none(), "{label} is there twice");
    }
    labels
}

fn number(text: &str) -> f64 {
    if text == "+Inf" {
        return f64::INFINITY;
    }
    assert!(text.bytes().all(|byte| byte.is_ascii_digit() || b".e-".contains(&byte)), "{text}");
    text.parse().expect(text)
}

#[test]
#[should_panic(expected = "is there twice")]
fn a_series_may_be_there_once() {
    Exposition::parse("# HELP a b\n# TYPE a gauge\na 1\na 2\n");
}

#[test]
#[should_panic(expected = "a_total")]
fn buckets_must_grow() {
    let lines = "a_total_bucket{le=\"1.0\"} 2\na_total_bucket{le=\"+Inf\"} 1\na_total_sum 0.5\na_total_count 1\n";
    Exposition::parse(&format!("# HELP a_total b\n# TYPE a_total histogram\n{lines}"));
}
