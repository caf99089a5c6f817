//! `retort ping`: round trips at an interval, as ping(8) shows them.
//!
//! A request is due every interval, whether or not the replies to those before have arrived. Where the protocol allows
//! it, the requests share a connection; otherwise a request that is due while another is in flight gets a new one.
//! Guarantees: the time to connect is measured apart from the round trip; after a lost reply the next request has a new
//! connection; a connection that the server closes while nothing is in flight is replaced and nothing is lost; Ctrl-C
//! ends with the summary, in which requests in flight are lost; the deadline bounds the first connection, too.
//!
//! | module | content |
//! |---|---|
//! | `request` | the request, and the reply to expect |
//! | `schedule` | what is due, what is in flight; no I/O |
//! | `connection` | one connection |
//! | `pinger` | the loop that does what the schedule says |
//! | `statistics` | minimum, mean, maximum, standard deviation |

mod connection;
mod pinger;
mod request;
mod schedule;
mod statistics;

use std::time::Instant;

use super::failure::{Failure, Status};
use super::options::PingOptions;
use super::proxy_header::HeaderTemplate;
use super::target::Target;
use pinger::Pinger;
use request::PingRequest;

/// Sends requests until `--count` have been sent, `--deadline` has passed or a signal arrives.
///
/// # Errors
/// Nothing could be sent: usage, an unknown host, or no connection.
pub fn run(options: &PingOptions) -> Result<Status, Failure> {
    let started = Instant::now();
    let request = PingRequest::new(options)?;
    let header = HeaderTemplate::new(&options.proxy)?;
    let target = Target::resolve(&options.host, options.protocol, options.family)?.with_proxy_header(header);
    let mut pinger = Pinger::connect(options, &target, request, started)?;
    pinger.run()?;
    pinger.print_summary()
}
