//! Correct clients pass every scenario, however they are written.

use super::{can_run, judge, judge_all, judge_program};

/// The options of the judge, and the protocol of the client.
type Protocol = (&'static [&'static str], &'static str);

const PROTOCOLS: &[Protocol] = &[
    (&["-P", "frame"], "frame"),
    (&["--edition", "2021"], "frame-2021"),
    (&["-P", "text"], "text"),
    (&["-P", "echo"], "echo"),
];

/// Asserts that a program passes every scenario but those that are named.
fn fails_only(program: &str, protocol: &Protocol, patience: &str, failing: &[&str]) -> Result<(), String> {
    let (options, protocol) = protocol;
    let judgement = judge_program(&[*options, &[patience]].concat(), program, &["-P", protocol]);
    let as_expected = judgement.failed() == failing && judgement.code == i32::from(!failing.is_empty());
    if as_expected && judgement.with_status("passed").len() >= 15 {
        return Ok(());
    }
    Err(format!("{program} -P {protocol}: {:#}", judgement.report))
}

#[test]
fn correct_client_passes_every_scenario() {
    if can_run() {
        judge_all(PROTOCOLS, |protocol, patience| fails_only("right.py", protocol, patience, &[]));
    }
}

/// With asyncio, and with select(2), in place of threads.
#[test]
fn correct_clients_of_other_styles_pass_every_scenario() {
    if can_run() {
        let programs =
            [("asynchronous.py", PROTOCOLS[0]), ("event_loop.py", PROTOCOLS[0]), ("event_loop.py", PROTOCOLS[2])];
        judge_all(&programs, |(program, protocol), patience| fails_only(program, protocol, patience, &[]));
    }
}

#[test]
fn client_without_pipelining_fails_that_scenario_alone() {
    if can_run() {
        let cases: [(_, &[&str]); 2] = [(PROTOCOLS[0], &["pipelined"]), (PROTOCOLS[2], &[])];
        judge_all(&cases, |(protocol, failing), patience| fails_only("one_by_one.py", protocol, patience, failing));
    }
}

/// Versions 1 and 2 of the course's client take one request as arguments; scenarios with more are skipped.
#[test]
fn client_with_request_as_arguments_passes() {
    if !can_run() {
        return;
    }
    let client = super::program("right.py");
    let words = [super::python(), &client, "-P", "text", "-h", "{host}", "-p", "{port}", "--", "{action}", "{message}"];
    judge_all(&[words], |words, patience| {
        let judgement = judge(&["-P", "text", patience], words);
        let (passed, skipped) = (judgement.with_status("passed").len(), judgement.with_status("skipped").len());
        let as_expected = judgement.failed().is_empty() && judgement.code == 0 && passed >= 5 && skipped >= 1;
        if as_expected { Ok(()) } else { Err(format!("{:#}", judgement.report)) }
    });
}

#[test]
fn retort_send_passes() {
    let retort = env!("CARGO_BIN_EXE_retort");
    judge_all(PROTOCOLS, |(options, protocol), patience| {
        let client = [retort, "send", "-P", protocol, "{host}:{port}", "--file", "{file}"];
        let judgement = judge(&[*options, &[patience]].concat(), &client);
        let passed = judgement.failed().is_empty() && judgement.code == 0;
        if passed { Ok(()) } else { Err(format!("-P {protocol}: {:#}", judgement.report)) }
    });
}
