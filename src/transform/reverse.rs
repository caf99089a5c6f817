//! Reverse: the code points in the opposite order, in place.
//!
//! ASCII at both ends is swapped in blocks and never looked at again. What is left between has all its bytes
//! reversed, after which each code point stands in its place but back to front, and is turned round. Like
//! [`lanes`](super::lanes), the turning computes each byte from its neighbours alone, so it runs in vector
//! instructions.

use super::{InvalidUtf8, Placed, utf8};

/// Bytes of ASCII that are checked and then swapped, so that the second look finds them in the nearest cache.
const ASCII_BLOCK: usize = 4096;

/// Bytes that are turned at a time.
const WINDOW: usize = 64;

/// The furthest that a byte of a code point has to move.
const REACH: usize = utf8::LONGEST - 1;

/// Reverses any bytes.
pub(super) fn reverse(text: &mut [u8]) -> Result<Placed, InvalidUtf8> {
    let swapped = swap_ascii(text);
    let end = text.len() - swapped;
    let middle = &mut text[swapped..end];
    if middle.is_ascii() {
        middle.reverse();
    } else {
        utf8::check(middle)?;
        middle.reverse();
        turn_code_points(middle);
    }
    Ok(Placed::InPlace)
}

/// Swaps blocks of ASCII at both ends; returns how many bytes of each end are done.
fn swap_ascii(text: &mut [u8]) -> usize {
    let mut done = 0;
    let (front, back) = text.split_at_mut(text.len() / 2);
    for (front, back) in front.chunks_exact_mut(ASCII_BLOCK).zip(back.rchunks_exact_mut(ASCII_BLOCK)) {
        if !front.is_ascii() || !back.is_ascii() {
            break;
        }
        front.reverse();
        back.reverse();
        front.swap_with_slice(back);
        done += ASCII_BLOCK;
    }
    done
}

/// Turns round each code point of a text whose bytes have been reversed.
fn turn_code_points(text: &mut [u8]) {
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

fn turn(original: &[u8; WINDOW + 2 * REACH]) -> [u8; WINDOW] {
    let mut turned = [0; WINDOW];
    for (at, byte) in turned.iter_mut().enumerate() {
        let around = |offset: usize| original[at + offset];
        *byte = turn_byte(std::array::from_fn(around));
    }
    turned
}

/// What belongs in the place of the byte in the middle. First bytes stand last, and say how far they have to move.
#[inline]
fn turn_byte([before3, before2, before1, byte, after1, after2, after3]: [u8; 1 + 2 * REACH]) -> u8 {
    let two = |byte: u8| (0xc0..0xe0).contains(&byte);
    let three = |byte: u8| (0xe0..0xf0).contains(&byte);
    let four = |byte: u8| byte >= 0xf0;
    let pick = |condition, chosen, otherwise| if condition { chosen } else { otherwise };

    let from_before = pick(four(byte), before3, pick(three(byte), before2, before1));
    let from_after = pick(four(after3), after3, pick(three(after2), after2, after1));
    let moves_on = (byte >= 0xc0) | four(after1);
    let moves_up = two(after1) | three(after2) | four(after2) | four(after3);
    pick(moves_on, from_before, pick(moves_up, from_after, byte))
}
