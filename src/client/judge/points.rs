//! Points: hundredths, so that parts add up to the whole.

use std::fmt;

use crate::client::json::Value;

/// A number of points with at most two decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Points(u64);

/// The most points. Chosen: far more than an exercise has.
const MAX: u64 = 100_000;

const PER_POINT: u64 = 100;

impl Points {
    /// The points in the text, from 0.01 to 100000.
    ///
    /// # Errors
    /// It is no such number, or has more than two decimals.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let hundredths = || {
            let scale = match decimals.len() {
                1 => 10,
                2 => 1,
                _ => return None,
            };
            whole.parse::<u64>().ok()?.checked_mul(PER_POINT)?.checked_add(decimals.parse::<u64>().ok()? * scale)
        };
        let hundredths = if is_number(whole) && is_number(decimals) { hundredths() } else { None };
        let in_range = hundredths.filter(|hundredths| (1..=MAX * PER_POINT).contains(hundredths));
        in_range.map(Self).ok_or_else(|| format!("not a number from 0.01 to {MAX} with at most two decimals"))
    }

    /// Parts in proportion to the weights, or equal ones if all weights are 0. Together they are the whole: hundredths
    /// that remain go to the largest fractions, and among equal ones to the first.
    #[must_use]
    pub fn shared(self, weights: &[u32]) -> Vec<Self> {
        if weights.iter().all(|weight| *weight == 0) {
            return if weights.is_empty() { Vec::new() } else { self.shared(&vec![1; weights.len()]) };
        }
        let sum: u64 = weights.iter().copied().map(u64::from).sum();
        let product = |index: usize| self.0 * u64::from(weights[index]);
        let mut parts: Vec<u64> = (0..weights.len()).map(|index| product(index) / sum).collect();
        let missing = self.0 - parts.iter().sum::<u64>();
        let mut by_fraction: Vec<usize> = (0..weights.len()).collect();
        by_fraction.sort_by_key(|&index| std::cmp::Reverse(product(index) % sum));
        for (_, index) in (0..missing).zip(by_fraction) {
            parts[index] += 1;
        }
        parts.into_iter().map(Self).collect()
    }

    /// The number, for calculations that are not exact.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "at most 10 million hundredths")]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / PER_POINT as f64
    }

    /// The number in JSON, without decimals if it is whole.
    #[must_use]
    pub fn to_json(self) -> Value {
        if self.0 % PER_POINT == 0 { Value::from(self.0 / PER_POINT) } else { Value::from(self.as_f64()) }
    }
}

impl std::iter::Sum for Points {
    fn sum<I: Iterator<Item = Self>>(points: I) -> Self {
        Self(points.map(|points| points.0).sum())
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(text: &str) -> Points {
        Points::parse(text).unwrap()
    }

    #[test]
    fn points_have_two_decimals() {
        for (text, shown) in [("40", "40"), ("2.5", "2.5"), ("0.01", "0.01"), ("100000.00", "100000"), ("007", "7")] {
            assert_eq!(points(text).to_string(), shown);
        }
        for text in
            ["", "0", "0.00", "-1", "+1", "1.", ".5", "1.234", "1e3", "100000.01", "1,5", "99999999999999999999"]
        {
            assert!(Points::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        for whole in ["0.01", "1", "10", "99.99", "100", "100000"] {
            for weights in [&[1][..], &[1, 1, 1], &[3, 0, 7, 1000], &[0, 0], &[1; 37]] {
                let parts = points(whole).shared(weights);
                assert_eq!((parts.len(), parts.iter().copied().sum()), (weights.len(), points(whole)), "{weights:?}");
            }
        }
        assert!(points("1").shared(&[]).is_empty());
    }

    #[test]
    fn parts_are_in_proportion_to_the_weights() {
        assert_eq!(points("100").shared(&[1, 1, 1]), [points("33.34"), points("33.33"), points("33.33")]);
        assert_eq!(points("10").shared(&[2, 1, 0, 2]), [points("4"), points("2"), Points(0), points("4")]);
        // of 2.857, 5.714 and 11.428 hundredths, the second has the largest fraction
        assert_eq!(Points(20).shared(&[1, 2, 4]), [Points(3), Points(6), Points(11)]);
    }
}
