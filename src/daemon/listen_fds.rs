//! The variables by which the service manager announces descriptors (`sd_listen_fds(3)`).
//!
//! They are checked before they are used: a count that is not a number must not be taken for none, and no memory is
//! allocated by it.

use std::ffi::OsString;

use log::warn;

use crate::daemon::config::service::default_protocol;
use crate::daemon::exit_status::Failure;
use crate::sys::FIRST_INHERITED;
use crate::units::counted;

/// The descriptors that are announced.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ListenFds {
    /// The number of descriptors.
    pub count: u32,
    /// Their names; the last descriptors may have none.
    names: Vec<String>,
}

impl ListenFds {
    /// The name of a descriptor, by its place; empty if it has none.
    #[must_use]
    pub fn name(&self, place: u32) -> &str {
        self.names.get(place as usize).map_or("", String::as_str)
    }

    /// The doubt about the names: some descriptors have none although others do, or there are more names.
    fn doubt(&self) -> Option<String> {
        let count = self.count as usize;
        let listed = self.names.join(":");
        let listed = listed.escape_debug();
        let named = self.names.iter().take(count).filter(|name| !name.is_empty()).count();
        if self.names.is_empty() {
            None
        } else if named < count {
            let default = default_protocol().name;
            Some(format!("LISTEN_FDNAMES={listed} names {named} of {count} descriptors: the others count as {default}"))
        } else if self.names.len() > count {
            let (names, descriptors) = (counted(self.names.len(), "name"), counted(count, "descriptor"));
            Some(format!("LISTEN_FDNAMES={listed} has {names} for {descriptors}: the last are ignored"))
        } else {
            None
        }
    }
}

/// The descriptors that the environment, read with `variable`, announces to the process with the id `own`.
///
/// # Errors
/// 78: the variables contradict each other.
pub fn announced(variable: impl Fn(&str) -> Option<OsString>, own: u32) -> Result<ListenFds, Failure> {
    let text = |name| variable(name).map(|value| value.to_string_lossy().into_owned());
    let Some(count) = text("LISTEN_FDS") else { return Ok(ListenFds::default()) };
    let Some(process) = text("LISTEN_PID") else {
        return Err(Failure::configuration(format!("LISTEN_FDS={} is set without LISTEN_PID", count.escape_debug()))
            .with_hint("sockets are passed by systemd or systemd-socket-activate"));
    };
    let garbled = |name: &str, value: &str, what: &str| {
        Failure::configuration(format!(
            "cannot take inherited sockets: {name}={} is not a {what}",
            value.escape_debug()
        ))
    };
    let process: u32 = process.parse().map_err(|_| garbled("LISTEN_PID", &process, "process id"))?;
    if let Some(first) = text("LISTEN_FDS_FIRST_FD").filter(|first| *first != FIRST_INHERITED.to_string()) {
        let first = first.escape_debug();
        let what = format!("cannot take inherited sockets: LISTEN_FDS_FIRST_FD={first}, and not {FIRST_INHERITED}");
        return Err(Failure::configuration(what).with_hint("the number of the first descriptor is fixed"));
    }
    if process != own {
        warn!("LISTEN_FDS={} is for process {process}, not for this one ({own}): ignored", count.escape_debug());
        return Ok(ListenFds::default());
    }
    let number = count.parse().ok().filter(|number| *number <= i32::MAX as u32 - FIRST_INHERITED);
    let number: u32 = number.ok_or_else(|| garbled("LISTEN_FDS", &count, "number of descriptors"))?;
    let names = text("LISTEN_FDNAMES").filter(|names| !names.is_empty());
    let names: Vec<String> = names.map_or(Vec::new(), |names| names.split(':').map(String::from).collect());
    let announced = ListenFds { count: number, names };
    if let Some(warning) = announced.doubt() {
        warn!("{warning}");
    }
    Ok(announced)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The descriptors that are announced to process 7 by `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES`.
    fn environment(pid: Option<&str>, fds: Option<&str>, names: Option<&str>) -> Result<ListenFds, String> {
        let variable = |name: &str| match name {
            "LISTEN_PID" => pid.map(OsString::from),
            "LISTEN_FDS" => fds.map(OsString::from),
            "LISTEN_FDNAMES" => names.map(OsString::from),
            _ => None,
        };
        announced(variable, 7).map_err(|failure| failure.to_string())
    }

    #[test]
    fn descriptors_and_their_names_are_announced() {
        let names = |count, names: &[&str]| {
            Ok(ListenFds { count, names: names.iter().map(|name| (*name).to_string()).collect() })
        };
        assert_eq!(environment(None, None, None), names(0, &[]));
        assert_eq!(environment(Some("7"), None, None), names(0, &[]));
        assert_eq!(environment(Some("8"), Some("2"), None), names(0, &[]));
        assert_eq!(environment(Some("7"), Some("0"), None), names(0, &[]));
        assert_eq!(environment(Some("7"), Some("2"), None), names(2, &[]));
        assert_eq!(environment(Some("7"), Some("2"), Some("")), names(2, &[]));
        assert_eq!(environment(Some("7"), Some("2"), Some("echo:")), names(2, &["echo", ""]));
        assert_eq!(environment(Some("7"), Some("2147483644"), None), names(2_147_483_644, &[]));
        let fewer = environment(Some("7"), Some("2"), Some("echo")).expect("names for some");
        assert_eq!([fewer.name(0), fewer.name(1)], ["echo", ""]);
    }

    #[test]
    fn descriptors_without_a_name_are_doubtful() {
        let doubt = |count, names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_string()).collect();
            ListenFds { count, names }.doubt()
        };
        for (count, names, expected) in [
            (2, &["echo"][..], "LISTEN_FDNAMES=echo names 1 of 2 descriptors: the others count as frame"),
            (2, &["echo", ""], "LISTEN_FDNAMES=echo: names 1 of 2 descriptors: the others count as frame"),
            (3, &["", "", ""], "LISTEN_FDNAMES=:: names 0 of 3 descriptors: the others count as frame"),
            (1, &["echo", "time"], "LISTEN_FDNAMES=echo:time has 2 names for 1 descriptor: the last are ignored"),
        ] {
            assert_eq!(doubt(count, names).as_deref(), Some(expected));
        }
        for (count, names) in [(2, &[][..]), (2, &["echo", "time"]), (1, &["unknown"])] {
            assert_eq!(doubt(count, names), None);
        }
    }

    #[test]
    fn contradictions_are_rejected() {
        for fds in ["-1", "abc", "", " 1", "1 ", "2147483645", "2147483647", "99999999999999", "18446744073709551615"] {
            let refused = environment(Some("7"), Some(fds), None).expect_err(fds);
            assert!(refused.contains(&format!("LISTEN_FDS={fds} is not a number of descriptors")), "{refused}");
        }
        for pid in ["", "garbage", "-7", "7 "] {
            let refused = environment(Some(pid), Some("1"), None).expect_err(pid);
            assert!(refused.contains(&format!("LISTEN_PID={pid} is not a process id")), "{refused}");
        }
        assert!(environment(None, Some("1"), None).expect_err("no process").contains("without LISTEN_PID"));
    }
}
