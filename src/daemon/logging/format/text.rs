//! Lines on standard error.

use std::fmt::{self, Write};

use crate::daemon::config::args::LogFormat;
use crate::daemon::logging::line::{Line, NAME, time_stamp};

/// What is in front of a message on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// The time and the program's name, at every log level; a JSON object has its own time.
    Stamp,
    /// A priority (sd-daemon(3)): standard error is the journal, which adds the time and the name.
    Priority,
}

/// Appends a line, of which this is the message.
///
/// # Errors
/// As those of `out`.
pub fn write_line(out: &mut impl Write, prefix: Prefix, format: LogFormat, line: &Line, message: &str) -> fmt::Result {
    match (prefix, format) {
        (Prefix::Stamp, LogFormat::Text) => writeln!(out, "{} {NAME}: {message}", time_stamp(line.time)),
        (Prefix::Stamp, LogFormat::Json) => writeln!(out, "{message}"),
        (Prefix::Priority, _) => writeln!(out, "<{}>{message}", line.severity as u8),
    }
}
