//! The results of a run.

use std::time::Duration;

use super::definition::Check;
use super::failure::{CheckResult, Pass};

/// The result of one check.
#[derive(Debug)]
pub struct CheckOutcome {
    /// The check.
    pub check: &'static Check,
    /// Its result.
    pub result: CheckResult,
    /// How long it took.
    pub duration: Duration,
}

/// The run as a whole.
#[derive(Debug)]
pub struct RunSummary {
    /// `HOST:PORT`.
    pub target: String,
    /// The protocol's name.
    pub protocol: &'static str,
    /// The number of checks to run.
    pub planned: usize,
    /// The results of the checks that have run.
    pub outcomes: Vec<CheckOutcome>,
    /// How long the run took; zero until its end.
    pub duration: Duration,
}

/// The number of checks by result.
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
    /// A run of `planned` checks that has not begun.
    pub fn new(target: String, protocol: &'static str, planned: usize) -> Self {
        Self { target, protocol, planned, outcomes: Vec::new(), duration: Duration::ZERO }
    }

    /// Counts each check once.
    pub fn score(&self) -> Score {
        self.outcomes.iter().fold(Score::default(), |score, outcome| match &outcome.result {
            Ok(Pass::Clean) => Score { passed: score.passed + 1, ..score },
            Ok(Pass::WithNote(_)) => Score { passed: score.passed + 1, notes: score.notes + 1, ..score },
            Ok(Pass::Skipped(_)) => Score { skipped: score.skipped + 1, ..score },
            Err(_) => Score { failed: score.failed + 1, ..score },
        })
    }
}
