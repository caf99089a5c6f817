//! Where requests come from: the command line, lines of a file, or all of standard input.
//!
//! Guarantees: a request is read only when it is asked for; a line that cannot be a request is named by its number.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Label;
use crate::client::client_protocol::{ClientProtocol, MAX_LENGTH, ReplyFraming};
use crate::client::failure::Failure;
use crate::client::options::SendOptions;

/// A request, ready to be sent, and what its answer must look like.
#[derive(Debug)]
pub struct Request {
    /// What to call it in messages.
    pub label: Label,
    /// Its bytes.
    pub wire: Vec<u8>,
    /// Where its answer ends.
    pub framing: ReplyFraming,
    /// How long its answer must be, if that is known.
    pub length: Option<usize>,
    /// How many bytes of its answer are worth reading.
    pub most: usize,
    /// Whether a refusal is the answer to be expected: the message could have turned into that word.
    pub may_say_error: bool,
}

/// Requests, one after another.
pub struct Input {
    source: Source,
    total: Option<u64>,
    number: u64,
}

enum Source {
    One { action: String, message: Vec<u8> },
    Lines { name: String, lines: BufReader<Box<dyn Read + Send>> },
    Exhausted,
}

impl Input {
    /// The input that the options name; reads standard input where it is one message.
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
        Ok(Self { source: Source::One { action, message }, total, number: 0 })
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
        let lines = BufReader::with_capacity(1 << 16, reader);
        Ok(Self { source: Source::Lines { name, lines }, total, number: 0 })
    }

    /// How many bytes there are to send, if that is known.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Whether the next request may have to be waited for.
    pub fn may_block(&self) -> bool {
        match &self.source {
            Source::Lines { lines, .. } => !lines.buffer().contains(&b'\n'),
            Source::One { .. } | Source::Exhausted => false,
        }
    }

    /// The next request; nothing after the last.
    pub fn next(&mut self, dialogue: ClientProtocol) -> Result<Option<Request>, Failure> {
        self.number += 1;
        match &mut self.source {
            Source::Exhausted => Ok(None),
            Source::One { action, message } => {
                let request = request(dialogue, 1, action, message).map_err(Failure::cannot_run)?;
                self.source = Source::Exhausted;
                Ok(Some(request))
            }
            Source::Lines { name, lines } => {
                let number = self.number;
                let Some(line) =
                    line(lines).map_err(|error| Failure::cannot_run(format!("cannot read {name}: {error}")))?
                else {
                    return Ok(None);
                };
                let made = split_line(dialogue, &line)
                    .and_then(|(action, message)| request(dialogue, number, action, message));
                made.map(Some).map_err(|why| Failure::cannot_run(format!("{name}:{number}: {why}")))
            }
        }
    }
}

fn from_words(options: &SendOptions) -> Result<(String, Vec<u8>), Failure> {
    let dialogue = options.protocol;
    let words: Vec<&OsStr> = options.words.iter().map(AsRef::as_ref).collect();
    let usage = |why: &str| Failure::cannot_run(format!("{why} (protocol {})", dialogue.name()));
    match (dialogue.has_actions(), dialogue.takes_messages(), words.as_slice()) {
        (true, _, [action, message]) => Ok((action_word(dialogue, action)?, message.as_bytes().to_vec())),
        (true, ..) => Err(usage("what to send? give ACTION MESSAGE, or -f FILE, or --stdin-data ACTION")),
        (false, true, [message]) => Ok((String::new(), message.as_bytes().to_vec())),
        (false, true, []) => Err(usage("what to send? give MESSAGE, or -f FILE, or --stdin-data")),
        (false, false, []) => Ok((String::new(), Vec::new())),
        (false, false, _) => Err(usage("this service is sent nothing: leave MESSAGE out")),
        (false, true, _) => Err(usage("this protocol has no actions: give MESSAGE alone")),
    }
}

fn action_word(dialogue: ClientProtocol, word: &OsStr) -> Result<String, Failure> {
    let word = word.to_str().ok_or_else(|| Failure::cannot_run("an action is a word in UTF-8"))?;
    if !dialogue.has_actions() && !word.is_empty() {
        return Err(Failure::cannot_run(format!("protocol {} has no actions: leave ACTION out", dialogue.name())));
    }
    Ok(word.to_owned())
}

fn all_of_stdin() -> Result<Vec<u8>, Failure> {
    let mut message = Vec::new();
    let read = io::stdin().lock().take(MAX_LENGTH as u64 + 1).read_to_end(&mut message);
    match read {
        Err(error) => Err(Failure::cannot_run(format!("cannot read standard input: {error}"))),
        Ok(length) if length > MAX_LENGTH => {
            Err(Failure::cannot_run(format!("standard input has more than {MAX_LENGTH} bytes, the longest message")))
        }
        Ok(_) => Ok(message),
    }
}

fn line(lines: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if lines.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(Some(line))
}

/// `ACTION MESSAGE`, or the message alone where there are no actions.
fn split_line(dialogue: ClientProtocol, line: &[u8]) -> Result<(&str, &[u8]), String> {
    if !dialogue.has_actions() {
        return Ok(("", line));
    }
    let space = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    let action = std::str::from_utf8(&line[..space]).map_err(|_| "an action is a word in UTF-8")?;
    if action.is_empty() {
        return Err("a line is ACTION MESSAGE, and this one has no action".into());
    }
    Ok((action, line.get(space + 1..).unwrap_or_default()))
}

fn request(dialogue: ClientProtocol, number: u64, action: &str, message: &[u8]) -> Result<Request, String> {
    let mut wire = Vec::with_capacity(message.len() + 32);
    dialogue.write_request(action, message, &mut wire)?;
    let length = dialogue.expected_length(action, message);
    Ok(Request {
        label: Label { number, action: action.to_owned(), length: message.len() },
        wire,
        framing: dialogue.framing(message),
        length,
        most: dialogue.longest_answer(length),
        may_say_error: may_say_error(message),
    })
}

/// Whether a transform of the message could be the word that refusals are.
fn may_say_error(message: &[u8]) -> bool {
    message.len() <= 64 && b"ero".iter().all(|letter| message.to_ascii_lowercase().contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_action_and_a_message() {
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
    fn the_last_line_may_lack_its_newline() {
        let mut lines = b"a\n\nb".as_slice();
        let read: Vec<_> = std::iter::from_fn(|| line(&mut lines).unwrap()).collect();
        assert_eq!(read, [b"a".to_vec(), vec![], b"b".to_vec()]);
    }

    #[test]
    fn only_the_word_itself_may_be_taken_for_a_refusal() {
        assert!(may_say_error(b"ERROR"));
        assert!(may_say_error(b"rorre"));
        assert!(!may_say_error(b"hello"));
    }
}
