//! Limits of the process on descriptors and memory (getrlimit(2)).

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// Descriptors that are assumed to be allowed where the limit cannot be read: the usual soft limit of Linux
/// (`INR_OPEN_CUR` in the kernel's include/uapi/linux/fs.h).
const DESCRIPTORS_IF_UNKNOWN: u64 = 1024;

/// Raises the soft limit on open descriptors (`RLIMIT_NOFILE`) to the hard one; returns the limit that holds then.
pub fn raise_descriptor_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return DESCRIPTORS_IF_UNKNOWN };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_err() {
        return soft;
    }
    hard
}

/// The soft limit on open descriptors (`RLIMIT_NOFILE`).
#[must_use]
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(DESCRIPTORS_IF_UNKNOWN, |(soft, _)| soft)
}

/// The soft limit on the address space in bytes (`RLIMIT_AS`); `None` if there is none or it cannot be read.
#[must_use]
pub fn address_space_limit() -> Option<u64> {
    soft_limit(Resource::RLIMIT_AS)
}

/// The soft limit on private writable memory in bytes (`RLIMIT_DATA`); `None` if there is none or it cannot be read.
#[must_use]
pub fn data_limit() -> Option<u64> {
    soft_limit(Resource::RLIMIT_DATA)
}

fn soft_limit(resource: Resource) -> Option<u64> {
    getrlimit(resource).ok().map(|(soft, _)| soft).filter(|limit| *limit != RLIM_INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_on_descriptors_becomes_the_hard_one() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("getrlimit");
        assert_eq!(raise_descriptor_limit(), hard);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE), Ok((hard, hard)));
        assert_eq!([raise_descriptor_limit(), descriptor_limit()], [hard; 2]);
    }
}
