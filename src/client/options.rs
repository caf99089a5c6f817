//! The command line of `retort`: one struct a subcommand, all values parsed and within bounds.
//!
//! Owns every option's name, default and help text. It opens nothing and connects to nothing: what can be wrong with
//! a combination of options and a protocol is found by the subcommand.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use super::client_protocol::ClientProtocol;
use super::duration;
use super::target::Address;

const EXIT_SEND: &str = "\
Exit status:
  0  every request was answered as its protocol says
  1  a request was refused (`error`), or its answer was short, long, late or missing
  2  nothing could be sent: usage, an unreadable file, no connection";

const EXIT_PING: &str = "\
Exit status:
  0  every request was answered
  1  at least one was lost
  2  nothing could be sent: usage, no such host, no connection";

const EXIT_BENCH: &str = "\
Exit status:
  0  every answer was right
  1  there were errors; the table counts them by kind
  2  nothing was measured: usage, no connection, a file that cannot be written";

const EXIT_CHECK: &str = "\
Exit status:
  0  every check passed (notes and skipped checks do not count)
  1  at least one check failed
  2  the server could not be judged: usage, no connection, a file that cannot be written";

const EXAMPLES: &str = "\
Examples:
  retort send localhost uppercase 'some text'
  retort ping localhost
  retort bench localhost --connections 64 --depth 32 --svg latency.svg
  retort check localhost:8083

Exit status:
  0  all went well
  1  something failed; each subcommand's --help says what counts
  2  it could not run: usage, no connection";

/// Sends requests to a retortd, or to any server of its protocols, and measures and judges the answers.
#[derive(Debug, Parser)]
#[command(name = "retort", version, subcommand_required = true, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send requests and print the answers
    ///
    /// One request from the command line, or many from a file with one `ACTION MESSAGE` a line (protocols without
    /// actions: one MESSAGE a line). Requests are pipelined where the protocol allows it; answers come in the order
    /// of the requests, a line each.
    #[command(after_help = EXIT_SEND)]
    Send(SendOptions),
    /// Measure round trips at an interval, as ping(8) does
    ///
    /// A line for each round trip, and a summary at the end or when interrupted (Ctrl-C). The time that connecting
    /// takes is shown apart from the time of a round trip.
    #[command(after_help = EXIT_PING)]
    Ping(PingOptions),
    /// Measure throughput and latency under load
    ///
    /// Closed loop by default: each connection keeps --depth requests under way. With --rate the loop is open:
    /// requests are sent when they are due, whether or not earlier ones are answered, and latency counts from the
    /// time a request was due, so that a stall of the server is not hidden. One thread drives all connections.
    #[command(after_help = EXIT_BENCH)]
    Bench(BenchOptions),
    /// Judge a server: some forty named checks, with a hint for each failure
    ///
    /// For every failure it shows what was sent, what was expected, what came, and what is probably wrong. Protocols
    /// that can be judged: frame, frame-2021, text, echo, length-prefix, discard, daytime, time, qotd, chargen.
    #[command(after_help = EXIT_CHECK)]
    Check(CheckOptions),
}

/// Which server, and how long to wait for it.
#[derive(Args, Clone, Debug)]
pub struct Patience {
    /// How long to wait for a connection
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = positive_time, help_heading = "Connection")]
    pub connect_timeout: Duration,
    /// How long to wait for an answer; `send` waits a second longer for each 16 KiB of it
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = positive_time, help_heading = "Connection")]
    pub read_timeout: Duration,
    /// How long to wait for a server that takes no bytes
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = positive_time, help_heading = "Connection")]
    pub write_timeout: Duration,
}

/// `retort send`.
#[derive(Args, Debug)]
pub struct SendOptions {
    /// The server: a name, an IPv4 address, or an IPv6 address in brackets; the default port is the protocol's
    #[arg(value_name = "HOST[:PORT]")]
    pub host: Address,
    /// The action (a name, or a number from 0 to 31 for the frame protocols) and the message
    #[arg(value_names = ["ACTION", "MESSAGE"], num_args = 0..=2)]
    pub words: Vec<OsString>,
    /// The protocol to speak: a name from `retortd --list`
    #[arg(short = 'P', long, value_name = "NAME", default_value = "frame", value_parser = protocol)]
    pub protocol: ClientProtocol,
    /// Read requests from FILE, one a line; `-` is standard input
    #[arg(short, long, value_name = "FILE", help_heading = "Input", conflicts_with_all = ["words", "stdin_data"])]
    pub file: Option<PathBuf>,
    /// Send all of standard input as one message, at most 134217727 bytes, and write the answer as it is (protocols
    /// without actions: no ACTION)
    #[arg(
        long,
        value_name = "ACTION",
        num_args = 0..=1,
        default_missing_value = "",
        help_heading = "Input",
        conflicts_with = "words"
    )]
    pub stdin_data: Option<OsString>,
    /// No progress bar (it is drawn on a terminal's standard error, for what takes longer than a second)
    #[arg(short, long)]
    pub quiet: bool,
    /// Timeouts.
    #[command(flatten)]
    pub patience: Patience,
}

