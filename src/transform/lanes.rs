//! Upper and lower case of 64 bytes at a time, without looking at one code point after another.
//!
//! In the scripts that most text is made of, a byte's other case depends only on that byte and on its nearest
//! neighbours. A [`Lane`] states this for one byte with comparisons and sums but without a branch, so the compiler
//! makes vector instructions of the loop in [`Changes::add`]. What does not fit (a code point that changes its length, a
//! rarer script) is not converted but reported, and the caller goes the long way round it. There is one loop for each
//! kind of letters, and only those that a window has are run: to ask less takes less time.
#![allow(clippy::needless_bitwise_bool, reason = "`&&` is a branch, and the loop no longer vector instructions")]
#![allow(
    clippy::inline_always,
    reason = "what is inlined is compiled for each kind of processor, see `super::vectors`"
)]

mod lower;
mod upper;

pub(super) use lower::Lower;
pub(super) use upper::Upper;

use super::utf8;

/// How many bytes are converted at a time.
pub(super) const WINDOW: usize = 64;

/// How many bytes before a byte its lane looks at: a code point of three bytes starts two bytes before its last one.
pub(super) const BEFORE: usize = 2;

/// The bytes of a window, which starts where a code point starts, with those before it and the byte after it.
pub(super) type Window = [u8; BEFORE + WINDOW + 1];

/// A byte and its neighbours.
#[derive(Clone, Copy)]
pub(super) struct Around {
    pub(super) two_before: u8,
    pub(super) before: u8,
    pub(super) byte: u8,
    pub(super) after: u8,
}

/// What is to be done to a byte.
#[derive(Clone, Copy, Default)]
pub(super) struct Change {
    /// What is added to it, or subtracted from it.
    pub(super) by: u8,
    /// It is beyond the lane.
    pub(super) beyond: bool,
}

/// Upper or lower case of one byte: a function for each kind of letters, called only for windows that have letters of
/// that kind.
pub(super) trait Lane {
    /// Changes a byte by an amount.
    fn apply(byte: u8, by: u8) -> u8;
    /// By how much a letter of ASCII changes.
    fn ascii(byte: u8) -> u8;
    /// U+0080..U+00FF (C2, C3).
    fn latin_1(at: Around) -> Change;
    /// U+0100..U+017F (C4, C5) and `Ơ`, `Ư` of Vietnamese (C6); others of two bytes that have case are beyond the lane.
    fn other_two(at: Around) -> Change;
    /// U+0380..U+03FF (CE, CF).
    fn greek(at: Around) -> Change;
    /// U+0400..U+047F (D0, D1).
    fn cyrillic(at: Around) -> Change;
    /// U+1E00..U+1EFF (E1 B8..BB); others that start with E1 are beyond the lane.
    fn additional(at: Around) -> Change;
    /// Whether the byte is of a code point of three bytes or four whose case no lane knows, but for those under E1.
    fn is_rare_long(at: Around) -> bool;
}

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

/// `amount` where the condition holds, else 0.
#[inline(always)]
fn only(condition: bool, amount: u8) -> u8 {
    if condition { amount } else { 0 }
}

/// Whether the byte is at least `first`, for two bytes that are not ASCII.
///
/// As signed numbers they have the same order, and vector instructions compare these in one step less.
#[inline(always)]
#[allow(clippy::cast_possible_wrap, reason = "both wrap alike")]
fn from(byte: u8, first: u8) -> bool {
    byte as i8 >= first as i8
}

/// Whether the byte is in the range: one sum and one comparison of signed numbers.
#[inline(always)]
#[allow(clippy::cast_possible_wrap, reason = "the sum puts `first` at the least number")]
fn within(byte: u8, first: u8, last: u8) -> bool {
    byte.wrapping_add(0x80_u8.wrapping_sub(first)) as i8 <= (last - first).wrapping_add(0x80) as i8
}

/// [`Lane::is_rare_long`].
#[inline(always)]
fn is_rare_long(Around { before, byte, .. }: Around) -> bool {
    // Three bytes: letterlike signs to Coptic (E2 84 and on); Latin Extended-D, Cherokee (EA, before Hangul); of
    // U+F000..U+FFFF all but FF00..FF3F (EF BC).
    let three =
        (before == 0xe2) & from(byte, 0x84) | (before == 0xea) & !from(byte, 0xb0) | (before == 0xef) & (byte != 0xbc);
    // Four bytes: the scripts of the Supplementary Multilingual Plane, before the emoji.
    three | (before == 0xf0) & !from(byte, 0x9f)
}

/// [`Lane::additional`]: small and capital letters alternate, but for U+1E96..U+1E9F.
#[inline(always)]
fn additional(Around { two_before, before, byte, .. }: Around, is_to_change: bool) -> Change {
    let ends = (two_before == 0xe1) & within(before, 0xb8, 0xbb);
    let irregular = (before == 0xba) & within(byte, 0x96, 0x9f);
    let other = (before == 0xe1) & !within(byte, 0xb8, 0xbb); // Georgian, Cherokee, Greek Extended
    Change { by: only(ends & is_to_change, 1), beyond: ends & irregular | other }
}

/// In `Ā`..`ſ` (C4 80..C5 BF) small and capital letters alternate; the order turns round three times.
#[inline(always)]
fn is_small_extended(before: u8, byte: u8) -> bool {
    (byte & 1 != 0) ^ from(byte, 0xb9) ^ ((before == 0xc5) & !from(byte, 0x89))
}

/// Whether the byte is of a code point of two bytes whose case no lane knows: Latin Extended-B and on, but for `Ơ`, `ơ`
/// (C6 A0, A1), `Ư`, `ư` (C6 AF, B0), U+0300..U+033F (CC) and what has a lane of its own; Cyrillic from U+0480, Armenian.
#[inline(always)]
fn is_rare_two(Around { before, byte, .. }: Around) -> bool {
    let lacks_horn = (before == 0xc6) & (byte & 0xfe != 0xa0) & !within(byte, 0xaf, 0xb0);
    lacks_horn | within(byte, 0xc7, 0xcb) | (byte == 0xcd) | within(byte, 0xd2, 0xd6)
}

#[cfg(test)]
mod tests;
