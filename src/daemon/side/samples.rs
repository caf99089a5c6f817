//! Samples of the metric families, and how they are written.

use std::fmt::Write;

use super::accept::Format;
use super::families::{FAMILIES, Family, Id, Kind};
use crate::server::HistogramSnapshot;

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A count.
    Count(u64),
    /// A time in seconds, or a limit.
    Number(f64),
}

/// A line.
#[derive(Debug)]
struct Sample {
    /// What follows the name of the family.
    suffix: &'static str,
    /// The values of the family's labels.
    labels: Vec<&'static str>,
    /// The bound of a bucket.
    le: Option<f64>,
    value: Value,
}

/// The samples of all families. Families without any are not written.
#[derive(Debug)]
pub struct Samples(Vec<Vec<Sample>>);

impl Samples {
    /// No samples.
    #[must_use]
    pub fn new() -> Self {
        Self(FAMILIES.iter().map(|_| Vec::new()).collect())
    }

    /// Adds a number, with a value for each of the family's labels.
    pub fn count(&mut self, family: Id, labels: &[&'static str], value: u64) {
        self.add(family, labels, Value::Count(value));
    }

    /// Adds a number that is no integer.
    pub fn number(&mut self, family: Id, value: f64) {
        self.add(family, &[], Value::Number(value));
    }

    /// Adds a limit; without one, it is infinite.
    pub fn limit(&mut self, family: Id, limit: Option<u64>) {
        self.add(family, &[], limit.map_or(Value::Number(f64::INFINITY), Value::Count));
    }

    /// Adds a histogram, with a value for each of the family's labels.
    pub fn histogram(&mut self, family: Id, labels: &[&'static str], histogram: &HistogramSnapshot) {
        let HistogramSnapshot { bounds, counts, sum } = histogram;
        let samples = &mut self.0[family as usize];
        let mut add = |suffix, le, value| samples.push(Sample { suffix, labels: labels.to_vec(), le, value });
        for (bound, count) in bounds.iter().copied().chain([f64::INFINITY]).zip(counts) {
            add("_bucket", Some(bound), Value::Count(*count));
        }
        add("_sum", None, Value::Number(*sum));
        add("_count", None, Value::Count(counts.last().copied().unwrap_or_default()));
    }

    fn add(&mut self, family: Id, labels: &[&'static str], value: Value) {
        let suffix = family.family().kind.suffix();
        self.0[family as usize].push(Sample { suffix, labels: labels.to_vec(), le: None, value });
    }

    /// The text that is exported.
    #[must_use]
    pub fn text(&self, format: Format) -> String {
        let mut text = String::new();
        for (family, samples) in FAMILIES.iter().zip(&self.0).filter(|(_, samples)| !samples.is_empty()) {
            text.push_str(&metadata(family, format));
            for sample in samples {
                sample.write(family, &mut text);
            }
        }
        if format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }
}

/// The lines in front of a family's samples. The format of Prometheus knows no info, and calls a counter by the name of
/// its samples.
fn metadata(family: &Family, format: Format) -> String {
    let Family { name, kind, help, .. } = family;
    match (format, family.unit()) {
        (Format::OpenMetrics, Some(unit)) => {
            format!("# TYPE {name} {}\n# UNIT {name} {unit}\n# HELP {name} {help}\n", kind.name())
        }
        (Format::OpenMetrics, None) => format!("# TYPE {name} {}\n# HELP {name} {help}\n", kind.name()),
        (Format::Prometheus, _) => {
            let (suffix, kind) = (kind.suffix(), if *kind == Kind::Info { Kind::Gauge } else { *kind }.name());
            format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n")
        }
    }
}

impl Sample {
    fn write(&self, family: &Family, text: &mut String) {
        let Self { suffix, labels, le, value } = self;
        let bound = le.map(|bound| ("le", number(bound)));
        let labels = family.labels.iter().copied().zip(labels.iter().map(|value| (*value).to_string()));
        let labels: Vec<String> = labels.chain(bound).map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let value = match value {
            Value::Count(count) => count.to_string(),
            Value::Number(value) => number(*value),
        };
        // writing to a String cannot fail
        let _ = writeln!(text, "{}{suffix}{labels} {value}", family.name);
    }
}

/// A number that is no integer, in the canonical form of `OpenMetrics`: with a point, or an exponent.
fn number(value: f64) -> String {
    if value.is_infinite() { "+Inf".into() } else { format!("{value:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_have_the_same_samples() {
        let mut samples = Samples::new();
        samples.count(Id::Build, &["1.2.3"], 1);
        samples.count(Id::ClosedConnections, &["echo", "reset"], 7);
        samples.number(Id::LongestIteration, 0.25);
        samples.limit(Id::ConnectionsLimit, None);
        samples.limit(Id::BufferedLimitBytes, Some(5));
        let prometheus = "\
# HELP retortd_build_info Version of the running daemon.
# TYPE retortd_build_info gauge
retortd_build_info{version=\"1.2.3\"} 1
# HELP retortd_connections_limit Maximum number of open connections (--max-connections).
# TYPE retortd_connections_limit gauge
retortd_connections_limit +Inf
# HELP retortd_closed_connections_total Connections closed, by the reason in the log.
# TYPE retortd_closed_connections_total counter
retortd_closed_connections_total{protocol=\"echo\",reason=\"reset\"} 7
";
        let text = samples.text(Format::Prometheus);
        assert!(text.starts_with(prometheus), "{text}");
        let text = samples.text(Format::OpenMetrics);
        let closed = "\
# TYPE retortd_closed_connections counter
# HELP retortd_closed_connections Connections closed, by the reason in the log.
retortd_closed_connections_total{protocol=\"echo\",reason=\"reset\"} 7
# TYPE retortd_buffered_limit_bytes gauge
# UNIT retortd_buffered_limit_bytes bytes
";
        assert!(text.starts_with("# TYPE retortd_build info\n") && text.contains(closed), "{text}");
        assert!(text.ends_with("retortd_event_loop_longest_iteration_seconds 0.25\n# EOF\n"), "{text}");
    }

    #[test]
    fn buckets_end_with_the_infinite_one() {
        let mut samples = Samples::new();
        let histogram = HistogramSnapshot { bounds: &[0.001, 1.0], counts: vec![2, 4, 5], sum: 3.5 };
        samples.histogram(Id::OffloadWait, &[], &histogram);
        let text = samples.text(Format::Prometheus);
        let (_, lines) = text.split_once("histogram\n").expect("the type");
        assert_eq!(
            lines.replace("retortd_offload_wait_seconds", ""),
            "_bucket{le=\"0.001\"} 2\n_bucket{le=\"1.0\"} 4\n_bucket{le=\"+Inf\"} 5\n_sum 3.5\n_count 5\n"
        );
    }
}
