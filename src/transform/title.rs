//! Title-case: the output has the bytes that Python's `str.title()` produces.
//!
//! A code point is mapped to its title-case if the one before it is not cased, else to its lower case; so every letter
//! after an apostrophe or a digit starts a word. Code points with the property `Lowercase` or `Uppercase` and those of
//! category `Lt` are cased. The title-case of each code point is in `unicode/title.rs`.

use super::output::Placed;
use super::sigma;
use super::tables::{self, MAX_MAPPING_LEN, Mapped};
use super::utf8::{self, InvalidUtf8};
use super::window::WINDOW_LEN;

/// Code points of output, about, that are collected before they are copied to `out`: writing a code point needs room
/// for the longest mapping, which `out` may lack at its end. Chosen without tuning.
const BLOCK: usize = 32;

/// Converts ASCII to title-case in place, by windows, which compile to vector instructions.
#[inline(never)]
pub(super) fn ascii(text: &mut [u8]) {
    let mut original = [0; WINDOW_LEN + 1];
    for block in text.chunks_mut(WINDOW_LEN) {
        original[0] = original[WINDOW_LEN];
        original[1..=block.len()].copy_from_slice(block);
        let titled = ascii_window(&original);
        block.copy_from_slice(&titled[..block.len()]);
    }
}

/// The title-case of a window; `original` is the byte before the window and the window.
fn ascii_window(original: &[u8; WINDOW_LEN + 1]) -> [u8; WINDOW_LEN] {
    let mut titled = [0; WINDOW_LEN];
    for at in 0..WINDOW_LEN {
        titled[at] = ascii_byte(original[at + 1], original[at].is_ascii_alphabetic());
    }
    titled
}

/// The title-case of an ASCII byte at the start of a word or inside it.
fn ascii_byte(byte: u8, in_word: bool) -> u8 {
    if byte.is_ascii_alphabetic() { byte & !0x20 | u8::from(in_word) << 5 } else { byte }
}

/// Converts any bytes to title-case.
pub(super) fn title_case(text: &mut [u8], out: &mut [u8]) -> Result<Placed, InvalidUtf8> {
    if text.is_ascii() {
        ascii(text);
        return Ok(Placed::InPlace);
    }
    utf8::check(text)?;
    Ok(Placed::Out(convert(text, out)))
}

/// Converts valid UTF-8 to title-case, one code point after another. Returns the length of the output in bytes.
fn convert(text: &[u8], out: &mut [u8]) -> usize {
    let (mut at, mut output_len, mut in_word) = (0, 0, false);
    let mut block = [0; BLOCK * MAX_MAPPING_LEN];
    while at < text.len() {
        let mut block_len = 0;
        while let (true, Some(place)) = (at < text.len(), block[block_len..].first_chunk_mut()) {
            let mapped = map(text, at, in_word, place);
            in_word = mapped.is_cased;
            at += mapped.input_len;
            block_len += mapped.output_len;
        }
        out[output_len..output_len + block_len].copy_from_slice(&block[..block_len]);
        output_len += block_len;
    }
    output_len
}

/// Writes the mapping of the code point that starts at `at`, at the start of a word or inside it.
#[inline]
fn map(text: &[u8], at: usize, in_word: bool, out: &mut [u8; MAX_MAPPING_LEN]) -> Mapped {
    let byte = text[at];
    if byte.is_ascii() {
        out[0] = ascii_byte(byte, in_word);
        return Mapped { is_cased: byte.is_ascii_alphabetic(), input_len: 1, output_len: 1 };
    }
    let table = if in_word { tables::lower() } else { tables::title() };
    sigma::resolve(table.map(text, at, out), text, at, out)
}
