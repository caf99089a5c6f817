//! Why a subcommand ended before it had a result, and the exit codes.
//!
//! 0: all went well. 1: it ran, and something failed. 2: it could not run.

use std::fmt;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

/// What a subcommand that ran has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All went well: exit code 0.
    Good,
    /// Something failed, and the output says what: exit code 1.
    Bad,
}

impl Verdict {
    /// Good only if `good`.
    #[must_use]
    pub fn of(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }

    /// Good only if both are.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::of(self == Self::Good && other == Self::Good)
    }
}

/// Why a subcommand could not run to its end.
#[derive(Debug)]
pub enum Failure {
    /// For the reason given: exit code 2.
    CannotRun(String),
    /// Whoever read standard output has closed it: nothing more to do, exit code 0 and not a word.
    OutputClosed,
}

impl Failure {
    /// The failure for this reason.
    pub fn cannot_run(reason: impl Into<String>) -> Self {
        Self::CannotRun(reason.into())
    }

    /// The failure of writing to standard output.
    #[must_use]
    pub fn output(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::CannotRun(format!("cannot write to standard output: {error}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CannotRun(reason) => f.write_str(reason),
            Self::OutputClosed => f.write_str("standard output was closed"),
        }
    }
}

/// The exit code of a subcommand's end; tells why on standard error where it could not run.
#[must_use]
pub fn exit_code(end: &Result<Verdict, Failure>) -> ExitCode {
    match end {
        Ok(Verdict::Good) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::from(1),
        Err(failure @ Failure::CannotRun(_)) => {
            complain(failure);
            ExitCode::from(2)
        }
    }
}

/// Writes a message to standard error; one that is closed is nobody's loss.
pub fn complain(message: &dyn fmt::Display) {
    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("retort: {message}\n"));
}
