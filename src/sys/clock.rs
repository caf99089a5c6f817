//! The two clocks: monotonic time, and the time of day.

use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};

/// The monotonic clock in nanoseconds, never 0; async-signal-safe as `clock_gettime(2)` is (signal-safety(7)).
#[must_use]
pub fn monotonic_nanoseconds() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// Unix time in seconds; 0 if the clock is set to a time before 1970.
#[must_use]
pub fn unix_time() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
