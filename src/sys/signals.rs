//! Signals of the daemon: sigaction(2) with a handler that records the times of arrival and writes to an eventfd.
//!
//! The daemon uses a handler, the client signalfd(2) (`signal_fd.rs`), because a second SIGTERM means something else to
//! the daemon than the first: stop at once instead of draining. A standard signal that is pending already is not queued
//! again (signal(7)), so a signalfd, from which the main thread reads only between its tasks, would report two SIGTERMs
//! that came during one task as a single one. The handler runs as soon as a signal arrives and records the first and
//! the last time; the eventfd only wakes the main thread. To the client one signal means to end and a second one adds
//! nothing: it needs neither the times nor the unsafe code of a handler.

#![allow(unsafe_code, reason = "installs signal handlers (sigaction(2))")]

use std::iter;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::clock::monotonic_nanoseconds;
use super::event_fd::EventFd;

/// Signal numbers that are recorded: 0 to 31, the standard signals (signal(7)).
const SIGNALS: usize = 32;
/// The descriptor of the eventfd that the handler writes to; -1 before [`catch_signals`].
static NOTICE: AtomicI32 = AtomicI32::new(-1);
/// Per signal number, the first arrival since the last [`caught`], in nanoseconds of the monotonic clock; 0 for none.
static FIRST: [AtomicU64; SIGNALS] = [const { AtomicU64::new(0) }; SIGNALS];
/// Per signal number, the last arrival, in nanoseconds of the monotonic clock; 0 for none.
static LAST: [AtomicU64; SIGNALS] = [const { AtomicU64::new(0) }; SIGNALS];

/// The first and the last arrival of a signal that came once or more often; times of the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrivals {
    /// The first arrival.
    pub first: Duration,
    /// The last arrival; equal to `first` if the signal came once.
    pub last: Duration,
}

impl Arrivals {
    /// The times of arrival that are known: two, or one if the signal came once.
    pub fn times(self) -> impl Iterator<Item = Duration> {
        iter::once(self.first).chain((self.last != self.first).then_some(self.last))
    }
}

/// Installs a handler for `signals`, and returns the eventfd that becomes readable when one arrives; [`caught`] then
/// returns the arrivals of each.
///
/// The handlers are installed without `SA_RESTART`: a system call that waits ends with EINTR. The signals are unblocked
/// in the calling thread: those that came while this program took the place of another one, which had blocked them, are
/// handled now.
///
/// # Errors
/// As eventfd(2) (EMFILE, ENFILE, ENOMEM) and sigaction(2) (EINVAL for SIGKILL and SIGSTOP).
pub fn catch_signals(signals: &[Signal]) -> Result<EventFd, Errno> {
    let notice = EventFd::new()?;
    NOTICE.store(notice.as_fd().as_raw_fd(), Ordering::SeqCst);
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::empty(), SigSet::empty());
    for signal in signals {
        // SAFETY: the handler does only what signal-safety(7) allows: atomics, clock_gettime(2) and write(2).
        unsafe { sigaction(*signal, &action)? };
    }
    signals.iter().copied().collect::<SigSet>().thread_unblock()?;
    Ok(notice)
}

/// Signals that are blocked in the thread that has blocked them, and in threads and programs that it starts; they are
/// unblocked again when this is dropped, by that thread.
#[derive(Debug)]
#[must_use = "the signals are unblocked when this is dropped"]
pub struct BlockedSignals {
    previous: SigSet,
}

/// Blocks signals in the calling thread: those that arrive stay pending, for a program that takes the place of this one,
/// too (execve(2)).
///
/// # Errors
/// None is known (`pthread_sigmask(3)`).
pub fn block_signals(signals: &[Signal]) -> Result<BlockedSignals, Errno> {
    let previous = SigSet::thread_get_mask()?;
    signals.iter().copied().collect::<SigSet>().thread_block()?;
    Ok(BlockedSignals { previous })
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // as in `block_signals`
        let _ = self.previous.thread_set_mask();
    }
}

/// Sends a signal to this process; it is pending while every thread blocks it.
///
/// # Errors
/// None is known (kill(2)).
pub fn send_to_this_process(signal: Signal) -> Result<(), Errno> {
    nix::sys::signal::kill(nix::unistd::Pid::this(), signal)
}

