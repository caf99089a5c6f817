//! The report of a measurement of throughput: the table and the JSON object.

#![allow(clippy::cast_precision_loss, reason = "numbers of bytes are far below 2^52")]

use std::fmt::Write as _;
use std::time::Duration;

use super::direction::Direction;
use super::result::{ConnectionResult, OneWayResult, retransmits_of};
use crate::client::bench::figures::{JSON_VERSION, grouped, microseconds, readable};
use crate::client::bench::measurement::ErrorClass;
use crate::client::bench::report_output::{errors_by_class, print_report};
use crate::client::failure::Failure;
use crate::client::json::{Value, json, rounded, seconds};
use crate::client::options::BenchOptions;
use crate::client::target::Target;
use crate::sys::TcpInfo;
use crate::units::{counted, format_time, noun_for};

/// The direction and the load, in one line.
pub fn title(options: &BenchOptions, direction: Direction) -> String {
    let name = options.protocol.name();
    let what = match direction {
        Direction::Send => format!("sending with {name}, {} with each write", counted(options.size, "byte")),
        Direction::Receive => format!("receiving from {name}"),
    };
    let time = options.time_limit().unwrap_or_default();
    let extent = format!("{}; measuring for {}", counted(options.connections, "connection"), format_time(time));
    format!("{what}, {extent}")
}

/// A finished measurement of throughput.
#[derive(Debug)]
pub struct OneWayReport<'a> {
    options: &'a BenchOptions,
    direction: Direction,
    target: String,
    result: &'a OneWayResult,
}

