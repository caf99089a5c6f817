//! The report for people.

use std::io::{self, Write};

use super::reporter::Reporter;
use crate::client::judge::mismatch::Mismatch;
use crate::client::judge::outcome::{Outcome, Pass, RunSummary};
use crate::client::judge::subject::Subject;
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

    fn line(&mut self, out: &mut dyn Write, mark: &str, subject: Subject, words: &str) -> io::Result<()> {
        if self.group != subject.group {
            self.group = subject.group;
            writeln!(out, "\n{}", subject.group)?;
        }
        writeln!(out, "  {mark}  {:<24} {words}", subject.name)
    }

    fn failure(&self, out: &mut dyn Write, failure: &Mismatch) -> io::Result<()> {
        if let Some(sent) = &failure.sent {
            writeln!(out, "        {} {sent}", self.painted(FAINT, "sent     "))?;
        }
        writeln!(out, "        {} {}", self.painted(FAINT, "expected "), failure.expected)?;
        writeln!(out, "        {} {}", self.painted(FAINT, "received "), failure.received)?;
        writeln!(out, "        {} {}", self.painted(FAINT, "hint     "), failure.hint)
    }
}

impl Reporter for TextReporter {
    fn begin(&mut self, out: &mut dyn Write, run: &RunSummary) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        writeln!(out, "{} on {}: {}", run.protocol, run.target, counted(run.planned.len(), run.judge.noun()))
    }

    fn outcome(&mut self, out: &mut dyn Write, _number: usize, outcome: &Outcome) -> io::Result<()> {
        let subject = outcome.subject;
        match &outcome.result {
            Err(failure) => {
                let mark = self.painted(RED, "FAIL");
                self.line(out, &mark, subject, subject.about)?;
                self.failure(out, failure)
            }
            _ if self.quiet => Ok(()),
            Ok(Pass::Clean) => {
                let mark = self.painted(GREEN, "ok  ");
                self.line(out, &mark, subject, subject.about)
            }
            Ok(Pass::WithNote(words)) => {
                let mark = self.painted(YELLOW, "note");
                self.line(out, &mark, subject, words)
            }
            Ok(Pass::Skipped(reason) | Pass::NotReached(reason)) => {
                let mark = self.painted(FAINT, "skip");
                self.line(out, &mark, subject, reason)
            }
        }
    }

    fn all_failed(&mut self, out: &mut dyn Write, outcomes: &[Outcome]) -> io::Result<()> {
        let Some(Err(failure)) = outcomes.first().map(|outcome| &outcome.result) else { return Ok(()) };
        let gap = if self.quiet { "" } else { "\n" };
        let stop = if failure.hint.ends_with('?') { "" } else { "." };
        writeln!(out, "{gap}{}  {}{stop} Received: {}", self.painted(RED, "FAIL"), failure.hint, failure.received)
    }

    fn end(&mut self, out: &mut dyn Write, run: &RunSummary) -> io::Result<()> {
        let score = run.score();
        let passed = format!("{} of {} {} passed", score.passed, score.passed + score.failed, run.judge.nouns());
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

/// Prints the names of the subjects by group, each with its description.
pub fn list(out: &mut dyn Write, subjects: &[Subject]) -> io::Result<()> {
    let mut group = "";
    for subject in subjects {
        if group != subject.group {
            let gap = if group.is_empty() { "" } else { "\n" };
            group = subject.group;
            let when = if subject.only_by_name { " (only with --only)" } else { "" };
            writeln!(out, "{gap}{group}{when}")?;
        }
        writeln!(out, "  {:<24} {}", subject.name, subject.about)?;
    }
    Ok(())
}
