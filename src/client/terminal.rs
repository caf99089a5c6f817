//! What a terminal can show, by its type and the environment: whether standard output has colours, and whether a line
//! on standard error can be drawn again.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};

/// Whether text on standard output can have colours.
#[must_use]
pub fn stdout_has_colour() -> bool {
    environment_has_colour() && io::stdout().is_terminal()
}

/// Whether the environment leaves colours to each stream: `NO_COLOR` and `TERM` do not rule them out.
#[must_use]
pub fn environment_has_colour() -> bool {
    is_wanted(env::var_os("NO_COLOR").as_deref()) && interprets_sequences(env::var_os("TERM").as_deref())
}

/// Whether a line on standard error can be drawn again, as a progress bar is.
#[must_use]
pub fn stderr_can_redraw() -> bool {
    interprets_sequences(env::var_os("TERM").as_deref()) && io::stderr().is_terminal()
}

/// An empty `NO_COLOR` is as none (<https://no-color.org>).
fn is_wanted(no_color: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty)
}

/// Whether a terminal of this type interprets escape sequences; `dumb` is one that does not (term(7)).
fn interprets_sequences(term: Option<&OsStr>) -> bool {
    term.is_some_and(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_no_color_is_as_none() {
        for (value, wanted) in [(None, true), (Some(""), true), (Some("1"), false), (Some("0"), false)] {
            assert_eq!(is_wanted(value.map(OsStr::new)), wanted, "{value:?}");
        }
    }

    #[test]
    fn dumb_terminal_has_no_escape_sequences() {
        for (value, interprets) in [(None, false), (Some("dumb"), false), (Some("xterm"), true)] {
            assert_eq!(interprets_sequences(value.map(OsStr::new)), interprets, "{value:?}");
        }
    }
}
