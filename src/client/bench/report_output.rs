//! What reports of every kind have in common: how they are printed, and the errors in them.

use std::io::{self, Write};

use super::measurement::ErrorClass;
use crate::client::failure::Failure;
use crate::client::json::{Map, Value};
use crate::client::options::BenchOptions;

/// Prints a report: the table, or with `--json` the object.
///
/// # Errors
/// Standard output cannot be written.
pub fn print_report(
    options: &BenchOptions,
    table: impl FnOnce() -> String,
    json: impl FnOnce() -> Value,
) -> Result<(), Failure> {
    let text = match options.interval {
        _ if !options.json => table(),
        // one object a line, as those of the intervals before it
        Some(_) => format!("{}\n", json()),
        None => format!("{:#}\n", json()),
    };
    print(&text)
}

/// Prints text.
///
/// # Errors
/// Standard output cannot be written.
pub fn print(text: &str) -> Result<(), Failure> {
    io::stdout().lock().write_all(text.as_bytes()).map_err(|error| Failure::output(&error))
}

/// The number of errors of each class, for JSON.
pub fn errors_by_class(errors_of: impl Fn(ErrorClass) -> u64) -> Map {
    let count = |class: ErrorClass| (class.name().replace(' ', "_"), Value::from(errors_of(class)));
    ErrorClass::ALL.into_iter().map(count).collect()
}
