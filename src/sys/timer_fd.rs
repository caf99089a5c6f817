//! `timerfd_create(2)`: a timer that a poller can watch, finer than the poller's own milliseconds.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd as Timer, TimerFlags, TimerSetTimeFlags};

/// A timer of the monotonic clock, readable once it has expired.
#[derive(Debug)]
pub struct TimerFd(Timer);

impl TimerFd {
    /// Creates a timer that is not set; non-blocking and closed on exec.
    ///
    /// # Errors
    /// As `timerfd_create(2)`: EMFILE, ENFILE or ENOMEM.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        Ok(Self(Timer::new(ClockId::CLOCK_MONOTONIC, flags)?))
    }

    /// Sets it to expire once, after `delay`; replaces the time set before, and makes it unreadable until then.
    ///
    /// # Errors
    /// As `timerfd_settime(2)`: EINVAL for a delay beyond the range of the clock.
    pub fn set(&self, delay: Duration) -> io::Result<()> {
        // zero would switch the timer off (timerfd_settime(2))
        let delay = TimeSpec::from_duration(delay.max(Duration::from_nanos(1)));
        Ok(self.0.set(Expiration::OneShot(delay), TimerSetTimeFlags::empty())?)
    }
}

impl AsFd for TimerFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{is_readable, wait_readable};

    #[test]
    fn readable_once_it_has_expired() {
        let timer = TimerFd::new().expect("a timer");
        assert!(!is_readable(&timer));
        timer.set(Duration::ZERO).expect("set");
        wait_readable([timer.as_fd()], None).expect("poll");
        assert!(is_readable(&timer));
        timer.set(Duration::from_secs(1000)).expect("set");
        assert!(!is_readable(&timer));
    }
}
