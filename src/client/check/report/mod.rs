//! What a run of checks tells: text as it goes, or JSON or TAP; and beside it a `JUnit` file.
//!
//! Owns standard output during the run. Guarantees: text and TAP appear line by line, so that a slow run can be
//! watched; the score counts every check once; a `JUnit` file is complete or stays as it was, also where standard output
//! is closed before the last check.

mod json;
mod junit;
mod tap;
mod text;

use std::io::{self, StdoutLock, Write};
use std::time::{Duration, Instant};

use super::Outcome;
use super::context::Context;
use super::flaw::Remark;
use super::table::Check;
use crate::client::failure::{Failure, Status};
use crate::client::options::ReportOptions;
use crate::client::report_file::ReportFile;

/// A way to print outcomes.
trait Form {
    /// Before the first check.
    fn begin(&mut self, out: &mut dyn Write, run: &Run) -> io::Result<()>;
    /// After each check.
    fn outcome(&mut self, out: &mut dyn Write, number: usize, outcome: &Outcome) -> io::Result<()>;
    /// After the last.
    fn end(&mut self, out: &mut dyn Write, run: &Run) -> io::Result<()>;
}

/// The run as a whole.
#[derive(Debug)]
pub struct Run {
    /// `HOST:PORT`.
    pub target: String,
    /// The protocol's name.
    pub protocol: &'static str,
    /// How many checks there are.
    pub planned: usize,
    /// What came of those that ran.
    pub outcomes: Vec<Outcome>,
    /// How long it took so far.
    pub took: Duration,
}

/// How many checks ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Passed, with or without a note.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Passed with a note.
    pub notes: usize,
    /// Not run.
    pub skipped: usize,
}

impl Run {
    fn score(&self) -> Score {
        self.outcomes.iter().fold(Score::default(), |score, outcome| match &outcome.result {
            Ok(Remark::Passed) => Score { passed: score.passed + 1, ..score },
            Ok(Remark::Note(_)) => Score { passed: score.passed + 1, notes: score.notes + 1, ..score },
            Ok(Remark::Skipped(_)) => Score { skipped: score.skipped + 1, ..score },
            Err(_) => Score { failed: score.failed + 1, ..score },
        })
    }
}

/// A run being reported.
pub struct Report {
    form: Box<dyn Form>,
    out: StdoutLock<'static>,
    /// Why nothing is printed any more, in a run that goes on for the file alone.
    unprinted: Option<Failure>,
    junit: Option<ReportFile>,
    begun: Instant,
    run: Run,
}

impl Report {
    /// Opens what there is to open, and prints what comes before the checks.
    pub fn begin(options: &ReportOptions, context: &Context, planned: usize) -> Result<Self, Failure> {
        let form: Box<dyn Form> = match (options.json, options.tap) {
            (true, _) => Box::new(json::Json),
            (_, true) => Box::new(tap::Tap),
            _ => Box::new(text::Text::new(options.quiet)),
        };
        let junit = options.junit.as_deref().map(ReportFile::prepare).transpose()?;
        let run = Run {
            target: context.target().to_string(),
            protocol: context.dialogue().name(),
            planned,
            outcomes: Vec::new(),
            took: Duration::ZERO,
        };
        let mut report = Self { form, out: io::stdout().lock(), unprinted: None, junit, begun: Instant::now(), run };
        let printed = report.form.begin(&mut report.out, &report.run);
        report.note(printed)?;
        Ok(report)
    }

    /// Prints the outcome of a check.
    pub fn outcome(&mut self, outcome: Outcome) -> Result<(), Failure> {
        let number = self.run.outcomes.len() + 1;
        let printed = match self.unprinted {
            None => self.form.outcome(&mut self.out, number, &outcome).and_then(|()| self.out.flush()),
            Some(_) => Ok(()),
        };
        self.run.outcomes.push(outcome);
        self.note(printed)
    }

    /// A failure of standard output ends the run, unless there is a report in a file to complete.
    fn note(&mut self, printed: io::Result<()>) -> Result<(), Failure> {
        match printed.map_err(|error| Failure::output(&error)) {
            Err(failure) if self.junit.is_some() => {
                self.unprinted = Some(failure);
                Ok(())
            }
            printed => printed,
        }
    }

    /// Prints the score, and writes the `JUnit` file.
    pub fn end(mut self) -> Result<Status, Failure> {
        self.run.took = self.begun.elapsed();
        if self.unprinted.is_none() {
            let printed = self.form.end(&mut self.out, &self.run).and_then(|()| self.out.flush());
            self.note(printed)?;
        }
        if let Some(file) = self.junit {
            file.write(junit::document(&self.run).as_bytes())?;
        }
        match self.unprinted {
            Some(failure @ Failure::CannotRun(_)) => Err(failure),
            // The file has the whole report, whoever read standard output.
            Some(Failure::OutputClosed) | None => Ok(Status::success_if(self.run.score().failed == 0)),
        }
    }
}

/// Prints which checks there are.
pub fn list(checks: &[&'static Check]) -> Result<(), Failure> {
    text::list(&mut io::stdout().lock(), checks).map_err(|error| Failure::output(&error))
}
