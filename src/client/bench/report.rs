//! What a benchmark tells: a table for people, or one JSON object.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use super::load::Pace;
use super::tally::{Tally, Trouble};
use crate::client::failure::Failure;
use crate::client::json::{Map, Value, json};
use crate::client::options::BenchOptions;
use crate::client::target::Target;

/// The shares of requests whose latency is told.
const SHARES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// A finished measurement.
#[derive(Debug)]
pub struct Report<'a> {
    options: &'a BenchOptions,
    target: String,
    pace: Pace,
    tally: &'a Tally,
}

impl<'a> Report<'a> {
    /// Of this measurement.
    pub fn new(options: &'a BenchOptions, target: &Target, pace: Pace, tally: &'a Tally) -> Self {
        Self { options, target: target.to_string(), pace, tally }
    }

    /// What was measured, in a line.
    pub fn title(&self) -> String {
        let options = self.options;
        let action = match &options.action {
            Some(action) => format!(" {action}"),
            None if options.protocol.has_actions() => String::from(" uppercase"),
            None => String::new(),
        };
        let pace = match self.pace {
            Pace::Closed { depth } => format!("{depth} under way on each"),
            Pace::Reconnect => "one request each".into(),
            Pace::Open { rate, reconnect: false } => format!("{rate} requests/s"),
            Pace::Open { rate, reconnect: true } => format!("{rate} requests/s, one a connection"),
        };
        let connections = options.connections;
        let plural = if connections == 1 { "" } else { "s" };
        format!("{}{action}, {} bytes, {connections} connection{plural}, {pace}", options.protocol.name(), options.size)
    }

    /// Prints it.
    pub fn print(&self, as_json: bool) -> Result<(), Failure> {
        let text = if as_json { format!("{:#}\n", self.json()) } else { self.table() };
        io::stdout().lock().write_all(text.as_bytes()).map_err(|error| Failure::output(&error))
    }

    fn table(&self) -> String {
        let (tally, seconds) = (self.tally, self.tally.elapsed.as_secs_f64());
        let mut table = format!("{}: {}\n\n", self.target, self.title());
        let _ = writeln!(
            table,
            "requests  {:>14}  {:>12}/s in {seconds:.2} s",
            grouped(tally.requests),
            grouped(self.rate())
        );
        let megabytes = self.bytes() / 1e6;
        let _ = writeln!(table, "received  {megabytes:>11.1} MB  {:>9.1} MB/s", megabytes / seconds);
        let _ = writeln!(table, "errors    {:>14}", grouped(tally.errors()));
        for trouble in Trouble::ALL.into_iter().filter(|&trouble| tally.troubles(trouble) > 0) {
            let _ = writeln!(table, "  {:<15} {:>7}", trouble.name(), grouped(tally.troubles(trouble)));
        }
        if let Some(example) = &tally.example {
            let _ = writeln!(table, "  such as: {example}");
        }
        if let Some(cpu) = self.server_cpu() {
            let _ = writeln!(table, "server    {cpu:>11.3} us of CPU a request");
        }
        if tally.requests == 0 {
            return table;
        }
        table.push_str("\nlatency   ");
        let column = |text: &str| format!("{text:>11}");
        table.extend(SHARES.iter().map(|(name, _)| column(name)));
        table.push_str("\n          ");
        table.extend(SHARES.iter().map(|&(_, share)| column(&readable(tally.latencies.at(share)))));
        table.push('\n');
        table
    }

    fn json(&self) -> Value {
        let (options, tally) = (self.options, self.tally);
        let errors: Map = Trouble::ALL
            .into_iter()
            .map(|trouble| (trouble.name().replace(' ', "_"), Value::from(tally.troubles(trouble))))
            .collect();
        let mut latency: Map = SHARES
            .iter()
            .map(|&(name, share)| (name.replace('.', "_"), microseconds(tally.latencies.at(share))))
            .collect();
        latency.insert("min".into(), microseconds(tally.latencies.min()));
        latency.insert("mean".into(), microseconds(tally.latencies.mean()));
        json!({
            "target": self.target,
            "title": self.title(),
            "protocol": options.protocol.name(),
            "loop": if options.rate.is_some() { "open" } else { "closed" },
            "connections": options.connections,
            "depth": match self.pace { Pace::Closed { depth } => Some(depth), _ => None },
            "rate": options.rate,
            "size": options.size,
            "seconds": tally.elapsed.as_secs_f64(),
            "requests": tally.requests,
            "requests_per_second": self.exact_rate(),
            "bytes_received": self.bytes(),
            "errors": errors,
            "latency_us": latency,
            "server_cpu_us_per_request": self.server_cpu(),
        })
    }

    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn exact_rate(&self) -> f64 {
        self.tally.requests as f64 / self.tally.elapsed.as_secs_f64()
    }

    #[allow(clippy::cast_sign_loss, reason = "a rate is not negative")]
    fn rate(&self) -> u64 {
        self.exact_rate() as u64
    }

    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn bytes(&self) -> f64 {
        self.tally.received as f64
    }

    /// Microseconds of CPU that the server took for a request.
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn server_cpu(&self) -> Option<f64> {
        let requests = self.tally.requests as f64;
        self.tally.server_cpu.filter(|_| requests > 0.0).map(|cpu| cpu.as_secs_f64() * 1e6 / requests)
    }
}

fn microseconds(time: Duration) -> Value {
    Value::from(time.as_secs_f64() * 1e6)
}

/// With commas between thousands.
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

/// Three digits and a unit.
pub fn readable(time: Duration) -> String {
    let nanoseconds = time.as_secs_f64() * 1e9;
    let (value, unit) = match nanoseconds {
        under if under < 1e3 => (nanoseconds, "ns"),
        under if under < 1e6 => (nanoseconds / 1e3, "us"),
        under if under < 1e9 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    };
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
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
