//! Replies on standard output: one per line, or as documents, unchanged or safe for a terminal.
//!
//! Output is buffered: call [`ReplyPrinter::flush`] before anything that may block.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use super::escape::{Escaper, Unescaped};
use super::request::SendRequest;
use super::session::Session;
use crate::client::client_protocol::{ClientProtocol, ERROR_TEXT};
use crate::client::failure::{Failure, Status};
use crate::client::options::SendOptions;
use crate::client::progress::ProgressMeter;
use crate::client::reply::decoder::{BodyLength, ReplyError};

/// Bytes of replies that are held back until a flush. Chosen without tuning.
const BUFFER_SIZE: usize = 64 << 10;

/// Standard output.
#[derive(Debug)]
pub struct ReplyPrinter {
    protocol: ClientProtocol,
    /// Nothing is added to a reply: it is all of the output.
    is_document: bool,
    /// `None`: the bytes are printed unchanged.
    escaper: Option<Escaper>,
    writer: BufWriter<Stdout>,
    progress: ProgressMeter,
}

impl ReplyPrinter {
    /// Prints each reply in a line of its own, or with `--stdin-data` without one. Control characters are escaped if
    /// standard output is a terminal, unless `--raw` is given.
    pub fn new(options: &SendOptions, progress: ProgressMeter) -> Self {
        let stdout = io::stdout();
        let is_document = options.stdin_data.is_some();
        let has_lines = is_document || !options.protocol.takes_messages();
        let unescaped = if has_lines { Unescaped::Layout } else { Unescaped::Nothing };
        let escaper = (stdout.is_terminal() && !options.raw).then(|| Escaper::new(unescaped));
        let writer = BufWriter::with_capacity(BUFFER_SIZE, stdout);
        Self { protocol: options.protocol, is_document, escaper, writer, progress }
    }

    /// Prints the reply to a request; warns if it is a refusal or has the wrong length.
    pub fn reply(&mut self, session: &Session, request: &SendRequest, reply: Vec<u8>) -> Result<Status, Failure> {
        self.progress.received(reply.len());
        let fault = self.fault(request, &reply);
        let shown = if self.is_document { self.escaped(reply) } else { self.line(reply) };
        self.writer.write_all(&shown).map_err(|error| Failure::output(&error))?;
        let Some(fault) = fault else { return Ok(Status::Success) };
        self.flush()?;
        Ok(session.fail(&format_args!("{}: {fault}", request.label)))
    }

    /// A reply with the end of its line. What a service without requests sends may have ended it already.
    fn line(&mut self, reply: Vec<u8>) -> Vec<u8> {
        let readable = self.protocol.readable(reply);
        let mut line = self.escaped(readable);
        if self.protocol.takes_messages() || line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        line
    }

    fn escaped(&mut self, text: Vec<u8>) -> Vec<u8> {
        match &mut self.escaper {
            None => text,
            Some(escaper) => {
                let mut escaped = escaper.portion(&text);
                escaped.push_str(&escaper.finish());
                escaped.into_bytes()
            }
        }
    }

    fn fault(&self, request: &SendRequest, reply: &[u8]) -> Option<String> {
        if self.protocol.has_actions() && reply == ERROR_TEXT && !request.may_reply_error {
            return Some(String::from("refused by the server: error"));
        }
        match request.reply_length {
            Some(length) if length != reply.len() => {
                Some(ReplyError::WrongLength(reply.len(), BodyLength::Exactly(length)).to_string())
            }
            _ => None,
        }
    }

    /// Prints bytes of an endless reply, without delay.
    pub fn portion(&mut self, portion: &[u8]) -> Result<(), Failure> {
        self.progress.received(portion.len());
        let written = match &mut self.escaper {
            None => self.writer.write_all(portion),
            Some(escaper) => self.writer.write_all(escaper.portion(portion).as_bytes()),
        };
        written.map_err(|error| Failure::output(&error))?;
        self.flush()
    }

    /// Prints what depended on a next portion, after the last one.
    pub fn end_of_portions(&mut self) -> Result<(), Failure> {
        let rest = self.escaped(Vec::new());
        self.writer.write_all(&rest).map_err(|error| Failure::output(&error))?;
        self.flush()
    }

    /// Writes what is buffered.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let writer = &mut self.writer;
        self.progress.suspend(|| writer.flush()).map_err(|error| Failure::output(&error))
    }
}
