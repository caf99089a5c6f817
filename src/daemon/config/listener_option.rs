//! The options of a listener. A reload replaces them.

use super::listener_syntax::{Written, WrittenOption};
use crate::protocol;

/// An option of a listener. This release defines none: a later one adds a variant here and its name to `NAMES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerOption {}

impl ListenerOption {
    /// The names of all options; none may be the name of a protocol.
    const NAMES: &[&str] = &[];

    fn parse(option: &WrittenOption<'_>, listener: &str) -> Result<Self, String> {
        let name = option.name;
        if protocol::by_name(name).is_some() {
            return Err(format!(
                "'{name}' is a protocol and not an option of {listener}: write a space between listeners"
            ));
        }
        let known = match Self::NAMES {
            [] => "this release defines no listener options".to_string(),
            names => format!("the options are {}", names.join(", ")),
        };
        Err(format!("{listener} has no option '{name}': {known}"))
    }

    /// Parses the options of a listener or entry.
    ///
    /// # Errors
    /// An option is unknown to this release, or its value is invalid.
    pub fn parse_all(written: &Written<'_>) -> Result<Vec<Self>, String> {
        written.options.iter().map(|option| Self::parse(option, written.name)).collect()
    }
}
