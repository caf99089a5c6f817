//! The option `--color`, which applies to help and usage errors, too.

use std::ffi::OsString;

use clap::{ColorChoice, ValueEnum};

use crate::client::terminal;

/// When text has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is not empty, or TERM is unset or dumb
    #[allow(clippy::doc_markdown, reason = "this is a help text")]
    Auto,
    /// Also to a file or a pipe
    Always,
    /// No colours
    Never,
}

impl ColorWhen {
    /// Whether text on standard output has colours.
    #[must_use]
    pub fn on_stdout(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => terminal::stdout_has_colour(),
        }
    }
}

/// The colours of clap's own texts, help and usage errors. They follow --color, too, so the option is looked up here
/// before clap parses the command line.
///
/// Without the option, and with a value that clap will reject, this is [`ColorWhen::Auto`]. clap's own automatic choice
/// would ignore `TERM` where `CI` is set, and so decides only where the environment allows colours.
pub fn choice(arguments: impl IntoIterator<Item = OsString>) -> ColorChoice {
    match written(arguments) {
        ColorChoice::Auto if !terminal::environment_has_colour() => ColorChoice::Never,
        choice => choice,
    }
}

/// The choice that the command line states.
fn written(arguments: impl IntoIterator<Item = OsString>) -> ColorChoice {
    let mut choice = ColorChoice::Auto;
    let mut arguments = arguments.into_iter().take_while(|argument| argument != "--");
    while let Some(argument) = arguments.next() {
        let value = match argument.to_str().and_then(|argument| argument.strip_prefix("--color")) {
            Some("") => arguments.next().and_then(|value| value.into_string().ok()),
            Some(value) => value.strip_prefix('=').map(str::to_owned),
            None => None,
        };
        choice = match value.as_deref() {
            Some("always") => ColorChoice::Always,
            Some("never") => ColorChoice::Never,
            _ => choice,
        };
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choice_of_the_user_comes_first() {
        assert!(ColorWhen::Always.on_stdout());
        assert!(!ColorWhen::Never.on_stdout());
    }

    #[test]
    fn texts_of_clap_follow_the_option() {
        for (arguments, expected) in [
            ("retort check host", ColorChoice::Auto),
            ("retort --color never check", ColorChoice::Never),
            ("retort check --color=always", ColorChoice::Always),
            ("retort check --color=auto", ColorChoice::Auto),
            ("retort check --colorful=always", ColorChoice::Auto),
            ("retort check --color", ColorChoice::Auto),
            ("retort send host -- --color always", ColorChoice::Auto),
        ] {
            assert_eq!(written(arguments.split(' ').map(OsString::from)), expected, "{arguments}");
        }
    }
}
