//! Time as the event loop sees it: milliseconds since the server started.

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
        Self { start: monotonic_nanoseconds() }
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
