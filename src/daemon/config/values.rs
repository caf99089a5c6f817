//! The values of options: sizes such as `64K`, times such as `500ms`, and limits that `0` or `none` disables.

use std::str::FromStr;
use std::time::Duration;

/// A limit on a quantity. This is how the configuration spells "no limit" everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit<T> {
    /// `0` or `none`
    Unlimited,
    /// At most this
    Max(T),
}

impl<T> Limit<T> {
    /// The maximum, if there is one.
    pub fn max(self) -> Option<T> {
        match self {
            Self::Unlimited => None,
            Self::Max(max) => Some(max),
        }
    }
}

impl<T: Quantity> FromStr for Limit<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Unlimited);
        }
        let quantity = T::parse(text)?;
        Ok(if quantity.is_zero() { Self::Unlimited } else { Self::Max(quantity) })
    }
}

/// A type that a [`Limit`] can limit.
pub trait Quantity: Sized {
    /// Parses the value of an option; the error says what a value looks like.
    ///
    /// # Errors
    /// The text is no such value; the error says what a value looks like.
    fn parse(text: &str) -> Result<Self, String>;
    /// Whether the value means "no limit".
    fn is_zero(&self) -> bool;
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl Size {
    /// As a length in memory; the largest one where the address space is smaller.
    #[must_use]
    pub fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

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

/// The maximum of a time: a leap year. Chosen: longer than any timeout that makes sense, and short enough that adding
/// it to a point in time cannot overflow.
const MAX_TIME: Duration = Duration::from_secs(366 * 24 * 3600);

impl Quantity for Duration {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self::ZERO);
        }
        match humantime::parse_duration(text) {
            Ok(time) if time > MAX_TIME => Err("too long: a year at most, or none".into()),
            Ok(time) => Ok(time),
            Err(_) => Err("not a time: write for example 500ms, 30s, 5m or 2h".into()),
        }
    }

    fn is_zero(&self) -> bool {
        Self::is_zero(self)
    }
}

/// A time as a value of an option: `5m`.
#[must_use]
pub fn format_time(time: Duration) -> impl std::fmt::Display {
    humantime::format_duration(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_suffix_or_are_bytes() {
        for (text, bytes) in [("0", 0), ("17", 17), ("64K", 65_536), ("16m", 16 << 20), ("2G", 2 << 30)] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "K", "-1", "1.5M", "64KB", "99999999999G", "1 K"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn zero_and_none_disable_a_limit() {
        let limit = |text: &str| text.parse::<Limit<Duration>>();
        assert_eq!(limit("none"), Ok(Limit::Unlimited));
        assert_eq!(limit("0"), Ok(Limit::Unlimited));
        assert_eq!(limit("0s"), Ok(Limit::Unlimited));
        assert_eq!(limit("500ms"), Ok(Limit::Max(Duration::from_millis(500))));
        assert_eq!(limit("5m"), Ok(Limit::Max(Duration::from_secs(300))));
        assert!(limit("5").is_err() && limit("soon").is_err() && limit("2years").is_err());
        assert_eq!("0".parse::<Limit<usize>>(), Ok(Limit::Unlimited));
        assert_eq!("12".parse::<Limit<usize>>(), Ok(Limit::Max(12)));
        assert_eq!((Limit::Max(12).max(), Limit::<usize>::Unlimited.max()), (Some(12), None));
    }

    #[test]
    fn times_are_printed_as_they_are_written() {
        for text in ["300ms", "5m", "2h"] {
            assert_eq!(format_time(Duration::parse(text).expect(text)).to_string(), text);
        }
    }
}
