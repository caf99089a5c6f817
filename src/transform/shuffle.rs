//! Shuffle: a uniform permutation of the code points, with no more working memory than the text has bytes.
//!
//! ASCII is shuffled in place. Else the code points are sorted by their width into four runs, each run is shuffled,
//! and the text is written anew: at each place a width is drawn with a probability proportional to how many code
//! points of that width are left, and the next one of its run is taken.
//!
//! Why this is uniform, for n code points of which n1, n2, n3, n4 have the four widths: each sequence of widths is
//! drawn with probability n1! n2! n3! n4! / n!, and each order within the runs with 1 / (n1! n2! n3! n4!). The two are
//! independent and together name one permutation, which therefore has probability 1 / n!.

use super::output::Placed;
use super::random_source::{CHECK_INTERVAL, RandomSource};
use super::utf8::{self, InvalidUtf8};

/// Shuffles ASCII: Fisher and Yates, from the end.
#[inline(never)]
pub(super) fn ascii(text: &mut [u8], random: &mut impl RandomSource) {
    let mut remaining = text.len();
    while remaining > 1 && random.is_wanted() {
        let stop = remaining.saturating_sub(CHECK_INTERVAL).max(1);
        for last in (stop..remaining).rev() {
            text.swap(last, random.below(last + 1));
        }
        remaining = stop;
    }
}

/// Shuffles any bytes; `out` is working memory for a text that is not ASCII.
pub(super) fn shuffle(text: &mut [u8], out: &mut [u8], random: &mut impl RandomSource) -> Result<Placed, InvalidUtf8> {
    if text.is_ascii() {
        ascii(text, random);
    } else {
        utf8::check(text)?;
        let mut runs = sort_by_len(text, out);
        shuffle_run::<1>(runs[0], random);
        shuffle_run::<2>(runs[1], random);
        shuffle_run::<3>(runs[2], random);
        shuffle_run::<4>(runs[3], random);
        merge_runs(&mut runs, text, random);
    }
    Ok(Placed::InPlace)
}

/// Copies the code points to four runs, by width.
fn sort_by_len<'a>(text: &[u8], out: &'a mut [u8]) -> [&'a mut [u8]; utf8::MAX_LEN] {
    let runs = split_runs(out, bytes_by_len(text));
    let mut filled = [0; utf8::MAX_LEN];
    let mut at = 0;
    while at < text.len() {
        let len = utf8::sequence_len(text[at]);
        let place = &mut filled[len - 1];
        copy(len, &text[at..], &mut runs[len - 1][*place..]);
        *place += len;
        at += len;
    }
    runs
}

/// How many bytes the code points of each width take.
fn bytes_by_len(text: &[u8]) -> [usize; utf8::MAX_LEN] {
    let count = |from: u8| text.iter().filter(|byte| **byte >= from).count();
    let (two, three, four) = (count(0xc0), count(0xe0), count(0xf0));
    let continuing = two + three + four;
    let multibyte = two + continuing;
    [text.len() - multibyte, 2 * (two - three), 3 * (three - four), 4 * four]
}

fn split_runs(out: &mut [u8], [one, two, three, four]: [usize; utf8::MAX_LEN]) -> [&mut [u8]; utf8::MAX_LEN] {
    let (ones, out) = out.split_at_mut(one);
    let (twos, out) = out.split_at_mut(two);
    let (threes, out) = out.split_at_mut(three);
    [ones, twos, threes, &mut out[..four]]
}

/// Fisher and Yates over code points of one width.
fn shuffle_run<const LEN: usize>(run: &mut [u8], random: &mut impl RandomSource) {
    let mut remaining = run.len() / LEN;
    while remaining > 1 && random.is_wanted() {
        let stop = remaining.saturating_sub(CHECK_INTERVAL).max(1);
        for last in (stop..remaining).rev() {
            let chosen = random.below(last + 1);
            for byte in 0..LEN {
                run.swap(last * LEN + byte, chosen * LEN + byte);
            }
        }
        remaining = stop;
    }
}

/// Writes the text anew from the runs, each place from a width drawn by what is left of it.
fn merge_runs(runs: &mut [&mut [u8]; utf8::MAX_LEN], text: &mut [u8], random: &mut impl RandomSource) {
    let mut remaining: [usize; utf8::MAX_LEN] = std::array::from_fn(|index| runs[index].len() / (index + 1));
    let mut boundaries = RunBoundaries::new(&remaining);
    let mut at = 0;
    for total in (1..=remaining.iter().sum()).rev() {
        if total % CHECK_INTERVAL == 0 && !random.is_wanted() {
            return;
        }
        let index = boundaries.pick_run(random.below(total));
        let len = index + 1;
        remaining[index] -= 1;
        copy(len, &runs[index][remaining[index] * len..], &mut text[at..]);
        at += len;
    }
}

