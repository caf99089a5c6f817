//! The command of a client: its words, and the values that replace their placeholders.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::Command;

use crate::client::failure::{Failure, reason};

/// The command line of the client, with placeholders.
#[derive(Clone, Debug)]
pub struct ClientCommand {
    words: Vec<OsString>,
}

/// What replaces the placeholders.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    /// `{host}`.
    pub host: &'a str,
    /// `{port}`.
    pub port: &'a str,
    /// `{file}`.
    pub file: &'a Path,
    /// `{action}`.
    pub action: &'a str,
    /// `{message}`.
    pub message: &'a [u8],
}

/// What a command without placeholders gets: the form of the course's client for `frame`.
const COURSE_FORM: [&str; 5] = ["-h", "{host}", "-p", "{port}", "{file}"];

/// All placeholders.
const PLACEHOLDERS: [&str; 5] = ["{host}", "{port}", "{file}", ACTION, MESSAGE];
const ACTION: &str = "{action}";
const MESSAGE: &str = "{message}";

impl ClientCommand {
    /// The command with these words. Without a placeholder it gets those of the course's client.
    #[must_use]
    pub fn new(mut words: Vec<OsString>) -> Self {
        if !PLACEHOLDERS.iter().any(|placeholder| has(&words, placeholder)) {
            words.extend(COURSE_FORM.map(OsString::from));
        }
        Self { words }
    }

    /// Whether the command takes one request, as arguments.
    #[must_use]
    pub fn takes_one_request(&self) -> bool {
        has(&self.words, MESSAGE) || has(&self.words, ACTION)
    }

    /// Whether the command takes the name of a file; without one, and without a request in the arguments, it gets the
    /// requests on standard input.
    #[must_use]
    pub fn takes_file(&self) -> bool {
        has(&self.words, "{file}")
    }

    /// Whether the command takes a port: without one it cannot be given a wrong one.
    #[must_use]
    pub fn takes_port(&self) -> bool {
        has(&self.words, "{port}")
    }

    /// The command with its values.
    #[must_use]
    pub fn with_values(&self, values: &Values<'_>) -> Command {
        let mut words = self.words.iter().map(|word| replaced(word, values));
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command
    }

    /// The failure to start it.
    #[must_use]
    pub fn cannot_start(&self, error: &io::Error) -> Failure {
        let program = Path::new(self.words.first().map_or(OsStr::new(""), |word| word));
        let exists = program.components().count() > 1 && program.exists();
        let advice = match error.kind() {
            io::ErrorKind::PermissionDenied => ": make it executable (chmod +x), or put its interpreter before it",
            io::ErrorKind::NotFound if exists => ": the interpreter in its first line does not exist",
            io::ErrorKind::NotFound if program.components().count() == 1 => {
                ": no directory in PATH has it (write ./NAME for a file in this directory)"
            }
            _ => "",
        };
        Failure::cannot_run(format!("cannot run {}: {}{advice}", program.display(), reason(error)))
    }

    /// The words, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        self.words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }
}

fn has(words: &[OsString], placeholder: &str) -> bool {
    words.iter().any(|word| find(word.as_bytes(), placeholder).is_some())
}

fn find(word: &[u8], placeholder: &str) -> Option<usize> {
    word.windows(placeholder.len()).position(|window| window == placeholder.as_bytes())
}

/// The word with its values; placeholders in a value stay as they are.
fn replaced(word: &OsStr, values: &Values<'_>) -> OsString {
    let port = values.port.as_bytes();
    let replacements = [values.host.as_bytes(), port, values.file.as_os_str().as_bytes(), values.action.as_bytes()];
    let replacements = PLACEHOLDERS.into_iter().zip(replacements.into_iter().chain([values.message]));
    let (mut rest, mut out) = (word.as_bytes(), Vec::new());
    let next = |rest: &[u8]| {
        let found = replacements.clone().filter_map(|(name, value)| Some((find(rest, name)?, name, value)));
        found.min_by_key(|(at, ..)| *at)
    };
    while let Some((at, name, value)) = next(rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(value);
        rest = &rest[at + name.len()..];
    }
    out.extend_from_slice(rest);
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &ClientCommand) -> Vec<String> {
        let values = Values { host: "::1", port: "7", file: Path::new("/f"), action: "reverse", message: b"a {port}" };
        let command = command.with_values(&values);
        [command.get_program()]
            .into_iter()
            .chain(command.get_args())
            .map(|word| word.to_str().unwrap().into())
            .collect()
    }

    fn command(text: &str) -> ClientCommand {
        ClientCommand::new(text.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn placeholders_are_replaced_and_the_form_of_the_course_is_appended() {
        for (text, expected) in [
            ("client", vec!["client", "-h", "::1", "-p", "7", "/f"]),
            ("python3 client.py -v", vec!["python3", "client.py", "-v", "-h", "::1", "-p", "7", "/f"]),
            ("send {host}:{port} --file={file}", vec!["send", "::1:7", "--file=/f"]),
            ("nc {host} {port}", vec!["nc", "::1", "7"]),
            ("v1 {host} {action} {message} {other}", vec!["v1", "::1", "reverse", "a {port}", "{other}"]),
        ] {
            assert_eq!(words(&command(text)), expected, "{text}");
        }
    }

    #[test]
    fn the_placeholders_decide_how_requests_get_to_the_client() {
        assert!(command("client").takes_file() && command("client").takes_port());
        assert!(!command("nc {host} {port}").takes_file() && !command("nc {host} {port}").takes_one_request());
        assert!(command("v1 {host} {action} {message}").takes_one_request());
    }

    #[test]
    fn a_command_that_cannot_be_started_is_explained() {
        let message = |text: &str| {
            let command = command(text);
            let values = Values { host: "", port: "", file: Path::new(""), action: "", message: b"" };
            let error = command.with_values(&values).spawn().expect_err("no such program");
            command.cannot_start(&error).to_string()
        };
        assert!(message("no-such-program").contains("no directory in PATH has it"), "{}", message("no-such-program"));
        assert!(message("/nonexistent/client").ends_with("No such file or directory"));
        assert!(message("./Cargo.toml").contains("make it executable"), "{}", message("./Cargo.toml"));
    }
}
