//! `retort`: the client that sends, measures and judges.
//!
//! Shares only [`protocol`](mod@crate::protocol) and [`transform`](mod@crate::transform) with the daemon. Guarantees: nothing
//! but results on standard output; a reader that closes it ends the program quietly; exit codes as in [`failure`].
//!
//! | module | what lives there |
//! |---|---|
//! | [`options`] | the command line |
//! | [`target`] | `HOST[:PORT]`, resolving, connecting |
//! | [`dialogue`] | what each protocol looks like from this side |
//! | [`reply`] | replies out of a stream of bytes |
//! | [`send`], [`ping`], [`bench`](mod@bench), [`check`] | the subcommands |
//! | [`failure`] | exit codes |
//! | `duration`, `json`, `poll`, `progress`, `report_file`, `xml` | one concern each, and the one crate that it needs |

pub mod bench;
pub mod check;
pub mod dialogue;
mod duration;
pub mod failure;
mod json;
pub mod options;
pub mod ping;
mod poll;
mod progress;
pub mod reply;
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
