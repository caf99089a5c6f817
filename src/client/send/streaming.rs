//! A protocol in which only the server sends.

use std::io::{ErrorKind, Read};

use super::reply_printer::ReplyPrinter;
use super::session::Session;
use crate::client::failure::{Failure, Status, reason};

/// Bytes to read at once, at most. Chosen without tuning.
const READ_SIZE: usize = 64 << 10;

/// Prints what a generator such as `chargen` sends, until it closes the connection.
pub fn receive(session: &Session, printer: &mut ReplyPrinter) -> Result<Status, Failure> {
    let mut stream = session.connect()?;
    let timed = stream.set_read_timeout(Some(session.timeouts.read_timeout));
    timed.map_err(|error| Failure::cannot("set a timeout on the socket", &error))?;
    let mut buffer = vec![0; READ_SIZE];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return printer.end_of_portions().map(|()| Status::Success),
            Ok(n) => printer.portion(&buffer[..n])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // EAGAIN: the timeout of the socket (SO_RCVTIMEO in socket(7))
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Ok(session.fail(&format_args!("the read timed out: {} sends nothing", session.target)));
            }
            Err(error) => {
                return Ok(session.fail(&format_args!("cannot receive from {}: {}", session.target, reason(&error))));
            }
        }
    }
}
