//! Prints intervals while a benchmark runs, beside its progress bar.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::ops::ControlFlow;

use crate::client::failure::Failure;
use crate::client::json::Value;
use crate::client::options::BenchOptions;
use crate::client::progress::RunProgress;

/// Prints intervals to standard output, and draws the progress bar on standard error.
#[derive(Debug)]
pub struct IntervalPrinter {
    progress: RunProgress,
    is_enabled: bool,
    as_json: bool,
    /// There are files to complete, also if intervals cannot be printed.
    goes_on: bool,
    /// The head of the table has been printed.
    has_head: Cell<bool>,
    /// Why intervals cannot be printed.
    failure: RefCell<Option<Failure>>,
}

impl IntervalPrinter {
    /// For a run that starts now.
    #[must_use]
    pub fn new(options: &BenchOptions) -> Self {
        Self {
            progress: RunProgress::new(),
            is_enabled: options.interval.is_some(),
            as_json: options.json,
            goes_on: options.files.are_written(),
            has_head: Cell::new(false),
            failure: RefCell::new(None),
        }
    }

    /// Whether intervals are printed.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.is_enabled && self.failure.borrow().is_none()
    }

    /// The progress bar.
    #[must_use]
    pub fn progress(&self) -> &RunProgress {
        &self.progress
    }

    /// Prints an interval, if intervals are printed: a line, the first below `head`, or with JSON an object of one line.
    /// [`ControlFlow::Break`] ends the measurement, because nobody reads it.
    pub fn print(&self, head: &str, line: impl FnOnce() -> String, object: impl FnOnce() -> Value) -> ControlFlow<()> {
        if !self.is_enabled() {
            return ControlFlow::Continue(());
        }
        let text = match (self.as_json, self.has_head.replace(true)) {
            (true, _) => format!("{}\n", object()),
            (false, true) => line(),
            (false, false) => head.to_owned() + &line(),
        };
        let Err(error) = self.progress.suspend(|| io::stdout().lock().write_all(text.as_bytes())) else {
            return ControlFlow::Continue(());
        };
        self.failure.replace(Some(Failure::output(&error)));
        if self.goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// Removes the progress bar.
    ///
    /// # Errors
    /// An interval could not be printed.
    pub fn finish(self) -> Result<(), Failure> {
        self.progress.finish();
        self.failure.into_inner().map_or(Ok(()), Err)
    }
}
