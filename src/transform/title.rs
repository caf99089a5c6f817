//! Title-case: exactly Python's `str.title()`.
//!
//! A code point becomes its title-case if the one before it is not cased, else its lower case; so every letter after
//! an apostrophe or a digit starts a word. Cased are the code points with the property `Lowercase` or `Uppercase`
//! and those of category `Lt`.
//!
//! `std` knows no title-case. It is the upper case except where `SpecialCasing.txt` and `UnicodeData.txt` say
//! otherwise. These exceptions stand in [`exception`]; they were found with Python, by listing every `chr(n)` whose
//! `title()` is not its `upper()`, and a test compares all code points with the `python3` that it finds.

use std::sync::LazyLock;

use super::case::{self, Lower, Mapping, Pairs};
use super::lanes::WINDOW;
use super::{InvalidUtf8, Placed, utf8};

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
        let [before, byte] = [original[at], original[at + 1]];
        let case = u8::from(before.is_ascii_alphabetic()) << 5;
        titled[at] = if byte.is_ascii_alphabetic() { byte & !0x20 | case } else { byte };
    }
    titled
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

/// Title-case of valid UTF-8.
fn convert(text: &[u8], out: &mut [u8]) -> usize {
    let tables = [title_pairs(), Lower::pairs()];
    let (mut at, mut made, mut inside) = (0, 0, false);
    while at < text.len() {
        let pairs = tables[usize::from(inside)];
        made += convert_one(pairs, inside, text, at, &mut out[made..]);
        inside = is_cased_at(text, at);
        at += utf8::width(text[at]);
    }
    made
}

/// Writes the code point at `at` as it is to be inside a word or at its start; returns how many bytes that took.
fn convert_one(pairs: &Pairs, inside: bool, text: &[u8], at: usize, out: &mut [u8]) -> usize {
    let lead = text[at];
    match utf8::width(lead) {
        1 => out[0] = if inside { lead.to_ascii_lowercase() } else { lead.to_ascii_uppercase() },
        2 if pairs[utf8::pair(lead, text[at + 1])] != 0 => {
            out[..2].copy_from_slice(&pairs[utf8::pair(lead, text[at + 1])].to_be_bytes());
        }
        3 if case::is_caseless(lead) => out[..3].copy_from_slice(&text[at..at + 3]),
        _ if inside => return Lower::any(text, at, out),
        _ => return utf8::encode(of(utf8::decode(text, at)), out),
    }
    utf8::width(lead)
}

fn title_pairs() -> &'static Pairs {
    static PAIRS: LazyLock<Pairs> = LazyLock::new(|| case::pairs(of));
    &PAIRS
}

fn is_cased_at(text: &[u8], at: usize) -> bool {
    static PAIRS: LazyLock<[bool; 0x800]> =
        LazyLock::new(|| std::array::from_fn(|number| char::from_u32(number as u32).is_some_and(is_cased)));
    let lead = text[at];
    match utf8::width(lead) {
        1 => lead.is_ascii_alphabetic(),
        2 => PAIRS[utf8::pair(lead, text[at + 1])],
        3 if case::is_caseless(lead) => false,
        _ => is_cased(utf8::decode(text, at)),
    }
}

pub(super) fn is_cased(code_point: char) -> bool {
    code_point.is_lowercase() || code_point.is_uppercase() || is_title(code_point)
}

/// Category `Lt`: digraphs with one capital, and Greek capitals with a iota beside them.
fn is_title(code_point: char) -> bool {
    matches!(
        code_point,
        'ǅ' | 'ǈ' | 'ǋ' | 'ǲ' | 'ᾈ'..='ᾏ' | 'ᾘ'..='ᾟ' | 'ᾨ'..='ᾯ' | 'ᾼ' | 'ῌ' | 'ῼ'
    )
}

/// The title-case of a code point.
pub(super) fn of(code_point: char) -> impl Iterator<Item = char> {
    let exception = exception(code_point);
    let upper = exception.is_none().then(|| code_point.to_uppercase());
    let written = exception.into_iter().flatten().filter(|code_point| *code_point != '\0');
    written.chain(upper.into_iter().flatten())
}

/// The title-case of those whose title-case is not their upper case, filled up with NUL.
fn exception(code_point: char) -> Option<[char; 3]> {
    let one = |single| Some([single, '\0', '\0']);
    let two = |first, second| Some([first, second, '\0']);
    match code_point {
        'ß' => two('S', 's'),
        'Ǆ'..='ǆ' => one('ǅ'),
        'Ǉ'..='ǉ' => one('ǈ'),
        'Ǌ'..='ǌ' => one('ǋ'),
        'Ǳ'..='ǳ' => one('ǲ'),
        'և' => two('Ե', 'ւ'),
        // Georgian has capitals, but they do not start words.
        'ა'..='ჺ' | 'ჽ'..='ჿ' => one(code_point),
        // Greek with iota subscript: one letter, 8 places on from the small one; or the letter and the subscript.
        'ᾀ'..='ᾯ' => one(char::from_u32(code_point as u32 | 8)?),
        'ᾲ' => two('Ὰ', '\u{345}'),
        'ᾳ' | 'ᾼ' => one('ᾼ'),
        'ᾴ' => two('Ά', '\u{345}'),
        'ᾷ' => Some(['Α', '\u{342}', '\u{345}']),
        'ῂ' => two('Ὴ', '\u{345}'),
        'ῃ' | 'ῌ' => one('ῌ'),
        'ῄ' => two('Ή', '\u{345}'),
        'ῇ' => Some(['Η', '\u{342}', '\u{345}']),
        'ῲ' => two('Ὼ', '\u{345}'),
        'ῳ' | 'ῼ' => one('ῼ'),
        'ῴ' => two('Ώ', '\u{345}'),
        'ῷ' => Some(['Ω', '\u{342}', '\u{345}']),
        'ﬀ' => two('F', 'f'),
        'ﬁ' => two('F', 'i'),
        'ﬂ' => two('F', 'l'),
        'ﬃ' => Some(['F', 'f', 'i']),
        'ﬄ' => Some(['F', 'f', 'l']),
        'ﬅ' | 'ﬆ' => two('S', 't'),
        'ﬓ' => two('Մ', 'ն'),
        'ﬔ' => two('Մ', 'ե'),
        'ﬕ' => two('Մ', 'ի'),
        'ﬖ' => two('Վ', 'ն'),
        'ﬗ' => two('Մ', 'խ'),
        _ => None,
    }
}
