//! The points of a run, for systems that grade.
//!
//! Guarantees: the points of all tests together are exactly those of `--points`; a test that was not reached, because
//! the program ended before it, has failed; one that was skipped does not count, and its points go to the others.

use std::time::Duration;

use super::mismatch::Mismatch;
use super::names::trimmed;
use super::outcome::{Outcome, Pass, RunSummary};
use super::points::Points;
use super::subject::Subject;
use crate::client::failure::Failure;
use crate::client::options::GradingOptions;

/// How points are given.
#[derive(Debug)]
pub struct Grading {
    points: Points,
    weights: Vec<(String, u32)>,
    hidden: Vec<String>,
}

/// A run with points.
#[derive(Debug)]
pub struct Grade {
    /// The tests that count, in order.
    pub tests: Vec<GradedTest>,
    /// The points if all of them had passed.
    pub max: Points,
    /// Why the run did not come to its end, if it did not.
    pub problem: Option<String>,
}

/// A check or scenario with points.
#[derive(Debug)]
pub struct GradedTest {
    /// The check or scenario.
    pub subject: Subject,
    /// The numbers of its group and in its group, from 1 on: those of a test that was skipped remain free.
    pub number: String,
    /// Whether it passed.
    pub passed: bool,
    /// Its points if it passes.
    pub max: Points,
    /// What it verifies, and why it failed.
    pub output: String,
    /// Whether its group is hidden from students.
    pub hidden: bool,
    /// How long it took.
    pub duration: Duration,
}

impl GradedTest {
    /// The points that it got.
    #[must_use]
    pub fn score(&self) -> Points {
        if self.passed { self.max } else { Points::default() }
    }
}

impl Grade {
    /// The points that the tests got.
    #[must_use]
    pub fn score(&self) -> Points {
        self.tests.iter().map(GradedTest::score).sum()
    }

    /// Whether every test has passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.problem.is_none() && self.tests.iter().all(|test| test.passed)
    }
}

impl Grading {
    /// The grading of these subjects.
    ///
    /// # Errors
    /// An option names a group that none of them is in, or a group twice.
    pub fn new(options: &GradingOptions, subjects: &[Subject]) -> Result<Self, Failure> {
        let groups = groups(subjects.iter().copied());
        let mut weights: Vec<(String, u32)> = Vec::new();
        for entry in &options.weights {
            known("--weights", &entry.group, &groups)?;
            if weights.iter().any(|(group, _)| *group == entry.group) {
                return Err(Failure::cannot_run(format!("--weights has the group {} twice", entry.group)));
            }
            weights.push((entry.group.clone(), entry.weight));
        }
        let hidden = trimmed("--hidden", &options.hidden)?;
        hidden.iter().try_for_each(|name| known("--hidden", name, &groups))?;
        let grading = Self { points: options.points, weights, hidden: hidden.into_iter().map(str::to_owned).collect() };
        if groups.iter().all(|group| grading.weight(group) == 0) {
            return Err(Failure::cannot_run("--weights gives every group the weight 0: one must have more"));
        }
        Ok(grading)
    }

    fn weight(&self, group: &str) -> u32 {
        self.weights.iter().find(|(name, _)| name == group).map_or(1, |(_, weight)| *weight)
    }

    /// The grade of a run, which did not come to its end for the reason `problem`, if there is one.
    #[must_use]
    pub fn grade(&self, run: &RunSummary, problem: Option<&str>) -> Grade {
        let nothing_judged = run.outcomes.iter().all(|outcome| matches!(outcome.result, Ok(Pass::Skipped(_))));
        let groups = groups(run.planned.iter().copied());
        let mut tests = Vec::new();
        for (place, &subject) in run.planned.iter().enumerate() {
            let outcome = run.outcomes.get(place);
            if matches!(outcome, Some(Outcome { result: Ok(Pass::Skipped(_)), .. }) if !nothing_judged) {
                continue;
            }
            let group = groups.iter().position(|group| *group == subject.group).unwrap_or_default();
            let index = run.planned[..place].iter().filter(|before| before.group == subject.group).count();
            let (passed, words) = verdict(outcome, problem);
            tests.push(GradedTest {
                subject,
                number: format!("{}.{}", group + 1, index + 1),
                passed,
                max: Points::default(),
                output: format!("{}{words}", subject.about),
                hidden: self.hidden.iter().any(|group| group == subject.group),
                duration: outcome.map_or(Duration::ZERO, |outcome| outcome.duration),
            });
        }
        self.share_points(&mut tests);
        Grade { tests, max: self.points, problem: problem.map(str::to_owned) }
    }

    /// Gives each group its part, and each test an equal part of that.
    fn share_points(&self, tests: &mut [GradedTest]) {
        let groups = groups(tests.iter().map(|test| test.subject));
        let weights: Vec<u32> = groups.iter().map(|group| self.weight(group)).collect();
        for (group, points) in groups.iter().zip(self.points.shared(&weights)) {
            let members: Vec<&mut GradedTest> = tests.iter_mut().filter(|test| test.subject.group == *group).collect();
            let parts = points.shared(&vec![1; members.len()]);
            members.into_iter().zip(parts).for_each(|(test, part)| test.max = part);
        }
    }
}

