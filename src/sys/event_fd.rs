//! eventfd(2): a descriptor by which one thread wakes another that waits in epoll(7) or poll(2).

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd as Counter};

/// A descriptor that is readable from [`EventFd::notify`] until [`EventFd::clear`].
#[derive(Debug)]
pub struct EventFd(Counter);

impl EventFd {
    /// Creates one that is not readable; non-blocking and closed on exec.
    ///
    /// # Errors
    /// As eventfd(2): EMFILE, ENFILE or ENOMEM.
    pub fn new() -> Result<Self, Errno> {
        Counter::from_value_and_flags(0, EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC).map(Self)
    }

    /// Makes it readable.
    pub fn notify(&self) {
        // fails only with EAGAIN, when the counter is full: then it is readable already
        let _ = self.0.write(1);
    }

    /// Makes it unreadable.
    pub fn clear(&self) {
        // fails only with EAGAIN, when it is not readable
        let _ = self.0.read();
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::is_readable;

    #[test]
    fn readable_from_the_first_notice_until_it_is_cleared() {
        let event = EventFd::new().expect("an eventfd");
        event.clear();
        assert!(!is_readable(&event));
        event.notify();
        event.notify();
        assert!(is_readable(&event));
        event.clear();
        assert!(!is_readable(&event));
    }
}
