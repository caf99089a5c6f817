//! `retort bench`: throughput and latency of a server under load.
//!
//! Guarantees: replies and errors of the warm-up do not count; every reply is verified; a request without a correct reply
//! is counted as an error of a class, or as lost if the run ends before its time is over; in an open loop, latency counts
//! from the time at which a request was due, however late it was sent (coordinated omission).
//!
//! | module | content |
//! |---|---|
//! | `poller` | how many events the loop takes at one wake-up |
//! | `preconditions` | whether the machine and the options allow the run |
//! | `load`, `model` | what a generator has to do; the load models: closed, reconnecting, open |
//! | `workload`, `text` | the bytes of the requests |
//! | `verifier` | whether replies are correct |
//! | `generator` | the loop that drives the connections of one thread |
//! | `threads` | the threads that make a load together |
//! | `stop` | what ends a run before its time |
//! | `connection`, `in_flight` | one connection, and its requests in flight |
//! | `connect` | the source address of a connection |
//! | `timeline` | the phases of a run |
//! | `one_way` | the throughput in one direction, instead of requests |
//! | `find_rate` | the search for the highest rate that keeps bounds |
//! | `schedule`, `due_requests` | the due times of an open model |
//! | `monitor` | what a generator tells while it runs |
//! | `measurement`, `latencies` | the counts |
//! | `series`, `stage_counts` | the counts of each interval, and of each stage |
//! | `server_cpu` | the server's CPU time |
//! | `console`, `interval_printer` | what the user sees while it runs |
//! | `report`, `stage_report`, `interval_report`, `report_output` | the table, the JSON object |
//! | `histogram` | the latencies as rows of bars, for the terminal |
//! | `comparison`, `earlier_run`, `mann_whitney` | the comparison with an earlier run, and its test |
//! | `report_files`, `svg`, `hdr_text`, `csv` | the files: the plot, the percentiles, the intervals |
//! | `figures`, `wrapping` | numbers in them, and lines that are longer than a terminal is wide |

mod comparison;
mod connect;
mod connection;
mod console;
mod csv;
mod due_requests;
mod earlier_run;
mod figures;
mod find_rate;
mod generator;
mod hdr_text;
mod histogram;
mod in_flight;
mod interval_printer;
mod interval_report;
mod latencies;
mod load;
mod mann_whitney;
mod measurement;
mod model;
mod monitor;
mod one_way;
mod poller;
mod preconditions;
mod report;
mod report_files;
mod report_output;
mod schedule;
mod series;
mod server_cpu;
mod stage_counts;
mod stage_report;
mod stop;
mod svg;
mod text;
mod threads;
mod timeline;
mod verifier;
mod workload;
mod wrapping;

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::failure::{Failure, Status, reason, warn};
use super::options::{BenchOptions, RateRange};
use super::proxy_header::HeaderTemplate;
use super::target::Target;
use crate::sys::{Interrupts, SocketAddress};
use crate::units::format_time;
use console::{Console, announce};
use earlier_run::EarlierRun;
use load::Load;
use measurement::Measurement;
use one_way::Direction;
use report::BenchReport;
use report_files::ReportFiles;
use workload::Workload;

/// Loads the server as the options say, and reports.
///
/// # Errors
/// Nothing was measured: usage, no connection, an interrupt during the warm-up, or a report that cannot be written.
pub fn run(options: &BenchOptions) -> Result<Status, Failure> {
    if let Some(direction) = Direction::of(options) {
        direction.check(options)?;
        return throughput(options, direction);
    }
    let workload = Workload::new(options)?;
    let (target, address) = connect_once(options)?;
    let files = ReportFiles::prepare(options)?;
    let load = Load::new(options, &workload, &target, address);
    let title = report::title(options, load.model, options.rate);
    let earlier = options.compare.as_deref().map(EarlierRun::read).transpose()?;
    if let Some(earlier) = &earlier {
        comparison::check(earlier, &title, options)?;
    }
    announce(options.json, &format!("{}: {title}; {}", load.target, extent(options)));
    match options.find_rate {
        Some(range) => search(options, &load, range, files),
        None => measure_once(options, &load, files, earlier.as_ref()),
    }
}

/// Searches for a rate, and writes the files about the run that confirmed it.
fn search(options: &BenchOptions, load: &Load<'_>, range: RateRange, files: ReportFiles) -> Result<Status, Failure> {
    let found = find_rate::run(options, load, range)?;
    let Some(confirmed) = &found.confirmed else { return found.status.printed(found.printed) };
    let measurement = &confirmed.measurement;
    files.write(&report::title(options, load.model, Some(confirmed.rate)), measurement)?;
    found.status.and(server_cpu::status(options.server_pid, measurement.server_cpu)).printed(found.printed)
}

fn measure_once(
    options: &BenchOptions,
    load: &Load<'_>,
    files: ReportFiles,
    earlier: Option<&EarlierRun>,
) -> Result<Status, Failure> {
    let (measurement, shown) = measure(options, load)?;
    if shown.is_err() && !options.files.are_written() {
        return Status::Failed.printed(shown); // the measurement was not finished
    }
    let report = BenchReport::new(options, load.target, load.model, &measurement).compared_with(earlier);
    // The files are written even if the reader of the table has closed standard output.
    let printed = shown.and_then(|()| report.print());
    files.write(&report::title(options, load.model, options.rate), &measurement)?;
    let status = replies_status(&measurement).and(server_cpu::status(options.server_pid, measurement.server_cpu));
    status.and(report.comparison_status()).printed(printed)
}

