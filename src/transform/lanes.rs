//! Upper and lower case of 64 bytes at a time, without looking at one code point after another.
//!
//! In the scripts that most text is made of, a byte's other case depends only on that byte and on its two
//! neighbours. A [`Lane`] states this for one byte with comparisons and sums but without a branch, so the compiler
//! makes vector instructions of the loop in [`convert`], and a window may cut a code point. What does not fit (a code
//! point that changes its length, a rarer script) is not converted but reported, and the caller goes the long way round
//! it. There is one loop for each kind of window: to ask only what its scripts call for takes half the time.
#![allow(clippy::needless_bitwise_bool, reason = "`&&` is a branch, and the loop no longer vector instructions")]
#![allow(
    clippy::inline_always,
    reason = "what is inlined is compiled for each kind of processor, see `super::vectors`"
)]

use std::ops::BitOrAssign;

use super::utf8;

/// How many bytes are converted at a time.
pub(super) const WINDOW: usize = 64;

/// One byte's way to its other case.
pub(super) trait Lane {
    /// A byte in its other case, given the byte before and the byte after; and whether it is beyond the lane. `KINDS`
    /// are those of the window's letters, beside ASCII.
    fn map<const KINDS: u8>(previous: u8, byte: u8, next: u8) -> (u8, bool);
}

/// U+0080..U+00FF.
const LATIN_1: u8 = 1;
/// U+0100..U+017F, and what [`LATIN_1`] has.
const LATIN: u8 = LATIN_1 | 2;
/// U+0400..U+047F.
const CYRILLIC: u8 = 4;
/// Anything of two bytes from U+0180 on.
const TWO: u8 = CYRILLIC | 8;
/// Anything of three bytes or four.
const LONG: u8 = 16;

/// Upper case: ASCII, Latin-1, Latin Extended-A, Cyrillic up to `џ`, and all that has no case.
pub(super) struct Upper;

/// Lower case: ASCII, Latin-1, Latin Extended-A, Cyrillic up to `Я`, and all that has no case.
pub(super) struct Lower;

/// The bytes of a window, with the byte before it and the byte after it.
pub(super) type Window = [u8; WINDOW + 2];

/// Converts a window; also says where the first code point starts that is beyond the lane, if one is: at 1 with the
/// window, at 0 with the byte before it.
#[inline(always)]
pub(super) fn convert<L: Lane>(window: &Window) -> ([u8; WINDOW], Option<usize>) {
    // anything but Latin-1, Cyrillic, kana and CJK
    if any(window, 0xc4, 0xcf) | any(window, 0xd2, 0xe2) | any(window, 0xea, 0xff) {
        return convert_special::<L>(window);
    }
    match (any(window, 0xc2, 0xc3), any(window, 0xd0, 0xd1)) {
        (false, false) => convert_all::<L, 0>(window),
        (false, true) => convert_all::<L, CYRILLIC>(window),
        (true, false) => convert_all::<L, LATIN_1>(window),
        (true, true) => convert_all::<L, { LATIN_1 | CYRILLIC }>(window),
    }
}

/// The same for a window that has something of what is less common.
#[inline(always)]
fn convert_special<L: Lane>(window: &Window) -> ([u8; WINDOW], Option<usize>) {
    match (any(window, 0xc2, 0xc5), any(window, 0xc6, 0xdf), any(window, 0xe0, 0xff)) {
        (false, false, _) => convert_all::<L, LONG>(window),
        (false, true, false) => convert_all::<L, TWO>(window),
        (false, true, true) => convert_all::<L, { TWO | LONG }>(window),
        (true, false, false) => convert_all::<L, LATIN>(window),
        (true, false, true) => convert_all::<L, { LATIN | LONG }>(window),
        (true, true, false) => convert_all::<L, { LATIN | TWO }>(window),
        (true, true, true) => convert_all::<L, { LATIN | TWO | LONG }>(window),
    }
}

/// Whether any byte of a window is in the range, or the one before it, whose code point may go on.
#[inline(always)]
fn any(window: &Window, first: u8, last: u8) -> bool {
    let before = within(window[0], first, last);
    window[1..=WINDOW].iter().fold(false, |any, byte| any | within(*byte, first, last)) | before
}

#[inline(always)]
fn convert_all<L: Lane, const KINDS: u8>(window: &Window) -> ([u8; WINDOW], Option<usize>) {
    let (mut converted, mut marks) = ([0; WINDOW], [0; WINDOW]);
    for at in 0..WINDOW {
        let (mapped, beyond) = L::map::<KINDS>(window[at], window[at + 1], window[at + 2]);
        converted[at] = mapped;
        marks[at] = only(beyond, 0xff);
    }
    (converted, (marks != [0; WINDOW]).then(|| start_of_first(window, &marks)))
}

/// Where the code point starts that holds the first marked byte.
fn start_of_first(window: &Window, marks: &[u8; WINDOW]) -> usize {
    let marked = marks.iter().position(|mark| *mark != 0).unwrap_or(WINDOW) + 1;
    window[..=marked].iter().rposition(|byte| !utf8::is_continuation(*byte)).unwrap_or(marked)
}

