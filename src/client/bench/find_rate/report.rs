//! The report of a search: a line for each run while it goes on, and the result; or one JSON object.

use std::cell::Cell;
use std::ops::ControlFlow;

use super::evaluation::{failed, latency};
use super::search::{CONFIRMATION_FACTOR, Limit, Outcome, RateSearch, SearchPhase, SearchStep, Verdict};
use crate::client::bench::figures::{JSON_VERSION, LATENESS_SHARE, grouped_rate, percentiles, readable, readable_at};
use crate::client::bench::load::Load;
use crate::client::bench::measurement::Measurement;
use crate::client::bench::monitor::{Monitor, RunState};
use crate::client::bench::report::{self, BenchReport, bounds};
use crate::client::bench::report_output::{print, print_report};
use crate::client::bench::series::Interval;
use crate::client::bench::wrapping;
use crate::client::failure::Failure;
use crate::client::json::{Value, json, rounded, seconds};
use crate::client::options::{BenchOptions, Slo};
use crate::client::progress::RunProgress;

/// The run that confirmed a rate.
#[derive(Debug)]
pub struct ConfirmingRun {
    /// The rate, in requests per second.
    pub rate: f64,
    /// What was measured.
    pub measurement: Measurement,
}

/// The runs so far.
#[derive(Debug)]
pub struct FindRateReport<'a> {
    options: &'a BenchOptions,
    load: &'a Load<'a>,
    runs: Vec<Value>,
    /// The last run that missed a bound: its rate, and in words what it was.
    last_missed: Option<(f64, String)>,
}

impl<'a> FindRateReport<'a> {
    /// A report without runs.
    pub fn new(options: &'a BenchOptions, load: &'a Load<'a>) -> Self {
        Self { options, load, runs: Vec::new(), last_missed: None }
    }

    /// Adds a run, and prints its line.
    pub fn add(&mut self, step: SearchStep, verdict: Verdict, measurement: &Measurement) -> Result<(), Failure> {
        if verdict != Verdict::Kept {
            self.last_missed = Some((step.rate, self.findings(measurement)));
        }
        let head = if self.runs.is_empty() { self.head() } else { String::new() };
        self.runs.push(object(step, verdict, measurement));
        if self.options.json { Ok(()) } else { print(&(head + &self.line(step, verdict, measurement))) }
    }

    /// Prints the result.
    pub fn print(&self, search: &RateSearch, confirmed: Option<&ConfirmingRun>) -> Result<(), Failure> {
        let (options, load) = (self.options, self.load);
        let report = confirmed.map(|ConfirmingRun { rate, measurement }| {
            BenchReport::new(options, load.target, load.model, measurement).at_rate(*rate)
        });
        let report = report.as_ref();
        print_report(options, || self.conclusion(search, report), || self.json(search, report))
    }

    /// The report of the confirming run, and the result in words.
    fn conclusion(&self, search: &RateSearch, confirmation: Option<&BenchReport<'_>>) -> String {
        let table = confirmation.map(BenchReport::table).unwrap_or_default();
        let missed = self.last_missed.as_ref();
        let missed = missed.map(|(rate, findings)| format!("at {} requests/s: {findings}", grouped_rate(*rate)));
        let sentence = sentence(search, &bounds(&self.options.slo), &missed.unwrap_or_default());
        format!("{table}\n{}\n", wrapping::sentence(&sentence))
    }

    /// The percentiles that have bounds.
    fn percentiles(&self) -> impl Iterator<Item = (&str, f64)> {
        self.options.slo.iter().filter_map(|slo| match slo {
            Slo::Latency { name, share, .. } => Some((name.as_str(), *share)),
            Slo::Errors(_) => None,
        })
    }

    fn head(&self) -> String {
        let mut cells = vec![format!("{:>10}", "requests/s")];
        cells.extend(self.percentiles().map(|(name, _)| format!(" {name:>10}")));
        cells.extend([format!(" {:>10}", "sender p99"), format!(" {:>9}", "failed")]);
        format!("\n{}\n", wrapping::row(cells.iter().map(String::as_str)))
    }