/// Ignores a signal from now on, in every thread.
///
/// # Errors
/// EINVAL for SIGKILL and SIGSTOP (sigaction(2)).
pub fn ignore_signal(signal: Signal) -> Result<(), Errno> {
    let action = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed that could violate memory safety, and the previous action is dropped.
    unsafe { sigaction(signal, &action).map(drop) }
}

/// Blocks every signal in the calling thread; SIGKILL and SIGSTOP cannot be blocked.
pub fn block_all_signals() {
    // fails only with EINVAL, for an operation that does not exist (pthread_sigmask(3))
    let _ = SigSet::all().thread_block();
}

/// The arrivals of `signal` since the last call; `None` if it did not come.
///
/// A signal that arrives during the call may be part of this result and of the next one.
pub fn caught(signal: Signal) -> Option<Arrivals> {
    let first = FIRST[signal as usize].swap(0, Ordering::SeqCst);
    let last = LAST[signal as usize].load(Ordering::SeqCst);
    (first > 0).then(|| Arrivals { first: Duration::from_nanos(first), last: Duration::from_nanos(last) })
}

/// Records the arrival of a signal and makes the eventfd readable; preserves errno for the interrupted code.
extern "C" fn on_signal(number: libc::c_int) {
    let errno = Errno::last_raw();
    if let Some((first, last)) = usize::try_from(number).ok().and_then(|number| FIRST.get(number).zip(LAST.get(number)))
    {
        let now = monotonic_nanoseconds();
        last.store(now, Ordering::SeqCst);
        // fails if an earlier arrival has not been taken by `caught` yet
        let _ = first.compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
    }
    let fd: RawFd = NOTICE.load(Ordering::SeqCst);
    let one = 1u64;
    // SAFETY: writes the eight bytes of a local to a descriptor; write(2) is async-signal-safe. A descriptor that was
    // closed meanwhile gives EBADF: the receiver of the notice is gone.
    unsafe { libc::write(fd, (&raw const one).cast(), size_of::<u64>()) };
    Errno::set_raw(errno);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::test_process::in_own_process;

    #[test]
    fn a_signal_that_came_once_has_one_time() {
        let (one, two) = (Duration::from_millis(1), Duration::from_millis(2));
        assert!(Arrivals { first: one, last: one }.times().eq([one]));
        assert!(Arrivals { first: one, last: two }.times().eq([one, two]));
    }

    #[test]
    fn a_signal_that_is_blocked_is_caught_afterwards() {
        if !in_own_process("sys::signals::tests::a_signal_that_is_blocked_is_caught_afterwards") {
            return;
        }
        catch_signals(&[Signal::SIGHUP]).expect("a handler");
        let blocked = block_signals(&[Signal::SIGHUP]).expect("blocked");
        nix::sys::signal::raise(Signal::SIGHUP).expect("the signal of this thread");
        assert_eq!(caught(Signal::SIGHUP), None);
        drop(blocked);
        assert!(caught(Signal::SIGHUP).is_some());
        // as a program that was executed with blocked signals
        std::mem::forget(block_signals(&[Signal::SIGHUP]));
        nix::sys::signal::raise(Signal::SIGHUP).expect("the signal of this thread");
        assert_eq!(caught(Signal::SIGHUP), None);
        catch_signals(&[Signal::SIGHUP]).expect("a handler");
        assert!(caught(Signal::SIGHUP).is_some());
    }

    #[test]
    fn a_signal_is_noted_with_its_times_and_leaves_errno_alone() {
        // before catch_signals: the handler's own write fails with EBADF
        Errno::set_raw(Errno::EAGAIN as i32);
        let before = Duration::from_nanos(monotonic_nanoseconds());
        on_signal(Signal::SIGUSR2 as i32);
        on_signal(Signal::SIGUSR2 as i32);
        assert_eq!(Errno::last_raw(), Errno::EAGAIN as i32);
        let arrivals = caught(Signal::SIGUSR2).expect("it came");
        assert!(before <= arrivals.first && arrivals.first <= arrivals.last, "{before:?} {arrivals:?}");
        assert_eq!(caught(Signal::SIGUSR2), None);
    }
}
