//! The name of the machine.

use nix::unistd::gethostname;

/// The host name as gethostname(2) returns it; `None` if it cannot be read or is not UTF-8.
#[must_use]
pub fn host_name() -> Option<String> {
    gethostname().ok()?.into_string().ok()
}

#[cfg(test)]
mod tests {
    use super::host_name;

    #[test]
    fn host_name_is_that_of_the_kernel() {
        let expected = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(host_name().as_deref(), Some(expected.trim_end()));
    }
}
