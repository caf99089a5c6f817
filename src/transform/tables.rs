//! The case of every code point, and its class for a sigma near it: constant tables that the build script
//! `unicode/tables.rs` generates from the Unicode data of the standard library, in the layout of `unicode/layout.rs`.
//!
//! A case table takes 25 KiB and the class table 11 KiB.

#![allow(clippy::unreadable_literal, reason = "the build script writes the numbers")]
#![allow(
    clippy::inline_always,
    reason = "a byte of Georgian takes 24 instructions with `map` as part of the loop over a text, 31 without"
)]

#[path = "../../unicode/layout.rs"]
mod layout;

pub(super) use layout::MAX_MAPPING_LEN;
use layout::{
    CASE_BLOCK_LEN, CASE_IGNORABLE, CASE_TABLE_LEN, CASED, CLASS_BLOCK_LEN, CLASSES_PER_BYTE, IS_CASED, SPECIAL,
};

use super::utf8;

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// The mapping of `char::to_uppercase`.
pub(super) fn upper() -> &'static CaseTable {
    &UPPER
}

/// The mapping of `char::to_lowercase`, with an empty entry for the capital sigma.
pub(super) fn lower() -> &'static CaseTable {
    &LOWER
}

/// The mapping of Python's `str.title()` at the start of a word.
pub(super) fn title() -> &'static CaseTable {
    &TITLE
}

/// A mapping of each code point to its other case; see `unicode/layout.rs`.
pub(super) struct CaseTable {
    /// For each block of code points an index into `blocks`.
    block_indexes: [u8; CASE_TABLE_LEN / CASE_BLOCK_LEN],
    /// The change for each code point of a block.
    blocks: &'static [[u32; CASE_BLOCK_LEN]],
    /// The mappings that are not a single code point with as many bytes.
    special: &'static [SpecialMapping],
}

/// A mapping to any string.
struct SpecialMapping {
    bytes: [u8; MAX_MAPPING_LEN],
    /// The number of `bytes` in use; 0 if the mapping depends on context.
    len: u8,
}

/// The result of [`CaseTable::map`].
pub(super) struct Mapped {
    /// Whether the code point is a cased letter.
    pub(super) is_cased: bool,
    /// The number of bytes of the code point.
    pub(super) input_len: usize,
    /// The number of bytes written; 0 if the mapping depends on context.
    pub(super) output_len: usize,
}

impl CaseTable {
    /// Writes the mapping of the code point that starts at `at`.
    #[inline(always)]
    pub(super) fn map(&self, text: &[u8], at: usize, out: &mut [u8; MAX_MAPPING_LEN]) -> Mapped {
        let bytes = utf8::load_four(text, at);
        match utf8::sequence_len(bytes[0]) {
            1 => self.map_sequence::<1>(bytes, out),
            2 => self.map_sequence::<2>(bytes, out),
            3 => self.map_sequence::<3>(bytes, out),
            _ => self.map_sequence::<4>(bytes, out),
        }
    }

    /// [`CaseTable::map`] for a code point of `LEN` bytes.
    #[inline(always)]
    fn map_sequence<const LEN: usize>(&self, bytes: [u8; 4], out: &mut [u8; MAX_MAPPING_LEN]) -> Mapped {
        let change = self.change(utf8::code_point::<LEN>(bytes));
        let is_cased = change & IS_CASED != 0;
        if change & SPECIAL != 0 {
            let SpecialMapping { bytes, len } = &self.special[((change & !IS_CASED) >> 8) as usize];
            *out = *bytes;
            return Mapped { is_cased, input_len: LEN, output_len: usize::from(*len) };
        }
        // of a shorter code point the bit is in a byte that the next code point overwrites
        let change = if LEN == 4 { change & !IS_CASED } else { change };
        let changed = (u32::from_le_bytes(bytes) ^ change).to_le_bytes();
        out[..changed.len()].copy_from_slice(&changed);
        Mapped { is_cased, input_len: LEN, output_len: LEN }
    }

    #[inline(always)]
    fn change(&self, number: usize) -> u32 {
        match self.block_indexes.get(number / CASE_BLOCK_LEN) {
            Some(index) => self.blocks[usize::from(*index)][number % CASE_BLOCK_LEN],
            None => 0,
        }
    }
}

