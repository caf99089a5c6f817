//! `retort send`: requests from the command line, a file or standard input; replies on standard output.
//!
//! Guarantees: replies are printed in the order of the requests; pipelined requests are sent while replies are
//! received, so that neither side can block the other; every failure names its request. A request that the server
//! refuses counts as a failure, but its reply is printed and the next request is sent.
//!
//! | module | content |
//! |---|---|
//! | `request` | a request and its label in messages |
//! | `request_source` | requests from words, lines or all of standard input |
//! | `reply_printer` | replies on standard output |
//! | `session` | what all ways of sending share: protocol, target, timeouts |
//! | `pipelined`, `sequential`, `one_way` | the ways of sending, by the protocol's use of connections |

mod one_way;
mod pipelined;
mod reply_printer;
mod request;
mod request_source;
mod sequential;
mod session;

use super::client_protocol::ConnectionUse;
use super::failure::{Failure, Status};
use super::options::SendOptions;
use super::progress::ProgressMeter;
use super::target::Target;
use reply_printer::ReplyPrinter;
use request_source::RequestSource;
use session::Session;

/// Sends the requests that the options name, and prints the replies.
///
/// # Errors
/// Nothing could be sent: usage, an unreadable file, or no connection.
pub fn run(options: SendOptions) -> Result<Status, Failure> {
    let protocol = options.protocol;
    let raw = options.stdin_data.is_some();
    let target = Target::resolve(&options.host, protocol.port(), options.family)?;
    let source = RequestSource::open(&options)?;
    let progress = ProgressMeter::new(source.total(), options.quiet);
    let session = Session { protocol, target, timeouts: options.timeouts, progress };
    let mut printer = ReplyPrinter::new(protocol, raw, session.progress.clone());
    let status = match protocol.connection_use() {
        ConnectionUse::Pipelined => pipelined::run(&session, source, &mut printer),
        ConnectionUse::Sequential | ConnectionUse::PerRequest => sequential::run(&session, source, &mut printer),
        ConnectionUse::Streaming => one_way::receive_only(&session, &mut printer),
        ConnectionUse::NoReply => one_way::send_only(&session, source),
    };
    session.progress.finish();
    printer.flush()?;
    status
}
