//! Throughput in one direction: to a server that drops what it receives (`discard`), or from one that sends without end
//! (`chargen`).
//!
//! Guarantees: to a TCP server, what counts is what its kernel has acknowledged, not what the socket here has taken;
//! what is received is verified; a connection that fails is not made again, and counts as one error.
//!
//! | module | content |
//! |---|---|
//! | `direction` | which way the bytes go, and the options that have no meaning then |
//! | `transfer` | the loop that drives all connections |
//! | `intervals` | when the intervals end |
//! | `connection` | one connection |
//! | `pattern` | whether received bytes are the pattern of RFC 864 |
//! | `result` | the counts |
//! | `console` | what the user sees while it runs |
//! | `report` | the table, the JSON object |

mod connection;
mod console;
mod direction;
mod intervals;
mod pattern;
mod report;
mod result;
mod transfer;

use std::io;

use super::connect::SourceAddresses;
use super::console::announce;
use super::measurement::ErrorClass;
use super::server_cpu;
use crate::client::failure::{Failure, Status, warn};
use crate::client::options::BenchOptions;
use crate::client::target::Target;
use crate::sys::{Interrupts, SocketAddress};
use console::Console;
pub use direction::Direction;
use report::OneWayReport;
use result::OneWayResult;
use transfer::Transfer;

/// Measures the throughput in this direction, and reports.
///
/// # Errors
/// Nothing was measured, or the report cannot be written.
pub fn run(
    options: &BenchOptions,
    direction: Direction,
    target: &Target,
    address: &SocketAddress,
) -> Result<Status, Failure> {
    let failed = |error: io::Error| Failure::cannot("measure the throughput", &error);
    announce(options.json, &format!("{target}: {}", report::title(options, direction)));
    let interrupts = Interrupts::watch().map_err(failed)?;
    let console = Console::new(options, direction);
    let sources = SourceAddresses::new(&options.source, address);
    let result = Transfer::new(options, direction, &interrupts, &console)
        .and_then(|transfer| transfer.run(target, address, &sources));
    let shown = console.finish();
    let Some(result) = result.map_err(failed)? else {
        return Err(Failure::cannot_run("interrupted during the warm-up: nothing was measured"));
    };
    if shown.is_err() {
        return Status::Failed.printed(shown); // the measurement was not finished
    }
    let printed = OneWayReport::new(options, direction, target, &result).print();
    if let Some(advice) = advice(direction, &result) {
        warn(&advice);
    }
    let is_good = result.errors() == 0 && result.bytes() > 0;
    Status::success_if(is_good).and(server_cpu::status(options.server_pid, result.server_cpu)).printed(printed)
}

/// What the figures alone do not explain.
fn advice(direction: Direction, result: &OneWayResult) -> Option<&'static str> {
    match direction {
        Direction::Send if result.errors_of(ErrorClass::WrongContent) > 0 => {
            Some("the server replies: it is no discard")
        }
        Direction::Receive if result.errors_of(ErrorClass::WrongContent) > 0 => {
            Some("what was received is not the pattern of RFC 864; --verify length permits others, as that of xinetd")
        }
        _ if result.errors() == 0 && result.bytes() == 0 => Some("nothing was carried in the measurement"),
        _ => None,
    }
}
