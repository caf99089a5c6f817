//! Memory: how much there is, and returning unused pages to the system.

#![allow(unsafe_code, reason = "calls sysconf(3), madvise(2) and malloc_trim(3)")]

use std::fs::File;
use std::io::Read;

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl::set_thp_disable;
use nix::sys::sysinfo::sysinfo;

use super::resource_limits::{address_space_limit, data_limit};

/// Index of the field of /proc/self/statm with the size of the address space, in pages (proc(5)).
const ADDRESS_SPACE_FIELD: usize = 0;
/// Index of the field of /proc/self/statm with the size of data and stack, in pages (proc(5)).
const DATA_FIELD: usize = 5;
/// Room for the text of /proc/self/statm, in bytes: derived, seven numbers of 64 bits with 20 digits at most are 147
/// bytes.
const STATM_LENGTH: usize = 160;
/// The page size of x86-64 and of most others, in bytes; where pages are larger, madvise(2) fails with EINVAL.
const PAGE: usize = 4096;

/// The memory of this machine in bytes (sysinfo(2)); `None` if it cannot be read.
#[must_use]
pub fn machine_memory() -> Option<u64> {
    sysinfo().ok().map(|info| info.ram_total())
}

/// Bytes that the process may still allocate before `RLIMIT_AS` or `RLIMIT_DATA` is reached (getrlimit(2)); `None` if
/// neither is set, or if the present size cannot be read.
#[must_use]
pub fn memory_left() -> Option<usize> {
    let limits = [(address_space_limit(), ADDRESS_SPACE_FIELD), (data_limit(), DATA_FIELD)];
    if limits.iter().all(|(limit, _)| limit.is_none()) {
        return None;
    }
    let mut text = [0; STATM_LENGTH];
    let length = File::open("/proc/self/statm").and_then(|mut statm| statm.read(&mut text)).ok()?;
    let pages = |field: usize| {
        let text = std::str::from_utf8(&text[..length]).ok()?;
        text.split_whitespace().nth(field)?.parse::<u64>().ok()
    };
    // SAFETY: sysconf takes a number and returns one.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0);
    let left = limits.into_iter().filter_map(|(limit, field)| Some(limit?.saturating_sub(pages(field)? * page)));
    left.min().and_then(|left| usize::try_from(left).ok())
}

/// Returns the pages that lie completely inside `bytes` to the system (madvise(2), `MADV_DONTNEED`).
///
/// The bytes read as zeros afterwards if the memory is anonymous and private, as that of the allocator and of mmap(2)
/// for buffers is. Best effort: memory that cannot be returned keeps its content.
pub fn release_pages(bytes: &mut [u8]) {
    let skipped = bytes.as_ptr().align_offset(PAGE).min(bytes.len());
    let length = (bytes.len() - skipped) / PAGE * PAGE;
    if length == 0 {
        return;
    }
    let pages = &mut bytes[skipped..skipped + length];
    // SAFETY: the pages are inside a slice that is borrowed exclusively, and any bytes are valid for it.
    unsafe { libc::madvise(pages.as_mut_ptr().cast(), length, libc::MADV_DONTNEED) };
}

/// Makes the allocator return its unused memory to the system (`malloc_trim(3)`). Holds the lock of each allocation
/// arena while that arena is searched.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number and may be called by any thread at any time.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Makes the kernel use only pages of the base size in this process (prctl(2), `PR_SET_THP_DISABLE`).
///
/// # Errors
/// As prctl(2), for example EPERM under a system call filter.
pub fn disable_huge_pages() -> Result<(), Errno> {
    set_thp_disable(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_inside_are_given_back_and_nothing_else() {
        let mut bytes = vec![7; 64 * 1024];
        release_pages(&mut bytes[100..63 * 1024]);
        assert!(bytes[..100].iter().chain(&bytes[63 * 1024..]).all(|byte| *byte == 7));
        let pages = bytes.chunks(1024).filter(|chunk| chunk.iter().all(|byte| *byte == 0));
        assert!(pages.count() >= 56);
        release_pages(&mut []);
    }
}
