//! Times of the event loop.

use std::ops::{Add, AddAssign, Div, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since the server's start, or a span of milliseconds. Sums and differences saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(u64);

impl Millis {
    /// The server's start, or an empty span.
    pub const ZERO: Self = Self(0);
    /// A moment that does not come: the deadline where there is no timer. A limit that does not exist is `None`.
    pub const NEVER: Self = Self(u64::MAX);

    /// This number of milliseconds.
    #[must_use]
    pub const fn new(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// The number of milliseconds.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The end of a period that begins at this moment and has this limit; [`Millis::NEVER`] without a limit.
    #[must_use]
    pub fn after(self, limit: Option<Self>) -> Self {
        limit.map_or(Self::NEVER, |limit| self + limit)
    }

    /// This moment, unless it is [`Millis::NEVER`].
    #[must_use]
    pub fn if_ever(self) -> Option<Self> {
        (self != Self::NEVER).then_some(self)
    }
}

impl Add for Millis {
    type Output = Self;

    fn add(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl AddAssign for Millis {
    fn add_assign(&mut self, span: Self) {
        *self = *self + span;
    }
}

impl Sub for Millis {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Div<u64> for Millis {
    type Output = Self;

    fn div(self, divisor: u64) -> Self {
        Self(self.0 / divisor)
    }
}

/// Rounds down to whole milliseconds; [`Millis::NEVER`] for a duration of more than `u64::MAX` milliseconds.
impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Self(duration.as_secs().saturating_mul(1000).saturating_add(duration.subsec_millis().into()))
    }
}

impl From<Millis> for Duration {
    fn from(span: Millis) -> Self {
        Self::from_millis(span.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_differences_saturate() {
        let (five, seven) = (Millis::new(5), Millis::new(7));
        assert_eq!((five + seven, seven - five, five - seven), (Millis::new(12), Millis::new(2), Millis::ZERO));
        assert_eq!(Millis::NEVER + five, Millis::NEVER);
    }

    #[test]
    fn period_without_a_limit_does_not_end() {
        assert_eq!(Millis::new(5).after(Some(Millis::new(7))), Millis::new(12));
        assert_eq!(Millis::new(5).after(None), Millis::NEVER);
    }

    #[test]
    fn durations_are_rounded_down_and_bounded() {
        assert_eq!(Millis::from(Duration::from_micros(1999)), Millis::new(1));
        assert_eq!(Millis::from(Duration::MAX), Millis::NEVER);
        assert_eq!(Duration::from(Millis::new(1500)), Duration::from_millis(1500));
    }
}
