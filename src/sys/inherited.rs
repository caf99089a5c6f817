//! Descriptors that came through execve(2), from a service manager.

#![allow(unsafe_code, reason = "calls fcntl(2), and takes ownership of descriptors by number")]

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;

/// The number of the first descriptor that a service manager passes (`SD_LISTEN_FDS_START`, `sd_listen_fds(3)`).
pub const FIRST_INHERITED: u32 = 3;

/// The descriptor flags (`F_GETFD`) of an inherited descriptor.
///
/// # Errors
/// EBADF: it is not open, was taken before, or was opened by this process.
pub fn inherited_flags(number: RawFd) -> Result<i32, Errno> {
    // SAFETY: F_GETFD takes numbers and touches no memory; a number that is not open gives EBADF.
    let flags = Errno::result(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    if flags & libc::FD_CLOEXEC == 0 { Ok(flags) } else { Err(Errno::EBADF) }
}

/// Takes ownership of an inherited descriptor, and marks it to be closed on exec.
///
/// # Errors
/// As [`inherited_flags`].
pub fn take_inherited(number: RawFd) -> Result<OwnedFd, Errno> {
    let flags = inherited_flags(number)?;
    // SAFETY: F_SETFD takes numbers and touches no memory.
    Errno::result(unsafe { libc::fcntl(number, libc::F_SETFD, flags | libc::FD_CLOEXEC) })?;
    // SAFETY: std, nix and this module open every descriptor with FD_CLOEXEC: one without the flag came through execve
    // and has no owner in this process. From now on it has the flag, so that a second call does not take it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Marks all inherited descriptors but the standard ones to be closed on exec, so that no child gets them.
pub fn close_inherited_on_exec() {
    // SAFETY: close_range takes numbers and touches no memory; with this flag it closes nothing now.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, FIRST_INHERITED, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result != 0 {
        // before Linux 5.11
        mark_each();
    }
}

fn mark_each() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    for number in numbers.filter(|number| u32::try_from(*number).is_ok_and(|number| number >= FIRST_INHERITED)) {
        // SAFETY: F_SETFD takes numbers and touches no memory; every descriptor of this process has the flag anyway.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};

    use super::*;
    use crate::sys::EventFd;
    use crate::sys::test_process::in_own_process;

    #[test]
    fn only_what_came_through_execve_is_taken() {
        // a descriptor of this process: each one that it opens has FD_CLOEXEC
        let own = EventFd::new().expect("an eventfd");
        for number in [own.as_fd().as_raw_fd(), 100_000, i32::MAX, -1] {
            assert_eq!(take_inherited(number).map(drop), Err(Errno::EBADF), "{number}");
        }
    }

    #[test]
    fn inherited_descriptors_are_not_passed_on() {
        if !in_own_process("sys::inherited::tests::inherited_descriptors_are_not_passed_on") {
            return;
        }
        for mark in [close_inherited_on_exec, mark_each] {
            // as one that came through execve
            let inherited = EventFd::new().expect("an eventfd");
            let number = inherited.as_fd().as_raw_fd();
            // SAFETY: F_SETFD takes numbers and touches no memory.
            unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
            assert!(inherited_flags(number).is_ok());
            mark();
            assert_eq!(inherited_flags(number), Err(Errno::EBADF));
        }
    }
}
