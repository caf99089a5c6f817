//! The options of `retort bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::address_family::AddressFamily;
use super::proxy::ProxyOptions;
use super::timeouts::Timeouts;
use super::values::{CONNECTIONS, DEPTH, SERVER, protocol, rate, size};
use crate::client::client_protocol::ClientProtocol;
use crate::client::target::ServerName;
use crate::units;

pub(super) const EXIT_STATUS: &str = "\
Exit status:
  0  every reply was correct
  1  there were errors, which the table counts by kind, or no replies; or the
     process of --server-pid did not run during all of the measurement
  2  nothing was measured: usage, no connection, too few descriptors, an
     interrupt during the warm-up, a file that cannot be written";

/// `retort bench`.
#[derive(Args, Debug)]
pub struct BenchOptions {
    /// The server.
    #[arg(value_name = "HOST[:PORT]", help = SERVER)]
    pub host: ServerName,
    /// The protocol to speak: any whose replies have an end
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
    /// One request per connection: connect, send, receive, close; the time to connect is part of the latency, and also
    /// shown by itself (protocols that close after a reply are always measured so)
    #[arg(long, help_heading = "Load", conflicts_with = "depth")]
    pub reconnect: bool,
    /// Length of each message in bytes: 64, 64K, 1M
    #[arg(short, long, value_name = "BYTES", default_value = "64", value_parser = size, help_heading = "Load")]
    pub size: usize,
    /// The text of the messages
    #[arg(long, value_enum, value_name = "KIND", default_value_t = TextKind::Ascii, help_heading = "Load")]
    pub text: TextKind,
    /// Duration of the measurement [default: 10s; no limit with --requests]
    #[arg(short = 't', long, value_name = "TIME", value_parser = units::positive_time, help_heading = "Measurement")]
    pub duration: Option<Duration>,
    /// Measure N requests, and wait for their replies; --duration can end the measurement before
    #[arg(short = 'n', long, value_name = "N", value_parser = units::count_within::<u64>(1..=u64::MAX), help_heading = "Measurement")]
    pub requests: Option<u64>,
    /// Duration of the load before the measurement
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = units::time, help_heading = "Measurement")]
    pub warm_up: Duration,
    /// The part of each reply to verify
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Verify::Content, help_heading = "Measurement")]
    pub verify: Verify,
    /// The server's process, on this machine: report its CPU time per request
    #[arg(long, value_name = "PID", value_parser = units::number_within::<u32>(1..=i32::MAX as u64), help_heading = "Measurement")]
    pub server_pid: Option<u32>,
    /// Print one JSON object instead of the table
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Draw latency by percentile; an earlier file is kept until the drawing is complete
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub svg: Option<PathBuf>,
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

impl BenchOptions {
    /// The duration of the measurement, if time limits it.
    #[must_use]
    pub fn time_limit(&self) -> Option<Duration> {
        self.duration.or(self.requests.is_none().then_some(DEFAULT_DURATION))
    }
}

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

/// The part of each reply that a benchmark verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verify {
    /// Length and content
    Content,
    /// Only the length
    Length,
}