/// Whether the requests that were measured got their replies; a message says what the report cannot show. The requests
/// that the user has not waited for do not matter.
fn replies_status(measurement: &Measurement) -> Status {
    let lost = measurement.lost;
    if measurement.replies() == 0 {
        warn(&"no request that was measured has a reply");
    } else if measurement.requests == 0 {
        warn(&"every reply arrived after the measurement");
    }
    if measurement.replies() > 0 && lost > 0 {
        let requests = report::counted_requests(lost);
        warn(&format!("the latencies do not include {requests} without a reply at the end, which may be the slowest"));
    }
    let before = measurement.failed_before;
    if before > 0 && !measurement.interrupted {
        let requests = report::counted_requests(before);
        warn(&format!("{requests} of the warm-up failed later or had no reply at the end"));
    }
    let is_complete = lost + before == 0 || measurement.interrupted;
    Status::success_if(measurement.requests > 0 && measurement.errors() == 0 && is_complete)
}

/// Measures the throughput of a protocol that carries bytes in one direction.
fn throughput(options: &BenchOptions, direction: Direction) -> Result<Status, Failure> {
    let (target, address) = connect_once(options)?;
    one_way::run(options, direction, &target, &address)
}

/// Checks that the run is possible, makes one connection, and returns the server with the address that accepts it.
fn connect_once(options: &BenchOptions) -> Result<(Target, SocketAddress), Failure> {
    let proxy_header = HeaderTemplate::new(&options.proxy)?;
    preconditions::check(options)?;
    let target = Target::resolve(&options.host, options.protocol, options.family)?.with_proxy_header(proxy_header);
    let connected = target.connect(options.timeouts.connect_timeout);
    let connected = connected.and_then(|stream| Ok(target.address_of(&stream)?));
    match connected {
        Ok(address) => {
            connect::check_sources(&options.source, &address)?;
            Ok((target, address))
        }
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
            let reason = reason(&error);
            Err(Failure::cannot_run(format!("cannot connect to {target}: {reason}: {}", connect::PORT_REMEDY)))
        }
        Err(error) => Err(target.unreachable(&error)),
    }
}

/// The extent of the run, in words.
fn extent(options: &BenchOptions) -> String {
    let extent = report::extent(options);
    match options.find_rate {
        Some(range) => {
            let limit = rounded_up(find_rate::time_limit(options, range));
            format!("each rate: {extent}; all: at most {}", format_time(limit))
        }
        None => extent,
    }
}

/// A limit for people: in whole seconds, minutes, days or years, the longer the coarser.
fn rounded_up(limit: Duration) -> Duration {
    let seconds = limit.as_secs().saturating_add(u64::from(limit.subsec_nanos() > 0));
    let unit = match seconds {
        0..3600 => 1,
        3600..SECONDS_OF_DAY => 60,
        SECONDS_OF_DAY..SECONDS_OF_YEAR => SECONDS_OF_DAY,
        _ => SECONDS_OF_YEAR,
    };
    Duration::from_secs(seconds.div_ceil(unit).saturating_mul(unit))
}

const SECONDS_OF_DAY: u64 = 24 * 3600;

/// As [`format_time`] counts years: 365.25 days.
const SECONDS_OF_YEAR: u64 = 31_557_600;

/// Makes the load. Returns what was measured, and whether the intervals could be printed meanwhile.
fn measure(options: &BenchOptions, load: &Load<'_>) -> Result<(Measurement, Result<(), Failure>), Failure> {
    let failed = |error: io::Error| Failure::cannot("generate the load", &error);
    let interrupts = Interrupts::watch().map_err(failed)?;
    let console = Console::new(options);
    let measurement = threads::run(load, &interrupts, &console);
    let shown = console.finish();
    match measurement.map_err(failed)? {
        Some(measurement) => Ok((measurement, shown)),
        None => Err(Failure::cannot_run("interrupted during the warm-up: nothing was measured")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use measurement::ErrorClass;

    /// A measurement whose counts `set` sets.
    fn status_of(set: impl FnOnce(&mut Measurement)) -> Status {
        let mut measurement = Measurement::new(Duration::from_secs(1));
        set(&mut measurement);
        replies_status(&measurement)
    }

    #[test]
    fn a_run_is_good_if_every_request_that_was_waited_for_has_a_correct_reply() {
        for (requests, late, lost, failed_before, interrupted, expected) in [
            (9, 1, 0, 0, false, Status::Success),
            (9, 1, 1, 0, false, Status::Failed),
            (9, 1, 0, 1, false, Status::Failed),
            (9, 1, 1, 1, true, Status::Success),
            (0, 0, 0, 0, true, Status::Failed),
            (0, 1, 0, 0, true, Status::Failed),
            (0, 0, 1, 0, true, Status::Failed),
        ] {
            let status = status_of(|counts| {
                (counts.requests, counts.late, counts.lost) = (requests, late, lost);
                (counts.failed_before, counts.interrupted) = (failed_before, interrupted);
            });
            assert_eq!(status, expected, "{requests} {late} {lost} {failed_before} {interrupted}");
        }
        let failed = status_of(|counts| {
            counts.requests = 9;
            counts.count_errors(ErrorClass::Reset, 1);
        });
        assert_eq!(failed, Status::Failed);
    }

    #[test]
    fn a_limit_is_rounded_up_to_few_units() {
        let day = Duration::from_secs(SECONDS_OF_DAY);
        for (limit, text) in [
            (Duration::from_millis(25_100), "26s"),
            (Duration::from_secs(3601), "1h 1m"),
            (day * 2 + Duration::from_secs(1), "3days"),
            (Duration::from_secs(64 * SECONDS_OF_YEAR + 73), "65years"),
        ] {
            assert_eq!(format_time(rounded_up(limit)).to_string(), text);
        }
    }
}
