//! Runtime CPU dispatch: the loops that compile to vector instructions are compiled twice, for the baseline of the
//! target and for x86-64 CPUs with AVX2, where they take half the time.
//!
//! The crate `multiversion` detects the CPU at the first call. For short texts the indirect call costs more than it
//! saves, so `Action::apply_ascii` does without, and `reverse` below a minimum length.

use multiversion::multiversion;

use super::window::convert_text::{self, Lengths, Scratch};
use super::window::lower::Lower;
use super::window::reverse;
use super::window::upper::Upper;

/// Converts ASCII to upper case, in place.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn uppercase_ascii(block: &mut [u8]) {
    block.make_ascii_uppercase();
}

/// Converts ASCII to lower case, in place.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn lowercase_ascii(block: &mut [u8]) {
    block.make_ascii_lowercase();
}

/// Calls [`convert_text::convert`] for upper case.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn uppercase_windows(text: &mut [u8], start: usize, scratch: &mut Scratch) -> usize {
    convert_text::convert::<Upper>(text, start, scratch)
}

/// Calls [`convert_text::convert`] for lower case.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn lowercase_windows(text: &mut [u8], start: usize, scratch: &mut Scratch) -> usize {
    convert_text::convert::<Lower>(text, start, scratch)
}

/// Calls [`convert_text::convert_to`] for upper case.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn uppercase_windows_to(text: &[u8], start: usize, out: &mut [u8], scratch: &mut Scratch) -> Lengths {
    convert_text::convert_to::<Upper>(text, start, out, scratch)
}

/// Calls [`convert_text::convert_to`] for lower case.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn lowercase_windows_to(text: &[u8], start: usize, out: &mut [u8], scratch: &mut Scratch) -> Lengths {
    convert_text::convert_to::<Lower>(text, start, out, scratch)
}

/// Reverses the order of the bytes.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn reverse_bytes(bytes: &mut [u8]) {
    bytes.reverse();
}

/// Calls [`reverse::restore_code_points`].
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2"))]
pub(super) fn restore_code_points(text: &mut [u8]) {
    reverse::restore_code_points(text);
}
