//! `retort`: the client that sends, measures and judges.
//!
//! Shares only [`protocol`](mod@crate::protocol), [`transform`](mod@crate::transform) and `sys` with the daemon.
//! Guarantees: nothing but results on standard output; a reader that closes it ends the program quietly; exit codes as in
//! [`failure`].
//!
//! | module | what lives there |
//! |---|---|
//! | [`options`] | the command line |
//! | [`target`] | `HOST[:PORT]`, resolving, connecting |
//! | [`client_protocol`] | what each protocol looks like from this side |
//! | [`answers`] | answers out of a stream of bytes |
//! | [`measure`] | the length that an answer tells |
//! | [`send`], [`ping`], [`bench`](mod@bench), [`check`] | the subcommands |
//! | [`failure`] | exit codes |
//! | `duration`, `json`, `progress`, `report_file`, `xml` | one concern each, and the one crate that it needs |

pub mod answers;
pub mod bench;
pub mod check;
pub mod client_protocol;
mod duration;
pub mod failure;
mod json;
pub mod measure;
pub mod options;
pub mod ping;
mod progress;
mod report_file;
pub mod send;
pub mod target;
mod xml;

pub use options::command;

use std::process::ExitCode;

use options::{Command, Options};

/// The whole client: what the command line asks for, and its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let end = match Options::from_command_line().command {
        Command::Send(options) => send::run(options),
        Command::Ping(options) => ping::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Check(options) => check::run(&options),
    };
    failure::exit_code(&end)
}
