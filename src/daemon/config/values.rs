//! How people write limits: sizes as `64K`, times as `500ms`, and `0` or `none` for without.

use std::str::FromStr;
use std::time::Duration;

/// A limit that may be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit<T>(pub Option<T>);

impl<T: Quantity> FromStr for Limit<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let quantity = T::parse(text)?;
        Ok(Self((!quantity.is_zero()).then_some(quantity)))
    }
}

/// What a limit is a limit of.
pub trait Quantity: Sized {
    /// Reads it as people write it.
    fn parse(text: &str) -> Result<Self, String>;
    /// Whether it is nothing at all.
    fn is_zero(&self) -> bool;
}

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl Quantity for Size {
    fn parse(text: &str) -> Result<Self, String> {
        let (digits, factor) = match text.char_indices().next_back() {
            Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
            Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
            Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
            _ => (text, 1),
        };
        let number: Option<u64> = digits.parse().ok();
        let bytes = number.and_then(|number| number.checked_mul(factor));
        bytes.map(Self).ok_or_else(|| "not a size: write bytes, or a number with K, M or G".into())
    }

    fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl Quantity for usize {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "not a number".into())
    }

    fn is_zero(&self) -> bool {
        *self == 0
    }
}

/// The longest time that a limit may be: a year.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

impl Quantity for Duration {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self::ZERO);
        }
        match humantime::parse_duration(text) {
            Ok(time) if time > LONGEST => Err("too long: a year at most, or none".into()),
            Ok(time) => Ok(time),
            Err(_) => Err("not a time: write for example 500ms, 30s, 5m or 2h".into()),
        }
    }

    fn is_zero(&self) -> bool {
        Self::is_zero(self)
    }
}

/// A time in words: `5m`.
pub fn in_words(time: Duration) -> impl std::fmt::Display {
    humantime::format_duration(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [("0", 0), ("17", 17), ("64K", 65_536), ("16m", 16 << 20), ("2G", 2 << 30)] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "K", "-1", "1.5M", "64KB", "99999999999G", "1 K"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn limits_can_be_switched_off() {
        let limit = |text: &str| text.parse::<Limit<Duration>>();
        assert_eq!(limit("none"), Ok(Limit(None)));
        assert_eq!(limit("0"), Ok(Limit(None)));
        assert_eq!(limit("0s"), Ok(Limit(None)));
        assert_eq!(limit("500ms"), Ok(Limit(Some(Duration::from_millis(500)))));
        assert_eq!(limit("5m"), Ok(Limit(Some(Duration::from_secs(300)))));
        assert!(limit("5").is_err() && limit("soon").is_err() && limit("2years").is_err());
        assert_eq!("0".parse::<Limit<usize>>(), Ok(Limit(None)));
        assert_eq!("12".parse::<Limit<usize>>(), Ok(Limit(Some(12))));
    }
}