/// `retort ping`.
#[derive(Args, Debug)]
pub struct PingOptions {
    /// The server: a name, an IPv4 address, or an IPv6 address in brackets; the default port is the protocol's
    #[arg(value_name = "HOST[:PORT]")]
    pub host: Address,
    /// The protocol to speak: any that answers a request with an end
    #[arg(short = 'P', long, value_name = "NAME", default_value = "frame", value_parser = protocol)]
    pub protocol: ClientProtocol,
    /// Stop after N requests
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// The time from one request to the next
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = duration::parse)]
    pub interval: Duration,
    /// Bytes of the message: 64, 64K, 1M
    #[arg(short, long, value_name = "BYTES", default_value = "56", value_parser = size)]
    pub size: usize,
    /// A new connection for each request
    #[arg(long)]
    pub reconnect: bool,
    /// Print the summary alone
    #[arg(short, long)]
    pub quiet: bool,
    /// Timeouts.
    #[command(flatten)]
    pub patience: Patience,
}

/// `retort bench`.
#[derive(Args, Debug)]
pub struct BenchOptions {
    /// The server: a name, an IPv4 address, or an IPv6 address in brackets; the default port is the protocol's
    #[arg(value_name = "HOST[:PORT]")]
    pub host: Address,
    /// The protocol to speak: any that answers a request with an end
    #[arg(short = 'P', long, value_name = "NAME", default_value = "frame", value_parser = protocol)]
    pub protocol: ClientProtocol,
    /// The action to ask for [default: uppercase, for protocols with actions]
    #[arg(short, long, value_name = "ACTION", help_heading = "Load")]
    pub action: Option<String>,
    /// Connections
    #[arg(short, long, value_name = "N", default_value_t = 16, value_parser = connections, help_heading = "Load")]
    pub connections: usize,
    /// Requests under way on each connection [default: 1]
    #[arg(short, long, value_name = "N", value_parser = depth, help_heading = "Load", conflicts_with = "rate")]
    pub depth: Option<usize>,
    /// Open loop: requests a second, over all connections
    #[arg(short, long, value_name = "N", value_parser = rate, help_heading = "Load")]
    pub rate: Option<f64>,
    /// One request a connection: connect, ask, close (always so for protocols that close after an answer)
    #[arg(long, help_heading = "Load", conflicts_with = "depth")]
    pub reconnect: bool,
    /// Bytes of each message: 64, 64K, 1M
    #[arg(short, long, value_name = "BYTES", default_value = "64", value_parser = size, help_heading = "Load")]
    pub size: usize,
    /// What the messages are made of
    #[arg(long, value_enum, value_name = "KIND", default_value_t = TextKind::Ascii, help_heading = "Load")]
    pub text: TextKind,
    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = positive_time, help_heading = "Measurement")]
    pub duration: Duration,
    /// How long to load the server before measuring
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = duration::parse, help_heading = "Measurement")]
    pub warm_up: Duration,
    /// What to verify of each answer
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Verify::Content, help_heading = "Measurement")]
    pub verify: Verify,
    /// The server's process, on this machine: report its CPU time per request
    #[arg(long, value_name = "PID", help_heading = "Measurement")]
    pub server_pid: Option<u32>,
    /// Print one JSON object instead of the table
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Draw latency by percentile; an earlier file stays until the drawing is complete
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub svg: Option<PathBuf>,
    /// Timeouts.
    #[command(flatten)]
    pub patience: Patience,
}

/// What the messages of a benchmark are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TextKind {
    /// The alphabet, over and over
    Ascii,
    /// Latin with accents, Cyrillic and CJK
    Mixed,
}

/// What a benchmark verifies of each answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verify {
    /// Length and content
    Content,
    /// The length alone
    Length,
}

/// `retort check`.
#[derive(Args, Debug)]
pub struct CheckOptions {
    /// The server: a name, an IPv4 address, or an IPv6 address in brackets; the default port is the protocol's
    #[arg(value_name = "HOST[:PORT]", required_unless_present = "list")]
    pub host: Option<Address>,
    /// The protocol to judge
    #[arg(short = 'P', long, value_name = "NAME", default_value = "frame", value_parser = protocol)]
    pub protocol: ClientProtocol,
    /// The edition of the frame protocol: 2021 is the same as -P frame-2021
    #[arg(long, value_name = "YEAR", value_parser = ["2021"], conflicts_with = "protocol")]
    pub edition: Option<String>,
    /// Which checks.
    #[command(flatten)]
    pub selection: Selection,
    /// How to report.
    #[command(flatten)]
    pub report: ReportOptions,
}

