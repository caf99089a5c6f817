//! The source of requests: the command line, lines of a file, or all of standard input.
//!
//! Guarantees: a line becomes a request only when the next request is wanted; the error about a line that is not a
//! request has its number. Of lines, only [`RequestSource::read`] reads, once per call: a caller that waits until
//! [`RequestSource::descriptor`] is readable never blocks.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::line_buffer::LineBuffer;
use super::request::SendRequest;
use super::words::{check_source, from_command_line, split_line, stdin_action};
use crate::client::client_protocol::{ClientProtocol, MAX_LENGTH};
use crate::client::failure::Failure;
use crate::client::options::SendOptions;

/// Requests, one after another.
pub struct RequestSource {
    protocol: ClientProtocol,
    kind: SourceKind,
    total: Option<u64>,
    number: u64,
}

enum SourceKind {
    /// One request; boxed because it is much larger than the other kinds.
    One(Box<SendRequest>),
    Lines {
        name: String,
        input: Input,
        lines: LineBuffer,
    },
    Exhausted,
}

enum Input {
    Stdin(io::Stdin),
    File(File),
}

/// What [`RequestSource::next`] found.
pub enum NextRequest {
    /// A request.
    Request(SendRequest),
    /// No whole line: read more.
    NeedInput,
    /// There are no more.
    End,
}

/// The longest line, in bytes. Derived: the longest message, and room for any action.
const MAX_LINE: usize = MAX_LENGTH + 64;

impl RequestSource {
    /// Opens the source that the options name; with `--stdin-data` reads all of standard input.
    pub fn open(options: &SendOptions) -> Result<Self, Failure> {
        let protocol = options.protocol;
        check_source(options)?;
        if let Some(path) = &options.file {
            return Self::lines(protocol, path);
        }
        let (action, message) = match &options.stdin_data {
            Some(action) => (stdin_action(protocol, action)?, all_of_stdin()?),
            None => from_command_line(options)?,
        };
        let total = Some(message.len() as u64);
        let request = SendRequest::new(protocol, 1, &action, &message).map_err(Failure::cannot_run)?;
        Ok(Self { protocol, kind: SourceKind::One(Box::new(request)), total, number: 0 })
    }

    fn lines(protocol: ClientProtocol, path: &Path) -> Result<Self, Failure> {
        let (name, input, total) = if path == Path::new("-") {
            (String::from("standard input"), Input::Stdin(io::stdin()), None)
        } else {
            let name = path.display().to_string();
            let open = File::open(path);
            let file = open.map_err(|error| Failure::cannot(format_args!("open {name}"), &error))?;
            let total = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|data| data.len());
            (name, Input::File(file), total)
        };
        let lines = LineBuffer::new(MAX_LINE);
        Ok(Self { protocol, kind: SourceKind::Lines { name, input, lines }, total, number: 0 })
    }

    /// The length of the message, or the size of the file, in bytes, if that is known.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The number of the next request, from 1.
    pub fn next_number(&self) -> u64 {
        self.number + 1
    }

    /// The next request.
    pub fn next(&mut self) -> Result<NextRequest, Failure> {
        match std::mem::replace(&mut self.kind, SourceKind::Exhausted) {
            SourceKind::Exhausted => Ok(NextRequest::End),
            SourceKind::One(request) => Ok(NextRequest::Request(*request)),
            SourceKind::Lines { name, input, mut lines } => {
                let line = lines.next_line().map_err(|why| Failure::cannot_run(format!("{name}: {why}")))?;
                let next = match line {
                    Some(line) => NextRequest::Request(self.parse_line(&name, line)?),
                    None => NextRequest::NeedInput,
                };
                match next {
                    NextRequest::Request(_) => self.number += 1,
                    _ if lines.is_complete() => return Ok(NextRequest::End),
                    _ => {}
                }
                self.kind = SourceKind::Lines { name, input, lines };
                Ok(next)
            }
        }
    }

    fn parse_line(&self, name: &str, line: &[u8]) -> Result<SendRequest, Failure> {
        let number = self.next_number();
        split_line(self.protocol, line)
            .and_then(|(action, message)| SendRequest::new(self.protocol, number, action, message))
            .map_err(|why| Failure::cannot_run(format!("{name}:{number}: {why}")))
    }

    /// The descriptor that lines are read from.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.kind {
            SourceKind::Lines { input: Input::Stdin(stdin), .. } => Some(stdin.as_fd()),
            SourceKind::Lines { input: Input::File(file), .. } => Some(file.as_fd()),
            SourceKind::One(_) | SourceKind::Exhausted => None,
        }
    }

    /// Whether lines are typed, at a terminal.
    pub fn is_interactive(&self) -> bool {
        self.descriptor().is_some_and(|input| input.is_terminal())
    }

    /// Reads once.
    pub fn read(&mut self) -> Result<(), Failure> {
        let SourceKind::Lines { name, input, lines } = &mut self.kind else { return Ok(()) };
        let read = match input {
            // the buffer of standard input is not used for anything else
            Input::Stdin(stdin) => lines.fill(&mut stdin.lock()),
            Input::File(file) => lines.fill(file),
        };
        match read {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                Err(Failure::cannot(format_args!("read {name}"), &error))
            }
            _ => Ok(()),
        }
    }
}

fn all_of_stdin() -> Result<Vec<u8>, Failure> {
    let mut message = Vec::new();
    // One byte more than the limit shows that there is too much, without reading the rest.
    let read = io::stdin().lock().take(MAX_LENGTH as u64 + 1).read_to_end(&mut message);
    match read {
        Err(error) => Err(Failure::cannot("read standard input", &error)),
        Ok(length) if length > MAX_LENGTH => {
            Err(Failure::cannot_run(format!("standard input has more than {MAX_LENGTH} bytes, the longest message")))
        }
        Ok(_) => Ok(message),
    }
}
