//! What the user sees while a benchmark runs: a line or an object for each interval, and the progress bar.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;

use super::interval_printer::IntervalPrinter;
use super::interval_report::{HEAD, line, object};
use super::monitor::{Monitor, RunState};
use super::series::Interval;
use super::timeline::BenchPhase;
use super::wrapping;
use crate::client::failure::Failure;
use crate::client::options::BenchOptions;
use crate::units::counted;

/// What the user sees while it runs.
#[derive(Debug)]
pub struct Console(IntervalPrinter);

impl Console {
    /// For a run that starts now.
    #[must_use]
    pub fn new(options: &BenchOptions) -> Self {
        Self(IntervalPrinter::new(options))
    }

    /// Removes the progress bar.
    ///
    /// # Errors
    /// An interval could not be printed.
    pub fn finish(self) -> Result<(), Failure> {
        self.0.finish()
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
        self.0.print(HEAD, || line(interval), || object(interval))
    }

    fn progress(&self, state: &RunState) {
        self.0.progress().show(state.done, || match state.phase {
            BenchPhase::WarmUp => "warm-up".into(),
            BenchPhase::Measuring => {
                format!("{}, {}", counted(state.requests, "request"), counted(state.errors, "error"))
            }
            BenchPhase::Draining => "waiting for the last replies".into(),
        });
    }
}
