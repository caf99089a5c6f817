//! Waking the thread that owns a mailbox or the server.

use crate::sys::EventFd;

/// A flag that wakes the thread that waits for it; a trait, so that models need no descriptors.
pub trait Notifier {
    /// Sets the flag.
    fn notify(&self);
    /// Clears the flag.
    fn clear(&self);
}

impl Notifier for EventFd {
    fn notify(&self) {
        EventFd::notify(self);
    }

    fn clear(&self) {
        EventFd::clear(self);
    }
}
