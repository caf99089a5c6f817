//! The option `--color`, which applies to help and usage errors, too.

use std::ffi::OsString;

use clap::{ColorChoice, ValueEnum};

/// When text has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set, or TERM is unset or dumb
    #[allow(clippy::doc_markdown, reason = "this is a help text")]
    Auto,
    /// Also to a file or a pipe
    Always,
    /// Without
    Never,
}

/// The colours of clap's own texts: its texts must follow the option before clap has parsed it.
///
/// Without the option, and with a value that clap will reject, clap decides by its own rules, which are those of
/// [`ColorWhen::Auto`].
pub fn choice(arguments: impl IntoIterator<Item = OsString>) -> ColorChoice {
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
            assert_eq!(choice(arguments.split(' ').map(OsString::from)), expected, "{arguments}");
        }
    }
}
