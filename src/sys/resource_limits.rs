//! Limits of the process on descriptors and memory (getrlimit(2)), and its table of descriptors.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::c_int;
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

/// Makes the kernel's table of descriptors large enough for descriptors below `number`, which is at most the soft limit.
/// `any` is a descriptor of any kind.
///
/// The table grows when a larger descriptor is opened. In a process with several threads, that open waits until no
/// processor uses the old table, for 5 to 25 ms (`expand_fdtable` in the kernel's fs/file.c: `synchronize_rcu`). To be
/// called before there are other threads.
///
/// # Errors
/// EINVAL: `number` is above the limit; ENOMEM.
pub fn reserve_descriptors(any: &impl AsFd, number: u64) -> Result<(), Errno> {
    let last = c_int::try_from(number.saturating_sub(1)).map_err(|_| Errno::EINVAL)?;
    let duplicate = fcntl(any, FcntlArg::F_DUPFD_CLOEXEC(last))?;
    nix::unistd::close(duplicate)
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
    use std::fs;

    use super::*;
    use crate::sys::EventFd;
    use crate::sys::test_process::in_own_process;

    /// The number of descriptors that the table has room for (proc(5)).
    fn table_size() -> u64 {
        let status = fs::read_to_string("/proc/self/status").expect("the status of this process");
        let line = status.lines().find_map(|line| line.strip_prefix("FDSize:")).expect("the size of the table");
        line.trim().parse().expect("a number")
    }

    #[test]
    fn the_table_of_descriptors_grows_before_they_are_opened() {
        if !in_own_process("sys::resource_limits::tests::the_table_of_descriptors_grows_before_they_are_opened") {
            return;
        }
        let any = EventFd::new().expect("an eventfd");
        let limit = raise_descriptor_limit().min(4096);
        assert!(table_size() < limit, "the table is as large as it will be");
        reserve_descriptors(&any, limit).expect("reserve");
        assert!(table_size() >= limit);
        assert_eq!(reserve_descriptors(&any, descriptor_limit() + 1), Err(Errno::EINVAL));
    }

    #[test]
    fn the_soft_limit_on_descriptors_becomes_the_hard_one() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("getrlimit");
        assert_eq!(raise_descriptor_limit(), hard);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE), Ok((hard, hard)));
        assert_eq!([raise_descriptor_limit(), descriptor_limit()], [hard; 2]);
    }
}
