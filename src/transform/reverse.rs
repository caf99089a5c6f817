//! Reverse: the code points in the opposite order, in place.
//!
//! All bytes are reversed, after which each code point stands in its place but back to front, and is turned round.
//! Like `lanes`, the turning computes each byte from its neighbours alone, so it runs in vector instructions.

use super::cpu_dispatch;
use super::output::Placed;
use super::utf8::{self, InvalidUtf8};

/// From so many bytes on the way to vector instructions pays.
const MIN_DISPATCH_LEN: usize = 4096;

/// Reverses ASCII.
#[inline(never)]
pub(super) fn ascii(text: &mut [u8]) {
    if text.len() < MIN_DISPATCH_LEN {
        text.reverse();
    } else {
        cpu_dispatch::reverse_bytes(text);
    }
}

/// Reverses any bytes.
pub(super) fn reverse(text: &mut [u8]) -> Result<Placed, InvalidUtf8> {
    if text.is_ascii() {
        ascii(text);
    } else {
        utf8::check(text)?;
        cpu_dispatch::reverse_bytes(text);
        cpu_dispatch::restore_code_points(text);
    }
    Ok(Placed::InPlace)
}