/// The code points that are left have a ticket each, those of one run after those of another: the first tickets of the
/// second, third and fourth run.
///
/// They could be computed from the numbers of code points, but then each draw would wait for the one before it.
struct RunBoundaries([usize; utf8::MAX_LEN - 1]);

impl RunBoundaries {
    fn new([one, two, three, _]: &[usize; utf8::MAX_LEN]) -> Self {
        Self([*one, one + two, one + two + three])
    }

    /// The run that a ticket belongs to, which has one ticket less afterwards.
    #[inline]
    fn pick_run(&mut self, ticket: usize) -> usize {
        let behind = self.0.map(|begin| usize::from(ticket >= begin));
        for (begin, behind) in self.0.iter_mut().zip(behind) {
            *begin -= 1 - behind;
        }
        behind.iter().sum()
    }
}

/// Copies a code point, and perhaps bytes behind it: runs and text are written from the front to the end.
#[inline]
fn copy(len: usize, from: &[u8], to: &mut [u8]) {
    if !utf8::copy_four(from, to) {
        to[..len].copy_from_slice(&from[..len]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn shuffled(text: &str, random: &mut fastrand::Rng) -> String {
        let mut bytes = text.as_bytes().to_vec();
        let mut out = vec![0; text.len()];
        assert_eq!(shuffle(&mut bytes, &mut out, random), Ok(Placed::InPlace));
        String::from_utf8(bytes).expect("a shuffled text is text")
    }

    /// Shuffles a text of distinct code points again and again: chi-square over how often each permutation came.
    fn chi_square(text: &str) -> f64 {
        let permutations: usize = (1..=text.chars().count()).product();
        let rounds = permutations * 200;
        let mut random = fastrand::Rng::with_seed(1);
        let mut counts = HashMap::new();
        for _ in 0..rounds {
            *counts.entry(shuffled(text, &mut random)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), permutations, "every permutation has come");
        let squares: i32 = counts.values().map(|count| (count - 200) * (count - 200)).sum();
        f64::from(squares) / 200.0
    }

    /// 4! permutations have 23 degrees of freedom, 5! have 119: a uniform shuffle goes over these bounds once in
    /// a million seeds, and this seed is fixed.
    #[test]
    #[cfg_attr(miri, ignore = "needs thousands of rounds")]
    fn every_permutation_is_equally_likely() {
        for text in ["abcd", "aßc漢", "ßab😀", "漢字éa", "éöüß", "aβ漢😀"] {
            let square = chi_square(text);
            assert!(square < 70.0, "{text}: {square}");
        }
        for text in ["aé漢😀b", "éö漢字😀"] {
            let square = chi_square(text);
            assert!(square < 203.0, "{text}: {square}");
        }
    }

    /// Is wanted for a number of looks; counts what is drawn.
    struct Unwanted {
        looks: std::cell::Cell<usize>,
        drawn: usize,
    }

    impl RandomSource for Unwanted {
        fn is_wanted(&self) -> bool {
            let remaining = self.looks.get();
            self.looks.set(remaining.saturating_sub(1));
            remaining > 0
        }

        fn below(&mut self, bound: usize) -> usize {
            self.drawn += 1;
            bound - 1
        }

        fn unit(&mut self) -> f64 {
            0.5
        }
    }

    /// Fault 38: a text whose answer nobody wants any more is left soon.
    #[test]
    fn an_unwanted_text_is_left_soon() {
        for text in ["a".repeat(10 * CHECK_INTERVAL), "é".repeat(10 * CHECK_INTERVAL)] {
            for looks in 0..3 {
                let mut random = Unwanted { looks: looks.into(), drawn: 0 };
                let (mut bytes, mut out) = (text.as_bytes().to_vec(), vec![0; text.len()]);
                assert!(shuffle(&mut bytes, &mut out, &mut random).is_ok());
                assert!(
                    (looks * CHECK_INTERVAL..=(looks + 1) * CHECK_INTERVAL).contains(&random.drawn),
                    "{} drawn",
                    random.drawn
                );
            }
        }
    }

    #[test]
    fn the_bytes_of_each_width_are_counted() {
        assert_eq!(bytes_by_len("".as_bytes()), [0; 4]);
        assert_eq!(bytes_by_len("abcßé漢😀😁".as_bytes()), [3, 4, 3, 8]);
    }

    #[test]
    fn tickets_belong_to_runs() {
        let remaining = [2, 0, 3, 1];
        let drawn: Vec<_> = (0..6).map(|ticket| RunBoundaries::new(&remaining).pick_run(ticket)).collect();
        assert_eq!(drawn, [0, 0, 2, 2, 2, 3]);
        for ticket in 0..6 {
            let (mut boundaries, mut remaining) = (RunBoundaries::new(&remaining), remaining);
            remaining[boundaries.pick_run(ticket)] -= 1;
            assert_eq!(boundaries.0, RunBoundaries::new(&remaining).0, "after {ticket}");
        }
    }
}
