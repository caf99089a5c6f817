//! Upper and lower case of 64 bytes at a time, without looking at one code point after another.
//!
//! In the scripts that most text is made of, a byte's other case depends only on that byte and on its nearest
//! neighbours. A [`ByteMapping`] states this for one byte with comparisons and sums but without a branch, so the compiler
//! makes vector instructions of the loop in [`Changes::add`]. What does not fit (a code point that changes its length, a
//! rarer script) is not converted but reported, and the caller goes the long way round it. There is one loop for each
//! kind of letters, and only those that a window has are run: to ask less takes less time.

#![allow(clippy::needless_bitwise_bool, reason = "`&&` is a branch, and the loop no longer vector instructions")]

use super::super::utf8;
use super::byte_mapping::{ByteContext, ByteMapping, Change, mask_if, within};
use super::{CONTEXT_BEFORE, WINDOW_LEN, Window};

/// What is to be done to the bytes of a window.
struct Changes {
    delta: [u8; WINDOW_LEN],
    unsupported: [u8; WINDOW_LEN],
}

impl Changes {
    /// Adds what `change` says about each byte, unless `script` is 0.
    #[inline(always)]
    fn add(&mut self, window: &Window, script: u8, change: impl Fn(ByteContext) -> Change) {
        if script == 0 {
            return;
        }
        for at in 0..WINDOW_LEN {
            let [two_before, before, byte, after] = [window[at], window[at + 1], window[at + 2], window[at + 3]];
            let change = change(ByteContext { two_before, before, byte, after });
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
        self.add(window, scripts & OTHER_LONG, |at| Change { delta: 0, unsupported: L::is_unsupported_long(at) });
    }
}

/// Kinds of letters, by their first bytes; each is a bit.
const LATIN_1: u8 = 1;
const CYRILLIC: u8 = 2;
const LESS_COMMON: u8 = 4;

/// The kind of the letters that start with this byte; none for kana and CJK.
#[inline(always)]
fn script_of(byte: u8) -> u8 {
    let less_common = within(byte, 0xc4, 0xcf) | within(byte, 0xd2, 0xe2) | within(byte, 0xea, 0xff);
    mask_if(within(byte, 0xc2, 0xc3), LATIN_1)
        | mask_if(within(byte, 0xd0, 0xd1), CYRILLIC)
        | mask_if(less_common, LESS_COMMON)
}

/// Kinds of letters that are [`LESS_COMMON`].
const GREEK: u8 = 1;
const OTHER_TWO_BYTE: u8 = 2;
const LATIN_ADDITIONAL: u8 = 4;
const OTHER_LONG: u8 = 8;

/// The kind of the letters that start with this byte, if that is less common.
#[inline(always)]
fn less_common_script_of(byte: u8) -> u8 {
    mask_if(within(byte, 0xce, 0xcf), GREEK)
        | mask_if(within(byte, 0xc4, 0xcd) | within(byte, 0xd2, 0xd6), OTHER_TWO_BYTE)
        | mask_if(byte == 0xe1, LATIN_ADDITIONAL)
        | mask_if((byte == 0xe2) | within(byte, 0xea, 0xff), OTHER_LONG)
}

/// The kinds of letters that a window has.
///
/// In two loops: the compiler makes vector instructions of each of them, but not of one loop that does all.
#[inline(always)]
fn scripts_in(window: &Window, script_of: impl Fn(u8) -> u8) -> u8 {
    let mut scripts = [0; WINDOW_LEN];
    for at in 0..WINDOW_LEN {
        scripts[at] = script_of(window[CONTEXT_BEFORE + at]);
    }
    scripts.iter().fold(0, |all, script| all | script)
}

/// Converts a window; also says where the first code point starts that is beyond the lane, if one is.
///
/// The start of a code point that ends behind the window is converted, too.
#[inline(always)]
pub(super) fn convert<L: ByteMapping>(window: &Window, converted: &mut [u8; WINDOW_LEN]) -> Option<usize> {
    let scripts = scripts_in(window, script_of);
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
    (unsupported != [0; WINDOW_LEN]).then(|| start_of_first(window, &unsupported))
}

/// Where the code point starts that holds the first marked byte.
fn start_of_first(window: &Window, marks: &[u8; WINDOW_LEN]) -> usize {
    let marked = marks.iter().position(|mark| *mark != 0).unwrap_or(0);
    let start = window[CONTEXT_BEFORE..=CONTEXT_BEFORE + marked].iter().rposition(|byte| !utf8::is_continuation(*byte));
    start.unwrap_or(marked)
}
