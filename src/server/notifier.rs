//! Waking a thread that waits in `epoll_wait(2)` or poll(2), by an eventfd(2).

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// A flag that wakes the thread that waits for it; a trait, so that models need no descriptors.
pub trait Notifier {
    /// Sets the flag.
    fn notify(&self);
    /// Clears the flag.
    fn clear(&self);
}

/// A notifier that a thread can wait for together with other descriptors: its descriptor is readable while the flag is set.
#[derive(Debug)]
pub struct EventNotifier(EventFd);

impl EventNotifier {
    /// A notifier with a cleared flag.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM: eventfd(2).
    pub fn new() -> nix::Result<Self> {
        EventFd::from_value_and_flags(0, EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC).map(Self)
    }
}

impl Notifier for EventNotifier {
    fn notify(&self) {
        // EAGAIN only when the counter is full, and then the descriptor is readable
        let _ = self.0.write(1);
    }

    fn clear(&self) {
        // EAGAIN: the flag was not set
        let _ = self.0.read();
    }
}

impl AsFd for EventNotifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
