//! Lower case of ASCII, Latin-1, Latin Extended-A and Additional, Greek, Cyrillic up to `Я`, and code points without case.
//!
//! A capital sigma is supported where its nearest neighbours tell whether it ends a word.

use super::super::sigma;
use super::super::tables::{self, MAX_MAPPING_LEN, Mapped};
use super::byte_mapping::{
    self, ByteContext, ByteMapping, Change, at_least, is_small_extended, is_unsupported_c6, mask_if, within,
};

/// Whether a code point of two bytes is a cased letter, `Ά`..`ϵ`; false also for some that are: `Ϸ` and on.
#[inline(always)]
fn is_cased_greek(first: u8, second: u8) -> bool {
    let is_unassigned = (second == 0x8b) | (second == 0x8d) | (second == 0xa2);
    let is_ce = (first == 0xce) & (at_least(second, 0x88) & !is_unassigned | (second == 0x86));
    is_ce | (first == 0xcf) & within(second, 0x80, 0xb5)
}

/// Whether the byte ends a vowel with one accent and no breathing, `Ὲ`..`Ώ` (E1 BF 88..BB).
#[inline(always)]
fn is_accented_1fc0(byte: u8) -> bool {
    within(byte, 0x88, 0x8b) | (byte & 0xfe == 0x9a) | (byte & 0xfe == 0xaa) | within(byte, 0xb8, 0xbb)
}

/// Whether the byte is an ASCII letter.
#[inline(always)]
fn is_ascii_letter(byte: u8) -> bool {
    within(byte | 0x20, b'a', b'z')
}

/// Whether a word ends before this byte: it is ASCII, no letter and not case-ignorable; 0 is the end of the
/// text. False also for some other such bytes, digits among them.
#[inline(always)]
fn ends_word(byte: u8) -> bool {
    within(byte, 0, b'&') | within(byte, b'(', b'-') | within(byte, b';', b'?')
}

/// Whether the code point before the sigma whose second byte this is, is a cased letter of Greek, or a combining mark
/// behind one of `Α`..`Ω`. False for all other cased letters.
#[inline(always)]
fn is_preceded_by_cased(ByteContext { five_before, four_before, three_before, two_before, .. }: ByteContext) -> bool {
    let is_mark = within(three_before, 0xcc, 0xcd) & !at_least(two_before, 0xb0);
    let is_marked = (five_before == 0xce) & (within(four_before, 0x91, 0xa1) | within(four_before, 0xa3, 0xa9));
    // E1 BC or E1 BD; a difference for the reason given in `is_sigma`
    let is_extended = within(three_before, 0xbc, 0xbd) & (four_before.wrapping_sub(three_before & 0xfe) == 0xe1 - 0xbc);
    is_cased_greek(three_before, two_before)
        | is_mark & is_marked
        | is_extended & is_cased_extended(three_before, two_before)
}

/// Whether the last two bytes of a code point that starts with E1 are those of a cased letter in U+1F00..U+1F6F.
#[inline(always)]
fn is_cased_extended(second: u8, third: u8) -> bool {
    let is_1f00 = (second == 0xbc) & (third & 0xf6 != 0x96);
    let is_1f40 = (second == 0xbd) & !at_least(third, 0xb0) & (third & 0xf6 != 0x86) & (third & 0xf9 != 0x98);
    is_1f00 | is_1f40
}

/// The mapping to lower case.
pub(in crate::transform) struct Lower;

impl ByteMapping for Lower {
    #[inline(always)]
    fn apply(byte: u8, delta: u8) -> u8 {
        byte.wrapping_add(delta)
    }

    #[inline(always)]
    fn ascii(byte: u8) -> u8 {
        mask_if(within(byte, b'A', b'Z'), 0x20)
    }

    #[inline(always)]
    fn latin_1(ByteContext { before, byte, .. }: ByteContext) -> Change {
        Change { delta: mask_if((before == 0xc3) & !at_least(byte, 0x9f) & (byte != 0x97), 0x20), unsupported: false }
    }

    #[inline(always)]
    fn latin_extended(ByteContext { before, byte, .. }: ByteContext) -> Change {
        let is_extended = (before & 0xfe == 0xc4) & !((before == 0xc4) & (byte == 0xb8));
        let capital =
            is_extended & !is_small_extended(before, byte) | (before == 0xc6) & ((byte == 0xa0) | (byte == 0xaf)); // Ơ Ư
        let unsupported = is_extended & (byte == 0xbf) // Ŀ ſ
            | (before == 0xc4) & (byte == 0xb0) // İ
            | (before == 0xc5) & (byte == 0xb8); // Ÿ
        Change { delta: mask_if(capital, 1), unsupported: unsupported | is_unsupported_c6(before, byte) }
    }

    #[inline(always)]
    fn latin_additional(at: ByteContext) -> Change {
        byte_mapping::latin_additional(at, at.byte & 1 == 0)
    }

