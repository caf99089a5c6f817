//! The checks that `--only` names.

use super::catalog;
use super::definition::{Check, PROXY, checkable_protocols};
use crate::client::client_protocol::{ClientProtocol, ConnectionUse, MAX_LENGTH};
use crate::client::failure::Failure;
use crate::client::judge::names::{nearest, trimmed};
use crate::client::options::Selection;

/// The check that runs only with `--large`.
const LARGE: &str = "largest";

/// The checks to run, in order.
///
/// # Errors
/// A name is unknown, its check needs `--large`, or the protocol has no checks that run without `--only`.
pub fn selected(protocol: ClientProtocol, selection: &Selection) -> Result<Vec<&'static Check>, Failure> {
    let only = trimmed("--only", &selection.only)?;
    if let Some(name) = only.iter().find(|name| !catalog::checks(protocol).any(|check| check.has_name(name))) {
        return Err(Failure::cannot_run(unknown(protocol, name)));
    }
    if !selection.large && !selection.list && only.contains(&LARGE) {
        return Err(Failure::cannot_run(format!("the check {LARGE} sends {MAX_LENGTH} bytes: add --large to run it")));
    }
    let by_default = |check: &Check| only.is_empty() && (check.is_default() || selection.list);
    let wanted = |check: &&Check| by_default(check) || only.iter().any(|name| check.has_name(name));
    let checks: Vec<_> = catalog::checks(protocol).filter(wanted).collect();
    if checks.is_empty() {
        let name = protocol.name();
        return Err(Failure::cannot_run(format!(
            "{name} has only the checks of the group {PROXY}: add --only {PROXY}"
        )));
    }
    Ok(checks)
}

/// The message about a name that the protocol does not have.
fn unknown(protocol: ClientProtocol, name: &str) -> String {
    let own = protocol.name();
    if protocol.connection_use() == ConnectionUse::NoReply && catalog::is_of_receivers(name) {
        return format!(
            "{own} never replies, which shows nothing about a header: there are no checks of the group {PROXY}"
        );
    }
    let has_name = |other: &ClientProtocol| catalog::checks(*other).any(|check| check.has_name(name));
    if let Some(other) = checkable_protocols().find(has_name) {
        let other = other.name();
        return format!("{own} has no check or group '{name}', but {other} has: add -P {other}");
    }
    let known = catalog::checks(protocol).flat_map(|check| [check.name, check.group]);
    match nearest(name, known) {
        Some(near) => format!("no check or group has the name '{name}'; did you mean {near}? See --list"),
        None => format!("no check or group has the name '{name}'; see --list"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_name_is_explained() {
        let message = |protocol, name| unknown(ClientProtocol::by_name(protocol).unwrap(), name);
        for (name, words) in [
            ("upercase", "did you mean uppercase?"),
            ("pipeline", "did you mean pipelining?"),
            ("nonsense", "has the name 'nonsense'; see --list"),
            ("pattern", "frame has no check or group 'pattern', but chargen has"),
            ("title-case", "but frame-2021 has: add -P frame-2021"),
        ] {
            assert!(message("frame", name).contains(words), "{}", message("frame", name));
        }
    }

    #[test]
    fn the_check_that_needs_large_is_in_the_catalog() {
        let frame = ClientProtocol::by_name("frame").unwrap();
        assert!(catalog::checks(frame).any(|check| check.name == LARGE));
    }
}
