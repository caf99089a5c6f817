//! Reverse: the code points in reverse order, in place.
//!
//! All bytes are reversed first; then each code point is in its place, but with its bytes in reverse order, and
//! [`restore_code_points`](super::window::reverse::restore_code_points) reverses these.

use super::cpu_dispatch;
use super::output::Placed;
use super::utf8::{self, InvalidUtf8};

/// Minimum length in bytes for CPU dispatch: below it the indirect call costs more than wider vectors save. Measured by
/// group `reverse` of `benches/transform.rs`: both ways take equally long for 64 bytes, and from 256 bytes on dispatch
/// takes a quarter of the time or less.
const MIN_DISPATCH_LEN: usize = 256;

/// Reverses ASCII, in place.
#[inline(never)]
pub(super) fn ascii(text: &mut [u8]) {
    if text.len() < MIN_DISPATCH_LEN {
        text.reverse();
    } else {
        cpu_dispatch::reverse_bytes(text);
    }
}

/// Reverses the code points of any bytes, in place.
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
