//! Time as the event loop sees it: milliseconds since the server started.

use std::time::Instant;

use crate::connection::NEVER;

/// A time in milliseconds since the server started, or a span in milliseconds; [`NEVER`] is a time that does not come.
pub type Millis = u64;

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
        Millis::try_from(self.start.elapsed().as_millis()).unwrap_or(NEVER)
    }
}
