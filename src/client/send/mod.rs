//! `retort send`: requests from the command line, a file or standard input; replies on standard output.
//!
//! Guarantees: replies are printed in the order of the requests; requests are sent while replies are received, so that
//! neither side can block the other; every failure names its request. A request that the server refuses counts as a
//! failure, but its reply is printed and the next request is sent. Whatever is wrong with the options is reported before
//! the host is looked up.
//!
//! | module | content |
//! |---|---|
//! | `request` | a request and its label in messages |
//! | `request_source` | requests from words, lines or all of standard input |
//! | `words`, `line_buffer` | the words of a request, and lines out of portions of input |
//! | `reply_printer` | replies on standard output |
//! | `escape` | control characters in replies |
//! | `session` | protocol, target, timeouts |
//! | `exchange` | the loop that sends and receives |
//! | `streaming` | replies without end |

mod escape;
mod exchange;
mod line_buffer;
mod reply_printer;
mod request;
mod request_source;
mod session;
mod streaming;
mod words;

use super::client_protocol::ConnectionUse;
use super::failure::{Failure, Status};
use super::options::SendOptions;
use super::progress::ProgressMeter;
use super::proxy_header::HeaderTemplate;
use super::target::Target;
use exchange::Exchange;
use reply_printer::ReplyPrinter;
use request_source::RequestSource;
use session::Session;

/// Sends the requests that the options name, and prints the replies.
///
/// # Errors
/// Nothing could be sent: usage, an unreadable file, or no connection.
pub fn run(options: SendOptions) -> Result<Status, Failure> {
    let protocol = options.protocol;
    let source = RequestSource::open(&options)?;
    let header = HeaderTemplate::new(&options.proxy)?;
    let target = Target::resolve(&options.host, protocol, options.family)?.with_proxy_header(header);
    // a bar would be drawn over what is typed
    let progress = ProgressMeter::new(source.total(), options.quiet || source.is_interactive());
    let mut printer = ReplyPrinter::new(&options, progress.clone());
    let session = Session { protocol, target, timeouts: options.timeouts, progress };
    let status = match protocol.connection_use() {
        ConnectionUse::Streaming => streaming::receive(&session, &mut printer),
        _ => Exchange::new(&session, source, &mut printer).run(),
    };
    session.progress.finish();
    printer.flush()?;
    status
}