/// Whether `KINDS` has all of `kind`.
const fn has(kinds: u8, kind: u8) -> bool {
    kinds & kind == kind
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

/// First bytes of code points of two bytes whose case the lanes do not know; the others here have none, or are dealt
/// with.
#[inline(always)]
fn is_rare_two(byte: u8) -> bool {
    // Latin Extended-B to Greek, with U+0300..U+033F (CC) spared; Cyrillic from U+0480, Armenian.
    within(byte, 0xc6, 0xd6) & (byte != 0xcc) & (byte & 0xfe != 0xd0)
}

/// The same of three bytes or four.
#[inline(always)]
fn is_rare_long(byte: u8, next: u8) -> bool {
    // Three bytes: Georgian, Cherokee, Greek Extended (E1); letterlike signs to Coptic (E2 84 and on); Latin
    // Extended-D, Cherokee (EA, before Hangul); of U+F000..U+FFFF all but FF00..FF3F (EF BC).
    let three = (byte == 0xe1)
        | (byte == 0xe2) & from(next, 0x84)
        | (byte == 0xea) & !from(next, 0xb0)
        | (byte == 0xef) & (next != 0xbc);
    // Four bytes: the scripts of the Supplementary Multilingual Plane, before the emoji.
    three | (byte == 0xf0) & !from(next, 0x9f)
}

/// In `Ā`..`ſ` (C4 80..C5 BF) small and capital letters alternate; the order turns round three times.
#[inline(always)]
fn is_small_extended(previous: u8, byte: u8) -> bool {
    (byte & 1 != 0) ^ from(byte, 0xb9) ^ ((previous == 0xc5) & !from(byte, 0x89))
}

/// What is to be done to a byte.
#[derive(Clone, Copy, Default)]
struct Change {
    /// It is 0x20 away from its other case, as ASCII is.
    turns: bool,
    /// How much more, or less, it is otherwise.
    by: u8,
    /// It is beyond the lane.
    beyond: bool,
}

impl BitOrAssign for Change {
    #[inline(always)]
    fn bitor_assign(&mut self, other: Change) {
        self.turns |= other.turns;
        self.by |= other.by;
        self.beyond |= other.beyond;
    }
}

impl Change {
    #[inline(always)]
    fn amount(self) -> u8 {
        only(self.turns, 0x20) | self.by
    }
}

impl Lane for Upper {
    #[inline(always)]
    fn map<const KINDS: u8>(previous: u8, byte: u8, next: u8) -> (u8, bool) {
        let mut less = Change { turns: within(byte, b'a', b'z'), ..Change::default() };
        if has(KINDS, LATIN_1) {
            less |= upper_latin_1(previous, byte);
        }
        if has(KINDS, LATIN) {
            less |= upper_extended(previous, byte);
        }
        if has(KINDS, CYRILLIC) {
            less |= upper_cyrillic(previous, byte);
        }
        less.beyond |= has(KINDS, TWO) & is_rare_two(byte) | has(KINDS, LONG) & is_rare_long(byte, next);
        let capital = byte.wrapping_sub(less.amount());
        // ß, of two bytes, becomes SS
        let sharp = (previous == 0xc3) & (byte == 0x9f) | (byte == 0xc3) & (next == 0x9f);
        (if has(KINDS, LATIN_1) & sharp { b'S' } else { capital }, less.beyond)
    }
}

#[inline(always)]
fn upper_latin_1(previous: u8, byte: u8) -> Change {
    Change {
        turns: (previous == 0xc3) & from(byte, 0xa0) & (byte != 0xb7),
        beyond: (previous == 0xc2) & (byte == 0xb5) | (previous == 0xc3) & (byte == 0xbf), // µ ÿ
        ..Change::default()
    }
}

#[inline(always)]
fn upper_extended(previous: u8, byte: u8) -> Change {
    let small = (previous & 0xfe == 0xc4) & is_small_extended(previous, byte);
    let beyond = (previous == 0xc4) & (byte == 0xb1) // ı
        | (previous == 0xc5) & ((byte == 0x80) | (byte == 0x89) | (byte == 0xbf)); // ŀ ŉ ſ
    Change { by: only(small, 1), beyond, ..Change::default() }
}

#[inline(always)]
fn upper_cyrillic(previous: u8, byte: u8) -> Change {
    let second_half = previous == 0xd1; // р..я at 80..8F, ѐ..џ at 90..9F, both under D0 as capitals
    Change {
        turns: (previous == 0xd0) & from(byte, 0xb0), // а..п
        by: only(byte == 0xd1, 1) | only(second_half, if from(byte, 0x90) { 0x10 } else { 0xe0 }),
        beyond: second_half & from(byte, 0xa0), // ѡ and on
    }
}

impl Lane for Lower {
    #[inline(always)]
    fn map<const KINDS: u8>(previous: u8, byte: u8, next: u8) -> (u8, bool) {
        let mut more = Change { turns: within(byte, b'A', b'Z'), ..Change::default() };
        if has(KINDS, LATIN_1) {
            more.turns |= (previous == 0xc3) & !from(byte, 0x9f) & (byte != 0x97);
        }
        if has(KINDS, LATIN) {
            more |= lower_extended(previous, byte);
        }
        if has(KINDS, CYRILLIC) {
            more |= lower_cyrillic(previous, byte, next);
        }
        // full-width capitals (EF BC A1..BA)
        let wide = (previous == 0xef) & (byte == 0xbc) & within(next, 0xa1, 0xba);
        more.beyond |= has(KINDS, TWO) & is_rare_two(byte) | has(KINDS, LONG) & (wide | is_rare_long(byte, next));
        (byte.wrapping_add(more.amount()), more.beyond)
    }
}

#[inline(always)]
fn lower_extended(previous: u8, byte: u8) -> Change {
    let is_extended = (previous & 0xfe == 0xc4) & !((previous == 0xc4) & (byte == 0xb8));
    let capital = is_extended & !is_small_extended(previous, byte);
    let beyond = is_extended & (byte == 0xbf) // Ŀ ſ
        | (previous == 0xc4) & (byte == 0xb0) // İ
        | (previous == 0xc5) & (byte == 0xb8); // Ÿ
    Change { by: only(capital, 1), beyond, ..Change::default() }
}

#[inline(always)]
fn lower_cyrillic(previous: u8, byte: u8, next: u8) -> Change {
    let capital = (previous == 0xd0) & !from(byte, 0xb0); // Ѐ..Џ at 80..8F, А..П at 90..9F, Р..Я at A0..AF
    let moving = (byte == 0xd0) & !from(next, 0xb0) & (next & 0x10 == 0); // Ѐ..Џ and Р..Я, under D1 as small letters
    let by = only(moving, 1) | only(capital, if from(byte, 0xa0) { 0xe0 } else { only(from(byte, 0x90), 0x10) + 0x10 });
    Change { by, beyond: (previous == 0xd1) & from(byte, 0xa0), ..Change::default() } // Ѡ and on
}

#[cfg(test)]
mod tests {
    use super::*;

    type Convert = fn(&Window) -> ([u8; WINDOW], Option<usize>);

    const UPPER: Convert = convert::<Upper>;
    const LOWER: Convert = convert::<Lower>;

    /// As many of one code point as fit, converted.
    fn filled(code_point: char, convert: Convert) -> Option<([u8; WINDOW], usize)> {
        let mut window = [0; WINDOW + 2];
        let width = code_point.len_utf8();
        let whole = WINDOW / width * width;
        for place in window[1..=whole].chunks_exact_mut(width) {
            code_point.encode_utf8(place);
        }
        let (converted, beyond) = convert(&window);
        beyond.is_none().then_some((converted, whole))
    }

    fn agrees_or_declines(code_points: impl Iterator<Item = char>) -> usize {
        let mut converted = 0;
        for code_point in code_points {
            let text = code_point.to_string();
            for (convert, expected) in [(UPPER, text.to_uppercase()), (LOWER, text.to_lowercase())] {
                let Some((bytes, whole)) = filled(code_point, convert) else { continue };
                assert_eq!(bytes[..whole], *expected.repeat(whole / text.len()).as_bytes(), "{code_point:?}");
                converted += 1;
            }
        }
        converted
    }

    #[test]
    fn what_is_converted_is_what_std_says() {
        let last = if cfg!(miri) { '\u{800}' } else { '\u{ffff}' };
        let converted = agrees_or_declines('\0'..=last);
        assert!(cfg!(miri) || converted > 90_000, "only {converted} converted");
    }

    #[test]
    fn what_is_converted_beyond_the_first_plane_is_what_std_says() {
        let step = if cfg!(miri) { 4099 } else { 61 };
        agrees_or_declines(('\u{10000}'..='\u{10ffff}').step_by(step));
    }

    #[test]
    fn common_text_is_not_declined() {
        let common = "The naïve café: Příliš žluťoučký kůň, съешь ещё этих ЁЛОК; 日本語かな交じり文、한국어 — “…” 😀";
        let mut declined = Vec::new();
        for code_point in common.chars() {
            if filled(code_point, UPPER).is_none() || filled(code_point, LOWER).is_none() {
                declined.push(code_point);
            }
        }
        assert_eq!(declined, []);
    }

    #[test]
    fn a_stranger_is_found_where_it_starts() {
        for at in [1, 30, 63] {
            let mut window = [b'a'; WINDOW + 2];
            window[at..at + 2].copy_from_slice("ŉ".as_bytes());
            let (converted, beyond) = UPPER(&window);
            assert_eq!(beyond, Some(at));
            assert_eq!(converted[..at - 1], vec![b'A'; at - 1]);
        }
    }
}
