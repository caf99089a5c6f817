//! The report that people read.

use std::io::{self, IsTerminal, Write};

use super::super::flaw::{Flaw, Remark};
use super::super::table::Check;
use super::{Form, Outcome, Run};

/// Text, in colour on a terminal unless `NO_COLOR` is set.
pub struct Text {
    quiet: bool,
    colour: bool,
    group: &'static str,
}

const GREEN: &str = "32";
const RED: &str = "1;31";
const YELLOW: &str = "33";
const FAINT: &str = "2";

impl Text {
    /// With `quiet`, only failures and the score.
    pub fn new(quiet: bool) -> Self {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
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

    fn flaw(&self, out: &mut dyn Write, flaw: &Flaw) -> io::Result<()> {
        if flaw.sent.total > 0 {
            writeln!(out, "        {} {}", self.painted(FAINT, "sent     "), flaw.sent.shown())?;
        }
        writeln!(out, "        {} {}", self.painted(FAINT, "expected "), flaw.expected_shown())?;
        writeln!(out, "        {} {}", self.painted(FAINT, "came     "), flaw.came_shown())?;
        writeln!(out, "        {} {}", self.painted(FAINT, "hint     "), flaw.hint)
    }
}

impl Form for Text {
    fn begin(&mut self, out: &mut dyn Write, run: &Run) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        writeln!(out, "{} on {}: {} checks", run.protocol, run.target, run.planned)
    }

    fn outcome(&mut self, out: &mut dyn Write, _number: usize, outcome: &Outcome) -> io::Result<()> {
        let check = outcome.check;
        match &outcome.result {
            Err(flaw) => {
                let mark = self.painted(RED, "FAIL");
                self.line(out, &mark, check, check.about)?;
                self.flaw(out, flaw)
            }
            _ if self.quiet => Ok(()),
            Ok(Remark::Passed) => {
                let mark = self.painted(GREEN, "ok  ");
                self.line(out, &mark, check, check.about)
            }
            Ok(Remark::Note(words)) => {
                let mark = self.painted(YELLOW, "note");
                self.line(out, &mark, check, words)
            }
            Ok(Remark::Skipped(reason)) => {
                let mark = self.painted(FAINT, "skip");
                self.line(out, &mark, check, reason)
            }
        }
    }

    fn end(&mut self, out: &mut dyn Write, run: &Run) -> io::Result<()> {
        let score = run.score();
        let passed = format!("{} of {} checks passed", score.passed, score.passed + score.failed);
        let gap = if self.quiet && self.group.is_empty() { "" } else { "\n" };
        write!(out, "{gap}{}", self.painted(if score.failed == 0 { GREEN } else { RED }, &passed))?;
        for (count, one, many) in
            [(score.failed, "failed", "failed"), (score.notes, "note", "notes"), (score.skipped, "skipped", "skipped")]
        {
            if count > 0 {
                write!(out, ", {count} {}", if count == 1 { one } else { many })?;
            }
        }
        writeln!(out, ", in {:.1} s", run.took.as_secs_f64())
    }
}

/// The names of checks, with their groups and what they are about.
pub fn list(out: &mut dyn Write, checks: &[&'static Check]) -> io::Result<()> {
    let mut text = Text { quiet: false, colour: false, group: "" };
    for check in checks {
        if text.group != check.group {
            let gap = if text.group.is_empty() { "" } else { "\n" };
            text.group = check.group;
            writeln!(out, "{gap}{}", check.group)?;
        }
        writeln!(out, "  {:<24} {}", check.name, check.about)?;
    }
    Ok(())
}
