//! The loops over long texts, compiled twice: for every processor, and for those with AVX2, which need half the time.
//!
//! Which of the two runs is found out when it is first called. For short texts the way here is too long.

use multiversion::multiversion;

use super::{Action, InvalidUtf8, Placed, case, reverse, utf8};

/// [`Action::apply`] of the light actions but title-case.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn apply(action: Action, text: &mut [u8], out: &mut [u8]) -> Result<Placed, InvalidUtf8> {
    match action {
        Action::Lowercase => case::lowercase(text, out),
        Action::Reverse => reverse::reverse(text),
        _ => case::uppercase(text, out),
    }
}

/// [`Action::prepare`].
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn prepare(action: Action, text: &mut [u8], done: usize, complete: bool) -> usize {
    match action {
        Action::Uppercase => case::prepare_uppercase(text, done, complete),
        Action::Lowercase => case::prepare_lowercase(text, done, complete),
        _ => done + utf8::ascii_front(&text[done..]),
    }
}

/// ASCII text backwards.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn reverse_ascii(text: &mut [u8]) {
    text.reverse();
}
