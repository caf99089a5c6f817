//! TAP, the Test Anything Protocol, version 13: one line per check, and a YAML block for a failure.

use std::io::{self, Write};

use super::reporter::Reporter;
use crate::client::json::Value;
use crate::client::judge::outcome::{Outcome, Pass, RunSummary};

/// TAP, line by line.
pub struct TapReporter;

impl Reporter for TapReporter {
    fn begin(&mut self, out: &mut dyn Write, run: &RunSummary) -> io::Result<()> {
        writeln!(out, "TAP version 13\n1..{}", run.planned.len())
    }

    fn outcome(&mut self, out: &mut dyn Write, number: usize, outcome: &Outcome) -> io::Result<()> {
        let (name, about) = (outcome.subject.name, outcome.subject.about);
        match &outcome.result {
            Ok(Pass::Clean) => writeln!(out, "ok {number} - {name}"),
            Ok(Pass::WithNote(note)) => writeln!(out, "ok {number} - {name}\n# {note}"),
            Ok(Pass::Skipped(reason) | Pass::NotReached(reason)) => {
                writeln!(out, "ok {number} - {name} # SKIP {reason}")
            }
            Err(failure) => {
                writeln!(out, "not ok {number} - {name}\n  ---")?;
                for (key, value) in [
                    ("about", about),
                    ("sent", failure.sent_shown()),
                    ("expected", &failure.expected),
                    ("came", &failure.received),
                    ("hint", &failure.hint),
                ] {
                    // Every JSON string is a YAML string.
                    writeln!(out, "  {key}: {}", Value::from(value))?;
                }
                writeln!(out, "  ...")
            }
        }
    }

    fn end(&mut self, out: &mut dyn Write, run: &RunSummary) -> io::Result<()> {
        let score = run.score();
        writeln!(out, "# {} passed, {} failed, {} skipped", score.passed, score.failed, score.skipped)
    }
}
