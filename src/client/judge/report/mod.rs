//! The report of a run: text, JSON or TAP on standard output, and beside it a `JUnit` file and the results for systems
//! that grade.
//!
//! Owns standard output during the run. Guarantees: text and TAP appear line by line, so that a slow run can be
//! watched; a file is complete or stays as it was, also if standard output is closed before the last result.

mod classroom;
mod grader;
mod gradescope;
mod json;
mod junit;
mod reporter;
mod tap;
mod text;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::mismatch::Mismatch;
use super::outcome::{Outcome, RunSummary};
use super::subject::Subject;
use crate::client::failure::{Failure, Status, warn};
use crate::client::options::{ColorWhen, ReportOptions};
use crate::client::report_file::ReportFile;
use grader::GraderFiles;
use reporter::Reporter;

/// The report of a run in progress.
pub struct Report {
    reporter: Box<dyn Reporter>,
    /// Standard output, or standard error if that has only the output for a system that grades.
    out: Box<dyn Write>,
    /// Why nothing more is printed, in a run that continues for the exit code or a file.
    print_failure: Option<Failure>,
    junit: Option<ReportFile>,
    grader: Option<GraderFiles>,
    started: Instant,
    run: RunSummary,
}

impl Report {
    /// Prepares the files; prints nothing.
    ///
    /// # Errors
    /// A file cannot be created, or an option names a group that is not planned.
    pub fn prepare(options: &ReportOptions, color: ColorWhen, run: RunSummary) -> Result<Self, Failure> {
        let grader = GraderFiles::prepare(options, &run)?;
        let junit = options.junit.as_deref().map(ReportFile::prepare).transpose()?;
        let on_stderr = grader.as_ref().is_some_and(GraderFiles::take_stdout);
        let (out, has_colour): (Box<dyn Write>, bool) = if on_stderr {
            (Box::new(io::stderr()), color == ColorWhen::Always)
        } else {
            (Box::new(io::stdout().lock()), color.on_stdout())
        };
        let reporter: Box<dyn Reporter> = match (options.json, options.tap) {
            (true, _) => Box::new(json::JsonReporter),
            (_, true) => Box::new(tap::TapReporter),
            _ => Box::new(text::TextReporter::new(options.quiet, has_colour)),
        };
        Ok(Self { reporter, out, print_failure: None, junit, grader, started: Instant::now(), run })
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
    /// Standard output cannot be written for another reason than that its reader has closed it, and there is no file to
    /// complete.
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

    /// A failure of standard output ends the run, unless there is a file to complete. A reader that has closed it, such as
    /// `head`, has seen enough, but the exit code is that of the whole run.
    fn after_printing(&mut self, printed: io::Result<()>) -> Result<(), Failure> {
        let Err(error) = printed else { return Ok(()) };
        let failure = Failure::output(&error);
        let is_needed = self.junit.is_some() || self.grader.is_some();
        if matches!(failure, Failure::CannotRun(_)) && !is_needed {
            return Err(failure);
        }
        self.print_failure = Some(failure);
        Ok(())
    }

    /// Prints the score, and writes the files.
    ///
    /// # Errors
    /// Standard output or a file cannot be written.
    pub fn end(mut self) -> Result<Status, Failure> {
        self.run.duration = self.started.elapsed();
        if self.print_failure.is_none() {
            let printed = self.reporter.end(&mut self.out, &self.run).and_then(|()| self.out.flush());
            self.after_printing(printed)?;
        }
        // Each file is written, whatever became of the others.
        let junit = self.junit.map_or(Ok(()), |file| file.write(junit::document(&self.run).as_bytes()));
        self.grader.map_or(Ok(()), |grader| grader.write(&self.run, None)).and(junit)?;
        match self.print_failure {
            Some(failure @ Failure::CannotRun(_)) => Err(failure),
            Some(Failure::OutputClosed) | None => Ok(Status::success_if(self.run.score().failed == 0)),
        }
    }

    /// Ends a run that cannot come to its end for this reason, which it returns. A system that grades gets its results
    /// all the same: what was not judged has failed.
    #[must_use]
    pub fn abandon(mut self, failure: Failure) -> Failure {
        self.run.duration = self.started.elapsed();
        if let Some(Err(second)) = self.grader.map(|grader| grader.write(&self.run, Some(&failure.to_string()))) {
            warn(&second);
        }
        failure
    }
}

/// Prints the list of subjects.
///
/// # Errors
/// Standard output cannot be written.
pub fn list(subjects: &[Subject]) -> Result<(), Failure> {
    text::list(&mut io::stdout().lock(), subjects).map_err(|error| Failure::output(&error))
}
