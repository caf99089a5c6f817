//! The formats of the log: what a line looks like on standard error, in a JSON object, and in the journal.
//!
//! `--log-format` decides the message of a line: its text, or a JSON object. The target decides what is around it: the
//! time and the program's name on standard error, a header of the system log, or the fields of the journal.

pub mod journal;
mod json;
pub mod text;

use std::borrow::Cow;

use super::line::Line;
use crate::daemon::config::args::LogFormat;

/// The message of a line.
#[must_use]
pub fn message(format: LogFormat, line: &Line) -> Cow<'_, str> {
    match format {
        LogFormat::Text => line.message.text().into(),
        LogFormat::Json => json::object(line).into(),
    }
}
