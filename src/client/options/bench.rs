//! The options of `retort bench`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::address_family::AddressFamily;
use super::bench_files::BenchFiles;
use super::proxy::ProxyOptions;
use super::slo::{Slo, slo};
use super::stages::{RateRange, Stage, ramp, rate_range, stage};
use super::timeouts::Timeouts;
use super::values::{CONNECTIONS, DEPTH, SERVER, THREADS, interval, protocol, rate, size, tolerance};
use crate::client::client_protocol::ClientProtocol;
use crate::client::target::ServerName;
use crate::units;

pub(super) const EXIT_STATUS: &str = "\
Exit status:
  0  every reply was correct; with --find-rate, a rate was confirmed
  1  there were errors, which the table counts by kind, or no replies; or the
     process of --server-pid did not run during all of the measurement; with
     --find-rate, no rate was confirmed; or the reader of standard output
     closed it before the end, and no file was to be written
  2  nothing was measured: usage, no connection, too few descriptors, an
     interrupt during the warm-up, a file that cannot be read or written
  3  with --compare, every reply was correct, and the run was significantly
     worse than the earlier one";

/// `retort bench`.
#[derive(Args, Debug)]
pub struct BenchOptions {
    /// The server.
    #[arg(value_name = "HOST[:PORT]", help = SERVER)]
    pub host: ServerName,
    /// The protocol to speak; of discard and chargen, the throughput is measured
    #[arg(short = 'P', long, value_name = "NAME", default_value = "frame", value_parser = protocol)]
    pub protocol: ClientProtocol,
    /// The action to request [default: uppercase, for protocols with actions]
    #[arg(short, long, value_name = "ACTION", help_heading = "Load")]
    pub action: Option<String>,
    /// Number of connections
    #[arg(short, long, value_name = "N", default_value_t = 16, value_parser = units::count_within::<usize>(CONNECTIONS), help_heading = "Load")]
    pub connections: usize,
    /// Requests in flight on each connection [default: 1]
    #[arg(short, long, value_name = "N", value_parser = units::count_within::<usize>(DEPTH), help_heading = "Load", conflicts_with = "rate")]
    pub depth: Option<usize>,
    /// Open loop: requests per second, over all connections
    #[arg(short, long, value_name = "N", value_parser = rate, help_heading = "Load")]
    pub rate: Option<f64>,
    /// Open loop whose rate changes linearly: RATE..RATE/TIME, such as 100..10000/30s
    #[arg(long, value_name = "STAGE", value_parser = ramp, help_heading = "Load", conflicts_with_all = ["depth", "rate", "stages", "duration", "requests"])]
    pub ramp: Option<Stage>,
    /// Open loop in stages: RATE/TIME or RATE..RATE/TIME, such as 1000/10s,100..2000/30s
    #[arg(long, value_name = "STAGE", value_delimiter = ',', value_parser = stage, help_heading = "Load", conflicts_with_all = ["depth", "rate", "duration", "requests"])]
    pub stages: Vec<Stage>,
    /// Search for the highest rate of an open loop at which the server keeps every --slo [default range: 100..1M]
    #[arg(
        long, value_name = "RATE..RATE", value_parser = rate_range, help_heading = "Load",
        num_args = 0..=1, require_equals = true, default_missing_value = "100..1M", requires = "slo",
        conflicts_with_all = ["depth", "rate", "ramp", "stages", "requests", "interval"]
    )]
    pub find_rate: Option<RateRange>,
    /// A bound for --find-rate: p99=5ms, any other percentile, max=50ms, errors=0.1%
    #[arg(long, value_name = "BOUND", value_delimiter = ',', value_parser = slo, help_heading = "Load", requires = "find_rate")]
    pub slo: Vec<Slo>,
    /// One request per connection: connect, send, receive, close; the time to connect is part of the latency, and also
    /// shown by itself (protocols that close after a reply are always measured so)
    #[arg(long, help_heading = "Load", conflicts_with = "depth")]
    pub reconnect: bool,
    /// The addresses that connections come from, in turn [default: several on loopback, else the kernel's choice]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', help_heading = "Load")]
    pub source: Vec<IpAddr>,
    /// Length of each message in bytes: 64, 64K, 1M; with -P discard, of each write [default: 64; 126K with -P discard]
    #[arg(
        short, long, value_name = "BYTES", default_value = "64", value_parser = size, help_heading = "Load",
        hide_default_value = true, default_value_ifs = [("protocol", "discard", "126K"), ("protocol", "chargen", "0")]
    )]
    pub size: usize,
    /// Number of threads that make the load; each has its part of the connections, of the requests and of the rate
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = units::count_within::<usize>(THREADS), help_heading = "Load")]
    pub threads: usize,
    /// The text of the messages
    #[arg(long, value_enum, value_name = "KIND", default_value_t = TextKind::Ascii, help_heading = "Load")]
    pub text: TextKind,
    /// Duration of the measurement [default: 10s; no limit with --requests; 2s for each run of --find-rate]
    #[arg(short = 't', long, value_name = "TIME", value_parser = units::positive_time, help_heading = "Measurement")]
    pub duration: Option<Duration>,
    /// Measure N requests, and wait for their replies; --duration can end the measurement before
    #[arg(short = 'n', long, value_name = "N", value_parser = units::count_within::<u64>(1..=u64::MAX), help_heading = "Measurement")]
    pub requests: Option<u64>,
    /// Duration of the load before the measurement
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = units::time, help_heading = "Measurement")]
    pub warm_up: Duration,
    /// Print a line (with --json an object) for each interval while it runs
    #[arg(short, long, value_name = "TIME", value_parser = interval, help_heading = "Output")]
    pub interval: Option<Duration>,
    /// The part of each reply to verify
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Verify::Content, help_heading = "Measurement")]
    pub verify: Verify,
    /// The server's process, on this machine: report its CPU time per request
    #[arg(long, value_name = "PID", value_parser = units::number_within::<u32>(1..=i32::MAX as u64), help_heading = "Measurement")]
    pub server_pid: Option<u32>,
    /// Print one JSON object instead of the table
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Print a histogram of the latencies below the table, also where standard output is not a terminal
    #[arg(long, help_heading = "Output", conflicts_with = "json")]
    pub histogram: bool,
    /// Compare with the JSON report of an earlier run of the same load; exit code 3 if this one is significantly worse
    #[arg(long, value_name = "FILE", help_heading = "Output", conflicts_with = "find_rate")]
    pub compare: Option<PathBuf>,
    /// The difference in percent up to which --compare does not call a run worse
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = tolerance, help_heading = "Output", requires = "compare")]
    pub tolerance: f64,
    /// The files to write.
    #[command(flatten)]
    pub files: BenchFiles,
    /// The addresses to connect to.
    #[command(flatten)]
    pub family: AddressFamily,
    /// The first bytes of each connection.
    #[command(flatten)]
    pub proxy: ProxyOptions,
    /// Timeouts.
    #[command(flatten)]
    pub timeouts: Timeouts,
}

