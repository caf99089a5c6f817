//! Upper and lower case of a window.
//!
//! In the scripts that most text is written in, the other case of a byte depends only on the byte and its nearest
//! neighbours. A [`ByteMapping`] computes it with comparisons and sums but without a branch, so [`Changes::add`]
//! compiles to vector instructions. Unsupported code points (those that change their length, rarer scripts) are not
//! converted but reported. Each script has a loop of its own, and a window runs the loops of the scripts that it has,
//! which takes less time than one loop for all.

use super::byte_mapping::{ByteContext, ByteMapping, Change, is_unsupported_two_byte, mask_if, within};
use super::{CONTEXT_BEFORE, WINDOW_LEN, Window};

/// The changes of the bytes of a window.
struct Changes {
    delta: [u8; WINDOW_LEN],
    unsupported: [u8; WINDOW_LEN],
}

impl Changes {
    /// Adds the change of each byte, if the window has the script.
    #[inline(always)]
    fn add(&mut self, window: &Window, has_script: bool, change: impl Fn(ByteContext) -> Change) {
        if !has_script {
            return;
        }
        for at in 0..WINDOW_LEN {
            let change = change(ByteContext {
                five_before: window[at],
                four_before: window[at + 1],
                three_before: window[at + 2],
                two_before: window[at + 3],
                before: window[at + 4],
                byte: window[at + 5],
                after: window[at + 6],
                two_after: window[at + 7],
            });
            self.delta[at] = self.delta[at].wrapping_add(change.delta);
            self.unsupported[at] |= mask_if(change.unsupported, 0xff);
        }
    }

    #[inline(always)]
    fn add_less_common<L: ByteMapping>(&mut self, window: &Window) {
        let is_additional = |before: u8, byte: u8| (before == 0xe1) & !within(byte, 0xbc, 0xbf);
        let is_greek_extended = |before: u8, byte: u8| (before == 0xe1) & within(byte, 0xbc, 0xbf);
        let is_other_two_byte = |_, byte| within(byte, 0xc7, 0xcd) | within(byte, 0xd2, 0xd6);
        let is_other_long = |_, byte| (byte == 0xe2) | within(byte, 0xea, 0xff);
        self.add(window, has(window, |_, byte| within(byte, 0xce, 0xcf)), L::greek);
        self.add(window, has(window, L::is_sigma), L::sigma);
        self.add(window, has(window, |_, byte| within(byte, 0xc4, 0xc6)), L::latin_extended);
        self.add(window, has(window, is_other_two_byte), |at| unsupported(is_unsupported_two_byte(at)));
        self.add(window, has(window, is_additional), L::latin_additional);
        self.add(window, has(window, is_greek_extended), L::greek_extended);
        self.add(window, has(window, is_other_long), |at| unsupported(L::is_unsupported_long(at)));
    }
}

/// Whether code points that start with this byte may have a case, and need another loop than those of Latin-1 and of
/// U+0400..U+047F. ASCII, kana and CJK do not.
#[inline(always)]
fn is_less_common(byte: u8) -> bool {
    within(byte, 0xc4, 0xcf) | within(byte, 0xd2, 0xe2) | within(byte, 0xea, 0xff)
}

/// A change that is not supported, if the condition holds.
#[inline(always)]
fn unsupported(unsupported: bool) -> Change {
    Change { delta: 0, unsupported }
}

/// Whether the condition holds for any byte of a window and the byte before it.
#[inline(always)]
fn has(window: &Window, condition: impl Fn(u8, u8) -> bool) -> bool {
    let mut found = [0; WINDOW_LEN];
    for at in 0..WINDOW_LEN {
        found[at] = mask_if(condition(window[CONTEXT_BEFORE + at - 1], window[CONTEXT_BEFORE + at]), 0xff);
    }
    any(&found)
}

/// Whether any of the bytes is not 0: in vector registers, while a comparison with an array of zeros goes through memory.
#[inline(always)]
fn any(bytes: &[u8; WINDOW_LEN]) -> bool {
    bytes.iter().fold(0, |any, byte| any | byte) != 0
}

/// The bytes of a window that belong to unsupported code points, a bit each, the first byte lowest: at least one byte
/// of each of these code points.
pub(super) type Marks = u64;

/// Converts a window, except for its unsupported code points, whose bytes are unspecified in `converted`.
///
/// The bytes of a code point that continues after the window are converted, too.
#[inline(always)]
pub(super) fn convert<L: ByteMapping>(window: &Window, converted: &mut [u8; WINDOW_LEN]) -> Marks {
    let mut changes = Changes { delta: [0; WINDOW_LEN], unsupported: [0; WINDOW_LEN] };
    changes.add(window, has(window, |_, byte| within(byte, 0xc2, 0xc3)), L::latin_1);
    changes.add(window, has(window, |_, byte| within(byte, 0xd0, 0xd1)), L::cyrillic);
    if has(window, |_, byte| is_less_common(byte)) {
        changes.add_less_common::<L>(window);
    }
    let Changes { delta, unsupported } = changes;
    for at in 0..WINDOW_LEN {
        let byte = window[CONTEXT_BEFORE + at];
        converted[at] = L::apply(byte, delta[at] | L::ascii(byte));
    }
    if any(&unsupported) { marks(&unsupported) } else { 0 }
}

/// A bit for each byte, which is 0 or 255.
fn marks(bytes: &[u8; WINDOW_LEN]) -> Marks {
    let bits = |first: usize| {
        let eight = u64::from_le_bytes(std::array::from_fn(|at| bytes[first + at] & 1));
        eight.wrapping_mul(0x0102_0408_1020_4080) >> 56 // adds the lowest bits, each in its place
    };
    (0..WINDOW_LEN).step_by(8).rev().fold(0, |marks, first| marks << 8 | bits(first))
}
