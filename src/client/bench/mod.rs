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
//! | `model` | the load models: closed, reconnecting, open |
//! | `workload`, `text` | the bytes of the requests |
//! | `verifier` | whether replies are correct |
//! | `generator` | the loop that drives all connections |
//! | `connection` | one connection |
//! | `connect` | the source address of a connection |
//! | `timeline` | the phases of a run |
//! | `due_requests` | the due times of an open model |
//! | `measurement`, `latencies` | the counts |
//! | `server_cpu` | the server's CPU time |
//! | `report`, `svg` | the table, the JSON object, the plot |

mod connect;
mod connection;
mod due_requests;
mod generator;
mod latencies;
mod measurement;
mod model;
mod poller;
mod preconditions;
mod report;
mod server_cpu;
mod svg;
mod text;
mod timeline;
mod verifier;
mod workload;

use std::io::{self, ErrorKind, IsTerminal, Write};

use super::client_protocol::ConnectionUse;
use super::failure::{Failure, Status, reason, warn};
use super::options::BenchOptions;
use super::progress::RunProgress;
use super::proxy_header::HeaderTemplate;
use super::report_file::ReportFile;
use super::target::Target;
use crate::sys::{Interrupts, SocketAddress};
use generator::LoadGenerator;
use measurement::Measurement;
use model::LoadModel;
use report::BenchReport;
use workload::Workload;

/// Loads the server as the options say, and reports.
///
/// # Errors
/// Nothing was measured: usage, no connection, an interrupt during the warm-up, or a report that cannot be written.
pub fn run(options: &BenchOptions) -> Result<Status, Failure> {
    let workload = Workload::new(options)?;
    let proxy_header = HeaderTemplate::new(&options.proxy)?;
    preconditions::check(options)?;
    let target = Target::resolve(&options.host, options.protocol, options.family)?;
    let target = target.with_proxy_header(proxy_header);
    let address = connect_once(&target, options)?;
    let plot = options.svg.as_deref().map(ReportFile::prepare).transpose()?;
    let model = load_model(options);
    announce(options, &target, model);
    let measurement = measure(options, &workload, &target, address, model)?;
    let report = BenchReport::new(options, &target, model, &measurement);
    // The plot is written even if the reader of the table has closed standard output.
    let printed = report.print(options.json);
    if let Some(plot) = plot {
        plot.write(svg::document(&report::title(options, model), &measurement.latencies).as_bytes())?;
    }
    printed?;
    let is_good = measurement.errors() == 0 && measurement.replies() > 0;
    if measurement.errors() == 0 && measurement.replies() == 0 {
        warn(&"no request that was measured has a reply");
    }
    Ok(Status::success_if(is_good).and(server_status(options, &measurement)))
}

/// Whether the CPU time of the server was measured, if that was asked for.
fn server_status(options: &BenchOptions, measurement: &Measurement) -> Status {
    match options.server_pid {
        Some(process) if measurement.server_cpu.is_none() => {
            warn(&format!("the CPU time of process {process} is missing: it did not run all the time"));
            Status::Failed
        }
        _ => Status::Success,
    }
}

/// Makes one connection, and returns the address of the server that accepts it.
fn connect_once(target: &Target, options: &BenchOptions) -> Result<SocketAddress, Failure> {
    let connected = target.connect(options.timeouts.connect_timeout);
    let connected = connected.and_then(|stream| Ok(target.address_of(&stream)?));
    connected.map_err(|error| match error.kind() {
        ErrorKind::AddrNotAvailable => {
            Failure::cannot_run(format!("cannot connect to {target}: {}: {}", reason(&error), connect::PORT_REMEDY))
        }
        _ => target.unreachable(&error),
    })
}

/// Says what is measured, and for how long: the title of the table, or with JSON a line for the user at the terminal.
/// An error is reported when the table is written.
fn announce(options: &BenchOptions, target: &Target, model: LoadModel) {
    let line = format!("{target}: {}; {}\n", report::title(options, model), report::extent(options));
    let _ = if !options.json {
        io::stdout().write_all(line.as_bytes())
    } else if io::stderr().is_terminal() {
        io::stderr().write_all(line.as_bytes())
    } else {
        Ok(())
    };
}

fn measure(
    options: &BenchOptions,
    workload: &Workload,
    target: &Target,
    address: SocketAddress,
    model: LoadModel,
) -> Result<Measurement, Failure> {
    let failed = |error: io::Error| Failure::cannot("generate the load", &error);
    let interrupts = Interrupts::watch().map_err(failed)?;
    let progress = RunProgress::new();
    let measurement = LoadGenerator::new(options, workload, target, address, model, &interrupts, &progress)
        .and_then(LoadGenerator::run)
        .map_err(failed);
    progress.finish();
    measurement?.ok_or_else(|| Failure::cannot_run("interrupted during the warm-up: nothing was measured"))
}

/// The load model that the options describe.
fn load_model(options: &BenchOptions) -> LoadModel {
    let reconnect = options.reconnect || options.protocol.connection_use() == ConnectionUse::PerRequest;
    match options.rate {
        Some(rate) => LoadModel::Open { rate, reconnect },
        None if reconnect => LoadModel::Reconnect,
        None => LoadModel::Closed { depth: options.depth.unwrap_or(1) },
    }
}
