//! One JSON object for the whole run.

use std::io::{self, Write};

use super::reporter::Reporter;
use crate::client::json::{Value, json, seconds};
use crate::client::judge::outcome::{Outcome, Pass, RunSummary};

/// One JSON object, at the end of the run.
pub struct JsonReporter;

impl Reporter for JsonReporter {
    fn begin(&mut self, _out: &mut dyn Write, _run: &RunSummary) -> io::Result<()> {
        Ok(())
    }

    fn outcome(&mut self, _out: &mut dyn Write, _number: usize, _outcome: &Outcome) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write, run: &RunSummary) -> io::Result<()> {
        let score = run.score();
        let document = json!({
            run.judge.target_key(): run.target,
            "protocol": run.protocol,
            "passed": score.passed,
            "failed": score.failed,
            "notes": score.notes,
            "skipped": score.skipped,
            "seconds": seconds(run.duration),
            run.judge.nouns(): run.outcomes.iter().map(entry).collect::<Vec<_>>(),
        });
        writeln!(out, "{document:#}")
    }
}

fn entry(outcome: &Outcome) -> Value {
    let mut entry = json!({
        "name": outcome.subject.name,
        "group": outcome.subject.group,
        "about": outcome.subject.about,
        "seconds": seconds(outcome.duration),
    });
    let details = match &outcome.result {
        Ok(Pass::Clean) => json!({ "status": "passed" }),
        Ok(Pass::WithNote(note)) => json!({ "status": "passed", "note": note }),
        Ok(Pass::Skipped(reason) | Pass::NotReached(reason)) => json!({ "status": "skipped", "reason": reason }),
        Err(failure) => json!({
            "status": "failed",
            "sent": failure.sent_shown(),
            "expected": failure.expected,
            "came": failure.received,
            "hint": failure.hint,
        }),
    };
    if let (Value::Object(entry), Value::Object(details)) = (&mut entry, details) {
        entry.extend(details);
    }
    entry
}
