//! Time as the event loop sees it: milliseconds since the server started.

use std::time::{Duration, Instant};

use crate::connection::Millis;

/// Reads the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that shows 0 now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The current time.
    #[must_use]
    pub fn now(self) -> Millis {
        self.elapsed().into()
    }

    /// The current time, as precise as the system has it.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.start.elapsed()
    }
}
