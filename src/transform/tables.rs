//! The case of every code point, and whether a sigma beside it takes notice of it: constant tables, which
//! `unicode/tables.rs` writes while the library is built, from what the standard library knows.
//!
//! Blocks with equal contents are stored once: a table of case takes 25 KiB, that of kinds 11 KiB.

#![allow(clippy::unreadable_literal, reason = "a program writes them")]
#![allow(
    clippy::inline_always,
    reason = "a byte of Georgian takes 24 instructions with `map` as part of the loop over a text, 31 without"
)]

use super::utf8;

/// The most bytes that one code point becomes: three code points of three bytes.
pub(super) const LONGEST_MAPPING: usize = 9;

/// The first code point of those that have no case. This constant and those below are also in `unicode/tables.rs`.
const CASED_END: usize = 0x2_0000;
/// Code points in a block of changes.
const CASE_BLOCK: usize = 64;
/// The bit of a change that says that the rest is a place in the list of special ones.
const SPECIAL: u32 = 0x80;
/// The bit of a change that says that the code point is a cased letter.
const IS_CASED: u32 = 1 << 31;
/// Code points in a block of kinds.
const KIND_BLOCK: usize = 256;

/// Bits of a kind.
const CASED: u8 = 1;
const IGNORABLE: u8 = 2;

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// Upper case, as `char::to_uppercase` has it.
pub(super) fn upper() -> &'static CaseTable {
    &UPPER
}

/// Lower case, as `char::to_lowercase` has it, but for the sigma.
pub(super) fn lower() -> &'static CaseTable {
    &LOWER
}

/// Title-case at the start of a word, as Python's `str.title()` has it.
pub(super) fn title() -> &'static CaseTable {
    &TITLE
}

/// What each code point becomes.
pub(super) struct CaseTable {
    /// For each block of code points a place in `changes`.
    places: [u8; CASED_END / CASE_BLOCK],
    /// For each code point the bits that change in its bytes, the first byte lowest; or, with [`SPECIAL`], a place in
    /// `special` in the second byte. And [`IS_CASED`].
    changes: &'static [[u32; CASE_BLOCK]],
    /// What the code points become that do not become one code point of equal width.
    special: &'static [Special],
}

struct Special {
    bytes: [u8; LONGEST_MAPPING],
    /// Bytes in use; 0 where the code points around decide.
    length: u8,
}

/// What [`CaseTable::map`] says about a code point.
pub(super) struct Mapped {
    /// Whether it is a cased letter.
    pub(super) is_cased: bool,
    /// How many bytes it takes.
    pub(super) width: usize,
    /// How many bytes were written; 0 where the code points around decide what it becomes.
    pub(super) made: usize,
}

impl CaseTable {
    /// Writes what becomes of the code point at `at`.
    #[inline(always)]
    pub(super) fn map(&self, text: &[u8], at: usize, out: &mut [u8; LONGEST_MAPPING]) -> Mapped {
        let bytes = utf8::four(text, at);
        match utf8::width(bytes[0]) {
            1 => self.map_wide::<1>(bytes, out),
            2 => self.map_wide::<2>(bytes, out),
            3 => self.map_wide::<3>(bytes, out),
            _ => self.map_wide::<4>(bytes, out),
        }
    }

    /// [`CaseTable::map`] for a code point of `WIDTH` bytes.
    #[inline(always)]
    fn map_wide<const WIDTH: usize>(&self, bytes: [u8; 4], out: &mut [u8; LONGEST_MAPPING]) -> Mapped {
        let change = self.change(utf8::number::<WIDTH>(bytes));
        let is_cased = change & IS_CASED != 0;
        if change & SPECIAL != 0 {
            let Special { bytes, length } = &self.special[((change & !IS_CASED) >> 8) as usize];
            *out = *bytes;
            return Mapped { is_cased, width: WIDTH, made: usize::from(*length) };
        }
        // of fewer than four bytes the mark is behind, where the next code point will be written
        let change = if WIDTH == 4 { change & !IS_CASED } else { change };
        let changed = (u32::from_le_bytes(bytes) ^ change).to_le_bytes();
        out[..changed.len()].copy_from_slice(&changed);
        Mapped { is_cased, width: WIDTH, made: WIDTH }
    }

