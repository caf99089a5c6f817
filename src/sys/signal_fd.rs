//! signalfd(2): Ctrl-C and SIGTERM as events of the client's waits.
//!
//! [`super::signals`] says why the daemon does not use this.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::poll::wait_any;

/// SIGINT and SIGTERM, which no longer end the process but [`Interrupts::wait`].
#[derive(Debug)]
pub struct Interrupts(SignalFd);

/// The reason why [`Interrupts::wait`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// SIGINT or SIGTERM is pending; it stays pending, so that every later wait returns this too.
    Interrupted,
    /// The socket has input, or its end, to read.
    Readable,
    /// The timeout has expired.
    TimedOut,
}

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

    /// Waits for one of the signals, for input on `socket` if there is one, or for `timeout` to expire.
    ///
    /// # Errors
    /// As poll(2), except EINTR.
    pub fn wait(&self, socket: Option<&TcpStream>, timeout: Duration) -> io::Result<Woken> {
        let mut watched = vec![PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        watched.extend(socket.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)));
        wait_any(&mut watched, timeout)?;
        let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
        Ok(match (is_ready(&watched[0]), watched.get(1).is_some_and(is_ready)) {
            (true, _) => Woken::Interrupted,
            (false, true) => Woken::Readable,
            (false, false) => Woken::TimedOut,
        })
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
