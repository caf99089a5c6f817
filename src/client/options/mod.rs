//! The command line of `retort`: one struct per subcommand, all values parsed and within bounds.
//!
//! Owns every option's name, default and help text. Opens nothing and connects to nothing; combinations of options and
//! a protocol are checked by the subcommand.

pub mod address_family;
mod bench;
mod bench_files;
mod check;
mod check_client;
mod color;
mod ping;
pub mod proxy;
mod report;
mod send;
mod slo;
mod stages;
mod timeouts;
mod values;

pub use address_family::AddressFamily;
pub use bench::{BenchOptions, TextKind, Verify};
pub use bench_files::BenchFiles;
pub use check::{CheckOptions, Selection};
pub use check_client::CheckClientOptions;
pub use color::ColorWhen;
pub use ping::PingOptions;
pub use report::{GradingOptions, GroupWeight, ReportOptions};
pub use send::SendOptions;
pub use slo::Slo;
pub use stages::{RateRange, Stage};
pub use timeouts::Timeouts;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  retort send localhost uppercase 'some text'
  retort ping localhost
  retort bench localhost --connections 64 --depth 32 --svg latency.svg
  retort check localhost:8083
  retort check-client -- python3 client.py

Exit status:
  0  all went well
  1  something failed; see the --help of each subcommand
  2  it could not run: usage, no connection";

/// Sends requests to retortd, or to any server of its protocols, and measures or checks the replies.
#[derive(Debug, Parser)]
#[command(name = "retort", version, subcommand_required = true, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Options {
    /// When to use colours
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorWhen::Auto, global = true, help_heading = "Terminal")]
    pub color: ColorWhen,
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send requests and print the replies
    ///
    /// Sends one request from the command line, or many from a file with one `ACTION MESSAGE` per line (protocols
    /// without actions: one MESSAGE per line). Requests are pipelined where the protocol allows it; replies are printed
    /// in the order of the requests, one per line.
    #[command(after_help = send::after_help())]
    Send(SendOptions),
    /// Measure round trips at an interval, as ping(8) does
    ///
    /// Prints a line for each round trip, and a summary at the end or when interrupted (Ctrl-C). The time to connect is
    /// shown apart from the time of a round trip.
    #[command(after_help = ping::EXIT_STATUS)]
    Ping(PingOptions),
    /// Measure throughput and latency under load
    ///
    /// A closed loop by default: each connection keeps --depth requests in flight. With --rate the loop is open:
    /// requests are sent when they are due, whether or not earlier ones have been replied to, and latency counts from
    /// the time at which a request was due, so that a stall of the server is not hidden; with --ramp and --stages its
    /// rate changes. --find-rate searches for the highest rate that keeps the bounds of --slo. By default one
    /// thread drives all connections; --threads adds more. With -P discard or chargen the throughput in one direction is
    /// measured.
    #[command(after_help = bench::EXIT_STATUS)]
    Bench(Box<BenchOptions>),
    /// Check a server: runs a list of named checks, and gives a hint for each failure
    ///
    /// For every failure it shows what was sent, what was expected, what was received, and the probable cause.
    /// Protocols that can be checked: frame, frame-2021, text, echo, length-prefix, discard, daytime, time, qotd,
    /// chargen.
    #[command(after_help = check::EXIT_STATUS)]
    Check(CheckOptions),
    /// Check a client program: runs it in a list of named scenarios, and gives a hint for each failure
    ///
    /// Each scenario starts a scripted server on a free port of this machine and runs the command. It compares standard
    /// output with the replies, the bytes on the wire with the protocol, and the exit code. For every failure it shows
    /// what was sent, what was expected, what was received, and the probable cause. Protocols of clients that can be
    /// checked: frame, frame-2021, text, echo.
    #[command(after_help = check_client::after_help())]
    CheckClient(CheckClientOptions),
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
        let mut command = Self::command().color(color::choice(std::env::args_os()));
        let parsed = Self::from_arg_matches(&command.get_matches_mut());
        parsed.unwrap_or_else(|error| error.format(&mut command).exit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_accepts_the_definition() {
        Options::command().debug_assert();
    }

    #[test]
    fn out_of_range_values_are_usage_errors_that_name_the_option() {
        for (option, value) in [("--connections", "0"), ("--depth", "0"), ("--rate", "0"), ("--duration", "0s")] {
            let error = Options::try_parse_from(["retort", "bench", "localhost", option, value]).unwrap_err();
            assert!(error.to_string().contains(option), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn rate_and_depth_conflict() {
        let both = ["retort", "bench", "localhost", "--rate", "100", "--depth", "2"];
        assert!(Options::try_parse_from(both).is_err());
    }

    #[test]
    fn check_list_needs_no_host() {
        assert!(Options::try_parse_from(["retort", "check", "--list"]).is_ok());
        assert!(Options::try_parse_from(["retort", "check"]).is_err());
    }
}
