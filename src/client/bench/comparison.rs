//! The comparison of a run with an earlier one: ratios, and whether the differences are significant.

use std::cmp::Ordering;
use std::fmt::{self, Write};
use std::time::Duration;

use super::earlier_run::EarlierRun;
use super::mann_whitney::{Tendency, tendency};
use super::series::{MAX_INTERVALS, kept_length};
use crate::client::failure::{Failure, Status};
use crate::client::json::{Value, json, rounded};
use crate::client::options::BenchOptions;
use crate::units::format_time;

/// The least intervals of each run from which a difference can be significant. Derived: from there on the
/// approximation of the test calls no difference significant that the exact test does not.
const MIN_INTERVALS: usize = 8;

/// The p-value below which a difference is significant. Chosen: three figures are tested, so that at most 3 % of runs that
/// do not differ are called different, if intervals are independent.
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
    /// Of the values of the new run's intervals, compared with those of the earlier one's.
    test: Result<Tendency, Untested>,
    more_is_better: bool,
}

/// Why a figure is not tested.
#[derive(Clone, Copy, Debug)]
enum Untested {
    /// A run has fewer than [`MIN_INTERVALS`] complete intervals.
    FewIntervals,
    /// The intervals of the runs have these lengths: percentiles of a longer time are others.
    Lengths { earlier: Duration, new: Duration },
}

impl fmt::Display for Untested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewIntervals => write!(f, "fewer than {MIN_INTERVALS} complete intervals"),
            Self::Lengths { earlier, new } => {
                write!(f, "intervals of {}, and of {} before", format_time(*new), format_time(*earlier))
            }
        }
    }
}

impl Figure {
    /// Whether the values differ, and in the direction of the ratio: a few extreme intervals can move that the other way.
    fn is_significant(&self) -> bool {
        let agrees =
            |test: &Tendency| test.direction == self.ratio.total_cmp(&1.0) && test.direction != Ordering::Equal;
        self.test.is_ok_and(|test| test.p < SIGNIFICANCE && agrees(&test))
    }

    /// Whether the new run is worse by more than the tolerance, a share.
    fn is_worse(&self, tolerance: f64) -> bool {
        let worse = if self.more_is_better { 1.0 / self.ratio } else { self.ratio };
        self.is_significant() && worse > 1.0 + tolerance
    }