    fn line(&self, step: SearchStep, verdict: Verdict, measurement: &Measurement) -> String {
        let mut cells = vec![format!("{:>10}", grouped_rate(step.rate))];
        let time = |share| latency(share, measurement).map_or("-".into(), readable);
        cells.extend(self.percentiles().map(|(_, share)| format!(" {:>10}", time(share))));
        let lateness = readable_at(&measurement.lateness, LATENESS_SHARE);
        cells.extend([format!(" {lateness:>10}"), format!(" {:>9}", failed(measurement))]);
        let error = measurement.main_error().map(|class| format!(" ({})", class.name()));
        cells.push(format!("  {}{}", words(step.phase, verdict), error.unwrap_or_default()));
        wrapping::row(cells.iter().map(String::as_str)) + "\n"
    }

    /// What was measured, in words.
    fn findings(&self, measurement: &Measurement) -> String {
        let time = |share| latency(share, measurement).map_or("no reply".into(), readable);
        let times = self.percentiles().map(|(name, share)| format!("{name} {}", time(share)));
        let failed =
            format!("{} of {} failed", failed(measurement), failed(measurement) + measurement.latencies.count());
        times.chain([failed]).collect::<Vec<_>>().join(", ")
    }

    fn json(&self, search: &RateSearch, confirmation: Option<&BenchReport<'_>>) -> Value {
        let (options, range) = (self.options, self.options.find_rate);
        let duration = self.load.duration.unwrap_or_default();
        json!({
            "type": "find-rate",
            "version": JSON_VERSION,
            "target": self.load.target.to_string(),
            "title": report::title(options, self.load.model, None),
            "slo": options.slo.iter().map(Slo::to_string).collect::<Vec<_>>(),
            "rate_low": range.map(|range| rounded(range.low)),
            "rate_high": range.map(|range| rounded(range.high)),
            "run_seconds": seconds(duration),
            "confirmation_seconds": seconds(duration * CONFIRMATION_FACTOR),
            "outcome": match search.outcome() {
                Outcome::Found(_) => "found",
                Outcome::TooFast => "lowest rate missed",
                Outcome::Unconfirmed => "unconfirmed",
                Outcome::Interrupted => "interrupted",
            },
            "rate": search.kept().map(rounded),
            "limited_by": match (search.outcome(), search.limit()) {
                (Outcome::Interrupted, _) => Value::Null,
                (_, Limit::Server) => "server".into(),
                (_, Limit::Sender) => "load generator".into(),
                (_, Limit::Range) => "range".into(),
            },
            "runs": self.runs,
            "confirmation": confirmation.map(BenchReport::json),
        })
    }
}

/// The result; `missed` says which bound was missed last.
fn sentence(search: &RateSearch, bounds: &str, missed: &str) -> String {
    let (kept, limit) = (search.kept().map(grouped_rate), limit(search.limit()));
    match (search.outcome(), kept) {
        (Outcome::Interrupted, None) => format!("interrupted: no rate has kept {bounds} so far"),
        (Outcome::Interrupted, Some(kept)) => {
            format!("interrupted: the highest rate with {bounds} so far is {kept} requests/s, not confirmed")
        }
        (Outcome::Found(rate), _) => {
            format!("highest rate with {bounds}: {} requests/s, {limit}", grouped_rate(rate))
        }
        (_, None) => format!("not even the lowest rate keeps {bounds}; {missed}; {limit}"),
        (_, Some(kept)) => {
            format!(
                "no rate is confirmed: {kept} requests/s kept {bounds} in a short run; in a long one, {missed}; {limit}"
            )
        }
    }
}

fn limit(limit: Limit) -> &'static str {
    match limit {
        Limit::Server => "limited by the server",
        Limit::Sender => "limited by the load generator: the server may be faster",
        Limit::Range => "the end of the range: the server may be faster",
    }
}

