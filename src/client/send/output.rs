//! Answers on standard output: a line each, or as they are.
//!
//! Guarantees: what was printed is on its way before anything is waited for (call [`Output::flush`] then).

use std::io::{self, BufWriter, Stdout, Write};

use crate::client::client_protocol::{ClientProtocol, REFUSAL};
use crate::client::failure::{Failure, Verdict, complain};
use crate::client::progress::Progress;

use super::input::Request;

/// Standard output.
#[derive(Debug)]
pub struct Output {
    dialogue: ClientProtocol,
    raw: bool,
    writer: BufWriter<Stdout>,
    progress: Progress,
}

impl Output {
    /// A line for each answer, or with `raw` its bytes alone.
    pub fn new(dialogue: ClientProtocol, raw: bool, progress: Progress) -> Self {
        Self { dialogue, raw, writer: BufWriter::with_capacity(1 << 16, io::stdout()), progress }
    }

    /// Prints the answer to a request, and judges it.
    pub fn answer(&mut self, request: &Request, answer: Vec<u8>) -> Result<Verdict, Failure> {
        self.progress.received(answer.len());
        let complaint = self.complaint(request, &answer);
        let printed = if self.raw { self.writer.write_all(&answer) } else { self.line(answer) };
        printed.map_err(|error| Failure::output(&error))?;
        if let Some(complaint) = &complaint {
            self.flush()?;
            self.progress.aside(|| complain(&format_args!("{}: {complaint}", request.label)));
        }
        Ok(Verdict::of(complaint.is_none()))
    }

    /// An answer ends its line; what a service says of itself may have done so already.
    fn line(&mut self, answer: Vec<u8>) -> io::Result<()> {
        let mut line = self.dialogue.readable(answer);
        if self.dialogue.takes_messages() || line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        self.writer.write_all(&line)
    }

    fn complaint(&self, request: &Request, answer: &[u8]) -> Option<String> {
        let refused = self.dialogue.has_actions() && answer == REFUSAL;
        match request.length {
            _ if refused => (!request.may_say_error).then(|| String::from("refused by the server: error")),
            Some(length) if length != answer.len() => {
                Some(format!("the answer has {} bytes, {length} were expected", answer.len()))
            }
            _ => None,
        }
    }

    /// Prints a part of an endless answer, at once.
    pub fn portion(&mut self, portion: &[u8]) -> Result<(), Failure> {
        self.progress.received(portion.len());
        self.writer.write_all(portion).map_err(|error| Failure::output(&error))?;
        self.flush()
    }

    /// Passes on what was printed.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let writer = &mut self.writer;
        self.progress.aside(|| writer.flush()).map_err(|error| Failure::output(&error))
    }
}
