//! Random: each code point is dropped with probability 1/6; each one that is kept is repeated with probability 1/6.
//!
//! A repeated code point is written `floor(1 / (1 - U))` times for a uniform U in `[0, 1)`, a Pareto distribution of
//! shape 1 by inversion. Its mean is infinite: the output ends before the first code point that would exceed the limit.
//! If every code point is dropped, the output is the first one.

#![allow(
    clippy::cast_possible_truncation,
    reason = "a float becomes a count: `as` saturates, and fractions are dropped on purpose"
)]

use super::output::Placed;
use super::random_source::{CHECK_INTERVAL, RandomSource};
use super::utf8::{self, InvalidUtf8};

/// One of `ODDS` code points is dropped, and one of `ODDS` others repeated. Specified in retortd.protocols(7).
const ODDS: usize = 6;

/// Writes the output for any bytes to `out`: at most `limit` bytes, or the first code point.
pub(super) fn random(
    text: &[u8],
    out: &mut [u8],
    random: &mut impl RandomSource,
    limit: usize,
) -> Result<Placed, InvalidUtf8> {
    utf8::check(text)?;
    let room = limit.min(out.len());
    let output_len = drop_and_repeat(text, &mut out[..room], random);
    if output_len > 0 || text.is_empty() {
        return Ok(Placed::Out(output_len));
    }
    let len = utf8::sequence_len(text[0]);
    out[..len].copy_from_slice(&text[..len]);
    Ok(Placed::Out(len))
}

/// Writes code points until the text ends or `out` is full; returns the length of the output in bytes.
fn drop_and_repeat(text: &[u8], out: &mut [u8], random: &mut impl RandomSource) -> usize {
    let (mut at, mut output_len, mut next_check) = (0, 0, 0);
    while at < text.len() {
        if at >= next_check {
            if !random.is_wanted() {
                break;
            }
            next_check = at + CHECK_INTERVAL;
        }
        let len = utf8::sequence_len(text[at]);
        let times = repetitions(random);
        if times <= 1 && utf8::copy_four(&text[at..], &mut out[output_len..]) {
            output_len += times * len;
        } else {
            let written = repeat(&text[at..at + len], times, &mut out[output_len..]);
            output_len += written * len;
            if written < times {
                break;
            }
        }
        at += len;
    }
    output_len
}

/// Draws how many times the next code point is written.
fn repetitions(random: &mut impl RandomSource) -> usize {
    let mut one_in_six = || random.below(ODDS) == 0;
    let dropped = one_in_six();
    if !dropped && one_in_six() { pareto(random.unit()) } else { usize::from(!dropped) }
}

/// The integer part of a number with the Pareto distribution of shape 1, from a uniform number in `[0, 1)`.
#[allow(clippy::cast_sign_loss, reason = "the number is at least 1")]
fn pareto(uniform: f64) -> usize {
    (1.0 / (1.0 - uniform)) as usize
}

/// Writes the code point `times` times, or as many times as fit; returns how many times.
fn repeat(code_point: &[u8], times: usize, out: &mut [u8]) -> usize {
    let times = times.min(out.len() / code_point.len());
    let place = &mut out[..times * code_point.len()];
    let mut written = code_point.len().min(place.len());
    place[..written].copy_from_slice(&code_point[..written]);
    while written < place.len() {
        // doubles what is written: the number of calls is logarithmic in the number of copies
        let next = written.min(place.len() - written);
        place.copy_within(..next, written);
        written += next;
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns these numbers, in order.
    struct Script {
        below: Vec<usize>,
        unit: Vec<f64>,
    }

    impl RandomSource for Script {
        fn below(&mut self, bound: usize) -> usize {
            assert_eq!(bound, ODDS);
            self.below.remove(0)
        }

        fn unit(&mut self) -> f64 {
            self.unit.remove(0)
        }
    }

    fn output(text: &str, below: &[usize], unit: &[f64], limit: usize) -> String {
        let mut script = Script { below: below.to_vec(), unit: unit.to_vec() };
        let mut out = [0; 64];
        let Ok(Placed::Out(length)) = random(text.as_bytes(), &mut out, &mut script, limit) else {
            panic!("the output is not in out")
        };
        assert!(script.unit.is_empty(), "all numbers are drawn");
        String::from_utf8(out[..length].to_vec()).expect("complete code points")
    }

    #[test]
    fn code_points_are_dropped_kept_and_repeated() {
        assert_eq!(output("aß漢", &[0, 1, 1, 5, 5], &[], 64), "ß漢");
        assert_eq!(output("aß漢", &[1, 0, 1, 0, 0], &[0.0, 0.7], 64), "aßßß");
        assert_eq!(output("x", &[1, 0], &[0.5], 64), "xx");
        assert_eq!(output("x", &[1, 0], &[0.499], 64), "x");
        assert_eq!(output("ß漢", &[1, 0, 1, 0], &[0.9, 0.81], 64), "ß".repeat(10) + &"漢".repeat(5));
    }

    #[test]
    fn first_code_point_is_kept_if_all_are_dropped() {
        assert_eq!(output("漢ab", &[0, 0, 0], &[], 64), "漢");
        assert_eq!(output("", &[], &[], 64), "");
    }

    #[test]
    fn limit_cuts_at_a_complete_code_point() {
        assert_eq!(output("漢b", &[1, 0], &[0.999_999], 8), "漢漢");
        assert_eq!(output("ab漢d", &[1, 1, 1, 1, 1, 1], &[], 4), "ab");
        assert_eq!(output("漢b", &[1, 1, 1, 1], &[], 2), "漢");
        assert_eq!(output("ab", &[1, 0], &[1.0 - f64::EPSILON / 2.0], 5), "aaaaa");
    }

    /// Expected of 60,000 code points: 10,000 dropped, 8,333 repeated. The bounds are six standard deviations.
    #[test]
    #[cfg_attr(miri, ignore = "needs many rounds")]
    fn drop_and_repeat_probabilities_are_one_sixth() {
        let mut source = fastrand::Rng::with_seed(2);
        let drawn: Vec<_> = (0..60_000).map(|_| repetitions(&mut source)).collect();
        let count = |holds: fn(&usize) -> bool| drawn.iter().filter(|times| holds(times)).count();
        assert!(count(|times| *times == 0).abs_diff(10_000) < 550);
        // Once: not repeated (25/36), or repeated with X below 2 (5/72). Ten times or more: 1/10 of 5/36.
        assert!(count(|times| *times == 1).abs_diff(45_833) < 620);
        assert!(count(|times| *times >= 10).abs_diff(833) < 175);
    }
}
