//! The report of a run: text, JSON or TAP on standard output, and beside it a `JUnit` file.
//!
//! Owns standard output during the run. Guarantees: text and TAP appear line by line, so that a slow run can be
//! watched; a `JUnit` file is complete or stays as it was, also if standard output is closed before the last result.

mod json;
mod junit;
mod reporter;
mod tap;
mod text;

use std::io::{self, StdoutLock, Write};
use std::time::{Duration, Instant};

use super::mismatch::Mismatch;
use super::outcome::{Outcome, RunSummary};
use super::subject::Subject;
use crate::client::failure::{Failure, Status};
use crate::client::options::{ColorWhen, ReportOptions};
use crate::client::report_file::ReportFile;
use reporter::Reporter;

/// The report of a run in progress.
pub struct Report {
    reporter: Box<dyn Reporter>,
    out: StdoutLock<'static>,
    /// Why nothing more is printed, in a run that continues only for the file.
    print_failure: Option<Failure>,
    junit: Option<ReportFile>,
    started: Instant,
    run: RunSummary,
}

impl Report {
    /// Prepares the file; prints nothing.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn prepare(options: &ReportOptions, color: ColorWhen, run: RunSummary) -> Result<Self, Failure> {
        let reporter: Box<dyn Reporter> = match (options.json, options.tap) {
            (true, _) => Box::new(json::JsonReporter),
            (_, true) => Box::new(tap::TapReporter),
            _ => Box::new(text::TextReporter::new(options.quiet, color.on_stdout())),
        };
        let junit = options.junit.as_deref().map(ReportFile::prepare).transpose()?;
        let (out, started) = (io::stdout().lock(), Instant::now());
        Ok(Self { reporter, out, print_failure: None, junit, started, run })
    }

    /// Prints the lines before the first result. The target is `HOST:PORT`, or a command.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn begin(&mut self, target: String) -> Result<(), Failure> {
        (self.run.target, self.started) = (target, Instant::now());
        let printed = self.reporter.begin(&mut self.out, &self.run);
        self.after_printing(printed)
    }

    /// Adds a result, and prints it.
    ///
    /// # Errors
    /// Standard output cannot be written, and there is no file to complete.
    pub fn add(&mut self, outcome: Outcome) -> Result<(), Failure> {
        let number = self.run.outcomes.len() + 1;
        let printed = match self.print_failure {
            None => self.reporter.outcome(&mut self.out, number, &outcome).and_then(|()| self.out.flush()),
            Some(_) => Ok(()),
        };
        self.run.outcomes.push(outcome);
        self.after_printing(printed)
    }

    /// Adds the same failure of everything, none of which has run, and prints it.
    ///
    /// # Errors
    /// As [`Report::add`].
    pub fn add_all_failed(&mut self, mismatch: &Mismatch) -> Result<(), Failure> {
        let outcome = |&subject| Outcome { subject, result: Err(mismatch.clone()), duration: Duration::ZERO };
        self.run.outcomes.extend(self.run.planned.iter().map(outcome));
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
    ///
    /// # Errors
    /// Standard output or the file cannot be written.
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

/// Prints the list of subjects.
///
/// # Errors
/// Standard output cannot be written.
pub fn list(subjects: &[Subject]) -> Result<(), Failure> {
    text::list(&mut io::stdout().lock(), subjects).map_err(|error| Failure::output(&error))
}
