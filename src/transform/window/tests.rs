//! Window conversion compared with `str`, and the code points that it reports as unsupported.

use super::convert_window::{Marks, convert};
use super::lower::Lower;
use super::upper::Upper;
use super::*;

type Convert = fn(&Window, &mut [u8; WINDOW_LEN]) -> Marks;

const UPPER: Convert = convert::<Upper>;
const LOWER: Convert = convert::<Lower>;

/// A window full of one code point, converted, and the length in bytes; `None` if the code point is unsupported.
fn filled(code_point: char, convert: Convert) -> Option<([u8; WINDOW_LEN], usize)> {
    let mut window = [0; WINDOW_AND_CONTEXT];
    let width = code_point.len_utf8();
    let whole = WINDOW_LEN / width * width;
    for place in window[CONTEXT_BEFORE..CONTEXT_BEFORE + whole].chunks_exact_mut(width) {
        code_point.encode_utf8(place);
    }
    let mut converted = [0; WINDOW_LEN];
    (convert(&window, &mut converted) == 0).then_some((converted, whole))
}

fn assert_equal_to_std(code_points: impl Iterator<Item = char>) -> usize {
    let mut converted = 0;
    for code_point in code_points {
        let text = code_point.to_string().repeat(WINDOW_LEN / code_point.len_utf8());
        for (convert, expected) in [(UPPER, text.to_uppercase()), (LOWER, text.to_lowercase())] {
            let Some((bytes, whole)) = filled(code_point, convert) else { continue };
            assert_eq!(bytes[..whole], *expected.as_bytes(), "{code_point:?}");
            converted += 1;
        }
    }
    converted
}

#[test]
fn window_conversion_equals_std_in_plane_0() {
    let last = if cfg!(miri) { '\u{800}' } else { '\u{ffff}' };
    let converted = assert_equal_to_std('\0'..=last);
    assert!(cfg!(miri) || converted > 90_000, "only {converted} converted");
}

#[test]
fn window_conversion_equals_std_beyond_plane_0() {
    let step = if cfg!(miri) { 4099 } else { 61 };
    assert_equal_to_std(('\u{10000}'..='\u{10ffff}').step_by(step));
}

#[test]
fn common_scripts_are_supported() {
    let common = "The naïve café: Příliš žluťoučký kůň, người Việt Nam ƠƯ Ệ; τάχιστη αλώπηξ ΎΨΏ, съешь ещё этих ЁЛОК; \
                  日本語かな交じり文、한국어 — “…” 😀";
    let mut unsupported = Vec::new();
    for code_point in common.chars() {
        if filled(code_point, UPPER).is_none() || filled(code_point, LOWER).is_none() {
            unsupported.push(code_point);
        }
    }
    assert_eq!(unsupported, []);
}

#[test]
fn an_unsupported_code_point_has_marks_and_its_neighbours_have_none() {
    for letter in ["ŉ", "ſ", "ΐ", "Ϗ", "ѡ", "Ɐ", "ა", "ẞ", "ﬀ", "𐐨"] {
        for at in [0, 1, 30, WINDOW_LEN - letter.len()] {
            let mut window = [b'a'; WINDOW_AND_CONTEXT];
            window[CONTEXT_BEFORE + at..][..letter.len()].copy_from_slice(letter.as_bytes());
            let mut converted = [0; WINDOW_LEN];
            let marks = UPPER(&window, &mut converted);
            let own = (Marks::MAX >> (WINDOW_LEN - letter.len())) << at;
            assert!(marks & own != 0 && marks & !own == 0, "{letter} at {at}: {marks:b}");
            assert_eq!(converted[..at], vec![b'A'; at]);
            assert!(converted[at + letter.len()..].iter().all(|byte| *byte == b'A'));
        }
    }
}
