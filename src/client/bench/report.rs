//! The report of a benchmark: a table, or one JSON object.

#![allow(clippy::cast_possible_truncation, reason = "a rate is printed without its fraction")]

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use super::latencies::Latencies;
use super::measurement::{ErrorClass, Measurement};
use super::model::LoadModel;
use super::workload::DEFAULT_ACTION;
use crate::client::failure::{Failure, HEADER_QUESTION};
use crate::client::json::{Map, Value, json, rounded, seconds};
use crate::client::options::{BenchOptions, RateRange, Slo, Stage};
use crate::client::target::Target;
use crate::units::{counted, format_time, noun_for};

/// The percentiles in the report.
const SHARES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// The percentile of the generator's lateness where there is only one. Chosen: a few late requests decide no bound but
/// that of the maximum.
pub const LATENESS_SHARE: f64 = 0.99;

/// A finished measurement.
#[derive(Debug)]
pub struct BenchReport<'a> {
    options: &'a BenchOptions,
    target: String,
    model: LoadModel,
    measurement: &'a Measurement,
}

impl<'a> BenchReport<'a> {
    /// The report of `measurement`.
    pub fn new(options: &'a BenchOptions, target: &Target, model: LoadModel, measurement: &'a Measurement) -> Self {
        Self { options, target: target.to_string(), model, measurement }
    }

    /// Prints the report.
    pub fn print(&self, as_json: bool) -> Result<(), Failure> {
        let text = match self.options.interval {
            _ if !as_json => self.table(),
            // one object a line, as those of the intervals before it
            Some(_) => format!("{}\n", self.json()),
            None => format!("{:#}\n", self.json()),
        };
        io::stdout().lock().write_all(text.as_bytes()).map_err(|error| Failure::output(&error))
    }

    /// The table.
    pub fn table(&self) -> String {
        let (measurement, seconds) = (self.measurement, self.measurement.elapsed.as_secs_f64());
        let mut table = String::from("\n");
        let _ =
            writeln!(table, "requests  {:>14}  {:>12}/s in {seconds:.2} s", grouped(measurement.requests), self.rate());
        let megabytes = self.bytes() / 1e6;
        let _ = writeln!(table, "received  {megabytes:>11.1} MB  {:>9.1} MB/s", megabytes / seconds);
        let _ = writeln!(
            table,
            "late      {:>14}  replies to requests that were in flight at the end",
            grouped(measurement.late)
        );
        let _ = writeln!(table, "lost      {:>14}  requests without a reply at the end", grouped(measurement.lost));
        if measurement.unsent > 0 {
            let unsent = grouped(measurement.unsent);
            let _ = writeln!(table, "  unsent  {unsent:>14}  because the load generator was late");
        }
        self.write_errors(&mut table);
        if let Some(cpu) = self.server_cpu() {
            let _ = writeln!(table, "server    {cpu:>11.3} us of CPU per request");
        }
        self.write_latencies(&mut table);
        self.write_stages(&mut table);
        table
    }

    fn write_errors(&self, table: &mut String) {
        let measurement = self.measurement;
        let _ = writeln!(table, "errors    {:>14}", grouped(measurement.errors()));
        for class in ErrorClass::ALL.into_iter().filter(|&class| measurement.errors_of(class) > 0) {
            let _ = writeln!(table, "  {:<15} {:>7}", class.name(), grouped(measurement.errors_of(class)));
        }
        if measurement.requests == 0 && measurement.errors_of(ErrorClass::ClosedEarly) > 0 {
            let _ = writeln!(table, "  the server closed connections without a reply; {HEADER_QUESTION}");
        }
        if let Some(example) = &measurement.example {
            let _ = writeln!(table, "  such as: {example}");
        }
    }

    /// A line for the latencies, and one for each of their parts that was measured.
    fn write_latencies(&self, table: &mut String) {
        if self.measurement.latencies.count() == 0 {
            return;
        }
        let column = |text: &str| format!("{text:>11}");
        table.push_str("\nlatency   ");
        table.extend(SHARES.iter().map(|(name, _)| column(name)));
        let Measurement { latencies, connects, first_bytes, lateness, .. } = self.measurement;
        // Where every reply arrives in one piece, its first byte has the time of its last.
        let first_bytes = Some(first_bytes).filter(|first_bytes| *first_bytes != latencies);
        let lines = [("connect", Some(connects)), ("first byte", first_bytes), ("sender", Some(lateness))];
        let parts = lines.into_iter().filter_map(|(name, times)| Some((name, times?)));
        for (name, latencies) in [("", latencies)].into_iter().chain(parts.filter(|(_, times)| times.count() > 0)) {
            let _ = write!(table, "\n{name:<10}");
            table.extend(SHARES.iter().map(|&(_, share)| column(&readable(latencies.at(share)))));
        }
        table.push('\n');
    }

