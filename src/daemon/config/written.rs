//! The settings as they are written, and as lines of a settings file (`--check`).

use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches};

use super::args::command;

/// A setting as it is written on the command line, in the environment or in the settings file.
#[derive(Debug, PartialEq, Eq)]
pub struct WrittenSetting {
    /// The variable.
    pub name: String,
    /// The value; `None` if it is not set, and has no default or one that the system or other settings decide.
    pub value: Option<OsString>,
    /// The value is not set.
    pub is_default: bool,
}

/// All settings, in the order of their declaration.
#[must_use]
pub fn written_settings(matches: &ArgMatches) -> Vec<WrittenSetting> {
    let command = command();
    let setting = |option: &clap::Arg| {
        let name = option.get_env()?.to_string_lossy().into_owned();
        let id = option.get_id().as_str();
        let is_default = matches!(matches.value_source(id), None | Some(ValueSource::DefaultValue));
        let values: Vec<&OsStr> = matches.get_raw(id).map_or(Vec::new(), Iterator::collect);
        let value = match option.get_action() {
            ArgAction::Append => (!values.is_empty()).then(|| values.join(OsStr::new(" "))),
            _ => values.last().map(OsString::from),
        };
        Some(WrittenSetting { name, value, is_default })
    };
    command.get_arguments().filter_map(setting).collect()
}

/// A line of a settings file. A default value is a comment, and so is one that is not UTF-8, which a file must be.
#[must_use]
pub fn line(name: &str, value: &OsStr, is_default: bool) -> String {
    let Some(text) = value.to_str() else {
        return format!("# {name} is not UTF-8: {}", value.to_string_lossy().escape_debug());
    };
    format!("{}{name}={}", if is_default { "#" } else { "" }, quoted(text))
}

/// A value in double quotes if the file would not be read as meant without them (`env_file`).
fn quoted(value: &str) -> String {
    if value.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:,=[]%+@".contains(c)) {
        return value.into();
    }
    let mut text = String::from('"');
    for character in value.chars() {
        if "\"\\`$".contains(character) {
            text.push('\\');
        }
        text.push(character);
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use proptest::prelude::*;

    use super::*;
    use crate::daemon::config::env_file;

    /// Each setting that is not a default: `NAME=VALUE`.
    fn given(arguments: &[&str]) -> Vec<String> {
        let matches = command().try_get_matches_from([&["retortd"], arguments].concat()).expect("arguments");
        let settings = written_settings(&matches).into_iter().filter(|setting| !setting.is_default);
        settings.map(|setting| line(&setting.name, &setting.value.expect("a value"), false)).collect()
    }

    #[test]
    fn settings_are_listed_as_they_are_written() {
        let arguments = ["--listen=echo=7  time", "-vv", "--listen", "ack=1", "--max-message=64KiB", "--seed=1"];
        let listen = "RETORTD_LISTEN=\"echo=7  time ack=1\"";
        let expected = [listen, "RETORTD_SEED=1", "RETORTD_MAX_MESSAGE=64KiB", "RETORTD_VERBOSE=2"];
        let mut listed = given(&arguments);
        listed.sort_unstable();
        let mut expected = expected.map(String::from);
        expected.sort_unstable();
        assert_eq!(listed, expected);
        assert_eq!(given(&["--seed=1", "--seed=2"]), ["RETORTD_SEED=2"]);
    }

    #[test]
    fn defaults_are_marked() {
        let matches = command().try_get_matches_from(["retortd"]).expect("arguments");
        let settings = written_settings(&matches);
        assert!(settings.iter().all(|setting| setting.is_default), "{settings:?}");
        let value =
            |name: &str| settings.iter().find(|setting| setting.name == name).and_then(|setting| setting.value.clone());
        assert_eq!(value("RETORTD_IDLE_TIMEOUT"), Some("10m".into()));
        assert_eq!(value("RETORTD_VERBOSE"), Some("0".into()));
        assert_eq!(value("RETORTD_QUOTES"), None);
    }

    #[test]
    fn lines_that_are_no_settings_are_comments() {
        assert_eq!(line("A", OsStr::new("1"), true), "#A=1");
        assert_eq!(line("A", OsStr::from_bytes(b"/\xff\n"), false), "# A is not UTF-8: /\u{fffd}\\n");
    }

    proptest! {
        #[test]
        fn a_line_is_read_as_the_value(value in prop_oneof!["[^\0]{1,20}", "[ \t\\\\\"'`$#;=a]{1,20}"]) {
            let read = env_file::parse(line("A", OsStr::new(&value), false).as_bytes(), |_| true).expect("a line");
            prop_assert_eq!(&read.variables[0].value, &value);
        }
    }
}
