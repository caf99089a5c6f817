//! Upper and lower case of 64 bytes at a time, without looking at one code point after another.
//!
//! In the scripts that most text is made of, a byte's other case depends only on that byte and on its two
//! neighbours. A lane ([`upper`], [`lower`]) states this for one byte with comparisons and sums but without a
//! branch, so the compiler makes vector instructions of the loop in [`convert`]. What does not fit (a code point that
//! changes its length, a rarer script) is not converted but reported, and the caller goes the long way round it.
#![allow(clippy::needless_bitwise_bool, reason = "`&&` is a branch, and the loop no longer vector instructions")]

use super::utf8;

/// How many bytes are converted at a time.
pub(super) const WINDOW: usize = 64;

/// A byte in its other case, given the byte before and the byte after; and whether it is beyond the lane.
pub(super) trait Lane: Fn(u8, u8, u8) -> (u8, bool) {}

impl<F: Fn(u8, u8, u8) -> (u8, bool)> Lane for F {}

/// The bytes of a window, with the byte before it and the byte after it.
pub(super) type Window = [u8; WINDOW + 2];

/// Converts a window; also says where the first code point starts that is beyond the lane, if one is.
#[inline]
pub(super) fn convert(window: &Window, lane: impl Lane) -> ([u8; WINDOW], Option<usize>) {
    let (mut converted, mut marks) = ([0; WINDOW], [0; WINDOW]);
    for at in 0..WINDOW {
        let (mapped, beyond) = lane(window[at], window[at + 1], window[at + 2]);
        converted[at] = mapped;
        marks[at] = u8::from(beyond);
    }
    let any = marks.iter().fold(0, |any, mark| any | mark);
    (converted, (any != 0).then(|| start_of_first(window, &marks)))
}

/// Where the code point starts that holds the first marked byte.
fn start_of_first(window: &Window, marks: &[u8; WINDOW]) -> usize {
    let marked = marks.iter().position(|mark| *mark != 0).unwrap_or(WINDOW);
    let start = window[1..=WINDOW.min(marked + 1)].iter().rposition(|byte| !utf8::is_continuation(*byte));
    start.unwrap_or(marked)
}

/// `amount` where the condition holds, else 0.
#[inline]
fn only(condition: bool, amount: u8) -> u8 {
    if condition { amount } else { 0 }
}

/// Whether the byte is at least `first`, for two bytes that are not ASCII.
///
/// As signed numbers they have the same order, and vector instructions compare these in one step less.
#[inline]
#[allow(clippy::cast_possible_wrap, reason = "both wrap alike")]
fn from(byte: u8, first: u8) -> bool {
    byte as i8 >= first as i8
}

/// Whether the byte is not ASCII, and in the range.
#[inline]
#[allow(clippy::cast_possible_wrap, reason = "all wrap alike, and ASCII is not negative")]
fn within(byte: u8, first: u8, last: u8) -> bool {
    from(byte, first) & (byte as i8 <= last as i8)
}

/// First bytes of code points whose case the lanes do not know; the others here have none, or are dealt with.
#[inline]
fn is_rare(byte: u8, next: u8) -> bool {
    // Two bytes: Latin Extended-B to Greek, with U+0300..U+033F (CC) spared; Cyrillic from U+0480, Armenian.
    let two = within(byte, 0xc6, 0xd6) & (byte != 0xcc) & (byte & 0xfe != 0xd0);
    // Three bytes: Georgian, Cherokee, Greek Extended (E1); letterlike signs to Coptic (E2 84 and on); Latin
    // Extended-D, Cherokee (EA, before Hangul).
    let three = (byte == 0xe1) | (byte == 0xe2) & from(next, 0x84) | (byte == 0xea) & !from(next, 0xb0);
    // Four bytes: the scripts of the Supplementary Multilingual Plane, before the emoji.
    two | three | (byte == 0xf0) & !from(next, 0x9f)
}

/// In `Ā`..`ſ` (C4 80..C5 BF) small and capital letters alternate; the order turns round three times.
#[inline]
fn is_small_extended(previous: u8, byte: u8) -> bool {
    (byte & 1 != 0) ^ from(byte, 0xb9) ^ ((previous == 0xc5) & !from(byte, 0x89))
}

