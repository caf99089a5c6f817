//! What the user sees while a benchmark runs: a line or an object for each interval, and the progress bar.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::ops::ControlFlow;

use super::figures::{grouped_rate, percentiles_of, readable};
use super::monitor::{Monitor, RunState};
use super::series::Interval;
use super::timeline::BenchPhase;
use crate::client::failure::Failure;
use crate::client::json::{Value, json, seconds};
use crate::client::options::BenchOptions;
use crate::client::progress::RunProgress;
use crate::units::counted;

/// Prints intervals to standard output, and draws the progress bar on standard error.
#[derive(Debug)]
pub struct Console {
    progress: RunProgress,
    /// Intervals are printed.
    intervals: bool,
    as_json: bool,
    /// The head of the table has been printed.
    has_head: Cell<bool>,
    /// Why intervals cannot be printed.
    failure: RefCell<Option<Failure>>,
}

/// The head of the table of intervals.
const HEAD: &str = "\n      time    requests/s      MB/s    errors        p50        p99        max\n";

impl Console {
    /// For a run that starts now.
    #[must_use]
    pub fn new(options: &BenchOptions) -> Self {
        Self {
            progress: RunProgress::new(),
            intervals: options.interval.is_some(),
            as_json: options.json,
            has_head: Cell::new(false),
            failure: RefCell::new(None),
        }
    }

    /// Removes the progress bar.
    ///
    /// # Errors
    /// An interval could not be printed.
    pub fn finish(self) -> Result<(), Failure> {
        self.progress.finish();
        self.failure.into_inner().map_or(Ok(()), Err)
    }

    fn print(&self, interval: &Interval) -> io::Result<()> {
        let text = match (self.as_json, self.has_head.replace(true)) {
            (true, _) => format!("{}\n", object(interval)),
            (false, true) => line(interval),
            (false, false) => HEAD.to_owned() + &line(interval),
        };
        self.progress.suspend(|| io::stdout().lock().write_all(text.as_bytes()))
    }
}

impl Monitor for Console {
    fn interval(&self, interval: &Interval) -> ControlFlow<()> {
        if !self.intervals {
            return ControlFlow::Continue(());
        }
        match self.print(interval) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure.replace(Some(Failure::output(&error)));
                ControlFlow::Break(())
            }
        }
    }

    fn progress(&self, state: &RunState) {
        self.progress.show(state.done, || match state.phase {
            BenchPhase::WarmUp => "warm-up".into(),
            BenchPhase::Measuring => {
                format!("{}, {}", counted(state.requests, "request"), counted(state.errors, "error"))
            }
            BenchPhase::Draining => "waiting for the last replies".into(),
        });
    }
}

/// Events of an interval per second.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_second(events: u64, interval: &Interval) -> f64 {
    events as f64 / interval.until.saturating_sub(interval.from).as_secs_f64()
}

/// An interval as a line of the table.
fn line(interval: &Interval) -> String {
    let times = [0.5, 0.99, 1.0].map(|share| match interval.latencies.count() {
        0 => "-".into(),
        _ => readable(interval.latencies.at(share)),
    });
    format!(
        "{:>8.2} s {:>13} {:>9.1} {:>9} {:>10} {:>10} {:>10}{}\n",
        interval.until.as_secs_f64(),
        grouped_rate(per_second(interval.requests, interval)),
        per_second(interval.received, interval) / 1e6,
        interval.errors,
        times[0],
        times[1],
        times[2],
        if interval.partial { "  (partial)" } else { "" },
    )
}

/// An interval as an object.
fn object(interval: &Interval) -> Value {
    let has_replies = interval.latencies.count() > 0;
    json!({
        "type": "interval",
        "from_seconds": seconds(interval.from),
        "until_seconds": seconds(interval.until),
        "partial": interval.partial,
        "requests": interval.requests,
        "bytes_received": interval.received,
        "errors": interval.errors,
        "latency_us": has_replies.then(|| percentiles_of(|share| interval.latencies.at(share))),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::bench::series::Series;

    fn interval() -> Interval {
        let mut series = Series::new(Duration::from_secs(1));
        series.count_requests(1500);
        series.count_received(6_000_000);
        series.count_errors(3);
        series.record_latency(1_500_000, 1500);
        series.finish(500_000_000).expect("half an interval")
    }

    #[test]
    fn an_interval_is_a_line_below_its_head() {
        let line = line(&interval());
        let expected = "    0.50 s         3,000      12.0         3    1.50 ms    1.50 ms    1.50 ms  (partial)\n";
        assert_eq!(line, expected);
        assert_eq!(HEAD.trim_start_matches('\n').trim_end().len(), expected.find("  (partial)").expect("the mark"));
    }

    #[test]
    fn an_interval_without_replies_has_no_latencies() {
        let mut series = Series::new(Duration::from_secs(1));
        let empty = series.end_before(1_000_000_000).expect("an interval");
        assert_eq!(object(&empty)["latency_us"], Value::Null);
        assert!(line(&empty).ends_with("         -          -          -\n"), "{}", line(&empty));
    }

    #[test]
    fn an_interval_is_an_object_of_one_line() {
        let object = object(&interval());
        assert!(!object.to_string().contains('\n'));
        assert_eq!((&object["type"], &object["partial"]), (&json!("interval"), &json!(true)));
        assert_eq!((&object["from_seconds"], &object["until_seconds"]), (&json!(0.0), &json!(0.5)));
        assert_eq!((&object["requests"], &object["errors"]), (&json!(1500), &json!(3)));
    }
}
