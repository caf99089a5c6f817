//! JSON values: reports with `--json`, and the strings of TAP.

pub use serde_json::{Value, json};

/// A JSON object.
pub type Map = serde_json::Map<String, Value>;

/// The JSON values of a text, one after another.
pub fn values(text: &[u8]) -> impl Iterator<Item = serde_json::Result<Value>> + '_ {
    serde_json::Deserializer::from_slice(text).into_iter()
}

/// A number of seconds for a report, in whole microseconds: digits below are noise of the clock and of binary fractions.
#[must_use]
pub fn seconds(time: std::time::Duration) -> Value {
    Value::from(rounded_to(time.as_secs_f64(), 1e6))
}

/// The number with three decimals: of microseconds, those are nanoseconds, the resolution of every time here.
#[must_use]
pub fn rounded(number: f64) -> f64 {
    rounded_to(number, 1e3)
}

/// The number, rounded to a multiple of the inverse of `steps`.
fn rounded_to(number: f64, steps: f64) -> f64 {
    (number * steps).round() / steps
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

    #[test]
    fn numbers_have_no_rounding_errors() {
        let number = (0.1 + 0.2) * 1e3;
        assert_ne!(number.to_string(), "300");
        assert_eq!((rounded(number).to_string(), rounded(2.0 / 3.0).to_string()), ("300".into(), "0.667".into()));
    }
}
