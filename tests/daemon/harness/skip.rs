//! Notes that a test is skipped because this machine cannot run it.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::panic::Location;

/// Prints that the test is skipped and why, and appends it to the file named by `RETORTD_TEST_SKIPS`, in which
/// `.ci/run` looks for tests that may not be skipped.
#[track_caller]
pub fn skip(why: &str) {
    println!("skipped: {why}");
    let Some(list) = env::var_os("RETORTD_TEST_SKIPS") else { return };
    let line = format!("{}: {why}\n", Location::caller().file());
    // one write(2), as other tests append at the same time
    let noted =
        OpenOptions::new().append(true).create(true).open(list).and_then(|mut list| list.write_all(line.as_bytes()));
    noted.expect("note that the test is skipped");
}
