//! Tests that change what all threads of a process have in common.

use std::env;
use std::process::Command;

/// Set in the process of one test.
const VARIABLE: &str = "RETORTD_TEST_PROCESS";

/// Whether this is the process of the test `name` alone; otherwise runs that, and asserts that it succeeds.
///
/// # Panics
/// If the test fails there.
pub fn in_own_process(name: &str) -> bool {
    if env::var_os(VARIABLE).is_some() {
        return true;
    }
    let program = env::current_exe().expect("the program of the tests");
    let mut command = Command::new(program);
    command.args(["--exact", name, "--nocapture"]).env(VARIABLE, "1");
    let output = command.output().expect("run");
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{name}: {}\n{out}\n{err}", output.status);
    false
}
