//! Each flaw is found by the scenario that is meant for it.

use std::process::Command;

use super::{can_run, judge_all, judge_program, program};

/// A flaw, the scenario that must find it, words of that scenario's hint, and the other scenarios that fail.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// How long the judge waits for clients that do nothing. Chosen: most of the time of these tests is spent so.
const PATIENCE: &str = "--patience=700ms";

const RECEIVING: &[Case] = &[];

/// Asserts that each flaw is found as its case says, in a client of this protocol.
fn caught(options: &[&str], protocol: &str, cases: &[Case]) {
    if !can_run() {
        return;
    }
    judge_all(cases, |case| case_holds(options, protocol, case));
}

fn case_holds(options: &[&str], protocol: &str, &(flaw, by, words, others): &Case) -> Result<(), String> {
    let judgement = judge_program(&[options, &[PATIENCE]].concat(), "wrong.py", &[flaw, "-P", protocol]);
    let failed = judgement.failed();
    let mut expected = [&[by], others].concat();
    expected.sort_unstable();
    if failed != expected {
        return Err(format!("{flaw} is caught by {failed:?}, not by {expected:?}"));
    }
    if judgement.code != 1 || !judgement.hint(by).contains(words) {
        return Err(format!("{flaw}: exit code {}; the hint is: {}", judgement.code, judgement.hint(by)));
    }
    Ok(())
}
