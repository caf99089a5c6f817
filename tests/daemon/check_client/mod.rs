//! `retort check-client`: correct clients pass, and each flaw is found by the scenario that is meant for it.
//!
//! The clients are programs in Python, in `tests/clients`.

mod correct;
mod flawed;
mod unruly;

use std::collections::{BTreeMap, VecDeque};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::thread;

use serde_json::Value;

use crate::harness::available;

/// The judges that run at a time. Chosen: they spend most of the time waiting for clients that do nothing.
const AT_A_TIME: usize = 8;

/// For clients that are only slow to start. Chosen: the default, 5 s, was too little with all processors busy and 24
/// judges at a time.
const AMPLE_PATIENCE: &str = "--patience=10s";

/// What usually is enough: a client that hangs takes all of it.
const USUAL_PATIENCE: &str = "--patience=2s";

/// The report in JSON, and the exit code.
struct Judgement {
    code: i32,
    report: Value,
    scenarios: BTreeMap<String, Value>,
}

impl Judgement {
    fn with_status(&self, status: &str) -> Vec<&str> {
        let entries = self.scenarios.iter().filter(|(_, scenario)| scenario["status"] == status);
        entries.map(|(name, _)| name.as_str()).collect()
    }

    fn failed(&self) -> Vec<&str> {
        self.with_status("failed")
    }

    fn hint(&self, name: &str) -> &str {
        self.scenarios[name]["hint"].as_str().unwrap_or_default()
    }
}

/// The path of a program of `tests/clients`.
fn program(name: &str) -> String {
    format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A command that runs the judge with these arguments. Python writes no compiled modules beside the programs.
fn check_client(arguments: &[&str]) -> Command {
    check_client_under(&[], arguments)
}

/// The same, where the words `under` execute the judge.
fn check_client_under(under: &[&str], arguments: &[&str]) -> Command {
    let words = [under, &[env!("CARGO_BIN_EXE_retort"), "check-client"], arguments].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Judges a client; `client` is its command.
fn judge(options: &[&str], client: &[&str]) -> Judgement {
    judge_under(&[], options, client)
}

/// The same, where the words `under` execute the judge.
fn judge_under(under: &[&str], options: &[&str], client: &[&str]) -> Judgement {
    let arguments = [&["--json"], options, &["--"], client].concat();
    let output = check_client_under(under, &arguments).output().expect("run retort");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let scenarios = report["scenarios"].as_array().expect("an array of scenarios").iter();
    let scenarios = scenarios.map(|entry| (entry["name"].as_str().unwrap().to_owned(), entry.clone())).collect();
    Judgement { code: output.status.code().expect("an exit code"), report, scenarios }
}

/// Judges a program of `tests/clients`, with these arguments of its own.
fn judge_program(options: &[&str], name: &str, arguments: &[&str]) -> Judgement {
    judge(options, &[&[python(), &program(name)], arguments].concat())
}

/// The interpreter itself: `python3` may be a script that looks for it, which takes longer than most scenarios.
pub fn python() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| {
        let output = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        let path = String::from_utf8(output.expect("run python3").stdout).expect("UTF-8");
        path.trim_end().to_owned()
    });
    &PATH
}

/// Whether the programs can run here; otherwise it is noted that the test is skipped.
#[track_caller]
fn can_run() -> bool {
    available("python3")
}

/// Calls `judge` with each of the cases and a patience, several at a time. Panics with everything that they complain
/// about even with ample patience.
fn judge_all<T: Sync>(cases: &[T], judge: impl Fn(&T, &str) -> Result<(), String> + Sync) {
    let (queue, complaints) = (Mutex::new(cases.iter().collect::<VecDeque<_>>()), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap().pop_front();
    let work = || {
        while let Some(case) = next() {
            let judged = judge(case, USUAL_PATIENCE).or_else(|_| judge(case, AMPLE_PATIENCE));
            if let Err(complaint) = judged {
                complaints.lock().unwrap().push(complaint);
            }
        }
    };
    thread::scope(|scope| (0..AT_A_TIME).for_each(|_| drop(scope.spawn(work))));
    let complaints = complaints.into_inner().unwrap();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
