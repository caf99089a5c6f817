//! `retort`: the client that sends, measures and judges.
use std::process::ExitCode;

/// The whole client.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