fn words(phase: SearchPhase, verdict: Verdict) -> &'static str {
    match (phase, verdict) {
        (SearchPhase::Confirmation, Verdict::Kept) => "confirmed",
        (_, Verdict::Kept) => "kept",
        (_, Verdict::Missed { by_sender: false }) => "missed",
        (_, Verdict::Missed { by_sender: true }) => "missed: the load generator was late",
    }
}

fn object(step: SearchStep, verdict: Verdict, measurement: &Measurement) -> Value {
    json!({
        "rate": rounded(step.rate),
        "phase": match step.phase {
            SearchPhase::Growth => "growth",
            SearchPhase::Bisection => "bisection",
            SearchPhase::Confirmation => "confirmation",
        },
        "repeated": step.repeated,
        "kept": verdict == Verdict::Kept,
        "limited_by_sender": verdict == Verdict::Missed { by_sender: true },
        "replies": measurement.latencies.count(),
        "errors": measurement.errors(),
        "lost": measurement.lost,
        "unsent": measurement.unsent,
        "latency_us": percentiles(&measurement.latencies),
        "sender_lateness_us": percentiles(&measurement.lateness),
    })
}

/// Draws the progress of a search.
#[derive(Debug)]
pub struct SearchMonitor {
    progress: RunProgress,
    max_runs: f64,
    /// The number of runs that have begun, and the current one.
    current: Cell<(f64, Option<SearchStep>)>,
}

impl SearchMonitor {
    /// For a search that begins now, of at most these numbers of runs, short and long.
    pub fn new((short, long): (u32, u32)) -> Self {
        Self { progress: RunProgress::new(), max_runs: f64::from(short + long), current: Cell::new((0.0, None)) }
    }

    /// A run begins.
    pub fn begin(&self, step: SearchStep) {
        self.current.set((self.current.get().0 + 1.0, Some(step)));
    }

    /// Runs `work`, which may write to the terminal, while nothing is drawn.
    pub fn suspend<T>(&self, work: impl FnOnce() -> T) -> T {
        self.progress.suspend(work)
    }

    /// Nothing is drawn any more.
    pub fn finish(&self) {
        self.progress.finish();
    }
}

impl Monitor for SearchMonitor {
    fn interval(&self, _: &Interval) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn progress(&self, state: &RunState) {
        let (runs, step) = self.current.get();
        let rate = step.map_or(0.0, |step| step.rate);
        self.progress.show((runs - 1.0 + state.done) / self.max_runs, || {
            format!("run {runs}: {} requests/s", grouped_rate(rate))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::options::RateRange;

    const MISSED: Verdict = Verdict::Missed { by_sender: false };
    const LATE: Verdict = Verdict::Missed { by_sender: true };

    /// A search from 100 to 200 requests per second whose runs end so.
    fn searched(verdicts: &[Verdict]) -> String {
        let mut search = RateSearch::new(RateRange { low: 100.0, high: 200.0 });
        for verdict in verdicts {
            assert!(search.next_step().is_some(), "{search:?}");
            search.record(*verdict);
        }
        sentence(&search, "p99=5ms", "at 100 requests/s: p99 9.00 ms")
    }

    #[test]
    fn every_result_is_a_sentence() {
        use Verdict::Kept;
        for (verdicts, expected) in [
            (&[][..], "interrupted: no rate has kept p99=5ms so far"),
            (&[Kept], "interrupted: the highest rate with p99=5ms so far is 100 requests/s, not confirmed"),
            (&[Kept; 3], "highest rate with p99=5ms: 200 requests/s, the end of the range: the server may be faster"),
            (
                &[MISSED; 2],
                "not even the lowest rate keeps p99=5ms; at 100 requests/s: p99 9.00 ms; limited by the server",
            ),
            (
                &[LATE; 2],
                "not even the lowest rate keeps p99=5ms; at 100 requests/s: p99 9.00 ms; limited by the load \
                 generator: the server may be faster",
            ),
        ] {
            assert_eq!(searched(verdicts), expected);
        }
        let unconfirmed = searched(&[&[Kept; 2][..], &[MISSED; 8]].concat());
        assert!(unconfirmed.starts_with("no rate is confirmed: 200 requests/s kept p99=5ms in a short run; in a long"));
    }
}
