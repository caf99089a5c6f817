//! The values of options: limits that `0` or `none` disables, on sizes, times and counts ([`units`](mod@crate::units)).

use std::str::FromStr;
use std::time::Duration;

use crate::units;

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
}
