//! Upper and lower case of 64 bytes at a time, without looking at one code point after another.
//!
//! In the scripts that most text is made of, a byte's other case depends only on that byte and on its nearest
//! neighbours. A [`Lane`] states this for one byte with comparisons and sums but without a branch, so the compiler
//! makes vector instructions of the loop in [`Changes::add`]. What does not fit (a code point that changes its length, a
//! rarer script) is not converted but reported, and the caller goes the long way round it. There is one loop for each
//! kind of letters, and only those that a window has are run: to ask less takes less time.

#![allow(clippy::needless_bitwise_bool, reason = "`&&` is a branch, and the loop no longer vector instructions")]

use super::super::utf8;
use super::byte_mapping::{Around, Change, Lane, only, within};
use super::{BEFORE, WINDOW, Window};

/// What is to be done to the bytes of a window.
struct Changes {
    by: [u8; WINDOW],
    beyond: [u8; WINDOW],
}

impl Changes {
    /// Adds what `change` says about each byte, unless `kind` is 0.
    #[inline(always)]
    fn add(&mut self, window: &Window, kind: u8, change: impl Fn(Around) -> Change) {
        if kind == 0 {
            return;
        }
        for at in 0..WINDOW {
            let [two_before, before, byte, after] = [window[at], window[at + 1], window[at + 2], window[at + 3]];
            let change = change(Around { two_before, before, byte, after });
            self.by[at] |= change.by;
            self.beyond[at] |= only(change.beyond, 0xff);
        }
    }

    #[inline(always)]
    fn add_less_common<L: Lane>(&mut self, window: &Window) {
        let kinds = kinds(window, less_common_kind);
        self.add(window, kinds & GREEK, L::greek);
        self.add(window, kinds & OTHER_TWO, L::other_two);
        self.add(window, kinds & ADDITIONAL, L::additional);
        self.add(window, kinds & OTHER_LONG, |at| Change { by: 0, beyond: L::is_rare_long(at) });
    }
}

/// Kinds of letters, by their first bytes; each is a bit.
const LATIN_1: u8 = 1;
const CYRILLIC: u8 = 2;
const LESS_COMMON: u8 = 4;

/// The kind of the letters that start with this byte; none for kana and CJK.
#[inline(always)]
fn kind(byte: u8) -> u8 {
    let less_common = within(byte, 0xc4, 0xcf) | within(byte, 0xd2, 0xe2) | within(byte, 0xea, 0xff);
    only(within(byte, 0xc2, 0xc3), LATIN_1) | only(within(byte, 0xd0, 0xd1), CYRILLIC) | only(less_common, LESS_COMMON)
}

/// Kinds of letters that are [`LESS_COMMON`].
const GREEK: u8 = 1;
const OTHER_TWO: u8 = 2;
const ADDITIONAL: u8 = 4;
const OTHER_LONG: u8 = 8;

/// The kind of the letters that start with this byte, if that is less common.
#[inline(always)]
fn less_common_kind(byte: u8) -> u8 {
    only(within(byte, 0xce, 0xcf), GREEK)
        | only(within(byte, 0xc4, 0xcd) | within(byte, 0xd2, 0xd6), OTHER_TWO)
        | only(byte == 0xe1, ADDITIONAL)
        | only((byte == 0xe2) | within(byte, 0xea, 0xff), OTHER_LONG)
}

/// The kinds of letters that a window has.
///
/// In two loops: the compiler makes vector instructions of each of them, but not of one loop that does all.
#[inline(always)]
fn kinds(window: &Window, kind: impl Fn(u8) -> u8) -> u8 {
    let mut kinds = [0; WINDOW];
    for at in 0..WINDOW {
        kinds[at] = kind(window[BEFORE + at]);
    }
    kinds.iter().fold(0, |all, kind| all | kind)
}

/// Converts a window; also says where the first code point starts that is beyond the lane, if one is.
///
/// The start of a code point that ends behind the window is converted, too.
#[inline(always)]
pub(super) fn convert<L: Lane>(window: &Window, converted: &mut [u8; WINDOW]) -> Option<usize> {
    let kinds = kinds(window, kind);
    let mut changes = Changes { by: [0; WINDOW], beyond: [0; WINDOW] };
    changes.add(window, kinds & LATIN_1, L::latin_1);
    changes.add(window, kinds & CYRILLIC, L::cyrillic);
    if kinds & LESS_COMMON != 0 {
        changes.add_less_common::<L>(window);
    }
    let Changes { by, beyond } = changes;
    for at in 0..WINDOW {
        let byte = window[BEFORE + at];
        converted[at] = L::apply(byte, by[at] | L::ascii(byte));
    }
    (beyond != [0; WINDOW]).then(|| start_of_first(window, &beyond))
}

/// Where the code point starts that holds the first marked byte.
fn start_of_first(window: &Window, marks: &[u8; WINDOW]) -> usize {
    let marked = marks.iter().position(|mark| *mark != 0).unwrap_or(0);
    let start = window[BEFORE..=BEFORE + marked].iter().rposition(|byte| !utf8::is_continuation(*byte));
    start.unwrap_or(marked)
}
