//! Title-case: exactly Python's `str.title()`.
//!
//! A code point becomes its title-case if the one before it is not cased, else its lower case; so every letter after
//! an apostrophe or a digit starts a word. Cased are the code points with the property `Lowercase` or `Uppercase`
//! and those of category `Lt`. The title-case of each code point is in `unicode/title.rs`.

use super::output::Placed;
use super::sigma;
use super::tables::{self, LONGEST_MAPPING, Mapped};
use super::utf8::{self, InvalidUtf8};
use super::window::WINDOW;

/// The number of code points, roughly, after which bytes are copied to their place: only there the last code point may end
/// where the room ends. Chosen without tuning.
const BLOCK: usize = 32;

/// Title-case of ASCII, in place; by windows, of which the compiler makes vector instructions.
#[inline(never)]
pub(super) fn ascii(text: &mut [u8]) {
    let mut original = [0; WINDOW + 1];
    for block in text.chunks_mut(WINDOW) {
        original[0] = original[WINDOW];
        original[1..=block.len()].copy_from_slice(block);
        let titled = ascii_window(&original);
        block.copy_from_slice(&titled[..block.len()]);
    }
}

/// The title-case of a window, given it and the byte before it.
fn ascii_window(original: &[u8; WINDOW + 1]) -> [u8; WINDOW] {
    let mut titled = [0; WINDOW];
    for at in 0..WINDOW {
        titled[at] = ascii_byte(original[at + 1], original[at].is_ascii_alphabetic());
    }
    titled
}

/// The title-case of a byte of ASCII, inside a word or not.
fn ascii_byte(byte: u8, inside: bool) -> u8 {
    if byte.is_ascii_alphabetic() { byte & !0x20 | u8::from(inside) << 5 } else { byte }
}

/// Title-case of any bytes.
pub(super) fn title_case(text: &mut [u8], out: &mut [u8]) -> Result<Placed, InvalidUtf8> {
    if text.is_ascii() {
        ascii(text);
        return Ok(Placed::InPlace);
    }
    utf8::check(text)?;
    Ok(Placed::Out(convert(text, out)))
}

/// Title-case of valid UTF-8: one code point after another, a block at a time.
fn convert(text: &[u8], out: &mut [u8]) -> usize {
    let (mut at, mut made, mut inside) = (0, 0, false);
    let mut block = [0; BLOCK * LONGEST_MAPPING];
    while at < text.len() {
        let mut filled = 0;
        while let (true, Some(place)) = (at < text.len(), block[filled..].first_chunk_mut()) {
            let mapped = map(text, at, inside, place);
            inside = mapped.is_cased;
            at += mapped.width;
            filled += mapped.made;
        }
        out[made..made + filled].copy_from_slice(&block[..filled]);
        made += filled;
    }
    made
}

/// Writes what the code point at `at` becomes, inside a word or not.
#[inline]
fn map(text: &[u8], at: usize, inside: bool, out: &mut [u8; LONGEST_MAPPING]) -> Mapped {
    let byte = text[at];
    if byte.is_ascii() {
        out[0] = ascii_byte(byte, inside);
        return Mapped { is_cased: byte.is_ascii_alphabetic(), width: 1, made: 1 };
    }
    let table = if inside { tables::lower() } else { tables::title() };
    sigma::settle(table.map(text, at, out), text, at, out)
}
