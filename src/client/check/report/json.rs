//! One JSON object for the whole run.

use std::io::{self, Write};

use super::super::flaw::Remark;
use super::{Form, Outcome, Run};
use crate::client::json::{Value, json};

/// JSON, when all is done.
pub struct Json;

impl Form for Json {
    fn begin(&mut self, _out: &mut dyn Write, _run: &Run) -> io::Result<()> {
        Ok(())
    }

    fn outcome(&mut self, _out: &mut dyn Write, _number: usize, _outcome: &Outcome) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write, run: &Run) -> io::Result<()> {
        let score = run.score();
        let document = json!({
            "target": run.target,
            "protocol": run.protocol,
            "passed": score.passed,
            "failed": score.failed,
            "notes": score.notes,
            "skipped": score.skipped,
            "seconds": run.took.as_secs_f64(),
            "checks": run.outcomes.iter().map(entry).collect::<Vec<_>>(),
        });
        writeln!(out, "{document:#}")
    }
}

fn entry(outcome: &Outcome) -> Value {
    let mut entry = json!({
        "name": outcome.check.name,
        "group": outcome.check.group,
        "about": outcome.check.about,
        "seconds": outcome.took.as_secs_f64(),
    });
    let details = match &outcome.result {
        Ok(Remark::Passed) => json!({ "status": "passed" }),
        Ok(Remark::Note(note)) => json!({ "status": "passed", "note": note }),
        Ok(Remark::Skipped(reason)) => json!({ "status": "skipped", "reason": reason }),
        Err(flaw) => json!({
            "status": "failed",
            "sent": flaw.sent.shown(),
            "expected": flaw.expected_shown(),
            "came": flaw.came_shown(),
            "hint": flaw.hint,
        }),
    };
    if let (Value::Object(entry), Value::Object(details)) = (&mut entry, details) {
        entry.extend(details);
    }
    entry
}
