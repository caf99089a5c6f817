//! Upper and lower case of a window.
//!
//! In the scripts that most text is written in, the other case of a byte depends only on the byte and its nearest
//! neighbours. A [`ByteMapping`] computes it with comparisons and sums but without a branch, so [`Changes::add`]
//! compiles to vector instructions. Unsupported code points (those that change their length, rarer scripts) are not
//! converted but reported. Each script has a loop of its own, and a window runs the loops of the scripts that it has,
//! which takes less time than one loop for all.

use super::byte_mapping::{ByteContext, ByteMapping, Change, mask_if, within};
use super::{CONTEXT_BEFORE, WINDOW_LEN, Window};

/// The changes of the bytes of a window.
struct Changes {
    delta: [u8; WINDOW_LEN],
    unsupported: [u8; WINDOW_LEN],
}

impl Changes {
    /// Adds the change of each byte, unless `script` is 0.
    #[inline(always)]
    fn add(&mut self, window: &Window, script: u8, change: impl Fn(ByteContext) -> Change) {
        if script == 0 {
            return;
        }
        for at in 0..WINDOW_LEN {
            let [three_before, two_before, before] = [window[at], window[at + 1], window[at + 2]];
            let [byte, after, two_after] = [window[at + 3], window[at + 4], window[at + 5]];
            let change = change(ByteContext { three_before, two_before, before, byte, after, two_after });
            self.delta[at] |= change.delta;
            self.unsupported[at] |= mask_if(change.unsupported, 0xff);
        }
    }

    #[inline(always)]
    fn add_less_common<L: ByteMapping>(&mut self, window: &Window) {
        let scripts = scripts_in(window, less_common_script_of);
        self.add(window, scripts & GREEK, L::greek);
        self.add(window, scripts & OTHER_TWO_BYTE, L::other_two_byte);
        self.add(window, scripts & LATIN_ADDITIONAL, L::latin_additional);
        self.add(window, scripts & GREEK_EXTENDED, L::greek_extended);
        self.add(window, scripts & OTHER_LONG, |at| Change { delta: 0, unsupported: L::is_unsupported_long(at) });
    }
}

/// Scripts by the first byte of their letters, a bit each.
const LATIN_1: u8 = 1;
const CYRILLIC: u8 = 2;
const LESS_COMMON: u8 = 4;

/// The script of code points that start with this byte; 0 for ASCII, kana and CJK.
#[inline(always)]
fn script_of(byte: u8) -> u8 {
    let less_common = within(byte, 0xc4, 0xcf) | within(byte, 0xd2, 0xe2) | within(byte, 0xea, 0xff);
    mask_if(within(byte, 0xc2, 0xc3), LATIN_1)
        | mask_if(within(byte, 0xd0, 0xd1), CYRILLIC)
        | mask_if(less_common, LESS_COMMON)
}

/// Scripts that are [`LESS_COMMON`], a bit each.
const GREEK: u8 = 1;
const OTHER_TWO_BYTE: u8 = 2;
const LATIN_ADDITIONAL: u8 = 4;
const GREEK_EXTENDED: u8 = 8;
const OTHER_LONG: u8 = 16;

/// The script of code points that start with this byte or the one before it, if it is [`LESS_COMMON`].
#[inline(always)]
fn less_common_script_of(before: u8, byte: u8) -> u8 {
    mask_if(within(byte, 0xce, 0xcf), GREEK)
        | mask_if(within(byte, 0xc4, 0xcd) | within(byte, 0xd2, 0xd6), OTHER_TWO_BYTE)
        | mask_if((before == 0xe1) & !within(byte, 0xbc, 0xbf), LATIN_ADDITIONAL)
        | mask_if((before == 0xe1) & within(byte, 0xbc, 0xbf), GREEK_EXTENDED)
        | mask_if((byte == 0xe2) | within(byte, 0xea, 0xff), OTHER_LONG)
}

/// The scripts in a window.
///
/// In two loops: each of them compiles to vector instructions, a single loop does not.
#[inline(always)]
fn scripts_in(window: &Window, script_of: impl Fn(u8, u8) -> u8) -> u8 {
    let mut scripts = [0; WINDOW_LEN];
    for at in 0..WINDOW_LEN {
        scripts[at] = script_of(window[CONTEXT_BEFORE + at - 1], window[CONTEXT_BEFORE + at]);
    }
    scripts.iter().fold(0, |all, script| all | script)
}

/// The bytes of a window that belong to unsupported code points, a bit each, the first byte lowest: at least one byte
/// of each of these code points.
pub(super) type Marks = u64;

/// Converts a window, except for its unsupported code points, whose bytes are unspecified in `converted`.
///
/// The bytes of a code point that continues after the window are converted, too.
#[inline(always)]
pub(super) fn convert<L: ByteMapping>(window: &Window, converted: &mut [u8; WINDOW_LEN]) -> Marks {
    let scripts = scripts_in(window, |_, byte| script_of(byte));
    let mut changes = Changes { delta: [0; WINDOW_LEN], unsupported: [0; WINDOW_LEN] };
    changes.add(window, scripts & LATIN_1, L::latin_1);
    changes.add(window, scripts & CYRILLIC, L::cyrillic);
    if scripts & LESS_COMMON != 0 {
        changes.add_less_common::<L>(window);
    }
    let Changes { delta, unsupported } = changes;
    for at in 0..WINDOW_LEN {
        let byte = window[CONTEXT_BEFORE + at];
        converted[at] = L::apply(byte, delta[at] | L::ascii(byte));
    }
    if unsupported == [0; WINDOW_LEN] { 0 } else { marks(&unsupported) }
}

/// A bit for each byte, which is 0 or 255.
fn marks(bytes: &[u8; WINDOW_LEN]) -> Marks {
    let bits = |first: usize| {
        let eight = u64::from_le_bytes(std::array::from_fn(|at| bytes[first + at] & 1));
        eight.wrapping_mul(0x0102_0408_1020_4080) >> 56 // adds the lowest bits, each in its place
    };
    (0..WINDOW_LEN).step_by(8).rev().fold(0, |marks, first| marks << 8 | bits(first))
}
