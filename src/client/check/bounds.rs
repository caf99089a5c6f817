//! Bounds for random results, wide enough that a correct server misses one less than once in a million runs.

#![allow(clippy::cast_possible_truncation, reason = "a rounded float that is at most `trials`, a usize")]

use std::ops::RangeInclusive;

/// Upper limit of the probability that a correct server misses one side of one bound.
///
/// Derived: the checks of randomness together have fewer than 25 bounds with two sides each, and 50 times one in a
/// hundred million is one in two million.
pub const FALSE_ALARM_RATE: f64 = 1e-8;

/// The numbers of hits to accept in `trials` independent trials with this `chance`.
///
/// By Chernoff's bound in its exact form (Hoeffding 1963, theorem 1): the probability that the share of hits is `a` or
/// further away on its side is at most `exp(-trials * D)`, with the relative entropy
/// `D = a ln(a/p) + (1-a) ln((1-a)/(1-p))`. The bounds are the numbers of hits where that is just under
/// [`FALSE_ALARM_RATE`]. No normal approximation is made, so they hold for every number of trials.
#[must_use]
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "counts are far below 2^52, and none is negative"
)]
pub fn acceptance_bounds(trials: usize, chance: f64) -> RangeInclusive<usize> {
    let accepted = |hits: usize| trials as f64 * entropy(hits as f64 / trials as f64, chance) <= -FALSE_ALARM_RATE.ln();
    let middle = ((trials as f64 * chance).round() as usize).min(trials);
    let min = first(0, middle, &accepted);
    let max = trials - first(0, trials - middle, &|missing| accepted(trials - missing));
    min..=max
}

/// The first number from `low` to `high` that satisfies a monotonic condition, by binary search.
fn first(mut low: usize, mut high: usize, condition: &dyn Fn(usize) -> bool) -> usize {
    while low < high {
        let middle = low + (high - low) / 2;
        if condition(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

fn entropy(share: f64, chance: f64) -> f64 {
    let part = |share: f64, chance: f64| if share > 0.0 { share * (share / chance).ln() } else { 0.0 };
    part(share, chance) + part(1.0 - share, 1.0 - chance)
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "small numbers")]
mod tests {
    use super::*;

    /// ln of the binomial coefficient, by summing logarithms: slow and exact enough.
    fn ln_choose(n: usize, k: usize) -> f64 {
        (1..=k).map(|i| ((n - k + i) as f64 / i as f64).ln()).sum()
    }

    fn ln_probability(n: usize, k: usize, p: f64) -> f64 {
        ln_choose(n, k) + k as f64 * p.ln() + (n - k) as f64 * (1.0 - p).ln()
    }

    #[test]
    fn bounds_hold_for_the_exact_binomial_distribution() {
        for (trials, chance) in [(100, 1.0 / 6.0), (3000, 1.0 / 6.0), (3000, 5.0 / 72.0), (500, 0.5)] {
            let (least, most) = acceptance_bounds(trials, chance).into_inner();
            let below: f64 = (0..least).map(|k| ln_probability(trials, k, chance).exp()).sum();
            let above: f64 = (most + 1..=trials).map(|k| ln_probability(trials, k, chance).exp()).sum();
            assert!(below < FALSE_ALARM_RATE && above < FALSE_ALARM_RATE, "{trials} {chance}: {below} {above}");
            assert!(least < most, "{trials} {chance}");
        }
    }

    #[test]
    fn bounds_are_narrow() {
        let (least, most) = acceptance_bounds(30_000, 1.0 / 6.0).into_inner();
        assert!(least > 4590 && most < 5415, "{least} {most}");
    }
}