/// The duration of a measurement without `--duration` and `--requests`. Chosen: long enough that the rate of a busy
/// machine is stable, short enough to wait for.
const DEFAULT_DURATION: Duration = Duration::from_secs(10);

/// The duration of each run of `--find-rate` without `--duration`. Chosen: 200 requests at the lowest rate of the default
/// range, of which two may be slower than the 99th percentile.
const DEFAULT_RUN: Duration = Duration::from_secs(2);

impl BenchOptions {
    /// The duration of the measurement, if time limits it.
    #[must_use]
    pub fn time_limit(&self) -> Option<Duration> {
        match self.load_stages() {
            [] if self.find_rate.is_some() => self.duration.or(Some(DEFAULT_RUN)),
            [] => self.duration.or(self.requests.is_none().then_some(DEFAULT_DURATION)),
            stages => Some(stages.iter().map(|stage| stage.duration).sum()),
        }
    }

    /// The stages of the load; none if its rate does not change.
    #[must_use]
    pub fn load_stages(&self) -> &[Stage] {
        if self.stages.is_empty() { self.ramp.as_slice() } else { &self.stages }
    }

    /// Whether requests are sent when they are due, whether or not earlier ones have been replied to.
    #[must_use]
    pub fn is_open_loop(&self) -> bool {
        self.rate.is_some() || self.find_rate.is_some() || !self.load_stages().is_empty()
    }

    /// The length of the intervals of the series.
    #[must_use]
    pub fn series_interval(&self) -> Duration {
        self.interval.unwrap_or(DEFAULT_INTERVAL)
    }
}

/// The length of an interval without `--interval`. Chosen: what people compare rates by, and enough samples in a
/// measurement of the default duration to see its course.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// The text of a benchmark's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TextKind {
    /// Lower-case letters without r, repeated: no correct reply is `error`
    Ascii,
    /// Latin with accents, Cyrillic and CJK
    Mixed,
    /// Vietnamese: 1 to 3 bytes per letter
    Vietnamese,
    /// Modern Greek, with capital sigmas
    Greek,
    /// Polytonic Greek, with letters that grow in upper case
    Polytonic,
    /// Russian: 2 bytes per letter
    Cyrillic,
    /// Armenian: 2 bytes per letter
    Armenian,
    /// Georgian: 3 bytes per letter
    Georgian,
    /// Deseret: 4 bytes per letter
    Deseret,
    /// Latin whose other case has more or fewer bytes, and title-case digraphs
    Changing,
}

impl TextKind {
    /// The name of the value.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// The part of each reply that a benchmark verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verify {
    /// Length and content
    Content,
    /// Only the length
    Length,
}
