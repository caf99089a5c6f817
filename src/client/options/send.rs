//! The options of `retort send`.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::address_family::AddressFamily;
use super::proxy::ProxyOptions;
use super::timeouts::Timeouts;
use super::values::{SERVER, protocol};
use crate::client::client_protocol::ClientProtocol;
use crate::client::target::ServerName;

const EXIT_STATUS: &str = "\
Exit status:
  0  every request got the reply that its protocol prescribes
  1  a request was refused (`error`), or its reply was short, long, late or
     missing
  2  nothing could be sent: usage, an unreadable file, no connection";

/// The actions of the protocols that have some, and the exit status.
pub(super) fn after_help() -> String {
    let mut text = String::from("Actions:\n");
    for protocol in ClientProtocol::all().filter(|protocol| protocol.has_actions()) {
        // writing to a String does not fail
        let _ = writeln!(text, "  {:<11} {}", protocol.name(), protocol.action_names());
    }
    text + "\n" + EXIT_STATUS
}

/// `retort send`.
#[derive(Args, Debug)]
pub struct SendOptions {
    /// The server.
    #[arg(value_name = "HOST[:PORT]", help = SERVER)]
    pub host: ServerName,
    /// The action (a name, or a number from 0 to 31 for the frame protocols) and the message, whose words are joined by
    /// spaces; protocols without actions: only the message
    #[arg(value_names = ["ACTION", "MESSAGE"], num_args = 0..)]
    pub words: Vec<OsString>,
    /// The protocol to speak: a name from `retortd --list`
    #[arg(short = 'P', long, value_name = "NAME", default_value = "frame", value_parser = protocol)]
    pub protocol: ClientProtocol,
    /// Read requests from FILE, one per line; `-` is standard input
    #[arg(short, long, value_name = "FILE", help_heading = "Input", conflicts_with_all = ["words", "stdin_data"])]
    pub file: Option<PathBuf>,
    /// Send all of standard input as one message, at most 134217727 bytes, and write the reply without adding a newline
    /// (protocols without actions: no ACTION)
    #[arg(
        long,
        value_name = "ACTION",
        num_args = 0..=1,
        default_missing_value = "",
        help_heading = "Input",
        conflicts_with = "words"
    )]
    pub stdin_data: Option<OsString>,
    /// Write replies to a terminal unchanged: by default their control characters are escaped there
    #[arg(long)]
    pub raw: bool,
    /// Draw no progress bar (it is drawn on standard error, if that is a terminal and requests are not typed at one,
    /// after a second)
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
