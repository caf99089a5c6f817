//! JSON values: reports with `--json`, and the strings of TAP.

pub use serde_json::{Value, json};

/// A JSON object.
pub type Map = serde_json::Map<String, Value>;

/// A number of seconds for a report, in whole microseconds: digits below are noise of the clock and of binary fractions.
#[must_use]
pub fn seconds(time: std::time::Duration) -> Value {
    Value::from((time.as_secs_f64() * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn seconds_are_rounded_to_microseconds() {
        for (nanoseconds, shown) in [(300_000_000, "0.3"), (1_234_567_890, "1.234568"), (0, "0.0"), (499, "0.0")] {
            assert_eq!(seconds(Duration::from_nanos(nanoseconds)).to_string(), shown);
        }
    }
}
