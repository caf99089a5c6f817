//! UTF-8 (RFC 3629): validation, and code points in bytes that passed it.
//!
//! All but [`check`] say nothing sensible about what is not valid UTF-8; none of them can do harm beyond a panic.

#![allow(clippy::inline_always, reason = "`cpu_dispatch` compiles what is inlined for each kind of processor")]

/// The bytes are not valid UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

/// The most bytes that one code point takes.
pub(super) const MAX_LEN: usize = 4;

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
pub(super) fn sequence_len(lead: u8) -> usize {
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
pub(super) fn complete_len(text: &[u8]) -> usize {
    let end = text.len();
    let last = (1..MAX_LEN.min(end + 1)).find(|back| !is_continuation(text[end - back]));
    last.filter(|back| sequence_len(text[end - back]) > *back).map_or(end, |back| end - back)
}

/// Four bytes from `at` on, which are at least one code point; zeros behind the end of the text.
#[inline(always)]
pub(super) fn load_four(text: &[u8], at: usize) -> [u8; MAX_LEN] {
    let rest = &text[at..];
    rest.first_chunk().copied().unwrap_or_else(|| {
        let mut bytes = [0; MAX_LEN];
        bytes[..rest.len()].copy_from_slice(rest);
        bytes
    })
}

/// Copies four bytes, which are at least one code point; says whether both texts have four.
///
/// That takes less time than to copy exactly the bytes of a code point, which is a call with a length that varies.
#[inline(always)]
pub(super) fn copy_four(from: &[u8], to: &mut [u8]) -> bool {
    match (from.first_chunk::<MAX_LEN>(), to.first_chunk_mut()) {
        (Some(from), Some(to)) => *to = *from,
        _ => return false,
    }
    true
}

/// The number of the code point that takes the first `LEN` of these bytes.
#[inline(always)]
pub(super) fn code_point<const LEN: usize>(bytes: [u8; MAX_LEN]) -> usize {
    let [lead, first, second, third] = bytes.map(usize::from);
    match LEN {
        1 => lead,
        2 => (lead & 0x1f) << 6 | first & 0x3f,
        3 => (lead & 0x0f) << 12 | (first & 0x3f) << 6 | second & 0x3f,
        _ => (lead & 0x07) << 18 | (first & 0x3f) << 12 | (second & 0x3f) << 6 | third & 0x3f,
    }
}

/// The number of the code point at `at`, and how many bytes it takes.
#[inline(always)]
fn decode(text: &[u8], at: usize) -> (usize, usize) {
    let bytes = load_four(text, at);
    match sequence_len(bytes[0]) {
        1 => (code_point::<1>(bytes), 1),
        2 => (code_point::<2>(bytes), 2),
        3 => (code_point::<3>(bytes), 3),
        _ => (code_point::<4>(bytes), 4),
    }
}

/// The numbers of the code points of a text.
pub(super) fn code_points(text: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (next, len) = (at < text.len()).then(|| decode(text, at))?;
        at += len;
        Some(next)
    })
}

/// The numbers of the code points of a text from its end.
pub(super) fn code_points_backward(text: &[u8]) -> impl Iterator<Item = usize> {
    let mut end = text.len();
    std::iter::from_fn(move || {
        end = text[..end].iter().rposition(|byte| !is_continuation(*byte))?;
        Some(decode(text, end).0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "a\u{0}\u{7f}\u{80}ß\u{7ff}\u{800}漢\u{ffff}\u{10000}😀\u{10ffff}";

    #[test]
    fn decodes_both_ways_as_std_does() {
        let expected = || SAMPLE.chars().map(|code_point| code_point as usize);
        assert!(code_points(SAMPLE.as_bytes()).eq(expected()));
        assert!(code_points_backward(SAMPLE.as_bytes()).eq(expected().rev()));
    }

    #[test]
    fn whole_code_points_end_where_chars_do() {
        let text = SAMPLE.as_bytes();
        for end in 0..=text.len() {
            assert_eq!(complete_len(&text[..end]), (0..=end).rfind(|at| SAMPLE.is_char_boundary(*at)).unwrap());
        }
        assert_eq!(complete_len(b"\x80\x80\x80\x80"), 4);
    }

    #[test]
    fn refuses_what_is_not_utf8() {
        for bad in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\x80"] {
            assert_eq!(check(bad), Err(InvalidUtf8), "{bad:x?}");
        }
        assert_eq!(check(SAMPLE.as_bytes()), Ok(()));
    }
}
