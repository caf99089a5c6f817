//! The options of `retort ping`.

use std::time::Duration;

use clap::Args;

use super::address_family::AddressFamily;
use super::proxy::ProxyOptions;
use super::timeouts::Timeouts;
use super::values::{SERVER, protocol, size};
use crate::client::client_protocol::ClientProtocol;
use crate::client::target::ServerName;
use crate::units;

pub(super) const EXIT_STATUS: &str = "\
Exit status:
  0  every request got its reply
  1  at least one was lost
  2  nothing could be sent: usage, no such host, no connection";

/// `retort ping`.
#[derive(Args, Debug)]
pub struct PingOptions {
    /// The server.
    #[arg(value_name = "HOST[:PORT]", help = SERVER)]
    pub host: ServerName,
    /// The protocol to speak: any whose replies have an end
    #[arg(short = 'P', long, value_name = "NAME", default_value = "frame", value_parser = protocol)]
    pub protocol: ClientProtocol,
    /// Stop after N requests
    #[arg(short, long, value_name = "N", value_parser = units::count_within::<u64>(1..=u64::MAX))]
    pub count: Option<u64>,
    /// Stop after this time, which includes the time to connect; requests in flight are lost
    #[arg(short = 'w', long, value_name = "TIME", value_parser = units::positive_time)]
    pub deadline: Option<Duration>,
    /// The time from one request to the next; 0: each follows the reply to the one before
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = units::unlimited_time)]
    pub interval: Duration,
    /// Length of the message in bytes: 64, 64K, 1M
    #[arg(short, long, value_name = "BYTES", default_value = "56", value_parser = size)]
    pub size: usize,
    /// Make a new connection for each request
    #[arg(long)]
    pub reconnect: bool,
    /// Print only the summary
    #[arg(short, long)]
    pub quiet: bool,
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
