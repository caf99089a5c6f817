//! TAP, the Test Anything Protocol, version 13: one line a check, and a YAML block for a failure.

use std::io::{self, Write};

use super::super::flaw::Remark;
use super::{Form, Outcome, Run};
use crate::client::json::Value;

/// TAP, line by line.
pub struct Tap;

impl Form for Tap {
    fn begin(&mut self, out: &mut dyn Write, run: &Run) -> io::Result<()> {
        writeln!(out, "TAP version 13\n1..{}", run.planned)
    }

    fn outcome(&mut self, out: &mut dyn Write, number: usize, outcome: &Outcome) -> io::Result<()> {
        let (name, about) = (outcome.check.name, outcome.check.about);
        match &outcome.result {
            Ok(Remark::Passed) => writeln!(out, "ok {number} - {name}"),
            Ok(Remark::Note(note)) => writeln!(out, "ok {number} - {name}\n# {note}"),
            Ok(Remark::Skipped(reason)) => writeln!(out, "ok {number} - {name} # SKIP {reason}"),
            Err(flaw) => {
                writeln!(out, "not ok {number} - {name}\n  ---")?;
                for (key, value) in [
                    ("about", about.to_owned()),
                    ("sent", flaw.sent.shown()),
                    ("expected", flaw.expected_shown()),
                    ("came", flaw.came_shown()),
                    ("hint", flaw.hint.to_owned()),
                ] {
                    // A JSON string is a YAML string.
                    writeln!(out, "  {key}: {}", Value::from(value))?;
                }
                writeln!(out, "  ...")
            }
        }
    }

    fn end(&mut self, out: &mut dyn Write, run: &Run) -> io::Result<()> {
        let score = run.score();
        writeln!(out, "# {} passed, {} failed, {} skipped", score.passed, score.failed, score.skipped)
    }
}
