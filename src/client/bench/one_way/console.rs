//! What the user sees while the throughput is measured: a line or an object for each interval, and the progress bar.

#![allow(clippy::cast_precision_loss, reason = "numbers of bytes are far below 2^52")]

use std::ops::ControlFlow;
use std::time::Duration;

use super::direction::Direction;
use super::result::{Carried, OneWayInterval, retransmits_of};
use crate::client::bench::figures::{grouped, microseconds, readable};
use crate::client::bench::interval_printer::IntervalPrinter;
use crate::client::bench::interval_report::end_time;
use crate::client::failure::Failure;
use crate::client::json::{Value, json, seconds};
use crate::client::options::BenchOptions;

/// What the user sees while it runs.
#[derive(Debug)]
pub struct Console {
    printer: IntervalPrinter,
    direction: Direction,
}

/// The head of the table of intervals.
const HEAD: &str = "\n      time      MB/s    Gbit/s  retransmits  mean RTT\n";

impl Console {
    /// For a run that starts now.
    #[must_use]
    pub fn new(options: &BenchOptions, direction: Direction) -> Self {
        Self { printer: IntervalPrinter::new(options), direction }
    }

    /// Whether intervals are printed.
    #[must_use]
    pub fn shows_intervals(&self) -> bool {
        self.printer.is_enabled()
    }

    /// Prints an interval; [`ControlFlow::Break`] ends the measurement, because nobody reads it.
    pub fn interval(&self, interval: &OneWayInterval) -> ControlFlow<()> {
        self.printer.print(HEAD, || interval_line(interval), || interval_object(interval))
    }

    /// Shows how much of the measurement is over.
    pub fn progress(&self, done: f64) {
        let message = if self.direction == Direction::Send { "sending" } else { "receiving" };
        self.printer.progress().show(done, || message.into());
    }

    /// Removes the progress bar.
    ///
    /// # Errors
    /// An interval could not be printed.
    pub fn finish(self) -> Result<(), Failure> {
        self.printer.finish()
    }
}

fn bytes_of(carried: &[Carried]) -> u64 {
    carried.iter().map(|carried| carried.bytes).sum()
}

fn mean_round_trip(carried: &[Carried]) -> Option<Duration> {
    let times: Vec<Duration> = carried.iter().filter_map(|carried| Some(carried.tcp?.round_trip)).collect();
    times.iter().sum::<Duration>().checked_div(u32::try_from(times.len()).ok()?)
}

fn interval_line(interval: &OneWayInterval) -> String {
    let rate = bytes_of(&interval.carried) as f64 / interval.until.saturating_sub(interval.from).as_secs_f64();
    let unknown = || "-".to_owned();
    format!(
        "{} {:>9.1} {:>9.2} {:>12} {:>9}{}\n",
        end_time(interval.from, interval.until),
        rate / 1e6,
        rate * 8.0 / 1e9,
        retransmits_of(interval.carried.iter().copied()).map_or_else(unknown, grouped),
        mean_round_trip(&interval.carried).map_or_else(unknown, readable),
        if interval.partial { "  (partial)" } else { "" },
    )
}

fn interval_object(interval: &OneWayInterval) -> Value {
    json!({
        "type": "one-way-interval",
        "from_seconds": seconds(interval.from),
        "until_seconds": seconds(interval.until),
        "partial": interval.partial,
        "bytes": bytes_of(&interval.carried),
        "retransmits": retransmits_of(interval.carried.iter().copied()),
        "mean_rtt_us": mean_round_trip(&interval.carried).map(microseconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(carried: Vec<Carried>) -> OneWayInterval {
        OneWayInterval { from: Duration::ZERO, until: Duration::from_millis(500), partial: true, carried }
    }

    #[test]
    fn an_interval_is_a_line_below_its_head() {
        let carried = Carried { bytes: 3_000_000, tcp: None, retransmits: Some(3) };
        let line = interval_line(&interval(vec![carried; 2]));
        assert_eq!(line, "    0.50 s      12.0      0.10            6         -  (partial)\n");
        assert_eq!(HEAD.trim_matches('\n').len(), line.find("  (partial)").expect("the mark"));
    }

    #[test]
    fn what_the_kernel_does_not_know_is_null() {
        let object = interval_object(&interval(vec![Carried { bytes: 7, tcp: None, retransmits: None }]));
        assert_eq!((&object["bytes"], &object["partial"]), (&json!(7), &json!(true)));
        assert_eq!((&object["retransmits"], &object["mean_rtt_us"]), (&Value::Null, &Value::Null));
    }
}