    /// A line for each stage of the load.
    fn write_stages(&self, table: &mut String) {
        let mut stages = self.options.load_stages().iter().zip(&self.measurement.stages).peekable();
        if stages.peek().is_some() {
            let _ = write!(table, "\n{:<20} {:>11} {:>11} {:>9}", "stage", "due", "replies", "sender");
            table.extend(["p50", "p99", "max"].map(|name| format!(" {name:>9}")));
            table.push('\n');
        }
        for (stage, counts) in stages {
            let (due, replies) = (grouped(counts.due), grouped(counts.latencies.count()));
            let sender = readable(counts.lateness.at(LATENESS_SHARE));
            let _ = write!(table, "{:<20} {due:>11} {replies:>11} {sender:>9}", stage.to_string());
            table.extend([0.5, 0.99, 1.0].map(|share| format!(" {:>9}", readable(counts.latencies.at(share)))));
            table.push('\n');
        }
    }

    /// The JSON object.
    pub fn json(&self) -> Value {
        let (options, measurement) = (self.options, self.measurement);
        let errors: Map = ErrorClass::ALL
            .into_iter()
            .map(|class| (class.name().replace(' ', "_"), Value::from(measurement.errors_of(class))))
            .collect();
        let connects = Some(&measurement.connects).filter(|_| self.model.reconnects());
        let lateness = Some(&measurement.lateness).filter(|_| options.is_open_loop());
        json!({
            "type": "result",
            "target": self.target,
            "title": title(self.options, self.model),
            "protocol": options.protocol.name(),
            "loop": if options.is_open_loop() { "open" } else { "closed" },
            "connections": options.connections,
            "depth": match self.model { LoadModel::Closed { depth } => Some(depth), _ => None },
            "rate": options.rate.map(rounded),
            "stages": self.stages(),
            "size": options.size,
            "seconds": seconds(measurement.elapsed),
            "requests": measurement.requests,
            "requests_per_second": rounded(self.exact_rate()),
            "late": measurement.late,
            "lost": measurement.lost,
            "unsent": lateness.map(|_| measurement.unsent),
            "bytes_received": measurement.received,
            "errors": errors,
            "example": measurement.example,
            "latency_us": percentiles(&measurement.latencies),
            "connect_us": connects.map(percentiles),
            "first_byte_us": percentiles(&measurement.first_bytes),
            "sender_lateness_us": lateness.map(percentiles),
            "server_cpu_us_per_request": self.server_cpu().map(rounded),
        })
    }

    /// The stages of the load, if it has any.
    fn stages(&self) -> Option<Vec<Value>> {
        let stages = self.options.load_stages().iter().zip(&self.measurement.stages);
        let objects = stages.map(|(stage, counts)| {
            json!({
                "rate_from": rounded(stage.from),
                "rate_to": rounded(stage.to),
                "seconds": seconds(stage.duration),
                "due": counts.due,
                "replies": counts.latencies.count(),
                "latency_us": percentiles(&counts.latencies),
                "sender_lateness_us": percentiles(&counts.lateness),
            })
        });
        Some(objects.collect()).filter(|objects: &Vec<_>| !objects.is_empty())
    }

    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn exact_rate(&self) -> f64 {
        self.measurement.requests as f64 / self.measurement.elapsed.as_secs_f64()
    }

    fn rate(&self) -> String {
        grouped_rate(self.exact_rate())
    }

    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn bytes(&self) -> f64 {
        self.measurement.received as f64
    }

    /// CPU time of the server per request, late ones included, in microseconds.
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn server_cpu(&self) -> Option<f64> {
        let requests = self.measurement.replies() as f64;
        self.measurement.server_cpu.filter(|_| requests > 0.0).map(|cpu| cpu.as_secs_f64() * 1e6 / requests)
    }
}

