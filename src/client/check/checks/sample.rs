//! Messages that several checks send.

#![allow(clippy::cast_possible_truncation, reason = "the remainder of a division by 26 fits in a byte")]

/// The action of a request whose action does not matter.
pub const ANY_ACTION: &str = "reverse";

/// `length` bytes of ASCII in which neighbouring portions differ, so that a misplaced portion is noticed.
pub fn text(length: usize) -> Vec<u8> {
    (0..length).map(|i| b'a' + ((i + i / 26 + i / 1000) % 26) as u8).collect()
}
