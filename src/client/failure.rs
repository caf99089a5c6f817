//! The end of a subcommand, and the exit codes.
//!
//! 0: all went well. 1: it ran, and something failed. 2: it could not run. 3: a benchmark is worse than an earlier one.

use std::fmt;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

/// The result of a subcommand that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All went well: exit code 0.
    Success,
    /// Something failed, and the output says what: exit code 1.
    Failed,
    /// Nothing failed, and a benchmark was significantly worse than an earlier one: exit code 3.
    Worse,
}

impl Status {
    /// [`Status::Success`] if `success`.
    #[must_use]
    pub fn success_if(success: bool) -> Self {
        if success { Self::Success } else { Self::Failed }
    }

    /// [`Status::Success`] if both are; of the others, [`Status::Failed`] comes first.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::Worse, _) | (_, Self::Worse) => Self::Worse,
            (Self::Success, Self::Success) => Self::Success,
        }
    }

    /// The end of a run with this status, whose report was `printed`: a reader that has closed standard output has seen
    /// enough, and does not change it.
    ///
    /// # Errors
    /// Standard output cannot be written for another reason.
    pub fn printed(self, printed: Result<(), Failure>) -> Result<Self, Failure> {
        match printed {
            Ok(()) | Err(Failure::OutputClosed) => Ok(self),
            Err(failure @ Failure::CannotRun(_)) => Err(failure),
        }
    }
}

/// Why a subcommand could not run to its end.
#[derive(Debug)]
pub enum Failure {
    /// For this reason: exit code 2.
    CannotRun(String),
    /// The reader of standard output has closed it: exit code 0, without a message. A judge goes on instead, so that its
    /// exit code is right, and so does a benchmark with files to write; without, it ends with [`Status::Failed`].
    OutputClosed,
}

impl Failure {
    /// The failure for this reason.
    pub fn cannot_run(reason: impl Into<String>) -> Self {
        Self::CannotRun(reason.into())
    }

    /// The failure to do this, for example `open FILE`, because of an error.
    pub fn cannot(action: impl fmt::Display, error: &io::Error) -> Self {
        Self::CannotRun(format!("cannot {action}: {}", reason(error)))
    }

    /// The failure of writing to standard output.
    #[must_use]
    pub fn output(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::cannot("write to standard output", error),
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

/// The text of an error without Rust's number of it: `Connection refused`, not `Connection refused (os error 111)`.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let number = error.raw_os_error().map(|number| format!(" (os error {number})")).unwrap_or_default();
    text.strip_suffix(&number).unwrap_or(&text).to_owned()
}

/// The exit code of a subcommand that ended so; prints the reason if it could not run.
#[must_use]
pub fn exit_code(end: &Result<Status, Failure>) -> ExitCode {
    match end {
        Ok(Status::Success) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Ok(Status::Failed) => ExitCode::from(1),
        Ok(Status::Worse) => ExitCode::from(3),
        Err(failure @ Failure::CannotRun(_)) => {
            warn(failure);
            ExitCode::from(2)
        }
    }
}

/// The question about a server that has closed a connection on which it has sent nothing.
pub const HEADER_QUESTION: &str = "does it expect a PROXY header (--proxy v2), or none?";

/// Prints a message on standard error; does nothing if that is closed.
pub fn warn(message: &dyn fmt::Display) {
    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("retort: {message}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_reader_does_not_change_the_status() {
        for status in [Status::Success, Status::Failed, Status::Worse] {
            assert_eq!(status.printed(Err(Failure::OutputClosed)).unwrap(), status);
        }
        assert!(Status::Success.printed(Err(Failure::cannot_run("full"))).is_err());
    }

    #[test]
    fn the_number_of_an_error_is_not_part_of_its_reason() {
        assert_eq!(reason(&io::Error::from_raw_os_error(111)), "Connection refused");
        assert_eq!(reason(&io::Error::other("a text (os error 5)")), "a text (os error 5)");
    }
}
