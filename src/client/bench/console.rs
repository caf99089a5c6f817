//! What the user sees while a benchmark runs: a line or an object for each interval, and the progress bar.

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;

use super::interval_report::{HEAD, line, object};
use super::monitor::{Monitor, RunState};
use super::series::Interval;
use super::timeline::BenchPhase;
use super::wrapping;
use crate::client::failure::Failure;
use crate::client::options::BenchOptions;
use crate::client::progress::RunProgress;
use crate::units::counted;

/// Prints intervals to standard output, and draws the progress bar on standard error.
#[derive(Debug)]
pub struct Console {
    progress: RunProgress,
    /// Intervals are printed.
    intervals: bool,
    as_json: bool,
    /// There are files to complete, also if intervals cannot be printed.
    goes_on: bool,
    /// The head of the table has been printed.
    has_head: Cell<bool>,
    /// Why intervals cannot be printed.
    failure: RefCell<Option<Failure>>,
}

impl Console {
    /// For a run that starts now.
    #[must_use]
    pub fn new(options: &BenchOptions) -> Self {
        Self {
            progress: RunProgress::new(),
            intervals: options.interval.is_some(),
            as_json: options.json,
            goes_on: options.files.are_written(),
            has_head: Cell::new(false),
            failure: RefCell::new(None),
        }
    }

    /// Removes the progress bar.
    ///
    /// # Errors
    /// An interval could not be printed.
    pub fn finish(self) -> Result<(), Failure> {
        self.progress.finish();
        self.failure.into_inner().map_or(Ok(()), Err)
    }

    fn print(&self, interval: &Interval) -> io::Result<()> {
        let text = match (self.as_json, self.has_head.replace(true)) {
            (true, _) => format!("{}\n", object(interval)),
            (false, true) => line(interval),
            (false, false) => HEAD.to_owned() + &line(interval),
        };
        self.progress.suspend(|| io::stdout().lock().write_all(text.as_bytes()))
    }
}

/// Says what is measured, and for how long: the title of the table, or with JSON a line for the user at the terminal.
/// An error is reported when the table is written.
pub fn announce(as_json: bool, title: &str) {
    let line = wrapping::sentence(title) + "\n";
    let _ = if !as_json {
        io::stdout().write_all(line.as_bytes())
    } else if io::stderr().is_terminal() {
        io::stderr().write_all(line.as_bytes())
    } else {
        Ok(())
    };
}

impl Monitor for Console {
    fn interval(&self, interval: &Interval) -> ControlFlow<()> {
        if !self.intervals || self.failure.borrow().is_some() {
            return ControlFlow::Continue(());
        }
        match self.print(interval) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure.replace(Some(Failure::output(&error)));
                if self.goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            }
        }
    }

    fn progress(&self, state: &RunState) {
        self.progress.show(state.done, || match state.phase {
            BenchPhase::WarmUp => "warm-up".into(),
            BenchPhase::Measuring => {
                format!("{}, {}", counted(state.requests, "request"), counted(state.errors, "error"))
            }
            BenchPhase::Draining => "waiting for the last replies".into(),
        });
    }
}