/// A figure of each connection: its name in the table, and its value as the table shows it.
type Figure = (&'static str, fn(f64) -> String);

impl<'a> OneWayReport<'a> {
    /// The report of `result`.
    #[must_use]
    pub fn new(options: &'a BenchOptions, direction: Direction, target: &Target, result: &'a OneWayResult) -> Self {
        Self { options, direction, target: target.to_string(), result }
    }

    /// Prints the report.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn print(&self) -> Result<(), Failure> {
        print_report(self.options, || self.table(), || self.json())
    }

    fn rate(&self) -> f64 {
        self.result.bytes() as f64 / self.result.elapsed.as_secs_f64()
    }

    fn table(&self) -> String {
        let (result, rate) = (self.result, self.rate());
        let (megabytes, seconds) = (result.bytes() as f64 / 1e6, result.elapsed.as_secs_f64());
        let mut table = format!(
            "\n{:<12} {megabytes:>10.1} MB  {:>9.1} MB/s  {:>7.2} Gbit/s in {seconds:.2} s\n",
            self.what(),
            rate / 1e6,
            rate * 8.0 / 1e9
        );
        if let Some(retransmits) = self.retransmits() {
            let segments = noun_for(retransmits, "segment");
            let _ = writeln!(table, "{:<12} {:>10} {segments}", "retransmits", grouped(retransmits));
        }
        let _ = writeln!(table, "{:<12} {:>10}", "errors", result.errors());
        for class in ErrorClass::ALL.into_iter().filter(|&class| result.errors_of(class) > 0) {
            let _ = writeln!(table, "  {:<15} {:>5}", class.name(), result.errors_of(class));
        }
        if let Some(example) = result.example() {
            let _ = writeln!(table, "  such as: {example}");
        }
        if let Some(cpu) = self.server_cpu() {
            let _ = writeln!(table, "{:<12} {cpu:>10.1} us of CPU per MiB", "server");
        }
        table + &self.spread()
    }

    /// What was counted.
    fn what(&self) -> &'static str {
        let is_acknowledged =
            |connection: &ConnectionResult| connection.carried.tcp.is_some_and(|tcp| tcp.acknowledged.is_some());
        match self.direction {
            Direction::Receive => "received",
            Direction::Send if self.result.connections.iter().any(is_acknowledged) => "acknowledged",
            Direction::Send => "sent",
        }
    }

    fn retransmits(&self) -> Option<u64> {
        retransmits_of(self.result.connections.iter().map(|connection| connection.carried))
    }

    /// How the connections differ: minimum, median and maximum of each figure that is known.
    fn spread(&self) -> String {
        let time: fn(f64) -> String = |seconds| readable(Duration::from_secs_f64(seconds));
        let figures: [Figure; 9] = [
            ("MB/s", |rate| format!("{:.1}", rate / 1e6)),
            ("RTT", time),
            ("RTT variance", time),
            ("minimum RTT", time),
            ("cwnd, segments", |number| format!("{number:.0}")),
            ("delivery rate, MB/s", |rate| format!("{:.1}", rate / 1e6)),
            ("busy", |share| format!("{:.1} %", share * 100.0)),
            ("limited by receive window", |share| format!("{:.1} %", share * 100.0)),
            ("limited by send buffer", |share| format!("{:.1} %", share * 100.0)),
        ];
        let mut table = format!("\n{:<26}{:>11}{:>11}{:>11}\n", "per connection", "minimum", "median", "maximum");
        let values: Vec<[Option<f64>; 9]> =
            self.result.connections.iter().map(|connection| self.figures_of(connection)).collect();
        for (index, (name, show)) in figures.iter().enumerate() {
            let mut column: Vec<f64> = values.iter().filter_map(|values| values[index]).collect();
            column.sort_by(f64::total_cmp);
            let (Some(first), Some(last)) = (column.first(), column.last()) else { continue };
            let shown = [*first, column[column.len() / 2], *last].map(|value| format!("{:>11}", show(value)));
            let _ = writeln!(table, "{name:<26}{}", shown.concat());
        }
        table
    }

    /// How much of the measurement a time of the kernel has grown by. The kernel counts it in jiffies of 1 to 10 ms
    /// (`tcp_chrono_stop`), so that it may seem to have grown by more.
    fn grown(&self, connection: &ConnectionResult, time: impl Fn(&TcpInfo) -> Option<Duration>) -> Option<Duration> {
        connection.grown(time).map(|time| time.min(self.result.elapsed))
    }

    /// The figures of the table. Those of the sender's side of TCP say nothing about a connection that only receives.
    fn figures_of(&self, connection: &ConnectionResult) -> [Option<f64>; 9] {
        let tcp = connection.carried.tcp.as_ref();
        let sender = tcp.filter(|_| self.direction == Direction::Send);
        let share = |time: fn(&TcpInfo) -> Option<Duration>| {
            sender.and(self.grown(connection, time)).map(|time| time.as_secs_f64() / self.result.elapsed.as_secs_f64())
        };
        let time = |time: fn(&TcpInfo) -> Option<Duration>| tcp.and_then(time).map(|time| time.as_secs_f64());
        [
            Some(connection.carried.bytes as f64 / self.result.elapsed.as_secs_f64()),
            time(|tcp| Some(tcp.round_trip)),
            time(|tcp| Some(tcp.round_trip_variance)),
            time(|tcp| tcp.min_round_trip),
            sender.map(|tcp| f64::from(tcp.congestion_window)),
            sender.and_then(|tcp| tcp.delivery_rate).map(|rate| rate as f64),
            share(|tcp| tcp.busy),
            share(|tcp| tcp.window_limited),
            share(|tcp| tcp.buffer_limited),
        ]
    }

    /// CPU time of the server per MiB, in microseconds.
    fn server_cpu(&self) -> Option<f64> {
        let mebibytes = self.result.bytes() as f64 / f64::from(1 << 20);
        self.result.server_cpu.filter(|_| mebibytes > 0.0).map(|cpu| cpu.as_secs_f64() * 1e6 / mebibytes)
    }

    fn json(&self) -> Value {
        let (options, result) = (self.options, self.result);
        json!({
            "type": "one-way",
            "version": JSON_VERSION,
            "target": self.target,
            "title": title(options, self.direction),
            "protocol": options.protocol.name(),
            "direction": if self.direction == Direction::Send { "send" } else { "receive" },
            "counted": self.what(),
            "size": (self.direction == Direction::Send).then_some(options.size),
            "seconds": seconds(result.elapsed),
            "bytes": result.bytes(),
            "bytes_per_second": rounded(self.rate()),
            "retransmits": self.retransmits(),
            "errors": errors_by_class(|class| result.errors_of(class) as u64),
            "example": result.example(),
            "interrupted": result.interrupted,
            "server_cpu_us_per_mib": self.server_cpu().map(rounded),
            "connections": result.connections.iter().map(|connection| self.object(connection)).collect::<Vec<_>>(),
        })
    }

    fn object(&self, connection: &ConnectionResult) -> Value {
        let tcp = connection.carried.tcp.map(|tcp| {
            let grown = |time: fn(&TcpInfo) -> Option<Duration>| self.grown(connection, time).map(microseconds);
            json!({
                "cwnd_segments": tcp.congestion_window,
                "segment_bytes": tcp.segment_size,
                "rtt_us": microseconds(tcp.round_trip),
                "rtt_variance_us": microseconds(tcp.round_trip_variance),
                "min_rtt_us": tcp.min_round_trip.map(microseconds),
                "retransmits": connection.carried.retransmits,
                "delivery_rate_bytes_per_second": tcp.delivery_rate,
                "busy_us": grown(|tcp| tcp.busy),
                "receive_window_limited_us": grown(|tcp| tcp.window_limited),
                "send_buffer_limited_us": grown(|tcp| tcp.buffer_limited),
            })
        });
        json!({
            "bytes": connection.carried.bytes,
            "bytes_per_second": rounded(connection.carried.bytes as f64 / self.result.elapsed.as_secs_f64()),
            "error": connection.error.as_ref().map(|error| error.class.name()),
            "tcp": tcp,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::bench::connection::ConnectionError;
    use crate::client::bench::one_way::result::{Carried, Reading};
    use crate::client::options::{Command, Options};
    use clap::Parser;

    fn options(words: &str) -> BenchOptions {
        let words = format!("retort {words}");
        let Command::Bench(options) = Options::parse_from(words.split(' ')).command else { panic!("not a benchmark") };
        *options
    }

    fn info(busy: u64) -> TcpInfo {
        TcpInfo {
            congestion_window: 10,
            segment_size: 1448,
            round_trip: Duration::from_micros(250),
            round_trip_variance: Duration::from_micros(30),
            retransmits: 5,
            acknowledged: Some(6_000_001),
            min_round_trip: None,
            delivery_rate: Some(12_000_000),
            busy: Some(Duration::from_millis(busy)),
            window_limited: None,
            buffer_limited: None,
        }
    }

    /// A connection that has carried 6 MB, and been busy for 200 ms.
    fn connection(with_tcp: bool, error: Option<ConnectionError>) -> ConnectionResult {
        let tcp = |busy| with_tcp.then(|| info(busy));
        let before = Reading { bytes: 0, tcp: tcp(300), retransmits: with_tcp.then_some(2) };
        let after = Reading { bytes: 6_000_000, tcp: tcp(500), retransmits: with_tcp.then_some(5) };
        ConnectionResult { carried: Carried::between(&before, &after), before, error }
    }

    /// Calls `check` with the report of a second of a server that has used 6 ms.
    fn with_report(words: &str, connections: Vec<ConnectionResult>, check: impl Fn(&OneWayReport<'_>)) {
        let options = options(words);
        let result = OneWayResult {
            elapsed: Duration::from_millis(500),
            connections,
            interrupted: false,
            server_cpu: Some(Duration::from_millis(6)),
        };
        let direction = Direction::of(&options).expect("a direction");
        let target = Target::resolve(&options.host, options.protocol, options.family).expect("an address");
        check(&OneWayReport::new(&options, direction, &target, &result));
    }

    #[test]
    fn a_table_has_rates_and_the_cpu_time_per_mebibyte() {
        with_report("bench 127.0.0.1:9 -P discard", vec![connection(true, None), connection(true, None)], |report| {
            let table = report.table();
            for line in [
                "acknowledged       12.0 MB       24.0 MB/s     0.19 Gbit/s in 0.50 s",
                "retransmits           6 segments",
                "errors                0",
                "server            524.3 us of CPU per MiB",
                "MB/s                             12.0       12.0       12.0",
                "RTT                            250 us     250 us     250 us",
                "busy                           40.0 %     40.0 %     40.0 %",
            ] {
                assert!(table.lines().any(|shown| shown == line), "{line:?} is missing: {table}");
            }
            assert!(!table.contains("minimum RTT") && !table.contains("limited"), "unknown to the kernel: {table}");
        });
    }

    #[test]
    fn no_time_of_the_kernel_is_longer_than_the_measurement() {
        let reading = |busy, retransmits| Reading { bytes: 0, tcp: Some(info(busy)), retransmits: Some(retransmits) };
        let (before, after) = (reading(100, 2), reading(604, 3));
        let connection = ConnectionResult { carried: Carried::between(&before, &after), before, error: None };
        with_report("bench 127.0.0.1:9 -P discard", vec![connection], |report| {
            let (table, object) = (report.table(), report.json());
            assert!(table.contains("\nbusy                          100.0 %    100.0 %    100.0 %\n"), "{table}");
            assert!(table.contains("\nretransmits           1 segment\n"), "{table}");
            assert_eq!(object["connections"][0]["tcp"]["busy_us"], 500_000.0);
        });
    }

    #[test]
    fn values_that_a_receiver_and_other_sockets_do_not_have_are_left_out() {
        for words in ["bench unix:/nowhere -P discard", "bench 127.0.0.1:19 -P chargen"] {
            with_report(words, vec![connection(false, None)], |report| {
                let (table, object) = (report.table(), report.json());
                assert!(!table.contains("retransmits") && !table.contains("RTT"), "{table}");
                assert_eq!((&object["retransmits"], &object["connections"][0]["tcp"]), (&Value::Null, &Value::Null));
            });
        }
        with_report("bench 127.0.0.1:19 -P chargen", vec![connection(true, None)], |report| {
            let table = report.table();
            assert!(table.contains("received ") && table.contains("RTT") && !table.contains("cwnd"), "{table}");
        });
    }

    #[test]
    fn errors_are_counted_by_class_with_an_example() {
        let other = ConnectionError { class: ErrorClass::Other, message: Some("No route to host".into()) };
        let connections = vec![connection(true, Some(ErrorClass::Timeout.into())), connection(true, Some(other))];
        with_report("bench 127.0.0.1:9 -P discard", connections, |report| {
            let (table, object) = (report.table(), report.json());
            assert!(table.contains("  timeout             1\n  other               1\n  such as: No route"), "{table}");
            assert_eq!((&object["errors"]["timeout"], &object["errors"]["reset"]), (&json!(1), &json!(0)));
            assert_eq!((&object["connections"][0]["error"], &object["size"]), (&json!("timeout"), &json!(129_024)));
            assert_eq!(object["example"], "No route to host");
        });
    }
}
