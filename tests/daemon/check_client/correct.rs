//! Correct clients pass every scenario, however they are written.

use super::{AMPLE_PATIENCE, can_run, judge, judge_all, judge_program};

/// Programs in different styles: threads, asyncio, select(2).
const CORRECT: &[&str] = &["right.py", "asynchronous.py", "event_loop.py"];

/// The options of the judge, and those of the clients, for each protocol.
const PROTOCOLS: &[(&[&str], &str)] = &[
    (&["-P", "frame"], "frame"),
    (&["--edition", "2021"], "frame-2021"),
    (&["-P", "text"], "text"),
    (&["-P", "echo"], "echo"),
];

#[test]
fn correct_clients_pass_every_scenario() {
    if !can_run() {
        return;
    }
    let cases: Vec<_> = CORRECT.iter().flat_map(|program| PROTOCOLS.iter().map(move |case| (program, case))).collect();
    judge_all(&cases, |(program, (options, protocol))| {
        let judgement = judge_program(&[*options, &[AMPLE_PATIENCE]].concat(), program, &["-P", protocol]);
        if judgement.failed().is_empty() && judgement.code == 0 && judgement.with_status("passed").len() >= 15 {
            return Ok(());
        }
        Err(format!("{program} -P {protocol}: {:#}", judgement.report))
    });
}

#[test]
fn client_without_pipelining_fails_that_scenario_alone() {
    if !can_run() {
        return;
    }
    judge_all(PROTOCOLS, |(options, protocol)| {
        let failed: &[&str] = if protocol.starts_with("frame") { &["pipelined"] } else { &[] };
        let judgement = judge_program(&[*options, &[AMPLE_PATIENCE]].concat(), "one_by_one.py", &["-P", protocol]);
        let as_expected = judgement.failed() == failed && judgement.code == i32::from(!failed.is_empty());
        if as_expected { Ok(()) } else { Err(format!("-P {protocol}: {:#}", judgement.report)) }
    });
}

/// Versions 1 and 2 of the course's client take one request as arguments; scenarios with more are skipped.
#[test]
fn client_with_request_as_arguments_passes() {
    if !can_run() {
        return;
    }
    let client = super::program("right.py");
    let words = [super::python(), &client, "-P", "text", "-h", "{host}", "-p", "{port}", "--", "{action}", "{message}"];
    let judgement = judge(&["-P", "text", AMPLE_PATIENCE], &words);
    assert_eq!((judgement.failed(), judgement.code), (vec![], 0), "{:#}", judgement.report);
    assert!(judgement.with_status("passed").len() >= 5, "{:#}", judgement.report);
    assert!(!judgement.with_status("skipped").is_empty(), "{:#}", judgement.report);
}

#[test]
fn retort_send_passes() {
    let retort = env!("CARGO_BIN_EXE_retort");
    judge_all(PROTOCOLS, |(options, protocol)| {
        let client = [retort, "send", "-P", protocol, "{host}:{port}", "--file", "{file}"];
        let judgement = judge(options, &client);
        let passed = judgement.failed().is_empty() && judgement.code == 0;
        if passed { Ok(()) } else { Err(format!("-P {protocol}: {:#}", judgement.report)) }
    });
}
