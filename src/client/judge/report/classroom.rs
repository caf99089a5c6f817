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
    let (protocol, test_name) = (run.protocol, test.subject.name);
    // The words for what is judged keep it short.
    let command = match run.judge {
        Judge::OfServers => format!("retort check HOST:PORT -P {protocol} --only {test_name}"),
        Judge::OfClients => format!("retort check-client -P {protocol} --only {test_name} -- COMMAND"),
    };
    json!({
        "name": format!("{}: {}", test.subject.group, test.subject.name),
        "status": if test.passed { "pass" } else if grade.problem.is_some() { "error" } else { "fail" },
        "score": score,
        "message": message,
        "test_code": command,
        "filename": "",
        "line_no": 0,
        "duration": seconds(test.duration),
    })
}

/// The scores, whose sum in floating point, from the first to the last, is exact: the reporter shows that sum. They are
/// rounded to multiples of the last binary digit of the total, so that no partial sum is rounded, and the last test that
/// has points makes up for what they lack.
fn scores(tests: &[GradedTest]) -> Vec<Value> {
    let total = tests.iter().map(GradedTest::score).sum::<Points>().as_f64();
    let mut scores: Vec<f64> = tests.iter().map(|test| (test.score().as_f64() + total) - total).collect();
    if let Some(last) = scores.iter().rposition(|score| *score > 0.0) {
        scores[last] = total - scores[..last].iter().sum::<f64>();
    }
    scores.into_iter().map(Value::from).collect()
}

/// The beginning of a text, at most `length` bytes of it.
fn beginning(text: &str, length: usize) -> &str {
    let end = (0..=length.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
    &text[..end]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::client::judge::graded_runs::{failed, grading, run_with};
    use crate::client::judge::outcome::Pass;
    use crate::client::judge::subject::Subject;

    #[test]
    fn the_line_has_the_document_in_base64() {
        let run = run_with(vec![failed(), Ok(Pass::Clean)]);
        let line = line(&run, &grading("10", &[]).unwrap().grade(&run, None));
        let encoded = line.strip_prefix("result=").and_then(|rest| rest.strip_suffix('\n')).unwrap();
        let document: Value = serde_json::from_slice(&STANDARD.decode(encoded).unwrap()).unwrap();
        assert_eq!((&document["version"], &document["max_score"]), (&json!(1), &json!(10)));
        assert_eq!(document["status"], "fail");
        assert_eq!(
            document["tests"][0],
            json!({
                "name": "a: a1", "status": "fail", "score": 0.0, "filename": "", "line_no": 0, "duration": 1.5,
                "message": "it works\nsent: nothing\nexpected: abc\nreceived: abd\nhint: look again",
                "test_code": "retort check HOST:PORT -P frame --only a1",
            })
        );
        assert_eq!((&document["tests"][1]["status"], &document["tests"][1]["message"]), (&json!("pass"), &json!("")));
    }

    #[test]
    fn a_run_without_an_end_is_an_error() {
        let run = run_with(vec![Ok(Pass::Clean)]);
        let document = document(&run, &grading("10", &[]).unwrap().grade(&run, Some("no connection")));
        let statuses: Vec<_> = document["tests"].as_array().unwrap().iter().map(|test| &test["status"]).collect();
        assert_eq!(
            (&document["status"], statuses[..2].to_vec()),
            (&json!("error"), vec![&json!("pass"), &json!("error")])
        );
    }

    /// A grade of tests with these weights, which pass as `passed` says of their places.
    fn grade_of(weights: &[u32], points: &str, output: &str, passed: impl Fn(usize) -> bool) -> Grade {
        let max = Points::parse(points).unwrap();
        let parts = max.shared(weights).into_iter().enumerate();
        let test = |(place, max)| GradedTest {
            subject: Subject { group: "pipelining", name: "both-sides-full", about: "", only_by_name: false },
            number: String::new(),
            passed: passed(place),
            max,
            output: output.to_owned(),
            hidden: false,
            duration: Duration::from_micros(1_234_567),
        };
        Grade { tests: parts.map(test).collect(), max, problem: None }
    }

    fn assert_exact(grade: &Grade) {
        let scores: Vec<f64> = scores(&grade.tests).iter().filter_map(Value::as_f64).collect();
        assert_eq!(Value::from(scores.iter().sum::<f64>()), Value::from(grade.score().as_f64()), "{scores:?}");
        for (score, test) in scores.iter().zip(&grade.tests) {
            assert!((score - test.score().as_f64()).abs() < 1e-6, "{score} {test:?}");
        }
    }

    /// No number added to the first score gives the total: the sums below and above it are even, and rounded to.
    #[test]
    fn a_total_that_no_last_score_completes_is_exact() {
        assert_exact(&grade_of(&[1, 4], "60440.98", "", |_| true));
    }

    proptest! {
        #[test]
        fn scores_add_up_in_floating_point(
            weights in vec(0_u32..=5, 1..70),
            (whole, hundredths) in prop_oneof![(0..10_u32, 1..100_u32), (0..100_000_u32, 1..100_u32)],
            passes in any::<[u64; 2]>(),
        ) {
            let points = format!("{whole}.{hundredths:02}");
            assert_exact(&grade_of(&weights, &points, "", |place| passes[place / 64] >> (place % 64) & 1 == 1));
        }
    }

    /// 131,072: `MAX_ARG_STRLEN` of Linux, with the name of the variable and a NUL.
    #[test]
    fn the_result_fits_in_an_environment_variable() {
        let run = run_with(vec![]);
        for output in ["\"\n\\".repeat(10_000), "\u{df}".repeat(10_000), "x".repeat(30_000)] {
            let line = line(&run, &grade_of(&[1; 60], "100", &output, |_| false));
            assert!(line.len() < 131_000, "{}", line.len());
        }
    }
}
