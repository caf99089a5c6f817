//! The lanes against `str`, and what they decline.

use super::convert_window::convert;
use super::lower::Lower;
use super::upper::Upper;
use super::*;

type Convert = fn(&Window, &mut [u8; WINDOW_LEN]) -> Option<usize>;

const UPPER: Convert = convert::<Upper>;
const LOWER: Convert = convert::<Lower>;

/// As many of one code point as fit, converted.
fn filled(code_point: char, convert: Convert) -> Option<([u8; WINDOW_LEN], usize)> {
    let mut window = [0; CONTEXT_BEFORE + WINDOW_LEN + 1];
    let width = code_point.len_utf8();
    let whole = WINDOW_LEN / width * width;
    for place in window[CONTEXT_BEFORE..CONTEXT_BEFORE + whole].chunks_exact_mut(width) {
        code_point.encode_utf8(place);
    }
    let mut converted = [0; WINDOW_LEN];
    convert(&window, &mut converted).is_none().then_some((converted, whole))
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
    let common = "The naïve café: Příliš žluťoučký kůň, người Việt Nam ƠƯ Ệ; τάχιστη αλώπηξ ΎΨΏ, съешь ещё этих ЁЛОК; \
                  日本語かな交じり文、한국어 — “…” 😀";
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
    for stranger in ["ŉ", "ſ", "ΐ", "Ϗ", "ѡ", "Ɐ", "ა", "ẞ", "ﬀ", "𐐨"] {
        for at in [0, 1, 30, WINDOW_LEN - stranger.len()] {
            let mut window = [b'a'; CONTEXT_BEFORE + WINDOW_LEN + 1];
            window[CONTEXT_BEFORE + at..][..stranger.len()].copy_from_slice(stranger.as_bytes());
            let mut converted = [0; WINDOW_LEN];
            assert_eq!(UPPER(&window, &mut converted), Some(at), "{stranger} at {at}");
            assert_eq!(converted[..at], vec![b'A'; at]);
        }
    }
}
