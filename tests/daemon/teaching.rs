//! The scripts of docs/teaching.md, run against stand-ins for Gradescope's directory and for a job of GitHub.
//!
//! Changes to a script: `/autograder` is a temporary directory, port 8083 a free one, the programs of students run as the
//! user of the test, `python3` is the interpreter itself, and a server that never starts is waited for less than 10 s.
//! The results are checked against the formats of both systems.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;

use crate::check_client::python;
use crate::harness::{Directory, available};

/// The points in the document.
const POINTS: u64 = 40;

/// A server of frames, as a student would write one: on the port behind `-p`.
const SERVER: &str = "import os, sys\nos.execv('RETORTD', ['retortd', '--listen', 'frame=127.0.0.1:' + sys.argv[2]])\n";
/// One of another protocol.
const WRONG_SERVER: &str =
    "import os, sys\nos.execv('RETORTD', ['retortd', '--listen', 'daytime=127.0.0.1:' + sys.argv[2]])\n";
/// A client: `-h HOST -p PORT FILE`.
const CLIENT: &str = "import os, sys\nhost, port, file = sys.argv[2], sys.argv[4], sys.argv[5]\n\
    host = '[' + host + ']' if ':' in host else host\n\
    os.execv('RETORT', ['retort', 'send', host + ':' + port, '--file', file])\n";
const ENDS_AT_ONCE: &str = "raise SystemExit('it does not run')\n";

/// The first indented block below a heading.
fn block(heading: &str) -> String {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/teaching.md")).expect("read the document");
    let section = text.split_once(&format!("## {heading}\n")).expect(heading).1;
    let lines = section.lines().skip_while(|line| !line.starts_with("    "));
    lines.map_while(|line| line.strip_prefix("    ")).flat_map(|line| [line, "\n"]).collect()
}

/// The script of the step with the name of the program in a workflow.
fn step(workflow: &str) -> String {
    let (before, rest) = workflow.split_once("run: ").expect("a step that runs a script");
    let indent = before.rsplit('\n').next().expect("a line").len();
    let Some(lines) = rest.strip_prefix("|\n") else { return rest.lines().next().expect("a command").to_owned() };
    let is_inside = |line: &&str| line.len() > indent && line[..=indent].trim().is_empty();
    lines.lines().take_while(is_inside).flat_map(|line| [line.trim_start(), "\n"]).collect()
}

/// A script with what differs here for this program of a student.
fn localized(script: &str, program: &str) -> String {
    let wait = if program == ENDS_AT_ONCE { "--wait 300ms" } else { "--wait 10s" };
    script
        .replace("8083", &free_port())
        .replace("runuser -u student -- ", "")
        .replace("--wait 10s", wait)
        .replace("python3", python())
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port().to_string()
}

/// Runs a script in `directory`, and returns its output and exit code. What it leaves behind is ended, as the end of a
/// container or job does.
fn run_script(script: &str, directory: &Path) -> (String, i32) {
    let mut command = Command::new("bash");
    command.args(["-e", "-c", script]).current_dir(directory).process_group(0).stdin(Stdio::null());
    command.env("GITHUB_OUTPUT", directory.join("output"));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run bash");
    let group = Pid::from_raw(child.id().try_into().expect("a process id"));
    let output = child.wait_with_output().expect("wait for bash");
    let _ = killpg(group, Signal::SIGKILL);
    let printed = [output.stdout, output.stderr].concat();
    (String::from_utf8(printed).expect("UTF-8"), output.status.code().expect("an exit code"))
}

fn install(program: &Path, text: &str) {
    let text = text.replace("RETORTD", env!("CARGO_BIN_EXE_retortd")).replace("RETORT", env!("CARGO_BIN_EXE_retort"));
    fs::write(program, text).expect("write the program of a student");
}

