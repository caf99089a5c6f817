//! UTF-8 (RFC 3629): validation, and decoding of validated bytes.
//!
//! Unless stated otherwise, the results for invalid UTF-8 are unspecified; the worst case is a panic.

#![allow(clippy::inline_always, reason = "`cpu_dispatch` compiles inlined code for each CPU")]

/// The bytes are not valid UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

/// The maximum number of bytes of a code point (RFC 3629, section 3).
pub(super) const MAX_LEN: usize = 4;

/// Block size of [`each_ascii_block`], in bytes: a block stays in the L1 data cache between the check and the work.
/// Chosen without tuning.
const ASCII_BLOCK: usize = 1024;

/// Checks that any bytes are UTF-8.
pub(super) fn check(text: &[u8]) -> Result<(), InvalidUtf8> {
    simdutf8::basic::from_utf8(text).map(|_| ()).map_err(|_| InvalidUtf8)
}

/// Calls `work` for each block up to the first one that is not ASCII; returns the index at which that starts.
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

/// The number of bytes of a code point, from its first byte.
#[inline(always)]
pub(super) fn sequence_len(lead: u8) -> usize {
    match lead {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

/// Whether the byte is a continuation byte: not the first one of a code point.
#[inline(always)]
pub(super) fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// The length without an incomplete code point at the end; for invalid UTF-8 up to three bytes less than the length.
pub(super) fn complete_len(text: &[u8]) -> usize {
    let end = text.len();
    let last = (1..MAX_LEN.min(end + 1)).find(|back| !is_continuation(text[end - back]));
    last.filter(|back| sequence_len(text[end - back]) > *back).map_or(end, |back| end - back)
}

/// The four bytes from `at` on, which hold at least one code point, with zeros after the end of the text.
#[inline(always)]
pub(super) fn load_four(text: &[u8], at: usize) -> [u8; MAX_LEN] {
    let rest = &text[at..];
    rest.first_chunk().copied().unwrap_or_else(|| {
        let mut bytes = [0; MAX_LEN];
        bytes[..rest.len()].copy_from_slice(rest);
        bytes
    })
}

/// Copies four bytes, which hold at least one code point. Returns `false`, without copying, if either slice is shorter.
///
/// Copying exactly the bytes of the code point takes longer, as a call to `memcpy` with a variable length.
#[inline(always)]
pub(super) fn copy_four(from: &[u8], to: &mut [u8]) -> bool {
    match (from.first_chunk::<MAX_LEN>(), to.first_chunk_mut()) {
        (Some(from), Some(to)) => *to = *from,
        _ => return false,
    }
    true
}

/// The number of the code point that the first `LEN` bytes encode.
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

/// The number of the code point that starts at `at`, and its length in bytes.
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

/// The numbers of the code points of a text, from first to last.
pub(super) fn code_points(text: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (next, len) = (at < text.len()).then(|| decode(text, at))?;
        at += len;
        Some(next)
    })
}

/// The numbers of the code points of a text, from last to first.
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
    fn decodes_forward_and_backward_like_std() {
        let expected = || SAMPLE.chars().map(|code_point| code_point as usize);
        assert!(code_points(SAMPLE.as_bytes()).eq(expected()));
        assert!(code_points_backward(SAMPLE.as_bytes()).eq(expected().rev()));
    }

    #[test]
    fn complete_len_is_a_char_boundary() {
        let text = SAMPLE.as_bytes();
        for end in 0..=text.len() {
            assert_eq!(complete_len(&text[..end]), (0..=end).rfind(|at| SAMPLE.is_char_boundary(*at)).unwrap());
        }
        assert_eq!(complete_len(b"\x80\x80\x80\x80"), 4);
    }

    #[test]
    fn check_rejects_invalid_utf8() {
        for bad in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\x80"] {
            assert_eq!(check(bad), Err(InvalidUtf8), "{bad:x?}");
        }
        assert_eq!(check(SAMPLE.as_bytes()), Ok(()));
    }
}