/// Upper case: ASCII, Latin-1, Latin Extended-A, Cyrillic up to `џ`, and all that has no case.
#[inline]
pub(super) fn upper(previous: u8, byte: u8, next: u8) -> (u8, bool) {
    let ascii = byte.wrapping_sub(b'a') < 26;
    let latin = (previous == 0xc3) & from(byte, 0xa0) & (byte != 0xb7);
    let extended = (previous & 0xfe == 0xc4) & is_small_extended(previous, byte);
    let cyrillic = (previous == 0xd0) & from(byte, 0xb0); // а..п
    let second_half = previous == 0xd1; // р..я at 80..8F, ѐ..џ at 90..9F, both under D0 as capitals
    let less = only(ascii | latin | cyrillic, 0x20)
        | only((byte == 0xd1) | extended, 1)
        | only(second_half, if from(byte, 0x90) { 0x10 } else { 0xe0 });
    let beyond = (previous == 0xc2) & (byte == 0xb5) // µ
        | (previous == 0xc3) & ((byte == 0x9f) | (byte == 0xbf)) // ß ÿ
        | (previous == 0xc4) & (byte == 0xb1) // ı
        | (previous == 0xc5) & ((byte == 0x80) | (byte == 0x89) | (byte == 0xbf)) // ŀ ŉ ſ
        | second_half & from(byte, 0xa0) // ѡ and on
        | (byte == 0xef) & (next != 0xbc); // U+FF00..U+FF3F has punctuation and capitals only
    (byte.wrapping_sub(less), beyond | is_rare(byte, next))
}

/// Lower case: ASCII, Latin-1, Latin Extended-A, Cyrillic up to `Я`, and all that has no case.
#[inline]
pub(super) fn lower(previous: u8, byte: u8, next: u8) -> (u8, bool) {
    let ascii = byte.wrapping_sub(b'A') < 26;
    let latin = (previous == 0xc3) & !from(byte, 0x9f) & (byte != 0x97);
    let is_extended = (previous & 0xfe == 0xc4) & !((previous == 0xc4) & (byte == 0xb8));
    let extended = is_extended & !is_small_extended(previous, byte);
    let cyrillic = (previous == 0xd0) & !from(byte, 0xb0); // Ѐ..Џ at 80..8F, А..П at 90..9F, Р..Я at A0..AF
    let moving = (byte == 0xd0) & !from(next, 0xb0) & (next & 0x10 == 0); // Ѐ..Џ and Р..Я, under D1 as small letters
    let more = only(ascii | latin, 0x20)
        | only(moving | extended, 1)
        | only(cyrillic, if from(byte, 0xa0) { 0xe0 } else { only(from(byte, 0x90), 0x10) + 0x10 });
    let beyond = is_extended & (byte == 0xbf) // Ŀ ſ
        | (previous == 0xc4) & (byte == 0xb0) // İ
        | (previous == 0xc5) & (byte == 0xb8) // Ÿ
        | (previous == 0xd1) & from(byte, 0xa0) // Ѡ and on
        | (previous == 0xbc) & within(byte, 0xa1, 0xba) // full-width capitals (EF BC A1..BA), and a few like 漢
        | (byte == 0xef) & (next != 0xbc); // U+F000..U+FEFF, U+FF40 and on, for upper case's sake
    (byte.wrapping_add(more), beyond | is_rare(byte, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPPER: fn(u8, u8, u8) -> (u8, bool) = upper;
    const LOWER: fn(u8, u8, u8) -> (u8, bool) = lower;

    /// As many of one code point as fit, converted.
    fn filled(code_point: char, lane: impl Lane) -> Option<([u8; WINDOW], usize)> {
        let mut window = [0; WINDOW + 2];
        let width = code_point.len_utf8();
        let whole = WINDOW / width * width;
        for place in window[1..=whole].chunks_exact_mut(width) {
            code_point.encode_utf8(place);
        }
        let (converted, beyond) = convert(&window, lane);
        beyond.is_none().then_some((converted, whole))
    }

    fn agrees_or_declines(code_points: impl Iterator<Item = char>) -> usize {
        let mut converted = 0;
        for code_point in code_points {
            let text = code_point.to_string();
            for (lane, expected) in [(UPPER, text.to_uppercase()), (LOWER, text.to_lowercase())] {
                let Some((bytes, whole)) = filled(code_point, lane) else { continue };
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
            if filled(code_point, upper).is_none() || filled(code_point, lower).is_none() {
                declined.push(code_point);
            }
        }
        assert_eq!(declined, []);
    }

    #[test]
    fn a_stranger_is_found_where_it_starts() {
        for at in [1, 30, 63] {
            let mut window = [b'a'; WINDOW + 2];
            window[at..at + 2].copy_from_slice("ß".as_bytes());
            let (converted, beyond) = convert(&window, upper);
            assert_eq!(beyond, Some(at - 1));
            assert_eq!(converted[..at - 1], vec![b'A'; at - 1]);
        }
    }
}
