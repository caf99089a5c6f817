//! The loops that the compiler makes vector instructions of, compiled twice: for every processor, and for those with
//! AVX2, which need half the time.
//!
//! Which of the two runs is found out when it is first called. For short texts the way here is too long.

use multiversion::multiversion;

use super::window::convert_text::{self, Scratch};
use super::window::lower::Lower;
use super::window::reverse;
use super::window::upper::Upper;

/// A block of ASCII in upper case.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn uppercase_ascii(block: &mut [u8]) {
    block.make_ascii_uppercase();
}

/// A block of ASCII in lower case.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn lowercase_ascii(block: &mut [u8]) {
    block.make_ascii_lowercase();
}

/// [`convert_text::convert`] for upper case.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn uppercase_windows(text: &mut [u8], start: usize, scratch: &mut Scratch) -> usize {
    convert_text::convert::<Upper>(text, start, scratch)
}

/// [`convert_text::convert`] for lower case.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn lowercase_windows(text: &mut [u8], start: usize, scratch: &mut Scratch) -> usize {
    convert_text::convert::<Lower>(text, start, scratch)
}

/// All bytes in the opposite order.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn reverse_bytes(bytes: &mut [u8]) {
    bytes.reverse();
}

/// [`reverse::restore_code_points`].
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn restore_code_points(text: &mut [u8]) {
    reverse::restore_code_points(text);
}
