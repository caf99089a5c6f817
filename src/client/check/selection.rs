//! The checks that `--only` names.

use super::catalog;
use super::definition::{Check, PROXY, checkable_protocols};
use crate::client::client_protocol::{ClientProtocol, ConnectionUse, MAX_LENGTH};
use crate::client::failure::Failure;
use crate::client::options::Selection;

/// The check that runs only with `--large`.
const LARGE: &str = "largest";

/// The checks to run, in order.
///
/// # Errors
/// A name is unknown, its check needs `--large`, or the protocol has no checks that run without `--only`.
pub fn selected(protocol: ClientProtocol, selection: &Selection) -> Result<Vec<&'static Check>, Failure> {
    let only: Vec<&str> = selection.only.iter().map(|name| name.trim()).collect();
    if only.contains(&"") {
        return Err(Failure::cannot_run("--only has an empty name (''): put one comma between two names; see --list"));
    }
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

/// The known name that differs least, if that is by at most a third of its length.
fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let distances = known.map(|known| (distance(name, known), known));
    distances.filter(|(distance, known)| *distance <= known.len() / 3).min().map(|(_, known)| known)
}

/// The number of characters to insert, remove or replace to make one text of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, character) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, against) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(character != *against);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_changed_characters() {
        for (one, other, expected) in
            [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("uper", "upper", 1), ("abc", "abc", 0)]
        {
            assert_eq!((distance(one, other), distance(other, one)), (expected, expected), "{one} {other}");
        }
    }

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