/// Which checks `retort check` runs.
#[derive(Args, Debug)]
pub struct Selection {
    /// List the checks and what they are about, and stop
    #[arg(short, long, help_heading = "Selection")]
    pub list: bool,
    /// Run these alone: names of checks or of groups, separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Selection")]
    pub only: Vec<String>,
    /// Check the longest message too (134217727 bytes)
    #[arg(long, help_heading = "Selection")]
    pub large: bool,
    /// How long a check waits for a server that does nothing; whatever the server does, it ends after about five times that
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = positive_time, help_heading = "Selection")]
    pub patience: Duration,
}

/// How `retort check` reports.
#[derive(Args, Debug)]
pub struct ReportOptions {
    /// Print one JSON object
    #[arg(long, help_heading = "Output", conflicts_with = "tap")]
    pub json: bool,
    /// Print TAP, the Test Anything Protocol (version 13)
    #[arg(long, help_heading = "Output")]
    pub tap: bool,
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Output",
        help = "Write a JUnit report beside what is printed; an earlier file stays until it is complete"
    )]
    #[allow(missing_docs, reason = "the help text would need backticks")]
    pub junit: Option<PathBuf>,
    /// Print failures and the score alone
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,
}

/// The command line as clap knows it, for completions and the tests of the documentation.
#[must_use]
pub fn command() -> clap::Command {
    Options::command()
}

impl Options {
    /// The options of this process; prints help, version or a usage error and exits (0 or 2) where clap says so.
    #[must_use]
    pub fn from_command_line() -> Self {
        Self::parse()
    }
}

fn protocol(name: &str) -> Result<ClientProtocol, String> {
    ClientProtocol::by_name(name).ok_or_else(|| format!("no such protocol; one of {}", ClientProtocol::names()))
}

fn positive_time(text: &str) -> Result<Duration, String> {
    let time = duration::parse(text)?;
    if time.is_zero() { Err("must be more than 0".into()) } else { Ok(time) }
}

fn connections(text: &str) -> Result<usize, String> {
    within(text, 1, 100_000)
}

fn depth(text: &str) -> Result<usize, String> {
    within(text, 1, 65_536)
}

fn within(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| String::from("not a whole number"))?;
    if (least..=most).contains(&number) { Ok(number) } else { Err(format!("must be from {least} to {most}")) }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| String::from("not a number"))?;
    if (0.01..=100_000_000.0).contains(&rate) { Ok(rate) } else { Err("must be from 0.01 to 100000000".into()) }
}

/// The most bytes that a frame's length field can say.
const LARGEST_MESSAGE: usize = 0x07ff_ffff;

fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "B" => 1,
        "K" | "k" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        other => return Err(format!("unknown unit {other}; a size is a number with K or M behind it")),
    };
    let number: usize = digits.parse().map_err(|_| String::from("not a size, such as 64, 64K or 16M"))?;
    match number.checked_mul(unit) {
        Some(bytes) if bytes <= LARGEST_MESSAGE => Ok(bytes),
        _ => Err(format!("more than {LARGEST_MESSAGE} bytes, the longest message")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn sizes_have_units_and_a_bound() {
        assert_eq!(size("64"), Ok(64));
        assert_eq!(size("64K"), Ok(65_536));
        assert_eq!(size("1M"), Ok(1 << 20));
        assert_eq!(size("134217727"), Ok(LARGEST_MESSAGE));
        assert!(size("134217728").is_err());
        assert!(size("3G").unwrap_err().contains("unknown unit G"));
        assert!(size("-1").is_err());
        assert!(size("").is_err());
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        for (option, value) in [("--connections", "0"), ("--depth", "0"), ("--rate", "0"), ("--duration", "0s")] {
            let refused = Options::try_parse_from(["retort", "bench", "localhost", option, value]).unwrap_err();
            assert!(refused.to_string().contains(option), "{refused}");
            assert_eq!(refused.exit_code(), 2);
        }
    }

    #[test]
    fn an_open_loop_has_no_depth() {
        let both = ["retort", "bench", "localhost", "--rate", "100", "--depth", "2"];
        assert!(Options::try_parse_from(both).is_err());
    }

    #[test]
    fn a_list_of_checks_needs_no_host() {
        assert!(Options::try_parse_from(["retort", "check", "--list"]).is_ok());
        assert!(Options::try_parse_from(["retort", "check"]).is_err());
    }
}
