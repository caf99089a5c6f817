//! What a client may do to the judge: nothing of it remains, and nothing of it is without bounds.

use std::fs;
use std::process::Output;

use nix::sys::signal::{Signal, kill};

use super::{AMPLE_PATIENCE, Judgement, can_run, check_client, judge_program, program, python};
use crate::harness::{Directory, process_id, stderr, wait_until};

/// One scenario is enough to see what becomes of the client.
const ONE: &str = "--only=uppercase";

/// Judges an unruly program by one scenario; returns what it reported, too.
fn judge_unruly(patience: &str, name: &str) -> (Judgement, String) {
    let directory = Directory::new();
    let report = directory.write("report", "");
    let judgement = judge_program(&[ONE, patience], "unruly.py", &[name, &report]);
    let reported = fs::read_to_string(report).expect("the program has reported");
    (judgement, reported)
}

/// Judges an unruly program that uses up all of the judge's patience: the least in which this number of
/// processes reports.
fn judge_hanging(name: &str, processes: usize) -> (Judgement, String) {
    let patiences = ["--patience=500ms", "--patience=2s", AMPLE_PATIENCE];
    let mut judged = patiences.iter().map(|patience| judge_unruly(patience, name));
    judged.find(|(_, reported)| reported.lines().count() == processes).expect("all processes have started")
}

/// Waits until none of these processes runs.
fn all_end(processes: &str) {
    assert!(!processes.is_empty());
    for process in processes.lines() {
        wait_until(&format!("the end of process {process}"), || !runs(process));
    }
}

/// Whether a process runs; one that has ended may wait for its parent, init, to notice.
fn runs(process: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat"));
    state.is_ok_and(|state| !state.rsplit(") ").next().expect("a state").starts_with('Z'))
}

#[test]
fn client_inherits_no_descriptors_of_the_judge() {
    if !can_run() {
        return;
    }
    let (judgement, reported) = judge_unruly(AMPLE_PATIENCE, "lists-descriptors");
    assert_eq!(judgement.failed(), [""; 0], "{:#}", judgement.report);
    // its report is the one that it has opened itself
    let inherited = reported.lines().filter(|line| !line.ends_with("/report"));
    let numbers: Vec<_> = inherited.map(|line| line.split(' ').next().expect("a number")).collect();
    // the judge runs it once before the scenario
    assert_eq!(numbers, ["0", "1", "2", "0", "1", "2"], "{reported}");
}

#[test]
fn child_of_client_ends_with_its_scenario() {
    if !can_run() {
        return;
    }
    let (judgement, processes) = judge_unruly(AMPLE_PATIENCE, "leaves-child-behind");
    all_end(&processes);
    assert_eq!(judgement.scenarios.len(), 1, "{:#}", judgement.report);
}

#[test]
fn client_that_ignores_sigterm_is_killed() {
    if !can_run() {
        return;
    }
    let (judgement, processes) = judge_hanging("ignores-sigterm", 2);
    all_end(&processes);
    assert_eq!((judgement.failed(), judgement.code), (vec!["uppercase"], 1), "{:#}", judgement.report);
}

#[test]
fn output_without_end_fails() {
    if !can_run() {
        return;
    }
    for name in ["prints-for-ever", "complains-for-ever"] {
        let (judgement, processes) = judge_hanging(name, 1);
        all_end(&processes);
        assert_eq!((judgement.failed(), judgement.code), (vec!["uppercase"], 1), "{:#}", judgement.report);
        assert!(judgement.report.to_string().len() < 10_000, "{name}");
    }
}

/// Runs the judge for a command that cannot be run.
fn cannot_run(command: &[&str]) -> Output {
    let output = check_client(&[&["--"], command].concat()).output().expect("run retort");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(2), &b""[..]), "{output:?}");
    output
}

#[test]
fn command_that_cannot_be_run_exits_2() {
    let directory = Directory::new();
    let missing = directory.path("client").to_str().expect("UTF-8").to_owned();
    assert!(stderr(&cannot_run(&[&missing])).contains(&missing));
    let plain = directory.write("plain", "not executable");
    assert!(stderr(&cannot_run(&[&plain])).contains(&plain));
    cannot_run(&["no-such-client-anywhere"]);
    cannot_run(&[]);
}

#[test]
fn signal_to_the_judge_ends_the_client() {
    if !can_run() {
        return;
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let directory = Directory::new();
        let report = directory.write("report", "");
        let mut judge = check_client(&[AMPLE_PATIENCE, "--", python(), &program("unruly.py"), "waits", &report]);
        let judge = judge.spawn().expect("start retort");
        let processes = || fs::read_to_string(&report).expect("a report");
        wait_until("the client and its child", || processes().lines().count() == 2);
        kill(process_id(&judge), signal).expect("signal retort");
        let output = judge.wait_with_output().expect("wait for retort");
        assert!(!output.status.success(), "{output:?}");
        all_end(&processes());
    }
}
