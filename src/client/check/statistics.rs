//! Bounds for what chance decides, wide enough that a correct server misses them less than once in a million runs.

/// How likely a correct server is to miss one side of one bound.
///
/// The checks of chance together hold fewer than 25 bounds, each with two sides: 50 times one in a hundred million is
/// one in two million.
pub const MISS: f64 = 1e-8;

/// The smallest and the largest number of hits that are believed of `trials` independent trials with this `chance`.
///
/// By Chernoff's bound in its exact form (Hoeffding 1963, theorem 1): the probability that the share of hits is `a` or
/// further away on its side is at most `exp(-trials * D)`, with the relative entropy
/// `D = a ln(a/p) + (1-a) ln((1-a)/(1-p))`. The bounds are the numbers of hits where that is just under [`MISS`]. No
/// normal approximation is made, so they hold for every number of trials.
#[must_use]
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "counts are far below 2^52, and none is negative"
)]
pub fn believable(trials: usize, chance: f64) -> (usize, usize) {
    let believed = |hits: usize| trials as f64 * entropy(hits as f64 / trials as f64, chance) <= -MISS.ln();
    let middle = ((trials as f64 * chance).round() as usize).min(trials);
    let least = first(0, middle, &believed);
    let most = trials - first(0, trials - middle, &|missing| believed(trials - missing));
    (least, most)
}

/// The first number from `low` to `high` that satisfies a condition which, once true, stays true.
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
    fn the_exact_binomial_misses_less_often_than_promised() {
        for (trials, chance) in [(100, 1.0 / 6.0), (3000, 1.0 / 6.0), (3000, 5.0 / 72.0), (500, 0.5)] {
            let (least, most) = believable(trials, chance);
            let below: f64 = (0..least).map(|k| ln_probability(trials, k, chance).exp()).sum();
            let above: f64 = (most + 1..=trials).map(|k| ln_probability(trials, k, chance).exp()).sum();
            assert!(below < MISS && above < MISS, "{trials} {chance}: {below} {above}");
            assert!(least < most, "{trials} {chance}");
        }
    }

    #[test]
    fn the_bounds_are_narrow_enough_to_tell_something() {
        let (least, most) = believable(30_000, 1.0 / 6.0);
        assert!(least > 4590 && most < 5415, "{least} {most}");
    }
}
