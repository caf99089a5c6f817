//! signalfd(2): Ctrl-C and SIGTERM as events of the client's waits.
//!
//! [`super::signals`] says why the daemon does not use this.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// SIGINT and SIGTERM, which no longer end the process but make this descriptor readable. A signal stays pending: once
/// readable, the descriptor remains so.
#[derive(Debug)]
pub struct Interrupts(SignalFd);

impl Interrupts {
    /// Blocks both signals for the calling thread, and for threads that it starts from now on, and watches for them.
    ///
    /// # Errors
    /// As signalfd(2): EMFILE, ENFILE or ENOMEM.
    pub fn watch() -> io::Result<Self> {
        let signals = end_signals();
        signals.thread_block()?;
        Ok(Self(SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// Takes the signal that is pending, and unblocks both: the next one ends the process. Returns whether one was
    /// pending.
    ///
    /// # Errors
    /// As read(2), except EAGAIN.
    pub fn take(&self) -> io::Result<bool> {
        let taken = self.0.read_signal()?.is_some();
        if taken {
            end_signals().thread_unblock()?;
        }
        Ok(taken)
    }
}

/// The descriptor is readable while a signal is pending.
impl AsFd for Interrupts {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The signals by which a user ends a program.
fn end_signals() -> SigSet {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals
}
