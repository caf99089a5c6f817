//! Action codes of `frame`, written out here so that the daemon's own table is checked against them.

pub const UPPERCASE: u8 = 0x01;
pub const LOWERCASE: u8 = 0x02;
pub const REVERSE: u8 = 0x04;
pub const SHUFFLE: u8 = 0x08;
pub const RANDOM: u8 = 0x10;
/// A code that no action has.
pub const UNKNOWN: u8 = 0x1f;