    #[inline(always)]
    fn change(&self, number: usize) -> u32 {
        match self.places.get(number / CASE_BLOCK) {
            Some(place) => self.changes[usize::from(*place)][number % CASE_BLOCK],
            None => 0,
        }
    }
}

/// What a sigma takes notice of.
struct KindTable {
    /// For each block of code points a place in `kinds`.
    places: [u8; char::MAX as usize / KIND_BLOCK + 1],
    /// Two bits for each code point.
    kinds: &'static [[u8; KIND_BLOCK / 4]],
}

/// What a code point is to a sigma near it.
#[derive(Clone, Copy)]
pub(super) struct Kind(u8);

impl Kind {
    /// Whether it is a cased letter: of either case, or both at once in category `Lt`.
    pub(super) fn is_cased(self) -> bool {
        self.0 & CASED != 0
    }

    /// Whether a sigma looks past it: an accent, an apostrophe, a full stop, ...
    pub(super) fn is_ignorable(self) -> bool {
        self.0 & IGNORABLE != 0
    }
}

/// The kind of the code point of that number.
pub(super) fn kind(number: usize) -> Kind {
    let block = &KINDS.kinds[usize::from(KINDS.places[number / KIND_BLOCK])];
    Kind(block[number % KIND_BLOCK / 4] >> (number % 4 * 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last code point of loops over all of them; Miri is some hundred times slower.
    const LAST: char = if cfg!(miri) { '\u{7ff}' } else { char::MAX };

    /// What a table makes of a code point at the end of a text, and before something else.
    fn mapped(table: &CaseTable, code_point: char) -> ([u8; LONGEST_MAPPING], usize) {
        let (width, mut text) = (code_point.len_utf8(), [0xa9; 8]);
        code_point.encode_utf8(&mut text[1..]);
        let [last, inside] = [&text[..=width], &text[..]].map(|text| {
            let mut out = [0xff; LONGEST_MAPPING];
            let mapped = table.map(text, 1, &mut out);
            assert_eq!(
                (mapped.is_cased, mapped.width),
                (kind(code_point as usize).is_cased(), width),
                "{code_point:?}"
            );
            out[mapped.made..].fill(0);
            (out, mapped.made)
        });
        assert_eq!(last, inside);
        last
    }

    /// The same from `std`.
    fn written(code_points: impl Iterator<Item = char>) -> ([u8; LONGEST_MAPPING], usize) {
        let mut out = [0; LONGEST_MAPPING];
        let made = code_points.fold(0, |made, code_point| made + code_point.encode_utf8(&mut out[made..]).len());
        (out, made)
    }

    #[test]
    fn every_code_point_has_the_case_that_std_says() {
        for code_point in '\0'..=LAST {
            assert_eq!(mapped(upper(), code_point), written(code_point.to_uppercase()));
            let small = (code_point != 'Σ').then(|| code_point.to_lowercase());
            assert_eq!(mapped(lower(), code_point), written(small.into_iter().flatten()));
        }
    }

    #[test]
    fn every_code_point_is_to_a_sigma_what_std_says() {
        let ends_word = |text: String| text.to_lowercase().ends_with('ς');
        for code_point in '\0'..=LAST {
            let kind = kind(code_point as usize);
            let counts = ends_word(format!("{code_point}Σ"));
            assert_eq!(kind.is_cased() && !kind.is_ignorable(), counts, "{code_point:?}");
            assert_eq!(kind.is_ignorable(), !counts && ends_word(format!("A{code_point}Σ")), "{code_point:?}");
        }
    }

    #[test]
    fn kinds_of_well_known_code_points() {
        for (cased, ignorable, members) in [
            (true, false, "aZßЖΣσςǅⅷⓐ𝐀"),
            (true, true, "\u{345}ʰ"),
            (false, true, "'.:^`\u{ad}\u{301}’\u{200b}々"),
            (false, false, " 1-,漢אא😀\0"),
        ] {
            for member in members.chars() {
                let kind = kind(member as usize);
                assert_eq!((kind.is_cased(), kind.is_ignorable()), (cased, ignorable), "{member:?}");
            }
        }
    }
}
