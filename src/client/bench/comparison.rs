//! The comparison of a run with an earlier one: ratios, and whether the differences are significant.

use std::fmt::Write;

use super::earlier_run::EarlierRun;
use super::mann_whitney::p_value;
use crate::client::failure::{Failure, Status};
use crate::client::json::{Value, json, rounded};

/// The least intervals of each run from which a difference can be significant. Chosen: the normal approximation of the
/// test is within 0.01 from there on.
const MIN_INTERVALS: usize = 8;

/// The p-value below which a difference is significant. Chosen: three figures are tested, so that one run in some 33 that
/// does not differ is called different.
const SIGNIFICANCE: f64 = 0.01;

/// The figures that are tested: their name, where a report has them, where an interval has the samples, and whether more
/// is better.
const FIGURES: [(&str, &str, &str, bool); 3] = [
    ("requests per second", "/requests_per_second", "", true),
    ("p50", "/latency_us/p50", "/latency_us/p50", false),
    ("p99", "/latency_us/p99", "/latency_us/p99", false),
];

/// A figure of both runs.
#[derive(Debug)]
struct Figure {
    name: &'static str,
    /// The new value divided by the earlier one.
    ratio: f64,
    /// Of the test; `None` with too few intervals.
    p: Option<f64>,
    more_is_better: bool,
}

impl Figure {
    fn is_significant(&self) -> bool {
        self.p.is_some_and(|p| p < SIGNIFICANCE)
    }

    /// Whether the new run is worse by more than the tolerance, a share.
    fn is_worse(&self, tolerance: f64) -> bool {
        let worse = if self.more_is_better { 1.0 / self.ratio } else { self.ratio };
        self.is_significant() && worse > 1.0 + tolerance
    }

    fn verdict(&self, tolerance: f64) -> &'static str {
        let is_better = (self.ratio > 1.0) == self.more_is_better;
        match (self.p, self.is_significant()) {
            (None, _) => "cannot tell",
            (_, false) => "no significant difference",
            _ if self.is_worse(tolerance) => "slower",
            _ if is_better => "faster",
            _ => "slower, within the tolerance",
        }
    }
}

/// The figures of two runs.
#[derive(Debug)]
pub struct Comparison {
    figures: Vec<Figure>,
    tolerance: f64,
    /// The ratio of the server's CPU time per request, if both have it. It has no intervals.
    server_cpu: Option<f64>,
}

/// Refuses an earlier run of another workload or load.
pub fn check(earlier: &EarlierRun, title: &str) -> Result<(), Failure> {
    let other = earlier.report()["title"].as_str().unwrap_or_default();
    if other == title {
        return Ok(());
    }
    Err(Failure::cannot_run(format!(
        "cannot compare with {}: it measured '{other}', and this is '{title}'",
        earlier.name
    )))
}

impl Comparison {
    /// Compares the report of a run with an earlier one; differences up to `tolerance`, a share, are none.
    pub fn new(earlier: &EarlierRun, report: &Value, tolerance: f64) -> Self {
        let figure = |(name, pointer, sample, more_is_better): (&'static str, &str, &str, bool)| {
            let ratio = ratio(earlier.report(), report, pointer)?;
            let (old, new) = (samples(earlier.report(), sample), samples(report, sample));
            let enough = old.len().min(new.len()) >= MIN_INTERVALS;
            Some(Figure { name, ratio, p: enough.then(|| p_value(&old, &new)), more_is_better })
        };
        let server_cpu = ratio(earlier.report(), report, "/server_cpu_us_per_request");
        Self { figures: FIGURES.into_iter().filter_map(figure).collect(), tolerance, server_cpu }
    }

    /// [`Status::Worse`] if a figure is significantly worse, beyond the tolerance.
    pub fn status(&self) -> Status {
        let is_worse = self.figures.iter().any(|figure| figure.is_worse(self.tolerance));
        if is_worse { Status::Worse } else { Status::Success }
    }

    /// A line for each figure, below a head that names the earlier report.
    pub fn table(&self, name: &str) -> String {
        let mut table = format!("\ncompared with {name}\n");
        for figure in &self.figures {
            let verdict = figure.verdict(self.tolerance);
            let _ = write!(table, "{:<20} {:>8.3} times", figure.name, figure.ratio);
            let _ = match figure.p {
                Some(p) => writeln!(table, "  {verdict} (p = {p:.3})"),
                None => writeln!(table, "  {verdict}: fewer than {MIN_INTERVALS} complete intervals"),
            };
        }
        if let Some(ratio) = self.server_cpu {
            let _ = writeln!(table, "{:<20} {ratio:>8.3} times  not tested", "server CPU");
        }
        table
    }

    /// The object of the report in JSON.
    pub fn json(&self, name: &str) -> Value {
        let figure = |figure: &Figure| {
            json!({
                "name": figure.name,
                "ratio": rounded(figure.ratio),
                "p": figure.p,
                "verdict": figure.verdict(self.tolerance),
            })
        };
        json!({
            "with": name,
            "tolerance": self.tolerance,
            "worse": self.status() == Status::Worse,
            "figures": self.figures.iter().map(figure).collect::<Vec<_>>(),
            "server_cpu_ratio": self.server_cpu.map(rounded),
        })
    }
}

/// The ratio of a member of both reports, if they have it and it is not 0.
fn ratio(earlier: &Value, report: &Value, pointer: &str) -> Option<f64> {
    let [old, new] = [earlier, report].map(|report| report.pointer(pointer).and_then(Value::as_f64));
    Some(new.filter(|&new| new > 0.0)? / old.filter(|&old| old > 0.0)?)
}

/// A value of each complete interval: a member of it, or without a pointer its requests per second.
fn samples(report: &Value, pointer: &str) -> Vec<f64> {
    let intervals = report["intervals"].as_array().map(Vec::as_slice).unwrap_or_default();
    let complete = intervals.iter().filter(|interval| interval["partial"] == false);
    let number = |interval: &Value, pointer: &str| interval.pointer(pointer).and_then(Value::as_f64);
    let sample = |interval: &Value| match pointer {
        "" => {
            let seconds = number(interval, "/until_seconds")? - number(interval, "/from_seconds")?;
            Some(number(interval, "/requests")? / seconds)
        }
        _ => number(interval, pointer),
    };
    complete.filter_map(sample).collect()
}
