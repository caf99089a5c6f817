//! Signals as orders: a handler notes when they came and writes an eventfd, the supervisor reads it.
//!
//! SIGINT and SIGTERM ask to stop, SIGHUP to reload, SIGUSR1 for the statistics. Caught from the first moment on: what
//! comes while starting is obeyed when started. SIGPIPE is ignored by the Rust runtime before main, SIGXFSZ by
//! [`ignore_file_size_limit`]; programs that a process executes would inherit both, but the daemon executes none.

use std::os::fd::{AsFd, BorrowedFd};

use crate::sys::{self, Arrivals, Errno, EventFd, Signal};

/// What the signals since the last look ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Stop; what an order to stop means depends on when it came ([`super::phase`]).
    pub stop: Option<Arrivals>,
    /// Reload what can be reloaded.
    pub reload: bool,
    /// Write the statistics to the log.
    pub statistics: bool,
}

/// Has a write to a file that has reached `RLIMIT_FSIZE`, such as the log, fail with EFBIG instead of ending the
/// process by SIGXFSZ (setrlimit(2)).
pub fn ignore_file_size_limit() {
    // fails only for a signal that does not exist
    let _ = sys::ignore_signal(Signal::SIGXFSZ);
}

/// The signals that the daemon obeys.
#[derive(Debug)]
pub struct Signals {
    notice: EventFd,
}

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// What eventfd(2) and sigaction(2) say.
    pub fn catch() -> Result<Self, Errno> {
        let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGUSR1];
        Ok(Self { notice: sys::catch_signals(&signals)? })
    }

    /// Takes what was asked for since the last call.
    pub fn take(&self) -> Orders {
        self.notice.clear();
        Orders {
            stop: either(sys::caught(Signal::SIGINT), sys::caught(Signal::SIGTERM)),
            reload: sys::caught(Signal::SIGHUP).is_some(),
            statistics: sys::caught(Signal::SIGUSR1).is_some(),
        }
    }
}

/// Two signals that mean one thing.
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
