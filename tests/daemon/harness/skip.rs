//! A test that cannot run on this machine says so.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::panic::Location;

/// Says that the test is skipped and why; also in the file that `RETORTD_TEST_SKIPS` names, where `.ci/run` looks whether
/// that is allowed.
#[track_caller]
pub fn skip(why: &str) {
    println!("skipped: {why}");
    let Some(list) = env::var_os("RETORTD_TEST_SKIPS") else { return };
    let line = format!("{}: {why}\n", Location::caller().file());
    // One write: tests run at the same time.
    let noted =
        OpenOptions::new().append(true).create(true).open(list).and_then(|mut list| list.write_all(line.as_bytes()));
    noted.expect("note that the test is skipped");
}
