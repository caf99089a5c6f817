//! The report of a run: text, JSON or TAP on standard output, and beside it a `JUnit` file.
//!
//! Owns standard output during the run. Guarantees: text and TAP appear line by line, so that a slow run can be
//! watched; a `JUnit` file is complete or stays as it was, also if standard output is closed before the last check.

mod json;
mod junit;
mod reporter;
mod tap;
mod text;

use std::io::{self, StdoutLock, Write};
use std::time::{Duration, Instant};

use super::definition::Check;
use super::failure::CheckFailure;
use super::outcome::{CheckOutcome, RunSummary};
use crate::client::failure::{Failure, Status};
use crate::client::options::{ColorWhen, ReportOptions};
use crate::client::report_file::ReportFile;
use reporter::Reporter;

/// The report of a run in progress.
pub struct CheckReport {
    reporter: Box<dyn Reporter>,
    out: StdoutLock<'static>,
    /// Why nothing more is printed, in a run that continues only for the file.
    print_failure: Option<Failure>,
    junit: Option<ReportFile>,
    started: Instant,
    run: RunSummary,
}

impl CheckReport {
    /// Prepares the file, and prints the lines before the first check.
    pub fn begin(options: &ReportOptions, color: ColorWhen, run: RunSummary) -> Result<Self, Failure> {
        let reporter: Box<dyn Reporter> = match (options.json, options.tap) {
            (true, _) => Box::new(json::JsonReporter),
            (_, true) => Box::new(tap::TapReporter),
            _ => Box::new(text::TextReporter::new(options.quiet, color.on_stdout())),
        };
        let junit = options.junit.as_deref().map(ReportFile::prepare).transpose()?;
        let (out, started) = (io::stdout().lock(), Instant::now());
        let mut report = Self { reporter, out, print_failure: None, junit, started, run };
        let printed = report.reporter.begin(&mut report.out, &report.run);
        report.after_printing(printed)?;
        Ok(report)
    }

    /// Adds the outcome of a check, and prints it.
    pub fn add(&mut self, outcome: CheckOutcome) -> Result<(), Failure> {
        let number = self.run.outcomes.len() + 1;
        let printed = match self.print_failure {
            None => self.reporter.outcome(&mut self.out, number, &outcome).and_then(|()| self.out.flush()),
            Some(_) => Ok(()),
        };
        self.run.outcomes.push(outcome);
        self.after_printing(printed)
    }

    /// Adds the same failure of all checks, none of which has run, and prints it.
    pub fn add_all_failed(&mut self, checks: &[&'static Check], failure: &CheckFailure) -> Result<(), Failure> {
        let outcome = |&check| CheckOutcome { check, result: Err(failure.clone()), duration: Duration::ZERO };
        self.run.outcomes.extend(checks.iter().map(outcome));
        let printed = match self.print_failure {
            None => self.reporter.all_failed(&mut self.out, &self.run.outcomes),
            Some(_) => Ok(()),
        };
        self.after_printing(printed)
    }

    /// A failure of standard output ends the run, unless there is a file to complete.
    fn after_printing(&mut self, printed: io::Result<()>) -> Result<(), Failure> {
        match printed.map_err(|error| Failure::output(&error)) {
            Err(failure) if self.junit.is_some() => {
                self.print_failure = Some(failure);
                Ok(())
            }
            printed => printed,
        }
    }

    /// Prints the score, and writes the `JUnit` file.
    pub fn end(mut self) -> Result<Status, Failure> {
        self.run.duration = self.started.elapsed();
        if self.print_failure.is_none() {
            let printed = self.reporter.end(&mut self.out, &self.run).and_then(|()| self.out.flush());
            self.after_printing(printed)?;
        }
        if let Some(file) = self.junit {
            file.write(junit::document(&self.run).as_bytes())?;
        }
        match self.print_failure {
            Some(failure @ Failure::CannotRun(_)) => Err(failure),
            // The file has the whole report, even if the reader of standard output has closed it.
            Some(Failure::OutputClosed) | None => Ok(Status::success_if(self.run.score().failed == 0)),
        }
    }
}

/// Prints the list of checks.
pub fn list(checks: &[&'static Check]) -> Result<(), Failure> {
    text::list(&mut io::stdout().lock(), checks).map_err(|error| Failure::output(&error))
}
