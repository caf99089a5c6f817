//! `results.json` for Gradescope.
//!
//! The format is that of "Autograder Specifications" in Gradescope's documentation of autograders.

use crate::client::json::{Value, json};
use crate::client::judge::grade::{Grade, GradedTest};
use crate::client::judge::outcome::RunSummary;

/// Shown to students after the due date. Not `hidden`, which Gradescope has for tests without points: it shows the
/// total in spite of those, and students would never learn what the points were for.
const AFTER_DUE_DATE: &str = "after_due_date";

/// The whole document.
pub fn document(run: &RunSummary, grade: &Grade) -> Value {
    let passed = grade.tests.iter().filter(|test| test.passed).count();
    let output = match &grade.problem {
        Some(problem) => problem.clone(),
        None => format!("{}: {passed} of {} {} passed", run.protocol, grade.tests.len(), run.judge.nouns()),
    };
    json!({
        // Counts in place of the sum of the tests, which would have errors of binary fractions.
        "score": grade.score().to_json(),
        "execution_time": run.duration.as_secs_f64().ceil(),
        "output": output,
        "output_format": "text",
        "tests": grade.tests.iter().map(test).collect::<Vec<_>>(),
    })
}

fn test(test: &GradedTest) -> Value {
    json!({
        "number": test.number,
        "name": test.subject.name,
        "tags": [test.subject.group],
        "status": if test.passed { "passed" } else { "failed" },
        "score": test.score().to_json(),
        "max_score": test.max.to_json(),
        "output": test.output,
        "output_format": "text",
        "visibility": if test.hidden { AFTER_DUE_DATE } else { "visible" },
    })
}
