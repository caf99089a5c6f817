//! Runs the client, `retort`, as a user does.

use std::process::{Command, Output, Stdio};

use super::{any_memory, shown_on, terminal};

/// A command that runs retort without input; its output is collected.
pub fn retort(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retort"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn run(arguments: &[&str]) -> Output {
    retort(arguments).output().expect("run retort")
}

/// Runs retort, which succeeds, with a terminal as its standard output, and returns what it prints there.
pub fn run_on_terminal(arguments: &[&str]) -> String {
    let (terminal, controller) = terminal();
    let mut child = retort(arguments).stdout(terminal).spawn().expect("start retort");
    let shown = shown_on(controller);
    assert!(child.wait().expect("wait for retort").success());
    shown
}

pub fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8 on standard output")
}

pub fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8 on standard error")
}

/// The memory that a retort with a few connections and small requests may allocate, in bytes, with the stacks of its
/// threads. Chosen: half of the longest message, so that a client that buffers such a reply gets SIGABRT.
pub const RETORT_MEMORY: u64 = 64 << 20;

/// A command that runs retort with `memory` bytes as the limit for its allocations, including stacks of threads
/// (`RLIMIT_DATA` in setrlimit(2)): it gets SIGABRT if it needs more. No limit under a sanitizer.
pub fn limited_retort(memory: u64) -> Command {
    let mut command = Command::new("sh");
    let limit = if any_memory() { "unlimited".into() } else { (memory >> 10).to_string() };
    command.args(["-c", "ulimit -d \"$0\" && exec \"$@\"", &limit, env!("CARGO_BIN_EXE_retort")]);
    command
}
