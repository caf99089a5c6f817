//! What ends a run before its time.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::sys::{EventFd, Interrupts};

/// A descriptor that is readable while somebody wants the run to end.
pub trait StopRequest: AsFd + fmt::Debug {
    /// Takes the request; returns whether there was one.
    ///
    /// # Errors
    /// The descriptor cannot be read.
    fn take(&self) -> io::Result<bool>;
}

impl StopRequest for Interrupts {
    fn take(&self) -> io::Result<bool> {
        Interrupts::take(self)
    }
}

/// By which one thread ends the part of the load that another one makes.
#[derive(Debug)]
pub struct StopEvent(EventFd);

impl StopEvent {
    /// One that nobody has requested.
    ///
    /// # Errors
    /// As eventfd(2).
    pub fn new() -> io::Result<Self> {
        Ok(Self(EventFd::new()?))
    }

    /// Requests the end.
    pub fn request(&self) {
        self.0.notify();
    }
}

impl AsFd for StopEvent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl StopRequest for StopEvent {
    /// Nobody else takes it, so that it is still there if the descriptor was readable.
    fn take(&self) -> io::Result<bool> {
        self.0.clear();
        Ok(true)
    }
}
