//! The system calls that the compiler cannot check: the only module with unsafe code.
//!
//! Each function here is safe to call. nix wraps the calls, but hands back bare descriptor numbers (accept4) or asks
//! for a promise about what a signal handler does (sigaction).

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::socket::{SockFlag, accept4};

/// Accepts a connection, non-blocking and closed on exec; never waits on a non-blocking listener.
///
/// # Errors
/// Whatever accept4(2) says, EINTR included: `std::net::TcpListener::accept` would swallow that one.
pub fn accept(listener: &impl AsFd) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = accept4(listener.as_fd().as_raw_fd(), flags)?;
    // SAFETY: accept4 has just opened this descriptor, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes a bound socket listen, with room for `backlog` connections or as many as the kernel allows.
///
/// # Errors
/// What listen(2) says. nix refuses a backlog over the 4096 that it was built with, whatever the kernel allows.
pub fn listen(socket: &impl AsFd, backlog: i32) -> Result<(), Errno> {
    // SAFETY: listen takes two numbers and touches no memory.
    let result = unsafe { libc::listen(socket.as_fd().as_raw_fd(), backlog) };
    Errno::result(result).map(drop)
}

/// Gives the calling thread the lowest share of the processor.
///
/// # Errors
/// What setpriority(2) says, for example EPERM under a system call filter.
pub fn lower_priority() -> Result<(), Errno> {
    // SAFETY: setpriority takes three numbers and touches no memory; on Linux `who` 0 is the calling thread.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
    Errno::result(result).map(drop)
}

/// The highest signal number that is kept apart.
const SIGNALS: usize = 32;
/// Where the handler reports; -1 before [`catch_signals`].
static NOTICE: AtomicI32 = AtomicI32::new(-1);
/// How often each signal came.
static CAUGHT: [AtomicU32; SIGNALS] = [const { AtomicU32::new(0) }; SIGNALS];

/// Turns these signals into a readable descriptor; [`caught`] then tells which ones came.
///
/// The handlers are installed by sigaction(2) without `SA_RESTART`: a thread that waits in a system call gets EINTR.
///
/// # Errors
/// What eventfd(2) and sigaction(2) say.
pub fn catch_signals(signals: &[Signal]) -> Result<EventFd, Errno> {
    let notice = EventFd::from_value_and_flags(0, EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
    NOTICE.store(notice.as_fd().as_raw_fd(), Ordering::SeqCst);
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::empty(), SigSet::empty());
    for signal in signals {
        // SAFETY: the handler does only what signal-safety(7) allows: atomics and write(2).
        unsafe { sigaction(*signal, &action)? };
    }
    Ok(notice)
}

/// Ignores a signal from now on, in every thread.
///
/// # Errors
/// What sigaction(2) says: EINVAL for SIGKILL and SIGSTOP.
pub fn ignore_signal(signal: Signal) -> Result<(), Errno> {
    let action = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed that could do something wrong; the previous action is not used.
    unsafe { sigaction(signal, &action).map(drop) }
}

/// How often `signal` came since the last call.
pub fn caught(signal: Signal) -> u32 {
    CAUGHT[signal as usize].swap(0, Ordering::SeqCst)
}

/// Counts the signal and adds one to the eventfd; leaves errno as it was.
extern "C" fn on_signal(number: libc::c_int) {
    let errno = Errno::last_raw();
    if let Some(count) = usize::try_from(number).ok().and_then(|number| CAUGHT.get(number)) {
        count.fetch_add(1, Ordering::SeqCst);
    }
    let fd: RawFd = NOTICE.load(Ordering::SeqCst);
    let one = 1u64;
    // SAFETY: writes the eight bytes of a local to a descriptor; write(2) is async-signal-safe. A descriptor that is
    // closed meanwhile gives EBADF, which means that nobody listens any more.
    unsafe { libc::write(fd, (&raw const one).cast(), size_of::<u64>()) };
    Errno::set_raw(errno);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_counted_and_leaves_errno_alone() {
        // before anybody listens: the handler's own write fails, with EBADF
        Errno::set_raw(Errno::EAGAIN as i32);
        on_signal(Signal::SIGUSR2 as i32);
        assert_eq!(Errno::last_raw(), Errno::EAGAIN as i32);
        assert_eq!([caught(Signal::SIGUSR2), caught(Signal::SIGUSR2)], [1, 0]);
    }
}
