//! Signals: a handler records when they came and writes to an eventfd, on which the main loop waits.
//!
//! A handler and not signalfd(2): the time of each signal is needed ([`super::stop_signals`]), and signals that are
//! pending until a signalfd is read are merged into one.
//!
//! SIGINT and SIGTERM stop the daemon, SIGHUP reloads the configuration, SIGUSR1 logs the statistics, SIGUSR2 hands the
//! connections over. They are caught as soon as the configuration has been read: a signal before that has its default
//! effect, a later one during the start is handled after it. SIGPIPE is ignored by the Rust runtime before main, SIGXFSZ
//! by [`ignore_file_size_limit`]. The only program that the daemon executes is its own, which ignores both, too.
//!
//! The order of SIGUSR2 and SIGTERM matters: `ExecStop=` of the unit sends the first, and the service manager the second
//! at once afterwards. Only the main thread handles signals, and all others block them, so when the handler of the later
//! one has run, that of the earlier one has, too; and [`Signals::take`] looks for the later one first.

use std::os::fd::{AsFd, BorrowedFd};

use crate::sys::{self, Arrivals, Errno, EventFd, Signal};

/// The signals that the daemon handles.
pub const HANDLED: [Signal; 5] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];

/// The signals since the last call of [`Signals::take`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PendingSignals {
    /// Stop, depending on the times of the signals ([`super::stop_signals`]).
    pub stop: Option<Arrivals>,
    /// Reload the configuration.
    pub reload: bool,
    /// Log the statistics.
    pub statistics: bool,
    /// Hand the connections over.
    pub hand_over: bool,
}

/// Ignores SIGXFSZ: a write to a file that has reached `RLIMIT_FSIZE`, such as the log, then fails with EFBIG and does
/// not kill the process (setrlimit(2)).
pub fn ignore_file_size_limit() {
    // fails only for a signal that does not exist
    let _ = sys::ignore_signal(Signal::SIGXFSZ);
}

/// Sends the signals that came, but were not taken, to this process again. While they are blocked, they stay pending: for
/// this program, or for the one that it executes.
pub fn send_again() {
    for signal in HANDLED.into_iter().filter(|signal| sys::caught(*signal).is_some()) {
        // fails only for a process that does not exist
        let _ = sys::send_to_this_process(signal);
    }
}

/// The signals that the daemon handles.
#[derive(Debug)]
pub struct Signals {
    notice: EventFd,
}

impl Signals {
    /// Catches the signals from now on.
    ///
    /// # Errors
    /// Those of eventfd(2) and sigaction(2).
    pub fn catch() -> Result<Self, Errno> {
        Ok(Self { notice: sys::catch_signals(&HANDLED)? })
    }

    /// Takes the signals since the last call.
    pub fn take(&self) -> PendingSignals {
        self.notice.clear();
        PendingSignals {
            stop: either(sys::caught(Signal::SIGINT), sys::caught(Signal::SIGTERM)),
            reload: sys::caught(Signal::SIGHUP).is_some(),
            statistics: sys::caught(Signal::SIGUSR1).is_some(),
            // after SIGTERM, which comes later: one that is seen without the other would begin a drain
            hand_over: sys::caught(Signal::SIGUSR2).is_some(),
        }
    }
}

/// The arrivals of two signals with one meaning.
fn either(one: Option<Arrivals>, other: Option<Arrivals>) -> Option<Arrivals> {
    match (one, other) {
        (Some(one), Some(other)) => {
            Some(Arrivals { first: one.first.min(other.first), last: one.last.max(other.last) })
        }
        (one, other) => one.or(other),
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notice.as_fd()
    }
}
