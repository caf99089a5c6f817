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
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGTERM);
        signals.thread_block()?;
        Ok(Self(SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }
}

impl AsFd for Interrupts {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
