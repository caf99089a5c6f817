//! Upper case of ASCII, Latin-1, Latin Extended-A and Additional, Greek that does not grow, Cyrillic up to `џ`, and code
//! points without case.

use super::super::tables::{self, MAX_MAPPING_LEN, Mapped};
use super::byte_mapping::{
    self, ByteContext, ByteMapping, Change, at_least, is_small_extended, is_unsupported_c6, mask_if, within,
};

/// The mapping to upper case.
pub(in crate::transform) struct Upper;

impl ByteMapping for Upper {
    #[inline(always)]
    fn apply(byte: u8, delta: u8) -> u8 {
        byte.wrapping_sub(delta)
    }

    #[inline(always)]
    fn ascii(byte: u8) -> u8 {
        mask_if(within(byte, b'a', b'z'), 0x20)
    }

    #[inline(always)]
    fn latin_1(ByteContext { before, byte, after, .. }: ByteContext) -> Change {
        // ß, two bytes, becomes SS
        let sharp = mask_if((byte == 0xc3) & (after == 0x9f), 0xc3 - b'S') | mask_if(byte == 0x9f, 0x9f - b'S');
        let flips = (before == 0xc3) & at_least(byte, 0xa0) & (byte != 0xb7);
        let unsupported = (before == 0xc2) & (byte == 0xb5) | (before == 0xc3) & (byte == 0xbf); // µ ÿ
        let delta = mask_if(flips, 0x20) | mask_if((before == 0xc3) | (byte == 0xc3), sharp);
        Change { delta, unsupported }
    }

    #[inline(always)]
    fn latin_extended(ByteContext { before, byte, .. }: ByteContext) -> Change {
        let small = (before & 0xfe == 0xc4) & is_small_extended(before, byte)
            | (before == 0xc6) & ((byte == 0xa1) | (byte == 0xb0)); // ơ ư
        let unsupported = (before == 0xc4) & (byte == 0xb1) // ı
            | (before == 0xc5) & ((byte == 0x80) | (byte == 0x89) | (byte == 0xbf)); // ŀ ŉ ſ
        Change { delta: mask_if(small, 1), unsupported: unsupported | is_unsupported_c6(before, byte) }
    }

    #[inline(always)]
    fn latin_additional(at: ByteContext) -> Change {
        byte_mapping::latin_additional(at, at.byte & 1 != 0)
    }

    #[inline(always)]
    fn greek_extended(ByteContext { two_before, before, byte, after, .. }: ByteContext) -> Change {
        let (pair, is_1f00, is_1f40) = (byte & 0xfe, before == 0xbc, before == 0xbd);
        let breathing = (is_1f00 | is_1f40 & !at_least(byte, 0xb0)) & (byte & 8 == 0); // ἀ..ὧ
        // ὰ..ώ at B0..BD, whose capitals start with E1 BE and E1 BF
        let accent = mask_if(pair == 0xb0, 0xf6)
            | mask_if(within(byte, 0xb2, 0xb5), 0x2a)
            | mask_if(pair == 0xb6, 0x1c)
            | mask_if(pair == 0xba, 0x10)
            | mask_if(pair == 0xbc, 2);
        let second = mask_if(within(after, 0xb2, 0xbd), 0xfe) | mask_if(after & 0xfe == 0xb0, 0xff);
        // ὐ ὒ ὔ ὖ grow, and so do most of U+1F80..U+1FFF; the others are not assigned
        let unsupported = is_1f00 & (byte & 0xf6 == 0x96)
            | is_1f40 & ((byte & 0xf9 == 0x90) | (pair == 0x86))
            | within(before, 0xbe, 0xbf);
        let last = mask_if(breathing, 0xf8) | mask_if(is_1f40, accent);
        let is_last = two_before == 0xe1;
        let is_second = (before == 0xe1) & (byte == 0xbd);
        Change { delta: mask_if(is_last, last) | mask_if(is_second, second), unsupported: is_last & unsupported }
    }

    #[inline(always)]
    fn map_code_point(text: &[u8], at: usize, out: &mut [u8; MAX_MAPPING_LEN]) -> Mapped {
        tables::upper().map(text, at, out)
    }

    #[inline(always)]
    fn is_unsupported_long(at: ByteContext) -> bool {
        byte_mapping::is_unsupported_long(at)
    }

    #[inline(always)]
    fn greek(ByteContext { before, byte, .. }: ByteContext) -> Change {
        // α..ο from B1 on, ά at AC, έ ή ί at AD..AF
        let first_half =
            mask_if(at_least(byte, 0xb1), 0x20) | mask_if(within(byte, 0xad, 0xaf), 0x25) | mask_if(byte == 0xac, 0x26);
        // π..ϋ at 80..8B, of which ς at 82; ό at 8C, ύ ώ at 8D and 8E: their capitals all start with CE
        let moved = if byte == 0x82 { 0xdf } else { mask_if(!at_least(byte, 0x8c), 0xe0) };
        let second_half = moved | mask_if(at_least(byte, 0x8d), 0xff);
        Change {
            delta: mask_if(before == 0xce, first_half)
                | mask_if(before == 0xcf, second_half)
                | mask_if(byte == 0xcf, 1),
            unsupported: (before == 0xcf) & at_least(byte, 0x8f) // Ϗ and on
                | (before == 0xce) & ((byte == 0x90) | (byte == 0xb0)), // ΐ ΰ
        }
    }

    #[inline(always)]
    fn cyrillic(ByteContext { before, byte, .. }: ByteContext) -> Change {
        let first_half = mask_if(at_least(byte, 0xb0), 0x20); // а..п
        let second_half = if at_least(byte, 0x90) { 0x10 } else { 0xe0 }; // р..я at 80..8F, ѐ..џ; their capitals start with D0
        let delta =
            mask_if(before == 0xd0, first_half) | mask_if(before == 0xd1, second_half) | mask_if(byte == 0xd1, 1);
        Change { delta, unsupported: (before == 0xd1) & at_least(byte, 0xa0) } // ѡ and on
    }
}