/// The class of each code point; see `unicode/layout.rs`.
struct ClassTable {
    /// For each block of code points an index into `blocks`.
    block_indexes: [u8; char::MAX as usize / CLASS_BLOCK_LEN + 1],
    /// Two bits for each code point of a block.
    blocks: &'static [[u8; CLASS_BLOCK_LEN / CLASSES_PER_BYTE]],
}

/// The properties of a code point that decide on the lower case of a capital sigma near it.
#[derive(Clone, Copy)]
pub(super) struct Class(u8);

impl Class {
    /// Whether it is a cased letter: upper case, lower case, or title-case (category `Lt`).
    pub(super) fn is_cased(self) -> bool {
        self.0 & CASED != 0
    }

    /// Whether it has the property `Case_Ignorable`: an accent, an apostrophe, a full stop, ...
    pub(super) fn is_case_ignorable(self) -> bool {
        self.0 & CASE_IGNORABLE != 0
    }
}

/// The class of the code point with this number.
pub(super) fn class(number: usize) -> Class {
    let block = &CLASSES.blocks[usize::from(CLASSES.block_indexes[number / CLASS_BLOCK_LEN])];
    Class(block[number % CLASS_BLOCK_LEN / CLASSES_PER_BYTE] >> (number % CLASSES_PER_BYTE * 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last code point of loops over all of them; Miri is a few hundred times slower.
    const LAST: char = if cfg!(miri) { '\u{7ff}' } else { char::MAX };

    /// The mapping of a code point at the end of a text, which must be equal to that before other bytes.
    fn mapped(table: &CaseTable, code_point: char) -> ([u8; MAX_MAPPING_LEN], usize) {
        let (input_len, mut text) = (code_point.len_utf8(), [0xa9; 8]);
        code_point.encode_utf8(&mut text[1..]);
        let [last, inside] = [&text[..=input_len], &text[..]].map(|text| {
            let mut out = [0xff; MAX_MAPPING_LEN];
            let mapped = table.map(text, 1, &mut out);
            assert_eq!(
                (mapped.is_cased, mapped.input_len),
                (class(code_point as usize).is_cased(), input_len),
                "{code_point:?}"
            );
            out[mapped.output_len..].fill(0);
            (out, mapped.output_len)
        });
        assert_eq!(last, inside);
        last
    }

    /// The bytes of code points, in the form of [`mapped`].
    fn written(code_points: impl Iterator<Item = char>) -> ([u8; MAX_MAPPING_LEN], usize) {
        let mut out = [0; MAX_MAPPING_LEN];
        let output_len = code_points
            .fold(0, |output_len, code_point| output_len + code_point.encode_utf8(&mut out[output_len..]).len());
        (out, output_len)
    }

    #[test]
    fn case_tables_are_those_of_std() {
        for code_point in '\0'..=LAST {
            assert_eq!(mapped(upper(), code_point), written(code_point.to_uppercase()));
            let small = (code_point != 'Σ').then(|| code_point.to_lowercase());
            assert_eq!(mapped(lower(), code_point), written(small.into_iter().flatten()));
        }
    }

    #[test]
    fn classes_are_those_of_std() {
        let ends_word = |text: String| text.to_lowercase().ends_with('ς');
        for code_point in '\0'..=LAST {
            let class = class(code_point as usize);
            let counts = ends_word(format!("{code_point}Σ"));
            assert_eq!(class.is_cased() && !class.is_case_ignorable(), counts, "{code_point:?}");
            assert_eq!(class.is_case_ignorable(), !counts && ends_word(format!("A{code_point}Σ")), "{code_point:?}");
        }
    }

    #[test]
    fn classes_of_well_known_code_points() {
        for (cased, ignorable, members) in [
            (true, false, "aZßЖΣσςǅⅷⓐ𝐀"),
            (true, true, "\u{345}ʰ"),
            (false, true, "'.:^`\u{ad}\u{301}’\u{200b}々"),
            (false, false, " 1-,漢אא😀\0"),
        ] {
            for member in members.chars() {
                let class = class(member as usize);
                assert_eq!((class.is_cased(), class.is_case_ignorable()), (cased, ignorable), "{member:?}");
            }
        }
    }
}
