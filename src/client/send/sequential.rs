//! A request, its reply, the next request: on one connection, or on a new one for each.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use super::reply_printer::ReplyPrinter;
use super::request::SendRequest;
use super::request_source::RequestSource;
use super::session::Session;
use crate::client::client_protocol::{ConnectionUse, ReplyFraming};
use crate::client::failure::{Failure, Status, warn};
use crate::client::reply::reader::{ReadError, ReplyReader};

/// Sends each request when the reply to the one before has arrived.
pub fn run(session: &Session, mut source: RequestSource, printer: &mut ReplyPrinter) -> Result<Status, Failure> {
    let mut status = Status::Success;
    let mut connection = None;
    while let Some(request) = source.next(session.protocol)? {
        let replies = match &mut connection {
            Some(replies) if session.protocol.connection_use() != ConnectionUse::PerRequest => replies,
            slot => slot.insert(session.connect_reader()?),
        };
        match exchange(session, replies, &request) {
            Ok(reply) => status = status.and(printer.reply(&request, reply)?),
            Err(error) => {
                warn(&format_args!("{}: {error}", request.label));
                (status, connection) = (Status::Failed, None);
            }
        }
        printer.flush()?;
    }
    Ok(status)
}

fn exchange(
    session: &Session,
    replies: &mut ReplyReader<TcpStream>,
    request: &SendRequest,
) -> Result<Vec<u8>, ReadError> {
    // A server may reply and close before it has read everything: then the reply counts, not the error of sending.
    let _ = replies.stream().write_all(&request.wire);
    session.progress.sent(request.wire.len());
    if request.framing == ReplyFraming::CloseDelimited {
        let _ = replies.stream().shutdown(Shutdown::Write);
    }
    replies.next(request.framing, request.reply_limit, &mut || false)
}
