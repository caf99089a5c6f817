//! The priority of a thread.

#![allow(unsafe_code, reason = "calls setpriority(2), which nix does not have")]

use nix::errno::Errno;
use nix::libc;

/// The nice value with the smallest share of the processor (setpriority(2): -20 to 19).
const LOWEST_PRIORITY: libc::c_int = 19;

/// Gives the calling thread the lowest priority.
///
/// # Errors
/// As setpriority(2), for example EPERM under a system call filter.
pub fn lower_priority() -> Result<(), Errno> {
    // SAFETY: setpriority takes three numbers and touches no memory; on Linux `who` 0 is the calling thread.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, LOWEST_PRIORITY) };
    Errno::result(result).map(drop)
}
