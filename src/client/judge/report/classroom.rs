//! The output `result` of a step that grades for GitHub Classroom: JSON in base64, which the step of
//! `classroom-resources/autograding-grading-reporter` reads from its environment.
//!
//! There is a test for each check or scenario: the reporter counts passed tests, and so a group with one failure does
//! not lose all of its points.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::client::json::{Value, json, seconds};
use crate::client::judge::grade::{Grade, GradedTest};
use crate::client::judge::outcome::RunSummary;
use crate::client::judge::points::Points;
use crate::client::judge::subject::Judge;

/// Bytes that the messages of all tests have together. Derived: the result is in an environment variable, which Linux
/// bounds to 128 KiB (`MAX_ARG_STRLEN`, execve(2)); escapes in JSON at most double the messages, about 250 bytes of each
/// of 60 tests are added, and base64 has four characters for three bytes: 107 KiB.
const MESSAGES: usize = 32 * 1024;

/// The line `result=BASE64`.
pub fn line(run: &RunSummary, grade: &Grade) -> String {
    format!("result={}\n", STANDARD.encode(document(run, grade).to_string()))
}

fn document(run: &RunSummary, grade: &Grade) -> Value {
    let status = match (&grade.problem, grade.passed()) {
        (Some(_), _) => "error",
        (None, true) => "pass",
        (None, false) => "fail",
    };
    let scores = scores(&grade.tests);
    let entry = |(test, score)| entry(run, grade, test, score);
    json!({
        "version": 1,
        "status": status,
        "max_score": grade.max.to_json(),
        "tests": grade.tests.iter().zip(&scores).map(entry).collect::<Vec<_>>(),
    })
}

fn entry(run: &RunSummary, grade: &Grade, test: &GradedTest, score: &Value) -> Value {
    let message = if test.passed { "" } else { beginning(&test.output, MESSAGES / grade.tests.len()) };
    let subcommand = match run.judge {
        Judge::OfServers => "check",
        Judge::OfClients => "check-client",
    };
    json!({
        "name": format!("{}: {}", test.subject.group, test.subject.name),
        "status": if test.passed { "pass" } else if grade.problem.is_some() { "error" } else { "fail" },
        "score": score,
        "message": message,
        "test_code": format!("retort {subcommand} --only {}", test.subject.name),
        "filename": "",
        "line_no": 0,
        "duration": seconds(test.duration),
    })
}

/// The scores, whose sum in floating point, from the first to the last, is exact: the reporter shows that sum. The last
/// test that passed makes up for errors of binary fractions.
fn scores(tests: &[GradedTest]) -> Vec<Value> {
    let mut scores: Vec<Value> = tests.iter().map(|test| test.score().to_json()).collect();
    let total: f64 = tests.iter().map(GradedTest::score).sum::<Points>().as_f64();
    if let Some(last) = tests.iter().rposition(|test| test.passed) {
        let before: f64 = tests[..last].iter().map(|test| test.score().as_f64()).sum();
        scores[last] = Value::from(total - before);
    }
    scores
}

/// The beginning of a text, at most `length` bytes of it.
fn beginning(text: &str, length: usize) -> &str {
    let end = (0..=length.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
    &text[..end]
}