/// The results of `run_autograder` for this program of a student.
fn autograded(heading: &str, name: &str, program: &str) -> Value {
    let directory = Directory::new();
    let root = directory.path("autograder");
    for part in ["source", "submission", "results"] {
        fs::create_dir_all(root.join(part)).expect("create a directory");
    }
    symlink(env!("CARGO_BIN_EXE_retort"), root.join("source/retort")).expect("link retort");
    install(&root.join("submission").join(name), program);
    let script = localized(&block(heading), program).replace("/autograder", root.to_str().expect("UTF-8"));
    let script = script.strip_prefix("#!/bin/bash\n").expect("the first line of a script");
    // a script of its own is not run with -e
    let (printed, _) = run_script(&format!("set +e\n{script}"), &root);
    let results = fs::read(root.join("results/results.json")).unwrap_or_else(|error| panic!("{error}: {printed}"));
    let results = serde_json::from_slice(&results).expect("JSON");
    check_results(&results);
    results
}

fn hundredths(points: &Value) -> u64 {
    let rounded = (points.as_f64().expect("a number") * 100.0).round();
    assert!((points.as_f64().unwrap() * 100.0 - rounded).abs() < 1e-6, "{points}");
    format!("{rounded}").parse().expect("a whole number")
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn tests(results: &Value) -> &[Value] {
    results["tests"].as_array().expect("tests")
}

/// The rules of Gradescope's format.
fn check_results(results: &Value) {
    let top = ["score", "execution_time", "output", "output_format", "tests"];
    assert_eq!(keys(results), BTreeSet::from(top));
    assert!(results["execution_time"].is_u64() && results["output"].is_string());
    let (mut score, mut max, mut numbers) = (0, 0, BTreeSet::new());
    for test in tests(results) {
        let names = ["score", "max_score", "status", "name", "number", "output", "output_format", "tags", "visibility"];
        assert_eq!(keys(test), BTreeSet::from(names));
        let (own, own_max) = (hundredths(&test["score"]), hundredths(&test["max_score"]));
        let passed = match test["status"].as_str().expect("a status") {
            "passed" => true,
            "failed" => false,
            other => panic!("{other}"),
        };
        assert_eq!(own, if passed { own_max } else { 0 }, "{test:#}");
        assert_eq!(test["output_format"], "text");
        let visibility = if test["tags"][0] == "chance" { "after_due_date" } else { "visible" };
        assert_eq!(test["visibility"], visibility, "{test:#}");
        assert!(passed || test["output"].as_str().expect("text").contains('\n'), "{test:#}");
        let number = test["number"].as_str().expect("text");
        let (group, index) = number.split_once('.').expect("group.index");
        assert!(group.parse::<u32>().is_ok() && index.parse::<u32>().is_ok() && numbers.insert(number), "{number}");
        (score, max) = (score + own, max + own_max);
    }
    assert_eq!((max, hundredths(&results["score"])), (POINTS * 100, score));
}

/// The result of the step of a workflow for this program of a student.
fn classroom(heading: &str, id: &str, name: &str, program: &str) -> Value {
    let workflow = block(heading);
    let variable = format!("{}_RESULTS: \"${{{{ steps.{id}.outputs.result }}}}\"", id.to_uppercase());
    assert!(workflow.contains(&format!("id: {id}\n")) && workflow.contains(&variable), "{workflow}");
    assert!(workflow.contains(&format!("runners: {id}}}")), "{workflow}");
    // what the reporter's description requires
    assert!(workflow.starts_with("name: Autograding Tests\n") && workflow.contains("\n  run-autograding-tests:\n"));
    let directory = Directory::new();
    let root = directory.path("repository");
    fs::create_dir_all(root.join(".github")).expect("create a directory");
    symlink(env!("CARGO_BIN_EXE_retort"), root.join(".github/retort")).expect("link retort");
    install(&root.join(name), program);
    let (printed, code) = run_script(&localized(&step(&workflow), program), &root);
    let output = fs::read_to_string(root.join("output")).unwrap_or_else(|error| panic!("{error}: {printed}"));
    let encoded = output.strip_prefix("result=").and_then(|rest| rest.strip_suffix('\n')).expect("an output");
    let result = serde_json::from_slice(&STANDARD.decode(encoded).expect("base64")).expect("JSON");
    check_result(&result);
    assert_eq!(code, 0, "the reporter would not run: {printed}");
    result
}

/// The rules of the result that the reporter of GitHub Classroom reads.
fn check_result(result: &Value) {
    assert_eq!(keys(result), BTreeSet::from(["version", "status", "max_score", "tests"]));
    assert_eq!((&result["version"], result["max_score"].as_u64()), (&Value::from(1), Some(POINTS)));
    for test in tests(result) {
        let names = ["name", "status", "score", "message", "test_code", "filename", "line_no", "duration"];
        assert_eq!(keys(test), BTreeSet::from(names));
        let status = test["status"].as_str().expect("a status");
        assert!(["pass", "fail", "error"].contains(&status), "{status}");
        assert!(test["score"].is_number() && test["duration"].is_number(), "{test:#}");
        assert_eq!(status == "pass", test["message"] == "", "{test:#}");
        assert!(test["line_no"] == 0 && test["filename"] == "" && test["test_code"].is_string(), "{test:#}");
    }
}

fn sum(result: &Value) -> f64 {
    tests(result).iter().filter_map(|test| test["score"].as_f64()).sum()
}

#[test]
fn server_is_graded_by_gradescope() {
    if !available("python3") {
        return;
    }
    let heading = "Gradescope: a server";
    let right = autograded(heading, "server.py", SERVER);
    assert_eq!(right["score"], POINTS, "{right:#}");
    let wrong = autograded(heading, "server.py", WRONG_SERVER);
    let output = tests(&wrong)[0]["output"].as_str().expect("text");
    assert!(wrong["score"] == 0 && output.contains("speaks daytime, not frame"), "{wrong:#}");
}

#[test]
fn server_that_does_not_run_gets_results_from_both() {
    if !available("python3") {
        return;
    }
    let none = autograded("Gradescope: a server", "server.py", ENDS_AT_ONCE);
    let reason = none["output"].as_str().expect("text");
    assert!(none["score"] == 0 && reason.contains("Connection refused"), "{none:#}");
    let none = classroom("GitHub Classroom: a server", "server", "server.py", ENDS_AT_ONCE);
    assert_eq!((&none["status"], sum(&none)), (&Value::from("error"), 0.0), "{none:#}");
}

#[test]
fn server_is_graded_by_classroom() {
    if !available("python3") {
        return;
    }
    let heading = "GitHub Classroom: a server";
    let right = classroom(heading, "server", "server.py", SERVER);
    assert_eq!((&right["status"], Value::from(sum(&right))), (&Value::from("pass"), Value::from(40.0)));
    let wrong = classroom(heading, "server", "server.py", WRONG_SERVER);
    assert_eq!((&wrong["status"], Value::from(sum(&wrong))), (&Value::from("fail"), Value::from(0.0)));
}

#[test]
fn client_is_graded_by_gradescope() {
    if !available("python3") {
        return;
    }
    let heading = "Gradescope: a client";
    let right = autograded(heading, "client.py", CLIENT);
    assert_eq!(right["score"], POINTS, "{right:#}");
    let wrong = autograded(heading, "client.py", ENDS_AT_ONCE);
    assert!(wrong["score"] == 0, "{wrong:#}");
}

#[test]
fn client_is_graded_by_classroom() {
    if !available("python3") {
        return;
    }
    let heading = "GitHub Classroom: a client";
    let right = classroom(heading, "client", "client.py", CLIENT);
    assert_eq!((&right["status"], Value::from(sum(&right))), (&Value::from("pass"), Value::from(40.0)), "{right:#}");
    let wrong = classroom(heading, "client", "client.py", ENDS_AT_ONCE);
    assert_eq!(wrong["status"], "fail", "{wrong:#}");
}
