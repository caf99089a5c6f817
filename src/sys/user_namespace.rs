//! The users and groups that the user namespace of this process maps (`user_namespaces(7)`).
//!
//! In place of one that it does not map, the kernel names the overflow identifier, which is also the number of a real
//! user, `nobody`. It means an unknown user only where the namespace does not map that number itself.

use std::fs;
use std::sync::LazyLock;

/// The overflow identifier where it cannot be read. Derived: the default of kernel.overflowuid and kernel.overflowgid.
const DEFAULT_OVERFLOW_ID: u32 = 65534;

/// The identifier that means an unknown user; read once. `None` if each is known.
static UNKNOWN_USER: LazyLock<Option<u32>> =
    LazyLock::new(|| read("/proc/self/uid_map", "/proc/sys/kernel/overflowuid"));
/// The identifier that means an unknown group; likewise.
static UNKNOWN_GROUP: LazyLock<Option<u32>> =
    LazyLock::new(|| read("/proc/self/gid_map", "/proc/sys/kernel/overflowgid"));

/// A user that the kernel names, unless it is unknown.
pub fn known_user(id: u32) -> Option<u32> {
    Some(id).filter(|id| *UNKNOWN_USER != Some(*id))
}

/// A group that the kernel names, unless it is unknown.
pub fn known_group(id: u32) -> Option<u32> {
    Some(id).filter(|id| *UNKNOWN_GROUP != Some(*id))
}

/// The identifier that means an unknown user or group, from the files of these paths.
fn read(map: &str, overflow: &str) -> Option<u32> {
    let overflow = fs::read_to_string(overflow).ok().and_then(|text| text.trim().parse().ok());
    unknown_id(fs::read_to_string(map).ok().as_deref(), overflow.unwrap_or(DEFAULT_OVERFLOW_ID))
}

/// The overflow identifier, unless this map maps it; without /proc there is no map.
fn unknown_id(map: Option<&str>, overflow: u32) -> Option<u32> {
    let is_mapped = map.is_some_and(|map| map.lines().any(|line| maps(line, overflow)));
    (!is_mapped).then_some(overflow)
}

/// Whether a line maps an identifier: the first one inside the namespace, the first one outside, and their number.
fn maps(line: &str, id: u32) -> bool {
    let fields: Vec<Option<u32>> = line.split_whitespace().map(|field| field.parse().ok()).collect();
    match fields[..] {
        [Some(first), Some(_), Some(count)] => id.checked_sub(first).is_some_and(|place| place < count),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overflow_identifier_is_unknown_unless_it_is_mapped() {
        let unknown = |map| unknown_id(map, 65534);
        assert_eq!(unknown(None), Some(65534), "without /proc");
        assert_eq!(unknown(Some("         0          0 4294967295\n")), None, "the initial namespace");
        assert_eq!(unknown(Some("0 0 1\n1000 1000 1\n")), Some(65534), "PrivateUsers=yes");
        assert_eq!(unknown(Some("0 100000 65534\n")), Some(65534), "one too few");
        assert_eq!(unknown(Some("0 0 1\n65534 65534 1\n")), None);
        assert_eq!(unknown(Some("")), Some(65534), "no map yet");
        assert_eq!(unknown_id(Some("0 100000 65534\n"), 99), None, "another kernel.overflowuid");
    }

    #[test]
    fn without_files_the_default_is_unknown() {
        assert_eq!(read("/nonexistent", "/nonexistent"), Some(DEFAULT_OVERFLOW_ID));
    }
}
