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
    json!({
        // Counts in place of the sum of the tests, which would have errors of binary fractions.
        "score": grade.score().to_json(),
        "execution_time": run.duration.as_secs() + u64::from(run.duration.subsec_nanos() > 0),
        "output": grade.problem.clone().unwrap_or_else(|| summary(run, grade)),
        "output_format": "text",
        "tests": grade.tests.iter().map(test).collect::<Vec<_>>(),
    })
}

/// How many tests passed, of those that students see at once: this text has no visibility of its own.
fn summary(run: &RunSummary, grade: &Grade) -> String {
    let (hidden, visible): (Vec<_>, Vec<_>) = grade.tests.iter().partition(|test| test.hidden);
    if visible.is_empty() {
        return format!("{}: the results are shown after the due date", run.protocol);
    }
    let passed = visible.iter().filter(|test| test.passed).count();
    let rest = if hidden.is_empty() { "" } else { "; others are shown after the due date" };
    format!("{}: {passed} of {} {} passed{rest}", run.protocol, visible.len(), run.judge.nouns())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::judge::graded_runs::{failed, grading, run_with};
    use crate::client::judge::outcome::Pass;

    /// The group `b` is hidden.
    #[test]
    fn the_summary_says_nothing_of_hidden_tests() {
        for hidden in [failed(), Ok(Pass::Clean)] {
            let run = run_with(vec![failed(), Ok(Pass::Clean), hidden.clone(), hidden, Ok(Pass::Clean)]);
            let document = document(&run, &grading("10", &[]).unwrap().grade(&run, None));
            assert_eq!(document["output"], "frame: 2 of 3 checks passed; others are shown after the due date");
            let mut grade = grading("10", &[]).unwrap().grade(&run, None);
            grade.tests.iter_mut().for_each(|test| test.hidden = true);
            assert_eq!(super::document(&run, &grade)["output"], "frame: the results are shown after the due date");
        }
    }

    #[test]
    fn a_test_has_its_points_and_what_was_observed() {
        let mut run = run_with(vec![failed(), Ok(Pass::WithNote("slow".into())), Ok(Pass::Clean)]);
        run.duration = std::time::Duration::from_millis(1001);
        let document = document(&run, &grading("10", &[]).unwrap().grade(&run, Some("no connection")));
        assert_eq!((&document["score"], &document["execution_time"]), (&json!(3.34), &json!(2)));
        assert_eq!(document["output"], "no connection");
        let tests = document["tests"].as_array().unwrap();
        assert_eq!(
            tests[0],
            json!({
                "number": "1.1", "name": "a1", "tags": ["a"], "status": "failed", "score": 0, "max_score": 1.67,
                "output": "it works\nsent: nothing\nexpected: abc\nreceived: abd\nhint: look again",
                "output_format": "text", "visibility": "visible",
            })
        );
        let parts = |index: usize, key: &str| tests[index][key].clone();
        assert_eq!((parts(1, "status"), parts(1, "output")), (json!("passed"), json!("it works\nnote: slow")));
        assert_eq!((parts(2, "visibility"), parts(4, "visibility")), (json!("after_due_date"), json!("visible")));
    }
}
