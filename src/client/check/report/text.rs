//! The report for people.

use std::io::{self, Write};

use super::reporter::Reporter;
use crate::client::check::definition::Check;
use crate::client::check::failure::{CheckFailure, Pass};
use crate::client::check::outcome::{CheckOutcome, RunSummary};
use crate::units::{counted, noun_for};

/// Text, with or without colours.
pub struct TextReporter {
    /// Only failures and the score.
    quiet: bool,
    colour: bool,
    /// The group of the last check that was printed; empty before the first.
    group: &'static str,
}

// Parameters of the escape sequence SGR, console_codes(4).
const GREEN: &str = "32";
const RED: &str = "1;31";
const YELLOW: &str = "33";
const FAINT: &str = "2";

impl TextReporter {
    /// With `quiet`, prints only failures and the score.
    pub fn new(quiet: bool, colour: bool) -> Self {
        Self { quiet, colour, group: "" }
    }

    fn painted(&self, colour: &str, word: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() }
    }

    fn line(&mut self, out: &mut dyn Write, mark: &str, check: &Check, words: &str) -> io::Result<()> {
        if self.group != check.group {
            self.group = check.group;
            writeln!(out, "\n{}", check.group)?;
        }
        writeln!(out, "  {mark}  {:<24} {words}", check.name)
    }

    fn failure(&self, out: &mut dyn Write, failure: &CheckFailure) -> io::Result<()> {
        if failure.sent.total > 0 {
            writeln!(out, "        {} {}", self.painted(FAINT, "sent     "), failure.sent.shown())?;
        }
        writeln!(out, "        {} {}", self.painted(FAINT, "expected "), failure.expected_shown())?;
        writeln!(out, "        {} {}", self.painted(FAINT, "received "), failure.received_shown())?;
        writeln!(out, "        {} {}", self.painted(FAINT, "hint     "), failure.hint)
    }
}

impl Reporter for TextReporter {
    fn begin(&mut self, out: &mut dyn Write, run: &RunSummary) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        writeln!(out, "{} on {}: {}", run.protocol, run.target, counted(run.planned, "check"))
    }

    fn outcome(&mut self, out: &mut dyn Write, _number: usize, outcome: &CheckOutcome) -> io::Result<()> {
        let check = outcome.check;
        match &outcome.result {
            Err(failure) => {
                let mark = self.painted(RED, "FAIL");
                self.line(out, &mark, check, check.about)?;
                self.failure(out, failure)
            }
            _ if self.quiet => Ok(()),
            Ok(Pass::Clean) => {
                let mark = self.painted(GREEN, "ok  ");
                self.line(out, &mark, check, check.about)
            }
            Ok(Pass::WithNote(words)) => {
                let mark = self.painted(YELLOW, "note");
                self.line(out, &mark, check, words)
            }
            Ok(Pass::Skipped(reason)) => {
                let mark = self.painted(FAINT, "skip");
                self.line(out, &mark, check, reason)
            }
        }
    }

    fn all_failed(&mut self, out: &mut dyn Write, outcomes: &[CheckOutcome]) -> io::Result<()> {
        let Some(Err(failure)) = outcomes.first().map(|outcome| &outcome.result) else { return Ok(()) };
        let gap = if self.quiet { "" } else { "\n" };
        writeln!(out, "{gap}{}  {} Received: {}", self.painted(RED, "FAIL"), failure.hint, failure.received_shown())
    }

    fn end(&mut self, out: &mut dyn Write, run: &RunSummary) -> io::Result<()> {
        let score = run.score();
        let passed = format!("{} of {} checks passed", score.passed, score.passed + score.failed);
        let gap = if self.quiet && self.group.is_empty() { "" } else { "\n" };
        write!(out, "{gap}{}", self.painted(if score.failed == 0 { GREEN } else { RED }, &passed))?;
        let notes = noun_for(score.notes, "note");
        for (count, word) in [(score.failed, "failed"), (score.notes, notes.as_str()), (score.skipped, "skipped")] {
            if count > 0 {
                write!(out, ", {count} {word}")?;
            }
        }
        writeln!(out, ", in {:.1} s", run.duration.as_secs_f64())
    }
}

/// Prints the names of the checks by group, each with its description.
pub fn list(out: &mut dyn Write, checks: &[&'static Check]) -> io::Result<()> {
    let mut group = "";
    for check in checks {
        if group != check.group {
            let gap = if group.is_empty() { "" } else { "\n" };
            group = check.group;
            let when = if check.is_default() { "" } else { " (only with --only)" };
            writeln!(out, "{gap}{group}{when}")?;
        }
        writeln!(out, "  {:<24} {}", check.name, check.about)?;
    }
    Ok(())
}
