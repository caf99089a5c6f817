//! The options of `retort check-client`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::report::ReportOptions;
use super::values::protocol;
use crate::client::client_protocol::ClientProtocol;
use crate::units;

const PLACEHOLDERS: &str = "\
Placeholders in COMMAND:
  {host}     the server's address or name
  {port}     its port
  {file}     a file with the requests, one ACTION MESSAGE a line, or - for
             standard input; in echo, one MESSAGE a line
  {action}   the action of a single request, for a client that takes it and
  {message}  its message as arguments; scenarios with more requests are skipped
A command with none of them gets -h {host} -p {port} {file} behind its words.
One without {file} and {message} gets the requests on standard input.

";

const EXIT_STATUS: &str = "\
Exit status:
  0  every scenario passed (notes and skipped scenarios do not count)
  1  at least one scenario failed; all of them count as failed if the command
     makes no connection
  2  the client could not be checked: usage, a command that cannot be run, a
     file that cannot be written, an interruption";

pub(super) fn after_help() -> String {
    format!("{PLACEHOLDERS}{EXIT_STATUS}")
}

/// `retort check-client`.
#[derive(Args, Debug)]
pub struct CheckClientOptions {
    /// The protocol that the client speaks
    #[arg(short = 'P', long, value_name = "NAME", default_value = "frame", value_parser = protocol)]
    pub protocol: ClientProtocol,
    /// The edition of the frame protocol: 2021 means -P frame-2021
    #[arg(long, value_name = "YEAR", value_parser = ["2021"], conflicts_with = "protocol")]
    pub edition: Option<String>,
    /// Which scenarios to run.
    #[command(flatten)]
    pub selection: ScenarioSelection,
    /// How to report.
    #[command(flatten)]
    pub report: ReportOptions,
    /// The command of the client, with its arguments and with placeholders
    #[arg(value_name = "COMMAND", required_unless_present = "list", last = true)]
    pub command: Vec<OsString>,
}

/// Which scenarios `retort check-client` runs.
#[derive(Args, Debug)]
pub struct ScenarioSelection {
    /// List the scenarios, and exit
    #[arg(short, long, help_heading = "Selection")]
    pub list: bool,
    /// Run only these: names of scenarios or of groups, separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Selection")]
    pub only: Vec<String>,
    /// Maximum time that a scenario waits for a client that does nothing; whatever the client does, each run of it ends
    /// after about five times this time, or 10 s if that is more
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = units::positive_time, help_heading = "Selection")]
    pub patience: Duration,
}
