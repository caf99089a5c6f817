//! One line of the log: how serious it is, when it was logged, and its text without control characters.
//!
//! A line is a value that no target has shaped yet: [`super::queue`] keeps lines in order, and [`super::sink`] formats
//! each for its target (`Sink::format`) and writes it. Another format, such as JSON, would be another arm there; what
//! it would need beside the text (listener, peer, reason) would be further fields of [`Line`], filled from the
//! key-value pairs of the `log::Record`.

use std::fmt::Display;
use std::time::SystemTime;

use log::Level;

/// The program's name in the log.
pub const NAME: &str = "retortd";
/// The maximum length of a line, in bytes. Derived: RFC 3164 section 4.1 allows 1024 with the header.
pub const MAX_LINE: usize = 900;

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

/// A line for the log, free of control characters.
#[derive(Debug)]
pub struct Line {
    /// When it was logged.
    pub time: SystemTime,
    /// How serious it is.
    pub severity: Severity,
    /// The message.
    pub text: String,
}

/// A message as the text of one line: control characters are escaped, and what exceeds [`MAX_LINE`] is cut.
#[must_use]
pub fn clean(message: &str) -> String {
    let mut line = String::with_capacity(message.len().min(MAX_LINE));
    for character in message.chars() {
        if line.len() >= MAX_LINE {
            line.push_str("...");
            break;
        }
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// The time at the beginning of a line: `2026-11-21T10:00:00.000Z` (RFC 3339).
pub fn time_stamp(time: SystemTime) -> impl Display {
    humantime::format_rfc3339_millis(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_messages_cut() {
        assert_eq!(clean("a\nb\u{1b}[2J\0\r\u{9b}é"), "a\\nb\\u{1b}[2J\\u{0}\\r\\u{9b}é");
        let long = clean(&"é".repeat(10_000));
        assert!(long.len() <= MAX_LINE + 5 && long.ends_with("..."), "{}", long.len());
    }

    #[test]
    fn time_stamps_have_milliseconds() {
        assert_eq!(time_stamp(SystemTime::UNIX_EPOCH).to_string(), "1970-01-01T00:00:00.000Z");
    }
}
