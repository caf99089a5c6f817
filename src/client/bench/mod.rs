//! `retort bench`: throughput and latency of a server under load.
//!
//! Guarantees: warm-up does not count; every reply is verified; a request without a correct reply is counted as an
//! error of a class; in an open loop, latency counts from the time at which a request was due, however late it was sent
//! (coordinated omission).
//!
//! | module | content |
//! |---|---|
//! | `poller` | the poller of the loop |
//! | `model` | the load models: closed, reconnecting, open |
//! | `workload` | the bytes of the requests |
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
mod report;
mod server_cpu;
mod svg;
mod timeline;
mod verifier;
mod workload;

use super::client_protocol::ConnectionUse;
use super::failure::{Failure, Status};
use super::options::BenchOptions;
use super::report_file::ReportFile;
use super::target::Target;
use crate::sys;
use generator::LoadGenerator;
use model::LoadModel;
use report::BenchReport;
use workload::Workload;

/// Loads the server as the options say, and reports.
///
/// # Errors
/// Nothing was measured: usage, no connection, or a report that cannot be written.
pub fn run(options: &BenchOptions) -> Result<Status, Failure> {
    let workload = Workload::new(options)?;
    let target = Target::resolve(&options.host, options.protocol.port(), options.family)?;
    let address = target
        .connect_or_fail(options.timeouts.connect_timeout)?
        .peer_addr()
        .map_err(|error| target.unreachable(&error))?;
    let plot = options.svg.as_deref().map(ReportFile::prepare).transpose()?;
    sys::raise_descriptor_limit();
    let model = load_model(options);
    let measurement = LoadGenerator::new(options, &workload, address, model)
        .and_then(LoadGenerator::run)
        .map_err(|error| Failure::cannot_run(format!("cannot generate the load: {error}")))?;
    let report = BenchReport::new(options, &target, model, &measurement);
    // The plot is written even if the reader of the table has closed standard output.
    let printed = report.print(options.json);
    if let Some(plot) = plot {
        plot.write(svg::document(&report.title(), &measurement.latencies).as_bytes())?;
    }
    printed?;
    Ok(Status::success_if(measurement.errors() == 0 && measurement.requests > 0))
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
