//! The scenarios that `--only` names.

use super::definition::{JUDGED, Scenario};
use super::scenarios;
use crate::client::client_protocol::ClientProtocol;
use crate::client::failure::Failure;
use crate::client::judge::names::{nearest, trimmed};

/// The scenarios to run, in order.
///
/// # Errors
/// A name is empty, unknown, or one of another protocol.
pub fn selected(protocol: ClientProtocol, only: &[String]) -> Result<Vec<&'static Scenario>, Failure> {
    let only = trimmed("--only", only)?;
    let has = |protocol, name| scenarios::of(protocol).any(|scenario| scenario.subject().has_name(name));
    if let Some(name) = only.iter().find(|name| !has(protocol, name)) {
        return Err(Failure::cannot_run(unknown(protocol, name)));
    }
    let wanted = |scenario: &&Scenario| only.is_empty() || only.iter().any(|name| scenario.subject().has_name(name));
    Ok(scenarios::of(protocol).filter(wanted).collect())
}

/// The message about a name that the protocol does not have.
fn unknown(protocol: ClientProtocol, name: &str) -> String {
    let has_name = |other: &ClientProtocol| scenarios::of(*other).any(|scenario| scenario.subject().has_name(name));
    if let Some(other) = JUDGED.iter().filter_map(|other| ClientProtocol::by_name(other)).find(has_name) {
        let (own, other) = (protocol.name(), other.name());
        return format!("{own} has no scenario or group '{name}', but {other} has: add -P {other}");
    }
    let known = scenarios::of(protocol).flat_map(|scenario| [scenario.name, scenario.group]);
    match nearest(name, known) {
        Some(near) => format!("no scenario or group has the name '{name}'; did you mean {near}? See --list"),
        None => format!("no scenario or group has the name '{name}'; see --list"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_name_is_explained() {
        let frame = ClientProtocol::by_name("frame").unwrap();
        let first = scenarios::of(frame).next().unwrap();
        assert_eq!(selected(frame, &[first.name.into()]).unwrap().len(), 1);
        assert_eq!(selected(frame, &[]).unwrap().len(), scenarios::of(frame).count());
        assert!(unknown(frame, "nonsense-name").ends_with("see --list"));
        let near = format!("{}x", first.name);
        assert!(unknown(frame, &near).contains(&format!("did you mean {}?", first.name)));
    }
}
