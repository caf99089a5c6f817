//! An action and a message out of the words of the command line, or of a line.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::client::client_protocol::ClientProtocol;
use crate::client::failure::Failure;
use crate::client::options::SendOptions;

/// The action and the message on the command line; several words of a message are joined by spaces.
pub fn from_command_line(options: &SendOptions) -> Result<(String, Vec<u8>), Failure> {
    let protocol = options.protocol;
    let words: Vec<&OsStr> = options.words.iter().map(AsRef::as_ref).collect();
    let usage = |why: &str| Failure::cannot_run(format!("{why} (protocol {})", protocol.name()));
    match (protocol.has_actions(), protocol.takes_messages(), words.as_slice()) {
        (true, _, [action, message @ ..]) if !message.is_empty() => {
            Ok((action_word(protocol, action)?, joined(message)))
        }
        (true, ..) => Err(usage("nothing to send: give ACTION MESSAGE, or -f FILE, or --stdin-data ACTION")),
        (false, true, []) => Err(usage("nothing to send: give MESSAGE, or -f FILE, or --stdin-data")),
        (false, true, message) => Ok((String::new(), joined(message))),
        (false, false, []) => Ok((String::new(), Vec::new())),
        (false, false, _) => Err(no_requests(protocol, "MESSAGE")),
    }
}

/// Rejects a file or standard input as the source of requests where the protocol has none.
pub fn check_source(options: &SendOptions) -> Result<(), Failure> {
    let source = match (&options.file, &options.stdin_data) {
        (Some(_), _) => "--file",
        (_, Some(_)) => "--stdin-data",
        (None, None) => return Ok(()),
    };
    let protocol = options.protocol;
    if protocol.takes_messages() { Ok(()) } else { Err(no_requests(protocol, source)) }
}

fn no_requests(protocol: ClientProtocol, source: &str) -> Failure {
    Failure::cannot_run(format!("this protocol has no requests: omit {source} (protocol {})", protocol.name()))
}

/// The action of `--stdin-data`; empty in protocols without actions.
pub fn stdin_action(protocol: ClientProtocol, word: &OsStr) -> Result<String, Failure> {
    match (protocol.has_actions(), word.is_empty()) {
        (true, true) => Err(Failure::cannot_run("--stdin-data needs an ACTION in this protocol")),
        (true, false) => action_word(protocol, word),
        (false, true) => Ok(String::new()),
        (false, false) => Err(Failure::cannot_run(format!("protocol {} has no actions: omit ACTION", protocol.name()))),
    }
}

/// `ACTION MESSAGE`, or in protocols without actions `MESSAGE`.
pub fn split_line(protocol: ClientProtocol, line: &[u8]) -> Result<(&str, &[u8]), String> {
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

fn joined(words: &[&OsStr]) -> Vec<u8> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    words.join(&b' ')
}

/// An action that the protocol has.
fn action_word(protocol: ClientProtocol, word: &OsStr) -> Result<String, Failure> {
    if word.is_empty() {
        return Err(Failure::cannot_run(format!("the action is empty: give one of {}", protocol.action_names())));
    }
    let action = word.to_str().ok_or_else(|| Failure::cannot_run("an action is a word in UTF-8"))?;
    protocol.check_action(action).map_err(Failure::cannot_run)?;
    Ok(action.to_owned())
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
    fn actions_are_checked_before_anything_is_read() {
        let frame = ClientProtocol::by_name("frame").unwrap();
        assert_eq!(stdin_action(frame, OsStr::new("reverse")).unwrap(), "reverse");
        for (word, why) in [("", "--stdin-data needs an ACTION"), ("nonsense", "no such action: nonsense")] {
            let failure = stdin_action(frame, OsStr::new(word)).unwrap_err().to_string();
            assert!(failure.starts_with(why), "{failure}");
        }
    }
}