/// Whether a test passed, and the lines behind its description; without an outcome it failed for the reason `problem`.
fn verdict(outcome: Option<&Outcome>, problem: Option<&str>) -> (bool, String) {
    match outcome.map(|outcome| &outcome.result) {
        Some(Ok(Pass::Clean)) => (true, String::new()),
        Some(Ok(Pass::WithNote(note))) => (true, format!("\nnote: {note}")),
        Some(Ok(Pass::Skipped(reason) | Pass::NotReached(reason))) => (false, format!("\nnot judged: {reason}")),
        Some(Err(mismatch)) => (false, lines(mismatch)),
        None => (false, format!("\nnot judged: {}", problem.unwrap_or("the run has ended"))),
    }
}

fn lines(mismatch: &Mismatch) -> String {
    mismatch.parts().map(|(name, value)| format!("\n{name}: {value}")).concat()
}

/// The groups of these subjects, in order.
fn groups(subjects: impl Iterator<Item = Subject>) -> Vec<&'static str> {
    let mut groups: Vec<&'static str> = Vec::new();
    for subject in subjects {
        if !groups.contains(&subject.group) {
            groups.push(subject.group);
        }
    }
    groups
}

/// The failure if an option names a group that is not among these.
fn known(option: &str, name: &str, groups: &[&'static str]) -> Result<(), Failure> {
    if groups.contains(&name) {
        return Ok(());
    }
    let groups = groups.join(", ");
    Err(Failure::cannot_run(format!("{option}: no group with the name '{name}' is judged; the groups are {groups}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::judge::graded_runs::{failed, grading, run_with};

    #[allow(clippy::unnecessary_wraps, reason = "the type of a result")]
    fn skipped() -> Result<Pass, Mismatch> {
        Ok(Pass::Skipped("only TCP has it".into()))
    }

    /// Number, points and maximum of each test, in hundredths.
    fn marks(grade: &Grade) -> Vec<(&str, String, String)> {
        let mark = |test: &GradedTest| (test.score().to_string(), test.max.to_string());
        grade.tests.iter().map(|test| (&*test.number, mark(test).0, mark(test).1)).collect()
    }

    fn mark<'a>(number: &'a str, score: &str, max: &str) -> (&'a str, String, String) {
        (number, score.into(), max.into())
    }

    #[test]
    fn points_of_skipped_tests_go_to_the_others() {
        let run = run_with(vec![Ok(Pass::Clean), failed(), skipped(), Ok(Pass::WithNote("slow".into())), skipped()]);
        let grade = grading("10", &[("a", 2)]).unwrap().grade(&run, None);
        let expected = [mark("1.1", "3.34", "3.34"), mark("1.2", "0", "3.33"), mark("2.2", "3.33", "3.33")];
        assert_eq!((marks(&grade), grade.score().to_string()), (expected.to_vec(), "6.67".into()));
        assert!(!grade.passed());
    }

    #[test]
    fn tests_that_were_not_reached_have_failed() {
        let gone = || Ok(Pass::NotReached("the server is gone".into()));
        let run = run_with(vec![Ok(Pass::Clean), failed(), gone(), gone(), gone()]);
        let grade = grading("12", &[]).unwrap().grade(&run, None);
        assert_eq!((grade.tests.len(), grade.score().to_string()), (5, "2".into()));
        assert_eq!(grade.tests[4].output, "it works\nnot judged: the server is gone");
    }

    #[test]
    fn a_run_without_an_end_has_failed_tests_with_the_reason() {
        let grade = grading("12", &[]).unwrap().grade(&run_with(vec![Ok(Pass::Clean)]), Some("no connection"));
        assert_eq!((grade.tests.len(), grade.score().to_string(), grade.passed()), (5, "2".into(), false));
        assert_eq!(grade.tests[1].output, "it works\nnot judged: no connection");
    }

    #[test]
    fn a_run_in_which_everything_was_skipped_has_no_points() {
        let run = run_with((0..5).map(|_| skipped()).collect());
        let grade = grading("12", &[]).unwrap().grade(&run, None);
        assert_eq!((grade.tests.len(), grade.score(), grade.passed()), (5, Points::default(), false));
    }

    #[test]
    fn groups_without_weight_get_points_only_if_nothing_else_is_judged() {
        let zero = grading("3", &[("a", 0), ("b", 0)]).unwrap();
        let run = run_with((0..5).map(|_| Ok(Pass::Clean)).collect());
        let marks_of_c = zero.grade(&run, None).tests.iter().map(|test| test.max.to_string()).collect::<Vec<_>>();
        assert_eq!(marks_of_c, ["0", "0", "0", "0", "3"]);
        let run = run_with(vec![Ok(Pass::Clean), skipped(), failed(), skipped(), skipped()]);
        assert_eq!(marks(&zero.grade(&run, None)), [mark("1.1", "1.5", "1.5"), mark("2.1", "0", "1.5")]);
    }

    #[test]
    fn an_unknown_group_is_named_with_those_that_there_are() {
        for (weights, words) in [
            (&[("d", 2)][..], "--weights: no group with the name 'd' is judged; the groups are a, b, c"),
            (&[("a", 2), ("a", 3)], "--weights has the group a twice"),
            (&[("a", 0), ("b", 0), ("c", 0)], "one must have more"),
        ] {
            let failure = grading("1", weights).unwrap_err().to_string();
            assert!(failure.ends_with(words), "{failure}");
        }
    }
}
