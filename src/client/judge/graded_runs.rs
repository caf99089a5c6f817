//! Runs and gradings for the tests of grades.

use std::time::Duration;

use super::grade::Grading;
use super::mismatch::Mismatch;
use super::outcome::{Outcome, Pass, RunSummary};
use super::points::Points;
use super::subject::{Judge, Subject};
use crate::client::failure::Failure;
use crate::client::options::{GradingOptions, GroupWeight};

fn subject(group: &'static str, name: &'static str) -> Subject {
    Subject { group, name, about: "it works", only_by_name: false }
}

/// A run in which a part of the planned subjects has these results.
pub fn run_with(results: Vec<Result<Pass, Mismatch>>) -> RunSummary {
    let names = [("a", "a1"), ("a", "a2"), ("b", "b1"), ("b", "b2"), ("c", "c1")];
    let planned = names.iter().map(|(group, name)| subject(group, name)).collect();
    let mut run = RunSummary::new(Judge::OfServers, "frame", planned);
    let outcome = |(&subject, result)| Outcome { subject, result, duration: Duration::from_millis(1500) };
    run.outcomes = run.planned.iter().zip(results).map(outcome).collect();
    run
}

/// A grading with this number of points, these weights, and the group `b` hidden.
pub fn grading(points: &str, weights: &[(&str, u32)]) -> Result<Grading, Failure> {
    let weights = weights.iter().map(|&(group, weight)| GroupWeight { group: group.into(), weight }).collect();
    let points = Points::parse(points).unwrap();
    Grading::new(&GradingOptions { points, weights, hidden: vec!["b".into()] }, &run_with(vec![]).planned)
}

#[allow(clippy::unnecessary_wraps, reason = "the type of a result")]
pub fn failed() -> Result<Pass, Mismatch> {
    Err(Mismatch::in_words("abc", "abd", "look again"))
}
