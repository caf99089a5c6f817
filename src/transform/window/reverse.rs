//! Reverses the bytes of each code point, in a text whose bytes have been reversed.

use super::super::utf8;
use super::WINDOW_LEN;

/// The maximum distance that a byte of a code point moves.
const REACH: usize = utf8::MAX_LEN - 1;

/// Reverses the bytes of each code point in place; each is in reverse order before, its first byte last.
#[inline(always)]
pub(in crate::transform) fn restore_code_points(text: &mut [u8]) {
    let mut original = [0; WINDOW_LEN + 2 * REACH];
    for start in (0..text.len()).step_by(WINDOW_LEN) {
        let end = text.len().min(start + WINDOW_LEN + REACH);
        original.copy_within(WINDOW_LEN..WINDOW_LEN + REACH, 0);
        original[REACH..].fill(0);
        original[REACH..REACH + end - start].copy_from_slice(&text[start..end]);
        let window = &mut text[start..end.min(start + WINDOW_LEN)];
        let restored = restore_window(&original);
        window.copy_from_slice(&restored[..window.len()]);
    }
}

/// The bytes of a window after that; `original` is the window with [`REACH`] bytes before and after it.
#[inline(always)]
fn restore_window(original: &[u8; WINDOW_LEN + 2 * REACH]) -> [u8; WINDOW_LEN] {
    let mut restored = [0; WINDOW_LEN];
    for at in 0..WINDOW_LEN {
        let [before3, before2, before1] = [original[at], original[at + 1], original[at + 2]];
        let [after1, after2, after3] = [original[at + 4], original[at + 5], original[at + 6]];
        let byte = original[at + REACH];
        let from_before = pick(is_four(byte), before3, pick(is_three(byte), before2, before1));
        let from_after = pick(is_four(after3), after3, pick(is_three(after2), after2, after1));
        let moves_on = (byte >= 0xc0) | is_four(after1);
        let moves_up = is_two(after1) | is_three(after2) | is_four(after2) | is_four(after3);
        restored[at] = pick(moves_on, from_before, pick(moves_up, from_after, byte));
    }
    restored
}

#[inline(always)]
fn pick(condition: bool, chosen: u8, otherwise: u8) -> u8 {
    if condition { chosen } else { otherwise }
}

#[inline(always)]
fn is_two(lead: u8) -> bool {
    lead & 0xe0 == 0xc0
}

#[inline(always)]
fn is_three(lead: u8) -> bool {
    lead & 0xf0 == 0xe0
}

#[inline(always)]
fn is_four(lead: u8) -> bool {
    lead >= 0xf0
}
