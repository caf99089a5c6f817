//! Dates.

use std::time::{Duration, UNIX_EPOCH};

/// The date and time in UTC, RFC 3339, of a number of seconds since 1970.
#[must_use]
pub fn date(unix_seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(unix_seconds)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_in_utc() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
    }
}
