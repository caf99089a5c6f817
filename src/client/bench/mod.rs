//! `retort bench`: throughput and latency of a server under load.
//!
//! Owns the measurement: what is asked for, how it is verified, and what is reported. Guarantees: warm-up does not
//! count; every answer is verified; a request that got no right answer is an error of a kind; in the open loop, latency
//! counts from the time at which a request was due, however late it left (coordinated omission).
//!
//! | module | what lives there |
//! |---|---|
//! | `workload` | the bytes of the requests |
//! | `judge` | whether answers are right |
//! | `tally` | requests, errors by kind, latencies |
//! | `slot` | one connection |
//! | `connect` | the source address of a connection |
//! | `load` | the loop that drives them all |
//! | `server_cpu` | the server's CPU time |
//! | `report`, `svg` | what is told |

mod connect;
mod judge;
mod load;
mod report;
mod server_cpu;
mod slot;
mod svg;
mod tally;
mod workload;

use super::client_protocol::ConnectionUse;
use super::failure::{Failure, Verdict};
use super::options::BenchOptions;
use super::report_file::ReportFile;
use super::target::Target;
use crate::sys;
use load::{Load, Pace};
use report::Report;
use workload::Workload;

/// Loads the server, and reports what came of it.
pub fn run(options: &BenchOptions) -> Result<Verdict, Failure> {
    let workload = Workload::new(options)?;
    let target = Target::resolve(&options.host, options.protocol.port())?;
    let address = target
        .connect_or_fail(options.patience.connect_timeout)?
        .peer_addr()
        .map_err(|error| target.unreachable(&error))?;
    let plot = options.svg.as_deref().map(ReportFile::prepare).transpose()?;
    sys::raise_descriptor_limit();
    let pace = pace(options);
    let measured = Load::new(options, &workload, address, pace)
        .and_then(Load::run)
        .map_err(|error| Failure::cannot_run(format!("cannot drive the load: {error}")))?;
    let report = Report::new(options, &target, pace, &measured);
    // A reader of the table who leaves early does not cost the plot.
    let printed = report.print(options.json);
    if let Some(plot) = plot {
        plot.write(svg::document(&report.title(), &measured.latencies).as_bytes())?;
    }
    printed?;
    Ok(Verdict::of(measured.errors() == 0 && measured.requests > 0))
}

/// How the options want requests to follow one another.
fn pace(options: &BenchOptions) -> Pace {
    let reconnect = options.reconnect || options.protocol.connection_use() == ConnectionUse::PerRequest;
    match options.rate {
        Some(rate) => Pace::Open { rate, reconnect },
        None if reconnect => Pace::Reconnect,
        None => Pace::Closed { depth: options.depth.unwrap_or(1) },
    }
}
