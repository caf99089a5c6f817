//! The case mapping of a single byte in its context, and the comparisons that it is made of.

use super::super::tables::{MAX_MAPPING_LEN, Mapped};

/// A byte and its neighbours in the text.
#[derive(Clone, Copy)]
pub(in crate::transform) struct ByteContext {
    pub(super) five_before: u8,
    pub(super) four_before: u8,
    pub(super) three_before: u8,
    pub(super) two_before: u8,
    pub(super) before: u8,
    pub(super) byte: u8,
    pub(super) after: u8,
    pub(super) two_after: u8,
}

/// The change of a byte.
#[derive(Clone, Copy, Default)]
pub(in crate::transform) struct Change {
    /// The amount that [`ByteMapping::apply`] adds or subtracts.
    pub(super) delta: u8,
    /// The byte belongs to a code point that the mapping does not support.
    pub(super) unsupported: bool,
}

/// Upper or lower case of a byte: one function for each script (group of letters with the same first bytes), called
/// only for windows that have letters of that script.
pub(in crate::transform) trait ByteMapping {
    /// Changes a byte by the delta of its [`Change`].
    fn apply(byte: u8, delta: u8) -> u8;
    /// The delta of an ASCII letter, 0 for any other byte.
    fn ascii(byte: u8) -> u8;
    /// U+0080..U+00FF (C2, C3).
    fn latin_1(at: ByteContext) -> Change;
    /// U+0100..U+017F (C4, C5) and `Ơ`, `Ư` of Vietnamese (C6); others of U+0180..U+01BF are unsupported.
    fn latin_extended(at: ByteContext) -> Change;
    /// U+0380..U+03FF (CE, CF).
    fn greek(at: ByteContext) -> Change;
    /// Whether the two bytes are a letter whose mapping depends on the letters around it: a capital sigma, in lower case.
    #[inline(always)]
    fn is_sigma(_before: u8, _byte: u8) -> bool {
        false
    }
    /// What is to be added to the change of `greek` for such a letter.
    #[inline(always)]
    fn sigma(_at: ByteContext) -> Change {
        Change::default()
    }
    /// U+0400..U+047F (D0, D1).
    fn cyrillic(at: ByteContext) -> Change;
    /// U+1E00..U+1EFF (E1 B8..BB); other code points that start with E1, except for Greek, are unsupported.
    fn latin_additional(at: ByteContext) -> Change;
    /// U+1F00..U+1FFF (E1 BC..BF).
    fn greek_extended(at: ByteContext) -> Change;
    /// Whether the byte belongs to an unsupported code point of three or four bytes that does not start with E1.
    fn is_unsupported_long(at: ByteContext) -> bool;
    /// Writes the other case of any code point, which starts at index `at`.
    fn map_code_point(text: &[u8], at: usize, out: &mut [u8; MAX_MAPPING_LEN]) -> Mapped;
}

/// `amount` if the condition holds, else 0.
#[inline(always)]
pub(super) fn mask_if(condition: bool, amount: u8) -> u8 {
    if condition { amount } else { 0 }
}

/// Whether the byte is at least `first`, for two bytes that are not ASCII.
///
/// As signed numbers these bytes have the same order, and SSE2 and AVX2 only compare signed bytes.
#[inline(always)]
#[allow(clippy::cast_possible_wrap, reason = "both numbers wrap, which keeps their order")]
pub(super) fn at_least(byte: u8, first: u8) -> bool {
    byte as i8 >= first as i8
}

/// Whether the byte is in `first..=last`, by one addition and one comparison of signed bytes.
#[inline(always)]
#[allow(clippy::cast_possible_wrap, reason = "the addition maps `first` to the least signed byte")]
pub(super) fn within(byte: u8, first: u8, last: u8) -> bool {
    byte.wrapping_add(0x80_u8.wrapping_sub(first)) as i8 <= (last - first).wrapping_add(0x80) as i8
}

/// [`ByteMapping::is_unsupported_long`] for both directions.
#[inline(always)]
pub(super) fn is_unsupported_long(ByteContext { before, byte, .. }: ByteContext) -> bool {
    // Three bytes: letterlike signs to Coptic (E2 84 and on); Latin Extended-D, Cherokee (EA, before Hangul); of
    // U+F000..U+FFFF all but FF00..FF3F (EF BC).
    let three = (before == 0xe2) & at_least(byte, 0x84)
        | (before == 0xea) & !at_least(byte, 0xb0)
        | (before == 0xef) & (byte != 0xbc);
    // Four bytes: the scripts of the Supplementary Multilingual Plane, before the emoji.
    three | (before == 0xf0) & !at_least(byte, 0x9f)
}

/// [`ByteMapping::latin_additional`] for both directions: small and capital letters alternate, except for
/// U+1E96..U+1E9F.
#[inline(always)]
pub(super) fn latin_additional(
    ByteContext { two_before, before, byte, .. }: ByteContext,
    is_to_change: bool,
) -> Change {
    let ends = (two_before == 0xe1) & within(before, 0xb8, 0xbb);
    let irregular = (before == 0xba) & within(byte, 0x96, 0x9f);
    let other = (before == 0xe1) & !at_least(byte, 0xb8); // Georgian, Cherokee
    Change { delta: mask_if(ends & is_to_change, 1), unsupported: ends & irregular | other }
}

/// Whether the byte ends a small letter of `Ā`..`ſ` (C4 80..C5 BF): small and capital letters alternate, and their
/// order changes three times.
#[inline(always)]
pub(super) fn is_small_extended(before: u8, byte: u8) -> bool {
    (byte & 1 != 0) ^ at_least(byte, 0xb9) ^ ((before == 0xc5) & !at_least(byte, 0x89))
}

/// Whether the byte belongs to one of U+0180..U+01BF (C6) other than `Ơ`, `ơ` (C6 A0, A1), `Ư`, `ư` (C6 AF, B0).
#[inline(always)]
pub(super) fn is_unsupported_c6(before: u8, byte: u8) -> bool {
    (before == 0xc6) & (byte & 0xfe != 0xa0) & !within(byte, 0xaf, 0xb0)
}

/// Whether the byte belongs to an unsupported code point of two bytes of a script without a function of its own: from
/// U+01C0 to Greek, except for U+0300..U+036F (CC, CD); Cyrillic from U+0480, Armenian. Of U+0300..U+036F, U+0345 (CD 85)
/// is unsupported, because its upper case is a letter.
#[inline(always)]
pub(super) fn is_unsupported_two_byte(ByteContext { before, byte, .. }: ByteContext) -> bool {
    let greek = (before == 0xcd) & (at_least(byte, 0xb0) | (byte == 0x85));
    within(byte, 0xc7, 0xcb) | greek | within(byte, 0xd2, 0xd6)
}
