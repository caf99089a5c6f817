//! Replies on standard output: one per line, or unchanged.
//!
//! Output is buffered: call [`ReplyPrinter::flush`] before anything that may block.

use std::io::{self, BufWriter, Stdout, Write};

use super::request::SendRequest;
use crate::client::client_protocol::{ClientProtocol, ERROR_TEXT};
use crate::client::failure::{Failure, Status, warn};
use crate::client::progress::ProgressMeter;
use crate::client::reply::decoder::{BodyLength, ReplyError};

/// Bytes of replies that are held back until a flush. Chosen without tuning.
const BUFFER_SIZE: usize = 64 << 10;

/// Standard output.
#[derive(Debug)]
pub struct ReplyPrinter {
    protocol: ClientProtocol,
    raw: bool,
    writer: BufWriter<Stdout>,
    progress: ProgressMeter,
}

impl ReplyPrinter {
    /// Prints each reply in a line of its own, or with `raw` unchanged.
    pub fn new(protocol: ClientProtocol, raw: bool, progress: ProgressMeter) -> Self {
        Self { protocol, raw, writer: BufWriter::with_capacity(BUFFER_SIZE, io::stdout()), progress }
    }

    /// Prints the reply to a request; warns if it is a refusal or has the wrong length.
    pub fn reply(&mut self, request: &SendRequest, reply: Vec<u8>) -> Result<Status, Failure> {
        self.progress.received(reply.len());
        let fault = self.fault(request, &reply);
        let printed = if self.raw { self.writer.write_all(&reply) } else { self.line(reply) };
        printed.map_err(|error| Failure::output(&error))?;
        if let Some(fault) = &fault {
            self.flush()?;
            self.progress.suspend(|| warn(&format_args!("{}: {fault}", request.label)));
        }
        Ok(Status::success_if(fault.is_none()))
    }

    /// Prints a reply and ends its line. What a service without requests sends may have ended it already.
    fn line(&mut self, reply: Vec<u8>) -> io::Result<()> {
        let mut line = self.protocol.readable(reply);
        if self.protocol.takes_messages() || line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        self.writer.write_all(&line)
    }

    fn fault(&self, request: &SendRequest, reply: &[u8]) -> Option<String> {
        let refused = self.protocol.has_actions() && reply == ERROR_TEXT;
        match request.reply_length {
            _ if refused => (!request.may_reply_error).then(|| String::from("refused by the server: error")),
            Some(length) if length != reply.len() => {
                Some(ReplyError::WrongLength(reply.len(), BodyLength::Exactly(length)).to_string())
            }
            _ => None,
        }
    }

    /// Prints bytes of an endless reply, without delay.
    pub fn portion(&mut self, portion: &[u8]) -> Result<(), Failure> {
        self.progress.received(portion.len());
        self.writer.write_all(portion).map_err(|error| Failure::output(&error))?;
        self.flush()
    }

    /// Writes what is buffered.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let writer = &mut self.writer;
        self.progress.suspend(|| writer.flush()).map_err(|error| Failure::output(&error))
    }
}
