//! What is checked before a run: the stages, descriptors, and the server's process.

use super::server_cpu;
use crate::client::failure::{Failure, warn};
use crate::client::options::BenchOptions;
use crate::sys;

/// Descriptors beside those of the connections. Derived: standard input, output and error, the signals, an
/// event, a report, a directory of proc(5), and nearly as many again that were inherited.
const OTHER_DESCRIPTORS: u64 = 13;

/// Descriptors of each thread. Derived: a poller, a timer, an event.
const DESCRIPTORS_OF_THREAD: u64 = 3;

/// Checks that the run is possible, and raises the limit on open descriptors.
///
/// # Errors
/// It is not; the failure says what to change.
pub fn check(options: &BenchOptions) -> Result<(), Failure> {
    check_stages(options)?;
    check_threads(options)?;
    warn_without_server(options.server_pid);
    let threads = DESCRIPTORS_OF_THREAD * options.threads as u64;
    check_descriptors(options.connections as u64, OTHER_DESCRIPTORS + threads, sys::raise_descriptor_limit())
}

/// The most stages. Chosen: more than a person writes; each has two histograms, of some 500 kB together.
const MAX_STAGES: usize = 64;

fn check_stages(options: &BenchOptions) -> Result<(), Failure> {
    match options.stages.len() {
        0..=MAX_STAGES => Ok(()),
        stages => Err(Failure::cannot_run(format!("--stages: {stages} stages, of at most {MAX_STAGES}"))),
    }
}

/// A thread without a connection could not make its part of the load.
fn check_threads(options: &BenchOptions) -> Result<(), Failure> {
    let (threads, connections) = (options.threads, options.connections);
    if threads <= connections {
        return Ok(());
    }
    Err(Failure::cannot_run(format!(
        "--threads {threads} is more than --connections {connections}: each thread needs a connection"
    )))
}

/// The measurement is worth something without the server's CPU time, and the exit status says at its end that it is
/// missing.
fn warn_without_server(process: Option<u32>) {
    if let Some(process) = process.filter(|process| server_cpu::of(*process).is_none()) {
        warn(&format!("--server-pid: there is no process {process} on this machine"));
    }
}

fn check_descriptors(connections: u64, others: u64, limit: u64) -> Result<(), Failure> {
    let needed = connections + others;
    if needed <= limit {
        return Ok(());
    }
    Err(Failure::cannot_run(format!(
        "{connections} connections need {needed} descriptors, and this process may open {limit}: raise the limit \
         (ulimit -n {needed}), or lower --connections"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_connections_than_descriptors_are_rejected_with_a_hint() {
        assert!(check_descriptors(100, 16, 116).is_ok());
        let failure = check_descriptors(101, 16, 116).expect_err("one too many").to_string();
        assert!(failure.contains("(ulimit -n 117)"), "{failure}");
    }
}