    fn verdict(&self, tolerance: f64) -> &'static str {
        let is_better = (self.ratio > 1.0) == self.more_is_better;
        match (self.test, self.is_significant()) {
            (Err(_), _) => "cannot tell",
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

/// Refuses an earlier run of another workload or load, and one whose intervals are known to have another length.
pub fn check(earlier: &EarlierRun, title: &str, options: &BenchOptions) -> Result<(), Failure> {
    let other = earlier.report()["title"].as_str().unwrap_or_default();
    let reason = if other == title {
        interval_length(earlier.report()).and_then(|length| length_differs(length, options))
    } else {
        Some(format!("it measured '{other}', and this is '{title}'"))
    };
    let failure = |reason| Failure::cannot_run(format!("cannot compare with {}: {reason}", earlier.name));
    reason.map_or(Ok(()), |reason| Err(failure(reason)))
}

/// Why a run with these options cannot have intervals of the length that an earlier one's have.
fn length_differs(earlier: Duration, options: &BenchOptions) -> Option<String> {
    let length = options.series_interval();
    let kept = match (options.requests, options.time_limit()) {
        (None, Some(time)) => kept_length(length, time),
        // The number of intervals is not known: the least multiple that is as long.
        _ => std::iter::successors(Some(length), |length| length.checked_mul(2)).find(|length| *length >= earlier)?,
    };
    if kept == earlier {
        return None;
    }
    let advice = match options.time_limit() {
        Some(time) if length == earlier || kept_length(earlier, time) != earlier => {
            let longest = earlier.saturating_mul(u32::try_from(MAX_INTERVALS).unwrap_or(u32::MAX));
            format!("give --interval {}, and measure for at most {}", format_time(earlier), format_time(longest))
        }
        _ => format!("give --interval {}", format_time(earlier)),
    };
    let [kept, earlier] = [kept, earlier].map(format_time);
    Some(format!("its intervals are {earlier} long, and those of this run {kept}: {advice}"))
}

impl Comparison {
    /// Compares the report of a run with an earlier one; differences up to `tolerance`, a share, are none.
    pub fn new(earlier: &Value, report: &Value, tolerance: f64) -> Self {
        let lengths = interval_length(earlier).zip(interval_length(report)).filter(|(earlier, new)| earlier != new);
        let test = |old: &[f64], new: &[f64]| match lengths {
            _ if old.len().min(new.len()) < MIN_INTERVALS => Err(Untested::FewIntervals),
            Some((earlier, new)) => Err(Untested::Lengths { earlier, new }),
            None => Ok(tendency(new, old)),
        };
        let figure = |(name, pointer, sample, more_is_better): (&'static str, &str, &str, bool)| {
            let ratio = ratio(earlier, report, pointer)?;
            let test = test(&samples(earlier, sample), &samples(report, sample));
            Some(Figure { name, ratio, test, more_is_better })
        };
        let server_cpu = ratio(earlier, report, "/server_cpu_us_per_request");
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
            let _ = match &figure.test {
                Ok(Tendency { p, .. }) => writeln!(table, "  {verdict} (p = {p:.3})"),
                Err(reason) => writeln!(table, "  {verdict}: {reason}"),
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
                "p": figure.test.ok().map(|test| test.p),
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

/// The complete intervals of a report. Of merged intervals, the last may be complete and shorter than the others.
fn complete_intervals(report: &Value) -> impl Iterator<Item = &Value> {
    let intervals = report["intervals"].as_array().map(Vec::as_slice).unwrap_or_default();
    let first = intervals.first().and_then(length_of);
    intervals.iter().filter(move |interval| interval["partial"] == false && length_of(interval) == first)
}

/// The length of an interval of a report, which has times in microseconds.
fn length_of(interval: &Value) -> Option<Duration> {
    let [from, until] = ["from_seconds", "until_seconds"].map(|name| interval[name].as_f64());
    let micros = ((until? - from?) * 1e6).round();
    Duration::try_from_secs_f64(micros / 1e6).ok()
}

/// The length of the complete intervals of a report, if it has one.
fn interval_length(report: &Value) -> Option<Duration> {
    complete_intervals(report).next().and_then(length_of)
}

/// A value of each complete interval: a member of it, or without a pointer its requests per second.
fn samples(report: &Value, pointer: &str) -> Vec<f64> {
    let number = |interval: &Value, pointer: &str| interval.pointer(pointer).and_then(Value::as_f64);
    let sample = |interval: &Value| match pointer {
        "" => Some(number(interval, "/requests")? / length_of(interval)?.as_secs_f64()),
        _ => number(interval, pointer),
    };
    complete_intervals(report).filter_map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report whose intervals take `length` microseconds and have these p99, and whose total is `p99`.
    fn report(length: u32, p99: u32, intervals: &[u32]) -> Value {
        let seconds = |number: u32| f64::from(number) * f64::from(length) / 1e6;
        let interval = |(number, p99): (u32, &u32)| {
            json!({
                "from_seconds": seconds(number),
                "until_seconds": seconds(number + 1),
                "partial": false,
                "latency_us": { "p99": p99 },
            })
        };
        let intervals: Vec<Value> = (0..).zip(intervals).map(interval).collect();
        json!({ "latency_us": { "p99": p99 }, "intervals": intervals })
    }

    fn verdict(earlier: &Value, new: &Value) -> (&'static str, String) {
        let comparison = Comparison::new(earlier, new, 0.05);
        (comparison.figures[0].verdict(0.05), comparison.table("earlier"))
    }

    #[test]
    fn a_difference_needs_the_direction_of_the_intervals() {
        let earlier = report(10_000, 100, &[100; 20]);
        assert_eq!(verdict(&earlier, &report(10_000, 200, &[200; 20])).0, "slower");
        assert_eq!(verdict(&earlier, &report(10_000, 50, &[50; 20])).0, "faster");
        // Nearly every interval is slower, and the total is faster.
        let (verdict, table) = verdict(&earlier, &report(10_000, 50, &[200; 20]));
        assert_eq!(verdict, "no significant difference", "{table}");
    }

    #[test]
    fn intervals_of_different_lengths_cannot_tell() {
        let (verdict, table) = verdict(&report(10_000, 100, &[100; 20]), &report(20_000, 200, &[200; 20]));
        assert_eq!(verdict, "cannot tell");
        assert!(table.contains("cannot tell: intervals of 20ms, and of 10ms before"), "{table}");
    }

    #[test]
    fn a_shorter_last_interval_does_not_count() {
        let mut intervals = report(20_000, 100, &[100; 3]);
        intervals["intervals"][2]["until_seconds"] = json!(0.05);
        assert_eq!(samples(&intervals, "/latency_us/p99").len(), 2);
    }
}
