//! The report of a benchmark: a table, or one JSON object.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use super::comparison::Comparison;
use super::earlier_run::EarlierRun;
use super::figures::{JSON_VERSION, SHARES, curve, grouped, grouped_rate, percentiles, readable};
use super::measurement::{ErrorClass, Measurement};
use super::model::LoadModel;
use super::report_output::{errors_by_class, print_report};
use super::workload::DEFAULT_ACTION;
use super::{histogram, interval_report, stage_report};
use crate::client::failure::{Failure, HEADER_QUESTION, Status};
use crate::client::json::{Value, json, rounded, seconds};
use crate::client::options::{BenchOptions, RateRange, Slo, Stage, TextKind};
use crate::client::target::Target;
use crate::units::{counted, format_time, noun_for};

/// A finished measurement.
#[derive(Debug)]
pub struct BenchReport<'a> {
    options: &'a BenchOptions,
    target: String,
    model: LoadModel,
    /// The rate of an open loop, if it is constant.
    rate: Option<f64>,
    measurement: &'a Measurement,
    /// The earlier run, and what differs from it.
    comparison: Option<(&'a EarlierRun, Comparison)>,
}

impl<'a> BenchReport<'a> {
    /// The report of `measurement`.
    pub fn new(options: &'a BenchOptions, target: &Target, model: LoadModel, measurement: &'a Measurement) -> Self {
        Self { options, target: target.to_string(), model, rate: options.rate, measurement, comparison: None }
    }

    /// The same, of a run with this rate, which the options do not have.
    pub fn at_rate(self, rate: f64) -> Self {
        Self { rate: Some(rate), ..self }
    }

    /// Adds a comparison, if there is an earlier run.
    pub fn compared_with(mut self, earlier: Option<&'a EarlierRun>) -> Self {
        self.comparison = earlier.map(|earlier| {
            let comparison = Comparison::new(earlier.report(), &self.json(), self.options.tolerance);
            (earlier, comparison)
        });
        self
    }

    /// Whether the run is worse than the earlier one.
    pub fn comparison_status(&self) -> Status {
        self.comparison.as_ref().map_or(Status::Success, |(_, comparison)| comparison.status())
    }

    /// Prints the report.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn print(&self) -> Result<(), Failure> {
        print_report(self.options, || self.table(), || self.json())
    }

    /// The table.
    pub fn table(&self) -> String {
        let (measurement, seconds) = (self.measurement, self.measurement.elapsed.as_secs_f64());
        let mut table = String::from("\n");
        if measurement.interrupted {
            let _ = writeln!(table, "interrupted after {seconds:.1} s");
        }
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
        if !measurement.stages.is_empty() {
            table += &stage_report::table(self.options.load_stages(), &measurement.stages);
        }
        if self.options.histogram || io::stdout().is_terminal() {
            table += &histogram::table(&measurement.latencies);
        }
        if let Some((earlier, comparison)) = &self.comparison {
            table += &comparison.table(&earlier.name);
        }
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

    /// The JSON object.
    pub fn json(&self) -> Value {
        let (options, measurement) = (self.options, self.measurement);
        let connects = Some(&measurement.connects).filter(|_| self.model.reconnects());
        let lateness = Some(&measurement.lateness).filter(|_| options.is_open_loop());
        let stages = Some(&measurement.stages).filter(|stages| !stages.is_empty());
        let intervals = measurement.series.intervals().iter().map(interval_report::object);
        json!({
            "type": "result",
            "version": JSON_VERSION,
            "target": self.target,
            "title": title(self.options, self.model, self.rate),
            "protocol": options.protocol.name(),
            "loop": if options.is_open_loop() { "open" } else { "closed" },
            "connections": options.connections,
            "threads": options.threads,
            "depth": match self.model { LoadModel::Closed { depth } => Some(depth), _ => None },
            "rate": self.rate.map(rounded),
            "stages": stages.map(|counts| stage_report::objects(options.load_stages(), counts)),
            "size": options.size,
            "seconds": seconds(measurement.elapsed),
            "interrupted": measurement.interrupted,
            "requests": measurement.requests,
            "requests_per_second": rounded(self.exact_rate()),
            "late": measurement.late,
            "lost": measurement.lost,
            "unsent": lateness.map(|_| measurement.unsent),
            "bytes_received": measurement.received,
            "errors": errors_by_class(|class| measurement.errors_of(class)),
            "example": measurement.example,
            "latency_us": percentiles(&measurement.latencies),
            "latency_curve": curve(&measurement.latencies),
            "connect_us": connects.and_then(percentiles),
            "first_byte_us": percentiles(&measurement.first_bytes),
            "sender_lateness_us": lateness.and_then(percentiles),
            "server_cpu_us_per_request": self.server_cpu().map(rounded),
            "comparison": self.comparison.as_ref().map(|(earlier, comparison)| comparison.json(&earlier.name)),
            "intervals": intervals.collect::<Vec<_>>(),
        })
    }

    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn exact_rate(&self) -> f64 {
        self.measurement.arrived as f64 / self.measurement.elapsed.as_secs_f64()
    }

    fn rate(&self) -> String {
        grouped_rate(self.exact_rate())
    }

    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn bytes(&self) -> f64 {
        self.measurement.received as f64
    }

    /// CPU time of the server per reply, late ones included, in microseconds.
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn server_cpu(&self) -> Option<f64> {
        let requests = (self.measurement.arrived + self.measurement.late) as f64;
        self.measurement.server_cpu.filter(|_| requests > 0.0).map(|cpu| cpu.as_secs_f64() * 1e6 / requests)
    }
}

/// The workload and the load model, in one line; `rate` is that of an open loop, if it is constant.
pub fn title(options: &BenchOptions, model: LoadModel, rate: Option<f64>) -> String {
    let action = match &options.action {
        Some(action) => format!(" {action}"),
        None if options.protocol.has_actions() => format!(" {DEFAULT_ACTION}"),
        None => String::new(),
    };
    let model = match model {
        LoadModel::Closed { depth } => format!("{depth} in flight on each"),
        LoadModel::Reconnect => "one request each".into(),
        LoadModel::Open { reconnect: false } => offered_rate(options, rate),
        LoadModel::Open { reconnect: true } => offered_rate(options, rate) + ", one per connection",
    };
    let message = if options.protocol.takes_messages() { message(options) + ", " } else { String::new() };
    let threads = if options.threads > 1 { format!(" from {} threads", options.threads) } else { String::new() };
    let connections = counted(options.connections, "connection") + &threads;
    format!("{}{action}, {message}{connections}, {model}", options.protocol.name())
}

/// The length of a message, and its text unless that is ASCII.
fn message(options: &BenchOptions) -> String {
    let length = counted(options.size, "byte");
    if options.text == TextKind::Ascii { length } else { format!("{length} of {} text", options.text.name()) }
}

/// The rate of an open loop, in words.
fn offered_rate(options: &BenchOptions, rate: Option<f64>) -> String {
    let stages: Vec<String> = options.load_stages().iter().map(Stage::to_string).collect();
    match (rate, options.find_rate) {
        (Some(rate), _) => format!("{}/s", counted(rounded(rate), "request")),
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

/// A number of requests, in words.
pub fn counted_requests(number: u64) -> String {
    format!("{} {}", grouped(number), noun_for(number, "request"))
}
