//! The source of requests: the command line, lines of a file, or all of standard input.
//!
//! Guarantees: a line is read only when the next request is wanted; the error about a line that is not a request has
//! its number.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::request::SendRequest;
use crate::client::client_protocol::{ClientProtocol, MAX_LENGTH};
use crate::client::failure::Failure;
use crate::client::options::SendOptions;

/// Requests, one after another.
pub struct RequestSource {
    kind: SourceKind,
    total: Option<u64>,
    number: u64,
}

enum SourceKind {
    One { action: String, message: Vec<u8> },
    Lines { name: String, lines: BufReader<Box<dyn Read + Send>> },
    Exhausted,
}

/// Bytes of a file of requests to read at once. Chosen without tuning.
const READ_SIZE: usize = 64 << 10;

impl RequestSource {
    /// Opens the source that the options name; with `--stdin-data` reads all of standard input.
    pub fn open(options: &SendOptions) -> Result<Self, Failure> {
        if let Some(path) = &options.file {
            return Self::lines(path);
        }
        let (action, message) = match &options.stdin_data {
            Some(action) => (action_word(options.protocol, action)?, all_of_stdin()?),
            None => from_words(options)?,
        };
        if options.protocol.has_actions() && action.is_empty() {
            return Err(Failure::cannot_run("--stdin-data needs an ACTION in this protocol"));
        }
        let total = Some(message.len() as u64);
        Ok(Self { kind: SourceKind::One { action, message }, total, number: 0 })
    }

    fn lines(path: &Path) -> Result<Self, Failure> {
        let (name, reader, total): (_, Box<dyn Read + Send>, _) = if path == Path::new("-") {
            (String::from("standard input"), Box::new(io::stdin()), None)
        } else {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|error| Failure::cannot_run(format!("cannot open {name}: {error}")))?;
            let total = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|data| data.len());
            (name, Box::new(file), total)
        };
        let lines = BufReader::with_capacity(READ_SIZE, reader);
        Ok(Self { kind: SourceKind::Lines { name, lines }, total, number: 0 })
    }

    /// The length of the message, or the size of the file, in bytes, if that is known.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Whether [`next`](Self::next) may block.
    pub fn may_block(&self) -> bool {
        match &self.kind {
            SourceKind::Lines { lines, .. } => !lines.buffer().contains(&b'\n'),
            SourceKind::One { .. } | SourceKind::Exhausted => false,
        }
    }

    /// The next request; `None` after the last.
    pub fn next(&mut self, protocol: ClientProtocol) -> Result<Option<SendRequest>, Failure> {
        self.number += 1;
        match &mut self.kind {
            SourceKind::Exhausted => Ok(None),
            SourceKind::One { action, message } => {
                let request = SendRequest::new(protocol, 1, action, message).map_err(Failure::cannot_run)?;
                self.kind = SourceKind::Exhausted;
                Ok(Some(request))
            }
            SourceKind::Lines { name, lines } => {
                let number = self.number;
                let Some(line) =
                    read_line(lines).map_err(|error| Failure::cannot_run(format!("cannot read {name}: {error}")))?
                else {
                    return Ok(None);
                };
                let request = split_line(protocol, &line)
                    .and_then(|(action, message)| SendRequest::new(protocol, number, action, message));
                request.map(Some).map_err(|why| Failure::cannot_run(format!("{name}:{number}: {why}")))
            }
        }
    }
}

fn from_words(options: &SendOptions) -> Result<(String, Vec<u8>), Failure> {
    let protocol = options.protocol;
    let words: Vec<&OsStr> = options.words.iter().map(AsRef::as_ref).collect();
    let usage = |why: &str| Failure::cannot_run(format!("{why} (protocol {})", protocol.name()));
    match (protocol.has_actions(), protocol.takes_messages(), words.as_slice()) {
        (true, _, [action, message]) => Ok((action_word(protocol, action)?, message.as_bytes().to_vec())),
        (true, ..) => Err(usage("nothing to send: give ACTION MESSAGE, or -f FILE, or --stdin-data ACTION")),
        (false, true, [message]) => Ok((String::new(), message.as_bytes().to_vec())),
        (false, true, []) => Err(usage("nothing to send: give MESSAGE, or -f FILE, or --stdin-data")),
        (false, false, []) => Ok((String::new(), Vec::new())),
        (false, false, _) => Err(usage("this protocol has no requests: omit MESSAGE")),
        (false, true, _) => Err(usage("this protocol has no actions: give only MESSAGE")),
    }
}

fn action_word(protocol: ClientProtocol, word: &OsStr) -> Result<String, Failure> {
    let word = word.to_str().ok_or_else(|| Failure::cannot_run("an action is a word in UTF-8"))?;
    if !protocol.has_actions() && !word.is_empty() {
        return Err(Failure::cannot_run(format!("protocol {} has no actions: omit ACTION", protocol.name())));
    }
    Ok(word.to_owned())
}

fn all_of_stdin() -> Result<Vec<u8>, Failure> {
    let mut message = Vec::new();
    // One byte more than the limit shows that there is too much, without reading the rest.
    let read = io::stdin().lock().take(MAX_LENGTH as u64 + 1).read_to_end(&mut message);
    match read {
        Err(error) => Err(Failure::cannot_run(format!("cannot read standard input: {error}"))),
        Ok(length) if length > MAX_LENGTH => {
            Err(Failure::cannot_run(format!("standard input has more than {MAX_LENGTH} bytes, the longest message")))
        }
        Ok(_) => Ok(message),
    }
}

/// The next line without its newline; `None` at the end of input.
fn read_line(lines: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if lines.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(Some(line))
}

/// `ACTION MESSAGE`, or in protocols without actions `MESSAGE`.
fn split_line(protocol: ClientProtocol, line: &[u8]) -> Result<(&str, &[u8]), String> {
    if !protocol.has_actions() {
        return Ok(("", line));
    }
    let space = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    let action = std::str::from_utf8(&line[..space]).map_err(|_| "an action is a word in UTF-8")?;
    if action.is_empty() {
        return Err("a line is ACTION MESSAGE, and this one has no action".into());
    }
    Ok((action, line.get(space + 1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_into_action_and_message() {
        let frame = ClientProtocol::by_name("frame").unwrap();
        assert_eq!(split_line(frame, b"reverse a b"), Ok(("reverse", b"a b".as_slice())));
        assert_eq!(split_line(frame, b"reverse"), Ok(("reverse", b"".as_slice())));
        assert_eq!(split_line(frame, b"reverse "), Ok(("reverse", b"".as_slice())));
        assert!(split_line(frame, b"").is_err());
        assert!(split_line(frame, b" x").is_err());
        let echo = ClientProtocol::by_name("echo").unwrap();
        assert_eq!(split_line(echo, b"a b"), Ok(("", b"a b".as_slice())));
    }

    #[test]
    fn last_line_may_lack_its_newline() {
        let mut lines = b"a\n\nb".as_slice();
        let read: Vec<_> = std::iter::from_fn(|| read_line(&mut lines).unwrap()).collect();
        assert_eq!(read, [b"a".to_vec(), vec![], b"b".to_vec()]);
    }
}
