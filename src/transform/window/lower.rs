//! Lower case of ASCII, Latin-1, Latin Extended-A and Additional, Greek except for the sigma, Cyrillic up to
//! `Я`, and code points without case.

use super::super::sigma;
use super::super::tables::{self, MAX_MAPPING_LEN, Mapped};
use super::byte_mapping::{
    self, ByteContext, ByteMapping, Change, at_least, is_small_extended, is_unsupported_two_byte, mask_if, within,
};

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
    fn other_two_byte(at: ByteContext) -> Change {
        let ByteContext { before, byte, .. } = at;
        let is_extended = (before & 0xfe == 0xc4) & !((before == 0xc4) & (byte == 0xb8));
        let capital =
            is_extended & !is_small_extended(before, byte) | (before == 0xc6) & ((byte == 0xa0) | (byte == 0xaf)); // Ơ Ư
        let unsupported = is_extended & (byte == 0xbf) // Ŀ ſ
            | (before == 0xc4) & (byte == 0xb0) // İ
            | (before == 0xc5) & (byte == 0xb8); // Ÿ
        Change { delta: mask_if(capital, 1), unsupported: unsupported | is_unsupported_two_byte(at) }
    }

    #[inline(always)]
    fn latin_additional(at: ByteContext) -> Change {
        byte_mapping::latin_additional(at, at.byte & 1 == 0)
    }

    #[inline(always)]
    fn greek_extended(ByteContext { two_before, before, byte, .. }: ByteContext) -> Change {
        let (is_1f00, is_1f40, capital) = (before == 0xbc, before == 0xbd, byte & 8 != 0);
        let breathing = is_1f00 | is_1f40 & !at_least(byte, 0xb0); // Ἀ..Ὧ
        // capitals in U+1F80..U+1FFF; the others are not assigned
        let unsupported = is_1f00 & (byte & 0xf6 == 0x96)
            | is_1f40 & ((byte & 0xf9 == 0x98) | (byte & 0xfe == 0x8e))
            | within(before, 0xbe, 0xbf) & capital;
        let is_last = two_before == 0xe1;
        Change { delta: mask_if(is_last & breathing & capital, 0xf8), unsupported: is_last & unsupported }
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
            unsupported: (before == 0xce) & within(byte, 0xa2, 0xa3) | (before == 0xcf) & at_least(byte, 0x8f), // Σ; Ϗ and on
        }
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
