//! Lower case: ASCII, Latin-1, Latin Extended-A and Additional, monotonic Greek but for the sigma, Cyrillic up to `Я`, and
//! all that has no case.

#![allow(clippy::needless_bitwise_bool, reason = "`&&` is a branch, and the loop no longer vector instructions")]

use super::byte_mapping::{self, Around, Change, Lane, from, is_rare_two, is_small_extended, only, within};

/// The lanes to lower case.
pub(in crate::transform) struct Lower;

impl Lane for Lower {
    #[inline(always)]
    fn apply(byte: u8, by: u8) -> u8 {
        byte.wrapping_add(by)
    }

    #[inline(always)]
    fn ascii(byte: u8) -> u8 {
        only(within(byte, b'A', b'Z'), 0x20)
    }

    #[inline(always)]
    fn latin_1(Around { before, byte, .. }: Around) -> Change {
        Change { by: only((before == 0xc3) & !from(byte, 0x9f) & (byte != 0x97), 0x20), beyond: false }
    }

    #[inline(always)]
    fn other_two(at: Around) -> Change {
        let Around { before, byte, .. } = at;
        let is_extended = (before & 0xfe == 0xc4) & !((before == 0xc4) & (byte == 0xb8));
        let capital =
            is_extended & !is_small_extended(before, byte) | (before == 0xc6) & ((byte == 0xa0) | (byte == 0xaf)); // Ơ Ư
        let beyond = is_extended & (byte == 0xbf) // Ŀ ſ
            | (before == 0xc4) & (byte == 0xb0) // İ
            | (before == 0xc5) & (byte == 0xb8); // Ÿ
        Change { by: only(capital, 1), beyond: beyond | is_rare_two(at) }
    }

    #[inline(always)]
    fn additional(at: Around) -> Change {
        byte_mapping::additional(at, at.byte & 1 == 0)
    }

    #[inline(always)]
    fn is_rare_long(at: Around) -> bool {
        // full-width capitals (EF BC A1..BA)
        let wide = (at.two_before == 0xef) & (at.before == 0xbc) & within(at.byte, 0xa1, 0xba);
        wide | byte_mapping::is_rare_long(at)
    }

    #[inline(always)]
    fn greek(Around { before, byte, after, .. }: Around) -> Change {
        // Ά at 86, Έ Ή Ί at 88..8A, Α..Ο at 91..9F
        let stays =
            only(byte == 0x86, 0x26) | only(within(byte, 0x88, 0x8a), 0x25) | only(within(byte, 0x91, 0x9f), 0x20);
        // Ό at 8C, Ύ Ώ at 8E and 8F, Π..Ϋ from A0 on; all under CF as small letters
        let moves = only(within(byte, 0x8e, 0x8f), 0xff) | only(within(byte, 0xa0, 0xab), 0xe0);
        let lead = (byte == 0xce) & ((after == 0x8c) | within(after, 0x8e, 0x8f) | within(after, 0xa0, 0xab));
        Change {
            by: only(before == 0xce, stays | moves) | only(lead, 1),
            beyond: (before == 0xce) & within(byte, 0xa2, 0xa3) | (before == 0xcf) & from(byte, 0x8f), // Σ; Ϗ and on
        }
    }

    #[inline(always)]
    fn cyrillic(Around { before, byte, after, .. }: Around) -> Change {
        // Ѐ..Џ at 80..8F and Р..Я at A0..AF, under D1 as small letters; А..П at 90..9F
        let small = if from(byte, 0xa0) { 0xe0 } else { only(from(byte, 0x90), 0x10) + 0x10 };
        let lead = (byte == 0xd0) & !from(after, 0xb0) & (after & 0x10 == 0);
        let by = only((before == 0xd0) & !from(byte, 0xb0), small) | only(lead, 1);
        Change { by, beyond: (before == 0xd1) & from(byte, 0xa0) } // Ѡ and on
    }
}
