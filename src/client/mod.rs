//! `retort`: the client, which sends requests, measures a server and checks it.
//!
//! Shares only [`protocol`](mod@crate::protocol), [`transform`](mod@crate::transform), [`units`](mod@crate::units) and
//! `sys` with the daemon.
//! Guarantees: only results are written to standard output; when its reader closes it, the program ends without a
//! message; exit codes as in [`failure`].
//!
//! | module | content |
//! |---|---|
//! | [`options`] | the command line |
//! | [`target`] | the server: resolve its name, and connect to the first address that accepts |
//! | `connector` | the one place where a connection is made |
//! | `proxy_header` | the PROXY header that begins each connection |
//! | [`client_protocol`] | each protocol from the client's side |
//! | [`reply`] | the decoder of replies, and whole replies |
//! | `pipeline` | the requests in flight on one connection of `send` and `ping` |
//! | [`send`], [`ping`], [`bench`](mod@bench), [`check`], [`check_client`] | the subcommands |
//! | [`judge`] | what `check` and `check-client` share: subjects, results, reports |
//! | [`failure`] | exit codes |
//! | `progress_clock` | how long `send` and `ping` wait for progress |
//! | `progress` | the progress bars of `send` and `bench` |
//! | `terminal` | colours on standard output, and redrawn lines on standard error |
//! | `report_file` | reports that replace a file atomically |
//! | `json`, `xml` | JSON values, XML text |

pub mod bench;
pub mod check;
pub mod check_client;
pub mod client_protocol;
mod connector;
pub mod failure;
mod json;
pub mod judge;
pub mod options;
pub mod ping;
mod pipeline;
mod progress;
mod progress_clock;
mod proxy_header;
pub mod reply;
mod report_file;
pub mod send;
pub mod target;
mod terminal;
mod xml;

pub use options::command;

use std::process::ExitCode;

use options::{Command, Options};

/// Runs the subcommand that the command line names, and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let Options { color, command } = Options::from_command_line();
    let result = match command {
        Command::Send(options) => send::run(options),
        Command::Ping(options) => ping::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Check(options) => check::run(&options, color),
        Command::CheckClient(options) => check_client::run(&options, color),
    };
    failure::exit_code(&result)
}
