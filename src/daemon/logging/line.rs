//! One line of the log: when it was logged, how serious it is, and its message.
//!
//! A line is a value that no target has shaped yet: [`super::queue`] keeps lines in order, [`super::format`] writes one
//! as text, as JSON or as fields of the journal, and [`super::sink`] sends it.

use std::fmt::Display;
use std::time::SystemTime;

use log::Level;

use super::message::Message;

/// The program's name in the log.
pub const NAME: &str = "retortd";

/// How serious a line is; the numbers are those of syslog(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// `LOG_ERR`
    Error = 3,
    /// `LOG_WARNING`
    Warning = 4,
    /// `LOG_INFO`
    Info = 6,
    /// `LOG_DEBUG`
    Debug = 7,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::Error,
            Level::Warn => Self::Warning,
            Level::Info => Self::Info,
            Level::Debug | Level::Trace => Self::Debug,
        }
    }
}

impl Severity {
    /// The value of `level` in a JSON object.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// A line for the log.
#[derive(Debug)]
pub struct Line {
    /// When it was logged.
    pub time: SystemTime,
    /// How serious it is.
    pub severity: Severity,
    /// What it says.
    pub message: Message,
}

/// The time in a line: `2026-11-21T10:00:00.000Z` (RFC 3339).
pub fn time_stamp(time: SystemTime) -> impl Display {
    humantime::format_rfc3339_millis(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stamps_have_milliseconds() {
        assert_eq!(time_stamp(SystemTime::UNIX_EPOCH).to_string(), "1970-01-01T00:00:00.000Z");
    }
}
