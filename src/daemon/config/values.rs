//! The values of options: limits that `0` or `none` disables, on sizes, times, counts and rates
//! ([`units`](mod@crate::units)).

use std::num::NonZero;
use std::str::FromStr;
use std::time::Duration;

use crate::server::Rate;
use crate::units;

/// The maximum of `--max-rate` and `--max-rate-per-source`, in connections per second. Chosen: more than any machine
/// accepts.
const MAX_RATE: u64 = 1_000_000;

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

/// A rate of new connections per second: `100`, `100/s` or `1k`.
impl FromStr for Limit<Rate> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Unlimited);
        }
        let count = units::count_within::<u32>(0..=MAX_RATE)(text.strip_suffix("/s").unwrap_or(text))?;
        Ok(NonZero::new(count).map_or(Self::Unlimited, |count| Self::Max(Rate::per_second(count))))
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
        units::size(text).map(Self)
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
        units::count_within(0..=usize::MAX as u64)(text)
    }

    fn is_zero(&self) -> bool {
        *self == 0
    }
}

impl Quantity for Duration {
    fn parse(text: &str) -> Result<Self, String> {
        units::time(text)
    }

    fn is_zero(&self) -> bool {
        Self::is_zero(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_none_disable_a_limit() {
        let limit = |text: &str| text.parse::<Limit<Duration>>();
        assert_eq!(limit("none"), Ok(Limit::Unlimited));
        assert_eq!(limit("0"), Ok(Limit::Unlimited));
        assert_eq!(limit("0s"), Ok(Limit::Unlimited));
        assert_eq!(limit("500ms"), Ok(Limit::Max(Duration::from_millis(500))));
        assert_eq!(limit("5m"), Ok(Limit::Max(Duration::from_secs(300))));
        assert_eq!(limit("5"), Ok(Limit::Max(Duration::from_secs(5))));
        assert!(limit("soon").is_err() && limit("2years").is_err());
        assert_eq!("0".parse::<Limit<usize>>(), Ok(Limit::Unlimited));
        assert_eq!("12".parse::<Limit<usize>>(), Ok(Limit::Max(12)));
        assert_eq!((Limit::Max(12).max(), Limit::<usize>::Unlimited.max()), (Some(12), None));
    }

    #[test]
    fn rates_are_connections_per_second() {
        let rate = |number: u32| Limit::Max(Rate::per_second(NonZero::new(number).expect("not zero")));
        for (text, expected) in [
            ("1", rate(1)),
            ("100/s", rate(100)),
            ("2k", rate(2000)),
            ("1M", rate(1_000_000)),
            ("0", Limit::Unlimited),
            ("0/s", Limit::Unlimited),
            ("none", Limit::Unlimited),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        assert_eq!("1000001".parse::<Limit<Rate>>(), Err("must be from 0 to 1000000".into()));
        for text in ["", "/s", "0.5", "1/m", "fast", "-1"] {
            assert!(text.parse::<Limit<Rate>>().is_err_and(|error| error.starts_with("not a whole number")), "{text}");
        }
    }
}
