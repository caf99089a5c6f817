//! The results of a run.

use std::time::Duration;

use super::mismatch::Mismatch;
use super::subject::{Judge, Subject};

/// A result that is not a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pass {
    /// The program did what it should.
    Clean,
    /// The program did something that is allowed and worth knowing.
    WithNote(String),
    /// It was not judged, for this reason.
    Skipped(String),
    /// It was not judged because the program no longer runs: skipped in a report, failed for a grader.
    NotReached(String),
}

/// The result of one check or scenario.
#[derive(Debug)]
pub struct Outcome {
    /// What was judged.
    pub subject: Subject,
    /// Its result.
    pub result: Result<Pass, Mismatch>,
    /// How long it took.
    pub duration: Duration,
}

/// The run as a whole.
#[derive(Debug)]
pub struct RunSummary {
    /// The judge.
    pub judge: Judge,
    /// The program that is judged: `HOST:PORT`, or a command.
    pub target: String,
    /// The protocol's name.
    pub protocol: &'static str,
    /// What is to be judged, in this order.
    pub planned: Vec<Subject>,
    /// The results so far.
    pub outcomes: Vec<Outcome>,
    /// How long the run took; zero until its end.
    pub duration: Duration,
}

/// The number of subjects by result.
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

impl RunSummary {
    /// A run that has not begun.
    #[must_use]
    pub fn new(judge: Judge, protocol: &'static str, planned: Vec<Subject>) -> Self {
        Self { judge, target: String::new(), protocol, planned, outcomes: Vec::new(), duration: Duration::ZERO }
    }

    /// Counts each result once.
    #[must_use]
    pub fn score(&self) -> Score {
        self.outcomes.iter().fold(Score::default(), |score, outcome| match &outcome.result {
            Ok(Pass::Clean) => Score { passed: score.passed + 1, ..score },
            Ok(Pass::WithNote(_)) => Score { passed: score.passed + 1, notes: score.notes + 1, ..score },
            Ok(Pass::Skipped(_) | Pass::NotReached(_)) => Score { skipped: score.skipped + 1, ..score },
            Err(_) => Score { failed: score.failed + 1, ..score },
        })
    }
}
