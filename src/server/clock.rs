//! Time as the event loop sees it: milliseconds since the server started, or since its first predecessor did. The time
//! between a predecessor and its successor does not count.

use std::time::Duration;

use crate::connection::Millis;
use crate::sys::monotonic_nanoseconds;

/// Reads the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// In nanoseconds of the monotonic clock.
    start: u64,
}

impl Clock {
    /// A clock that shows 0 now.
    #[must_use]
    pub fn start() -> Self {
        Self::continued(Duration::ZERO)
    }

    /// A clock that shows `elapsed` now.
    #[must_use]
    pub fn continued(elapsed: Duration) -> Self {
        let elapsed = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        // the machine is at least as old as the predecessor
        Self { start: monotonic_nanoseconds().saturating_sub(elapsed) }
    }

    /// The current time.
    #[must_use]
    pub fn now(self) -> Millis {
        self.elapsed().into()
    }

    /// The current time, as precise as the system has it.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Duration::from_nanos(monotonic_nanoseconds() - self.start)
    }

    /// This time, in nanoseconds of the monotonic clock.
    #[must_use]
    pub fn nanoseconds(self, elapsed: Duration) -> u64 {
        self.start + u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_continues_where_that_of_the_predecessor_stopped() {
        // no longer than the machine runs
        let elapsed = Clock { start: 0 }.elapsed() / 2;
        let successor = Clock::continued(elapsed);
        assert!(successor.elapsed() >= elapsed);
        let now = successor.elapsed();
        assert!(successor.nanoseconds(now) <= monotonic_nanoseconds(), "nanoseconds are those of the machine");
    }

    #[test]
    fn an_absurd_time_is_that_of_the_machine() {
        assert_eq!(Clock::continued(Duration::MAX).start, 0);
    }
}
