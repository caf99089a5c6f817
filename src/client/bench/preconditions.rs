//! What is checked before a run: descriptors, the server's process, and whether anything would be measured.

use super::due_requests::any_due;
use super::server_cpu;
use super::timeline::nanoseconds;
use crate::client::failure::{Failure, warn};
use crate::client::options::BenchOptions;
use crate::sys;
use crate::units;

/// Descriptors beside those of the connections. Derived: standard input, output and error, the poller, a timer, the
/// signals, a report, a directory of proc(5), and as many again that were inherited.
const OTHER_DESCRIPTORS: u64 = 16;

/// Checks that the run is possible, and raises the limit on open descriptors.
///
/// # Errors
/// It is not; the failure says what to change.
pub fn check(options: &BenchOptions) -> Result<(), Failure> {
    check_rate(options)?;
    warn_without_server(options.server_pid);
    check_descriptors(options.connections as u64, sys::raise_descriptor_limit())
}

/// In an open loop, a request must be due in the measurement.
fn check_rate(options: &BenchOptions) -> Result<(), Failure> {
    let (Some(rate), Some(duration)) = (options.rate, options.time_limit()) else { return Ok(()) };
    let from = nanoseconds(options.warm_up);
    if any_due(rate, from, from + nanoseconds(duration)) {
        return Ok(());
    }
    let enough = (1e3 / rate).ceil() / 1e3;
    Err(Failure::cannot_run(format!(
        "at --rate {rate} a request is due every {enough}s, and none within the measured {}; measure for longer, with \
         --duration {enough}s, or raise the rate",
        units::format_time(duration)
    )))
}

/// The measurement is worth something without the server's CPU time, and the exit status says at its end that it is
/// missing.
fn warn_without_server(process: Option<u32>) {
    if let Some(process) = process.filter(|process| server_cpu::of(*process).is_none()) {
        warn(&format!("--server-pid: there is no process {process} on this machine"));
    }
}

fn check_descriptors(connections: u64, limit: u64) -> Result<(), Failure> {
    let needed = connections + OTHER_DESCRIPTORS;
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
        assert!(check_descriptors(100, 116).is_ok());
        let failure = check_descriptors(101, 116).expect_err("one too many").to_string();
        assert!(failure.contains("(ulimit -n 117)"), "{failure}");
    }
}
