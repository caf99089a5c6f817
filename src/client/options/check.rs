//! The options of `retort check`.

use std::time::Duration;

use clap::Args;

use super::address_family::AddressFamily;
use super::proxy::ProxyOptions;
use super::report::ReportOptions;
use super::values::{SERVER, protocol};
use crate::client::client_protocol::ClientProtocol;
use crate::client::target::ServerName;
use crate::units;

pub(super) const EXIT_STATUS: &str = "\
Exit status:
  0  every check passed (notes and skipped checks do not count)
  1  at least one check failed; all of them count as failed if the server
     speaks another protocol, never replies or expects no PROXY header
  2  the server could not be checked: usage, no connection, a file that cannot
     be written";

/// `retort check`.
#[derive(Args, Debug)]
pub struct CheckOptions {
    /// The server.
    #[arg(value_name = "HOST[:PORT]", help = SERVER, required_unless_present = "list")]
    pub host: Option<ServerName>,
    /// The protocol to check
    #[arg(short = 'P', long, value_name = "NAME", default_value = "frame", value_parser = protocol)]
    pub protocol: ClientProtocol,
    /// The edition of the frame protocol: 2021 means -P frame-2021
    #[arg(long, value_name = "YEAR", value_parser = ["2021"], conflicts_with = "protocol")]
    pub edition: Option<String>,
    /// The addresses to connect to.
    #[command(flatten)]
    pub family: AddressFamily,
    /// The first bytes of each connection.
    #[command(flatten)]
    pub proxy: ProxyOptions,
    /// Maximum time to wait until the server accepts connections, before the first check; without it, a server that does
    /// not accept the first connection is not checked
    #[arg(long, value_name = "TIME", value_parser = units::positive_time, help_heading = "Selection")]
    pub wait: Option<Duration>,
    /// Which checks to run.
    #[command(flatten)]
    pub selection: Selection,
    /// How to report.
    #[command(flatten)]
    pub report: ReportOptions,
}

/// Which checks `retort check` runs.
#[derive(Args, Debug)]
pub struct Selection {
    /// List the checks, and exit
    #[arg(short, long, help_heading = "Selection")]
    pub list: bool,
    /// Run only these: names of checks or of groups, separated by commas; the group proxy, for a server that expects PROXY
    /// headers, runs only if it is named here, and not together with other checks
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Selection")]
    pub only: Vec<String>,
    /// Also check the longest message (134217727 bytes)
    #[arg(long, help_heading = "Selection")]
    pub large: bool,
    /// Maximum time that a check waits for a server that does nothing; whatever the server does, a check ends after
    /// about five times this time, or 2 s if that is more
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = units::positive_time, help_heading = "Selection")]
    pub patience: Duration,
}
