//! Upper case: ASCII, Latin-1, Latin Extended-A and Additional, monotonic Greek, Cyrillic up to `џ`, and all that has no
//! case.

#![allow(clippy::needless_bitwise_bool, reason = "`&&` is a branch, and the loop no longer vector instructions")]

use super::byte_mapping::{self, Around, Change, Lane, from, is_rare_two, is_small_extended, only, within};

/// The lanes to upper case.
pub(in crate::transform) struct Upper;

impl Lane for Upper {
    #[inline(always)]
    fn apply(byte: u8, by: u8) -> u8 {
        byte.wrapping_sub(by)
    }

    #[inline(always)]
    fn ascii(byte: u8) -> u8 {
        only(within(byte, b'a', b'z'), 0x20)
    }

    #[inline(always)]
    fn latin_1(Around { before, byte, after, .. }: Around) -> Change {
        // ß, of two bytes, becomes SS
        let sharp = only((byte == 0xc3) & (after == 0x9f), 0xc3 - b'S') | only(byte == 0x9f, 0x9f - b'S');
        let turns = (before == 0xc3) & from(byte, 0xa0) & (byte != 0xb7);
        let beyond = (before == 0xc2) & (byte == 0xb5) | (before == 0xc3) & (byte == 0xbf); // µ ÿ
        let by = only(turns, 0x20) | only((before == 0xc3) | (byte == 0xc3), sharp);
        Change { by, beyond }
    }

    #[inline(always)]
    fn other_two(at: Around) -> Change {
        let Around { before, byte, .. } = at;
        let small = (before & 0xfe == 0xc4) & is_small_extended(before, byte)
            | (before == 0xc6) & ((byte == 0xa1) | (byte == 0xb0)); // ơ ư
        let beyond = (before == 0xc4) & (byte == 0xb1) // ı
            | (before == 0xc5) & ((byte == 0x80) | (byte == 0x89) | (byte == 0xbf)); // ŀ ŉ ſ
        Change { by: only(small, 1), beyond: beyond | is_rare_two(at) }
    }

    #[inline(always)]
    fn additional(at: Around) -> Change {
        byte_mapping::additional(at, at.byte & 1 != 0)
    }

    #[inline(always)]
    fn is_rare_long(at: Around) -> bool {
        byte_mapping::is_rare_long(at)
    }

    #[inline(always)]
    fn greek(Around { before, byte, .. }: Around) -> Change {
        // α..ο from B1 on, ά at AC, έ ή ί at AD..AF
        let first_half = only(from(byte, 0xb1), 0x20) | only(within(byte, 0xad, 0xaf), 0x25) | only(byte == 0xac, 0x26);
        // π..ϋ at 80..8B, of which ς at 82; ό at 8C, ύ ώ at 8D and 8E; all under CE as capitals
        let moved = if byte == 0x82 { 0xdf } else { only(!from(byte, 0x8c), 0xe0) };
        let second_half = moved | only(from(byte, 0x8d), 0xff);
        Change {
            by: only(before == 0xce, first_half) | only(before == 0xcf, second_half) | only(byte == 0xcf, 1),
            beyond: (before == 0xcf) & from(byte, 0x8f) // Ϗ and on
                | (before == 0xce) & ((byte == 0x90) | (byte == 0xb0)), // ΐ ΰ
        }
    }

    #[inline(always)]
    fn cyrillic(Around { before, byte, .. }: Around) -> Change {
        let first_half = only(from(byte, 0xb0), 0x20); // а..п
        let second_half = if from(byte, 0x90) { 0x10 } else { 0xe0 }; // р..я at 80..8F, ѐ..џ; under D0 as capitals
        let by = only(before == 0xd0, first_half) | only(before == 0xd1, second_half) | only(byte == 0xd1, 1);
        Change { by, beyond: (before == 0xd1) & from(byte, 0xa0) } // ѡ and on
    }
}
