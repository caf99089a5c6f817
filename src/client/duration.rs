//! Times in words: `500ms`, `30s`, `5m`; and dates.

use std::time::{Duration, UNIX_EPOCH};

/// Parses a time such as `500ms`, `30s` or `1m 30s`; a bare `0` needs no unit.
pub fn parse(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| String::from("not a time, such as 500ms, 30s or 5m"))
}

/// The date and time in UTC, RFC 3339, of a number of seconds since 1970.
#[must_use]
pub fn date(unix_seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(unix_seconds)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
        assert_eq!(parse("0"), Ok(Duration::ZERO));
        assert!(parse("5").is_err());
        assert!(parse("soon").is_err());
    }

    #[test]
    fn dates_are_in_utc() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
    }
}
