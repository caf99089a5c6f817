//! The interface of the formats that are printed.

use std::io::{self, Write};

use crate::client::judge::outcome::{Outcome, RunSummary};

/// Prints a run in one format.
pub trait Reporter {
    /// Before the first check.
    fn begin(&mut self, out: &mut dyn Write, run: &RunSummary) -> io::Result<()>;
    /// After each check; `number` counts from 1.
    fn outcome(&mut self, out: &mut dyn Write, number: usize, outcome: &Outcome) -> io::Result<()>;
    /// If every check has failed for one reason, without having run.
    fn all_failed(&mut self, out: &mut dyn Write, outcomes: &[Outcome]) -> io::Result<()> {
        (1..).zip(outcomes).try_for_each(|(number, outcome)| self.outcome(out, number, outcome))
    }
    /// After the last.
    fn end(&mut self, out: &mut dyn Write, run: &RunSummary) -> io::Result<()>;
}
