//! Protocols in which only one side sends.

use std::fmt;
use std::io::{Read, Write};
use std::net::Shutdown;

use super::reply_printer::ReplyPrinter;
use super::request_source::RequestSource;
use super::session::Session;
use crate::client::failure::{Failure, Status, warn};

/// Prints what a generator such as `chargen` sends, until it closes the connection.
pub fn receive_only(session: &Session, printer: &mut ReplyPrinter) -> Result<Status, Failure> {
    let mut replies = session.connect_reader()?;
    loop {
        match replies.read_some() {
            Ok([]) => return Ok(Status::Success),
            Ok(portion) => printer.portion(portion)?,
            Err(error) => return Ok(failed(&format_args!("cannot receive from {}: {error}", session.target))),
        }
    }
}

/// Sends all requests to a server that never replies, such as `discard`, and waits until it has read them: it closes
/// the connection then.
pub fn send_only(session: &Session, mut source: RequestSource) -> Result<Status, Failure> {
    let mut stream = session.connect()?;
    while let Some(request) = source.next(session.protocol)? {
        if let Err(error) = stream.write_all(&request.wire) {
            return Ok(failed(&format_args!("{}: cannot send: {error}", request.label)));
        }
        session.progress.sent(request.wire.len());
    }
    let closed = stream.shutdown(Shutdown::Write).and_then(|()| stream.read(&mut [0; 1]));
    Ok(match closed {
        Ok(0) => Status::Success,
        Ok(_) => failed(&"the server sent bytes, and this protocol has no replies"),
        Err(error) => failed(&format_args!("the server did not close the connection: {error}")),
    })
}

fn failed(why: &dyn fmt::Display) -> Status {
    warn(why);
    Status::Failed
}
