//! Upper and lower case of 64 bytes at a time, without looking at one code point after another.
//!
//! In the scripts that most text is made of, a byte's other case depends only on that byte and on its two
//! neighbours. A [`Lane`] states this for one byte with comparisons and sums but without a branch, so the compiler
//! makes vector instructions of the loop in [`convert`]. What does not fit (a code point that changes its length,
//! a rarer script) is not converted but reported, and the caller takes the long way round for those 64 bytes.

/// How many bytes are converted at a time.
pub(super) const WINDOW: usize = 64;

/// The bytes of a window, with the byte before it and the byte after it.
pub(super) type Window = [u8; WINDOW + 2];

/// A byte in its other case, given the byte before and the byte after; and whether it is beyond the lane.
pub(super) type Lane = fn(u8, u8, u8) -> (u8, bool);

/// Converts a window; `None` if anything in it is beyond the lane.
#[inline]
pub(super) fn convert(window: &Window, lane: impl Fn(u8, u8, u8) -> (u8, bool)) -> Option<[u8; WINDOW]> {
    let mut converted = [0; WINDOW];
    let mut beyond = 0;
    for (at, byte) in converted.iter_mut().enumerate() {
        let (mapped, not_mapped) = lane(window[at], window[at + 1], window[at + 2]);
        *byte = mapped;
        beyond |= u8::from(not_mapped);
    }
    (beyond == 0).then_some(converted)
}

/// `amount` where the condition holds, else 0.
#[inline]
fn only(condition: bool, amount: u8) -> u8 {
    if condition { amount } else { 0 }
}

/// First bytes of code points whose case the lanes do not know; the others here have none, or are dealt with.
#[inline]
fn rare(byte: u8, next: u8) -> bool {
    // Two bytes: Latin Extended-B to Greek, with U+0300..U+033F (CC) spared; Cyrillic from U+0480, Armenian.
    let two = (byte >= 0xc6) & (byte <= 0xd6) & (byte != 0xcc) & (byte != 0xd0) & (byte != 0xd1);
    // Three bytes: Georgian, Cherokee, Greek Extended (E1); letterlike signs to Coptic (E2 84 and on); Latin
    // Extended-D, Cherokee (EA, before Hangul); ligatures and full-width letters (EF).
    let three = (byte == 0xe1) | (byte == 0xe2) & (next > 0x83) | (byte == 0xea) & (next < 0xb0);
    // Four bytes: the scripts of the Supplementary Multilingual Plane, before the emoji.
    two | three | (byte == 0xf0) & (next < 0x9f)
}

/// In `Ā`..`ſ` (C4 80..C5 BF) small and capital letters alternate; the order turns round three times.
#[inline]
fn is_small_extended(previous: u8, byte: u8) -> bool {
    (byte & 1 != 0) ^ (byte > 0xb8) ^ ((previous == 0xc5) & (byte <= 0x88))
}

/// Upper case: ASCII, Latin-1, Latin Extended-A, Cyrillic up to `џ`, and all that has no case.
#[inline]
pub(super) fn upper(previous: u8, byte: u8, next: u8) -> (u8, bool) {
    let extended = (previous == 0xc4) | (previous == 0xc5);
    let ascii = byte.wrapping_sub(b'a') < 26;
    let latin = (previous == 0xc3) & (byte >= 0xa0) & (byte != 0xb7);
    let cyrillic = (previous == 0xd0) & (byte >= 0xb0); // а..п
    let second_half = previous == 0xd1; // р..я at 80..8F, ѐ..џ at 90..9F, both under D0 as capitals
    let less = only(ascii | latin | cyrillic, 0x20)
        | only((byte == 0xd1) | extended & is_small_extended(previous, byte), 1)
        | only(second_half & (byte >= 0x90), 0x10);
    let mapped = byte.wrapping_sub(less).wrapping_add(only(second_half & (byte < 0x90), 0x20));

    let beyond = (previous == 0xc2) & (byte == 0xb5) // µ
        | (previous == 0xc3) & ((byte == 0x9f) | (byte == 0xbf)) // ß ÿ
        | (previous == 0xc4) & (byte == 0xb1) // ı
        | (previous == 0xc5) & ((byte == 0x80) | (byte == 0x89) | (byte == 0xbf)) // ŀ ŉ ſ
        | second_half & (byte >= 0xa0) // Ѡ and on
        | (byte == 0xef) & (next != 0xbc); // U+FF00..U+FF3F has punctuation and capitals only
    (mapped, beyond | rare(byte, next))
}

/// Lower case: ASCII, Latin-1, Latin Extended-A, Cyrillic up to `Я`, and all that has no case.
#[inline]
pub(super) fn lower(previous: u8, byte: u8, next: u8) -> (u8, bool) {
    let extended = (previous == 0xc4) & (byte != 0xb8) | (previous == 0xc5);
    let cyrillic = previous == 0xd0;
    let ascii = byte.wrapping_sub(b'A') < 26;
    let latin = (previous == 0xc3) & (byte <= 0x9e) & (byte != 0x97);
    let first_half = cyrillic & (byte >= 0x90) & (byte < 0xa0); // А..П
    let second_half = (next < 0xb0) & (next & 0x10 == 0); // Ѐ..Џ and Р..Я move from D0 to D1
    let more = only(ascii | latin | first_half, 0x20)
        | only((byte == 0xd0) & second_half | extended & !is_small_extended(previous, byte), 1)
        | only(cyrillic & (byte < 0x90), 0x10);
    let mapped = byte.wrapping_add(more).wrapping_sub(only(cyrillic & (byte >= 0xa0) & (byte < 0xb0), 0x20));

    let beyond = extended & (byte == 0xbf) // Ŀ ſ
        | (previous == 0xc4) & (byte == 0xb0) // İ
        | (previous == 0xc5) & (byte == 0xb8) // Ÿ
        | (previous == 0xd1) & (byte >= 0xa0) // Ѡ and on
        | (byte == 0xef); // full-width capitals
    (mapped, beyond | rare(byte, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many of one code point as fit, converted.
    fn filled(code_point: char, lane: Lane) -> Option<([u8; WINDOW], usize)> {
        let mut window = [0; WINDOW + 2];
        let width = code_point.len_utf8();
        let whole = WINDOW / width * width;
        for place in window[1..=whole].chunks_exact_mut(width) {
            code_point.encode_utf8(place);
        }
        convert(&window, lane).map(|converted| (converted, whole))
    }

    fn agrees_or_declines(code_points: impl Iterator<Item = char>) -> usize {
        let mut converted = 0;
        for code_point in code_points {
            let text = code_point.to_string();
            for (lane, expected) in [(upper as Lane, text.to_uppercase()), (lower, text.to_lowercase())] {
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
        let common = "The naïve café: Příliš žluťoučký kůň, съешь ещё этих ЁЛОК; 漢字かな交じり文、한국어 — “…” 😀";
        let mut declined = Vec::new();
        for code_point in common.chars() {
            if filled(code_point, upper).is_none() || filled(code_point, lower).is_none() {
                declined.push(code_point);
            }
        }
        assert_eq!(declined, []);
    }

    #[test]
    fn one_stranger_declines_the_window() {
        for at in [1, 30, 63] {
            let mut window = [b'a'; WINDOW + 2];
            window[at..at + 2].copy_from_slice("ß".as_bytes());
            assert!(convert(&window, upper).is_none(), "{at}");
        }
    }
}