    #[inline(always)]
    fn greek_extended(ByteContext { two_before, before, byte, after, .. }: ByteContext) -> Change {
        let (is_1f00, is_1f40, is_1f80, is_1fc0) = (before == 0xbc, before == 0xbd, before == 0xbe, before == 0xbf);
        let (capital, pair) = (byte & 8 != 0, byte & 0xfe);
        let breathing = is_1f00 | is_1f40 & !at_least(byte, 0xb0); // Ἀ..Ὧ
        // Ὰ Ά at BE BA and BB, and Ὲ..Ώ at BF 88..BB, whose small letters start with E1 BD
        let accent_1fc0 = mask_if(within(byte, 0x88, 0x8b), 0x2a)
            | mask_if(pair == 0x9a, 0x1c)
            | mask_if(pair == 0xaa, 0x10)
            | mask_if(pair == 0xba, 2);
        let accent = mask_if(is_1f80 & (pair == 0xba), 0xf6) | mask_if(is_1fc0, accent_1fc0);
        // the other capitals in U+1F80..U+1FFF; the rest is not assigned
        let unsupported = is_1f00 & (byte & 0xf6 == 0x96)
            | is_1f40 & ((byte & 0xf9 == 0x98) | (byte & 0xfe == 0x8e))
            | is_1f80 & capital & (pair != 0xba)
            | is_1fc0 & capital & !is_accented_1fc0(byte);
        let second = mask_if((byte == 0xbe) & (after & 0xfe == 0xba), 0xff)
            | mask_if((byte == 0xbf) & is_accented_1fc0(after), 0xfe);
        let (is_last, is_second) = (two_before == 0xe1, before == 0xe1);
        Change {
            delta: mask_if(is_last, mask_if(breathing & capital, 0xf8) | accent) | mask_if(is_second, second),
            unsupported: is_last & unsupported,
        }
    }

    #[inline(always)]
    fn map_code_point(text: &[u8], at: usize, out: &mut [u8; MAX_MAPPING_LEN]) -> Mapped {
        sigma::resolve(tables::lower().map(text, at, out), text, at, out)
    }

    #[inline(always)]
    fn is_unsupported_long(at: ByteContext) -> bool {
        // fullwidth capitals (EF BC A1..BA)
        let wide = (at.two_before == 0xef) & (at.before == 0xbc) & within(at.byte, 0xa1, 0xba);
        wide | byte_mapping::is_unsupported_long(at)
    }

    #[inline(always)]
    fn greek(ByteContext { before, byte, after, .. }: ByteContext) -> Change {
        // Ά at 86, Έ Ή Ί at 88..8A, Α..Ο at 91..9F
        let stays = mask_if(byte == 0x86, 0x26)
            | mask_if(within(byte, 0x88, 0x8a), 0x25)
            | mask_if(within(byte, 0x91, 0x9f), 0x20);
        // Ό at 8C, Ύ Ώ at 8E and 8F, Π..Ϋ from A0 on: their small letters all start with CF
        let moves = mask_if(within(byte, 0x8e, 0x8f), 0xff) | mask_if(within(byte, 0xa0, 0xab), 0xe0);
        let lead = (byte == 0xce) & ((after == 0x8c) | within(after, 0x8e, 0x8f) | within(after, 0xa0, 0xab));
        Change {
            delta: mask_if(before == 0xce, stays | moves) | mask_if(lead, 1),
            unsupported: (before == 0xce) & (byte == 0xa2) // not assigned
                | (before == 0xcf) & at_least(byte, 0x8f), // Ϗ and on
        }
    }

    #[inline(always)]
    fn is_sigma(before: u8, byte: u8) -> bool {
        // not `before == 0xce`: the compiler would make one comparison of 16 bits of the two, and no vectors of bytes
        (before.wrapping_sub(byte) == 0xce - 0xa3) & (byte == 0xa3)
    }

    #[inline(always)]
    fn sigma(at: ByteContext) -> Change {
        let ByteContext { before, byte, after, two_after, .. } = at;
        let is_sigma = Self::is_sigma(before, byte);
        let is_last = ends_word(after) | (after == b'.') & ends_word(two_after);
        let is_final = is_sigma & is_last & is_preceded_by_cased(at);
        let is_small = is_ascii_letter(after) | is_cased_greek(after, two_after);
        // `ς` is one less than `σ`
        Change { delta: mask_if(is_final, 0xff), unsupported: is_sigma & !is_final & !is_small }
    }

    #[inline(always)]
    fn cyrillic(ByteContext { before, byte, after, .. }: ByteContext) -> Change {
        // Ѐ..Џ at 80..8F and Р..Я at A0..AF, whose small letters start with D1; А..П at 90..9F
        let small = if at_least(byte, 0xa0) { 0xe0 } else { mask_if(at_least(byte, 0x90), 0x10) + 0x10 };
        let lead = (byte == 0xd0) & !at_least(after, 0xb0) & (after & 0x10 == 0);
        let delta = mask_if((before == 0xd0) & !at_least(byte, 0xb0), small) | mask_if(lead, 1);
        Change { delta, unsupported: (before == 0xd1) & at_least(byte, 0xa0) } // Ѡ and on
    }
}
