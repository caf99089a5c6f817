//! UTF-8 (RFC 3629): validation, and code points in bytes that passed it.
//!
//! All but [`check`] say nothing sensible about what is not valid UTF-8; none of them can do harm beyond a panic.

#![allow(
    clippy::inline_always,
    reason = "what is inlined is compiled for each kind of processor, see `super::vectors`"
)]

use super::InvalidUtf8;

/// The most bytes that one code point takes.
pub(super) const LONGEST: usize = 4;

/// Bytes of ASCII that are checked and then worked on, so that the second look finds them in the nearest cache.
const ASCII_BLOCK: usize = 1024;

/// Checks that the bytes are UTF-8.
pub(super) fn check(text: &[u8]) -> Result<(), InvalidUtf8> {
    simdutf8::basic::from_utf8(text).map(|_| ()).map_err(|_| InvalidUtf8)
}

/// Calls `work` for each block at the front that is all ASCII; returns where they end.
pub(super) fn each_ascii_block(text: &mut [u8], work: impl Fn(&mut [u8])) -> usize {
    let mut done = 0;
    for block in text.chunks_mut(ASCII_BLOCK) {
        if !block.is_ascii() {
            break;
        }
        work(block);
        done += block.len();
    }
    done
}

/// How many bytes the code point with this first byte takes.
#[inline(always)]
pub(super) fn width(lead: u8) -> usize {
    match lead {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

/// Whether the byte is one of those that follow a first byte.
#[inline(always)]
pub(super) fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// Where the last whole code point ends; anywhere near the end of what is no text.
pub(super) fn whole(text: &[u8]) -> usize {
    let end = text.len();
    let last = (1..LONGEST.min(end + 1)).find(|back| !is_continuation(text[end - back]));
    last.filter(|back| width(text[end - back]) > *back).map_or(end, |back| end - back)
}

/// The number of the code point that two bytes stand for.
#[inline(always)]
pub(super) fn pair(lead: u8, second: u8) -> usize {
    usize::from(lead & 0x1f) << 6 | usize::from(second & 0x3f)
}

/// The code point that starts at `at`.
pub(super) fn decode(text: &[u8], at: usize) -> char {
    let rest = |n: usize| text[at + 1..=at + n].iter().fold(0, |sum, byte| sum << 6 | u32::from(byte & 0x3f));
    let lead = u32::from(text[at]);
    let number = match width(text[at]) {
        1 => lead,
        2 => (lead & 0x1f) << 6 | rest(1),
        3 => (lead & 0x0f) << 12 | rest(2),
        _ => (lead & 0x07) << 18 | rest(3),
    };
    char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The code points of a text.
pub(super) fn chars(text: &[u8]) -> impl Iterator<Item = char> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let lead = *text.get(at)?;
        let next = decode(text, at);
        at += width(lead);
        Some(next)
    })
}

/// The code points of a text from its end.
pub(super) fn chars_backward(text: &[u8]) -> impl Iterator<Item = char> {
    let mut end = text.len();
    std::iter::from_fn(move || {
        let start = text[..end].iter().rposition(|byte| !is_continuation(*byte))?;
        end = start;
        Some(decode(text, start))
    })
}

/// Writes code points one behind another; returns how many bytes they took.
pub(super) fn encode(code_points: impl Iterator<Item = char>, out: &mut [u8]) -> usize {
    code_points.fold(0, |at, code_point| at + code_point.encode_utf8(&mut out[at..]).len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "a\u{0}\u{7f}\u{80}ß\u{7ff}\u{800}漢\u{ffff}\u{10000}😀\u{10ffff}";

    #[test]
    fn decodes_both_ways_as_std_does() {
        let forward: String = chars(SAMPLE.as_bytes()).collect();
        assert_eq!(forward, SAMPLE);
        assert!(chars_backward(SAMPLE.as_bytes()).eq(SAMPLE.chars().rev()));
    }

    #[test]
    fn whole_code_points_end_where_chars_do() {
        let text = SAMPLE.as_bytes();
        for end in 0..=text.len() {
            assert_eq!(whole(&text[..end]), (0..=end).rfind(|at| SAMPLE.is_char_boundary(*at)).unwrap());
        }
        assert_eq!(whole(b"\x80\x80\x80\x80"), 4);
    }

    #[test]
    fn encodes_what_it_decodes() {
        let mut out = [0; 64];
        let length = encode(SAMPLE.chars(), &mut out);
        assert_eq!(&out[..length], SAMPLE.as_bytes());
    }

    #[test]
    fn refuses_what_is_not_utf8() {
        for bad in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\x80"] {
            assert_eq!(check(bad), Err(InvalidUtf8), "{bad:x?}");
        }
        assert_eq!(check(SAMPLE.as_bytes()), Ok(()));
    }
}
