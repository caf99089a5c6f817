//! The small form of the capital sigma: `ς` at the end of a word, else `σ`.
//!
//! The Unicode Standard, section 3.13, table 3-17, `Final_Sigma`: a cased letter stands before the sigma and none
//! after it, where case-ignorable code points (accents, apostrophes, full stops, ...) do not count. `std` applies
//! this in `str::to_lowercase` but has no public function that says what is case-ignorable. So it is asked, by
//! lower-casing a sigma behind the code point in question, once for each page of 256 code points that is ever met.
//!
//! A look goes no further than to the next code point that counts, and a sigma counts: so each stretch of ignorable
//! ones is looked over at most twice, and a text of sigmas and full stops takes linear time like any other.

use std::sync::OnceLock;

use super::utf8;

/// The letter in question.
pub(super) const CAPITAL: char = 'Σ';

/// The letter in UTF-8.
const BYTES: [u8; 2] = [0xce, 0xa3];

/// Bytes that are looked at together for a Greek letter.
const BLOCK: usize = 1024;

const PAGE: usize = 256;
const PAGES: usize = char::MAX as usize / PAGE + 1;

/// What a code point is to a sigma beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cased,
    Ignorable,
    Other,
}

/// The small form of the capital sigma that stands at `at`.
pub(super) fn small(text: &[u8], at: usize) -> char {
    let before = is_cased(utf8::chars_backward(&text[..at]));
    let after = is_cased(utf8::chars(&text[at + CAPITAL.len_utf8()..]));
    if before && !after { 'ς' } else { 'σ' }
}

/// Where the first capital sigma stands, or the text ends.
pub(super) fn first(text: &[u8]) -> usize {
    for (number, block) in text.chunks(BLOCK).enumerate() {
        // most text has no Greek letter, which this finds out in vector instructions
        if block.iter().fold(0, |any, byte| any | u8::from(*byte == BYTES[0])) != 0 {
            let start = number * BLOCK;
            let mut pairs = text[start..text.len().min(start + BLOCK + 1)].windows(BYTES.len());
            if let Some(at) = pairs.position(|pair| pair == BYTES) {
                return start + at;
            }
        }
    }
    text.len()
}

/// Whether the first code point that counts is a cased letter.
fn is_cased(mut code_points: impl Iterator<Item = char>) -> bool {
    code_points.find_map(|code_point| match kind(code_point) {
        Kind::Ignorable => None,
        kind => Some(kind == Kind::Cased),
    }) == Some(true)
}

fn kind(code_point: char) -> Kind {
    static KINDS: [OnceLock<Box<[Kind; PAGE]>>; PAGES] = [const { OnceLock::new() }; PAGES];
    let number = code_point as usize;
    KINDS[number / PAGE].get_or_init(|| page(number / PAGE))[number % PAGE]
}

fn page(page: usize) -> Box<[Kind; PAGE]> {
    let mut kinds = Box::new([Kind::Other; PAGE]);
    for (offset, kind) in kinds.iter_mut().enumerate() {
        let number = (page * PAGE + offset) as u32;
        *kind = char::from_u32(number).map_or(Kind::Other, ask);
    }
    kinds
}

/// Lets `std` decide on a sigma behind the code point: with nothing else before, and behind a letter.
fn ask(code_point: char) -> Kind {
    let ends_word = |text: String| text.to_lowercase().ends_with('ς');
    if ends_word(format!("{code_point}Σ")) {
        Kind::Cased
    } else if ends_word(format!("A{code_point}Σ")) {
        Kind::Ignorable
    } else {
        Kind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_well_known_code_points() {
        for (kind, members) in [
            (Kind::Cased, "aZßЖΣσςǅⅷⓐ𝐀"),
            (Kind::Ignorable, "'.:^`\u{ad}\u{301}\u{345}ʰ’\u{200b}々"),
            (Kind::Other, " 1-,漢אא😀\0"),
        ] {
            for member in members.chars() {
                assert_eq!(super::kind(member), kind, "{member:?}");
            }
        }
    }

    #[test]
    fn the_first_is_found_wherever_it_stands() {
        for before in [0, 1, BLOCK - 2, BLOCK - 1, BLOCK, 3 * BLOCK] {
            for fill in ["a", "Π", "π"] {
                let front = format!("{}{}", "a".repeat(before % 2), fill.repeat(before / fill.len()));
                assert_eq!(first(front.as_bytes()), front.len());
                assert_eq!(first(format!("{front}Σ{fill}Σ").as_bytes()), front.len());
            }
        }
    }

    /// Lower case is written over the text before a later sigma looks back at it.
    #[test]
    fn lower_case_does_not_change_what_a_look_back_finds() {
        let last = if cfg!(miri) { '\u{800}' } else { char::MAX };
        for code_point in ('\0'..=last).filter(|code_point| !code_point.to_lowercase().eq([*code_point])) {
            let lower = code_point.to_lowercase().collect::<String>();
            for before in ["", "a", " "] {
                assert_eq!(
                    is_cased(format!("{before}{code_point}").chars().rev()),
                    is_cased(format!("{before}{lower}").chars().rev()),
                    "{code_point:?}"
                );
            }
        }
    }
}