/// The workload and the load model, in one line.
pub fn title(options: &BenchOptions, model: LoadModel) -> String {
    let action = match &options.action {
        Some(action) => format!(" {action}"),
        None if options.protocol.has_actions() => format!(" {DEFAULT_ACTION}"),
        None => String::new(),
    };
    let model = match model {
        LoadModel::Closed { depth } => format!("{depth} in flight on each"),
        LoadModel::Reconnect => "one request each".into(),
        LoadModel::Open { reconnect: false } => offered_rate(options),
        LoadModel::Open { reconnect: true } => offered_rate(options) + ", one per connection",
    };
    let size = if options.protocol.takes_messages() { counted(options.size, "byte") + ", " } else { String::new() };
    format!("{}{action}, {size}{}, {model}", options.protocol.name(), counted(options.connections, "connection"))
}

/// The rate of an open loop, in words.
fn offered_rate(options: &BenchOptions) -> String {
    let stages: Vec<String> = options.load_stages().iter().map(Stage::to_string).collect();
    match (options.rate, options.find_rate) {
        (Some(rate), _) => format!("{} requests/s", rounded(rate)),
        (_, Some(RateRange { low, high })) => {
            format!("{} to {} requests/s with {}", rounded(low), rounded(high), bounds(&options.slo))
        }
        _ => format!("{} requests/s", stages.join(",")),
    }
}

/// The bounds of `--slo`, as they are written.
pub fn bounds(slos: &[Slo]) -> String {
    slos.iter().map(Slo::to_string).collect::<Vec<_>>().join(",")
}

/// The extent of the run, in words.
pub fn extent(options: &BenchOptions) -> String {
    let limits = match (options.requests, options.time_limit()) {
        (Some(requests), None) => counted_requests(requests),
        (Some(requests), Some(time)) => format!("{}, at most for {}", counted_requests(requests), format_time(time)),
        (None, time) => format!("for {}", format_time(time.unwrap_or_default())),
    };
    if options.warm_up.is_zero() {
        return format!("measuring {limits}");
    }
    format!("measuring {limits}, after a warm-up of {}", format_time(options.warm_up))
}

/// Percentiles, minimum and mean in microseconds.
pub fn percentiles(latencies: &Latencies) -> Map {
    let mut map = percentiles_of(|share| latencies.at(share));
    let others = [("min", latencies.min()), ("mean", latencies.mean())];
    map.extend(others.map(|(name, time)| (name.into(), microseconds(time))));
    map
}

/// Percentiles of the times that `at` knows, in microseconds.
pub fn percentiles_of(at: impl Fn(f64) -> Duration) -> Map {
    SHARES.iter().map(|&(name, share)| (name.replace('.', "_"), microseconds(at(share)))).collect()
}

fn microseconds(time: Duration) -> Value {
    Value::from(rounded(time.as_secs_f64() * 1e6))
}

/// A rate for people: with decimals if it is small.
#[allow(clippy::cast_sign_loss, reason = "a rate is not negative")]
pub fn grouped_rate(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.2}") } else { grouped(rate as u64) }
}

fn counted_requests(number: u64) -> String {
    format!("{} {}", grouped(number), noun_for(number, "request"))
}

/// The number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The time with three digits and a unit.
pub fn readable(time: Duration) -> String {
    let (value, unit) = in_unit(time.as_secs_f64() * 1e9);
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {unit}")
}

/// A number of nanoseconds in the unit in which it is shown.
pub fn in_unit(nanoseconds: f64) -> (f64, &'static str) {
    match nanoseconds {
        under if under < 1e3 => (nanoseconds, "ns"),
        under if under < 1e6 => (nanoseconds / 1e3, "us"),
        under if under < 1e9 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn numbers_in_json_have_no_rounding_errors() {
        let mut latencies = Latencies::new();
        latencies.record(1_100, 2);
        latencies.record(1_300, 1);
        let mut text = Value::from(percentiles(&latencies)).to_string();
        text.retain(|character| character == '.' || character.is_ascii_digit() || character == ',');
        let decimals = text.split(',').filter_map(|number| number.split_once('.'));
        assert!(decimals.clone().count() >= 5 && decimals.clone().all(|(_, digits)| digits.len() <= 3), "{text}");
    }

    #[test]
    fn times_have_three_digits() {
        for (nanoseconds, text) in
            [(7, "7.00 ns"), (1_500, "1.50 us"), (12_340, "12.3 us"), (999_400, "999 us"), (2_000_000_000, "2.00 s")]
        {
            assert_eq!(readable(Duration::from_nanos(nanoseconds)), text);
        }
    }
}
