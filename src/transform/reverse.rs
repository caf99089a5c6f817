//! Reverse: the code points in the opposite order, in place.
//!
//! All bytes are reversed, after which each code point stands in its place but back to front, and is turned round.
//! Like `lanes`, the turning computes each byte from its neighbours alone, so it runs in vector instructions.

#![allow(
    clippy::inline_always,
    reason = "what is inlined is compiled for each kind of processor, see `super::vectors`"
)]

use super::output::Placed;
use super::utf8::{self, InvalidUtf8};
use super::vectors;

/// Bytes that are turned at a time.
const WINDOW: usize = 64;

/// The furthest that a byte of a code point has to move.
const REACH: usize = utf8::LONGEST - 1;

/// From so many bytes on the way to vector instructions pays.
const LONG: usize = 4096;

/// Reverses ASCII.
#[inline(never)]
pub(super) fn ascii(text: &mut [u8]) {
    if text.len() < LONG {
        text.reverse();
    } else {
        vectors::reverse_bytes(text);
    }
}

/// Reverses any bytes.
pub(super) fn reverse(text: &mut [u8]) -> Result<Placed, InvalidUtf8> {
    if text.is_ascii() {
        ascii(text);
    } else {
        utf8::check(text)?;
        vectors::reverse_bytes(text);
        vectors::turn_code_points(text);
    }
    Ok(Placed::InPlace)
}

/// Turns round each code point of a text whose bytes have been reversed.
#[inline(always)]
pub(super) fn turn_code_points(text: &mut [u8]) {
    let mut original = [0; WINDOW + 2 * REACH];
    for start in (0..text.len()).step_by(WINDOW) {
        let end = text.len().min(start + WINDOW + REACH);
        original.copy_within(WINDOW..WINDOW + REACH, 0);
        original[REACH..].fill(0);
        original[REACH..REACH + end - start].copy_from_slice(&text[start..end]);
        let window = &mut text[start..end.min(start + WINDOW)];
        let turned = turn(&original);
        window.copy_from_slice(&turned[..window.len()]);
    }
}

/// The bytes of a window with each code point turned round, given the window and what is in reach of it.
#[inline(always)]
fn turn(original: &[u8; WINDOW + 2 * REACH]) -> [u8; WINDOW] {
    let mut turned = [0; WINDOW];
    for at in 0..WINDOW {
        let [before3, before2, before1] = [original[at], original[at + 1], original[at + 2]];
        let [after1, after2, after3] = [original[at + 4], original[at + 5], original[at + 6]];
        let byte = original[at + REACH];
        let from_before = pick(is_four(byte), before3, pick(is_three(byte), before2, before1));
        let from_after = pick(is_four(after3), after3, pick(is_three(after2), after2, after1));
        let moves_on = (byte >= 0xc0) | is_four(after1);
        let moves_up = is_two(after1) | is_three(after2) | is_four(after2) | is_four(after3);
        turned[at] = pick(moves_on, from_before, pick(moves_up, from_after, byte));
    }
    turned
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
