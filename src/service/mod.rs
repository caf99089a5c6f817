//! The daemon's lifecycle.
use std::process::ExitCode;

/// The whole daemon.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
