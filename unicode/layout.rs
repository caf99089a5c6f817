//! The layout of the case tables: `unicode/tables.rs` writes them and `src/transform/tables.rs` reads them, and both
//! include this file.
//!
//! A *case table* has a 32-bit *change* for each code point below [`CASE_TABLE_LEN`]. A change is the exclusive or of
//! the UTF-8 bytes of the code point and those of its other case, first byte lowest. Where the other case is not a
//! single code point with as many bytes, bit [`SPECIAL`] is set and the bits from 8 on are an index into a list of
//! strings. Bit [`IS_CASED`] is set for cased letters.
//!
//! The *class table* has two bits for each code point, [`CASED`] and [`CASE_IGNORABLE`], four code points to a byte.
//!
//! Both are cut into blocks, and equal blocks are stored once.

/// Length of a case table in code points: planes 0 and 1. Derived: no code point beyond them has case, which the build
/// script asserts.
pub const CASE_TABLE_LEN: usize = 0x2_0000;

/// Code points in a block of a case table. Chosen by size, without timing: a table takes 25 KiB, with blocks of 32 it
/// would take 20 KiB and with blocks of 128 31 KiB.
pub const CASE_BLOCK_LEN: usize = 64;

/// Code points in a block of the class table. Chosen by size, without timing: the table takes 11 KiB, with blocks of
/// 128 it would take 14 KiB, and with blocks of 512 10 KiB.
pub const CLASS_BLOCK_LEN: usize = 256;

/// Code points in a byte of the class table.
pub const CLASSES_PER_BYTE: usize = 4;

/// The bit of a change that marks an index into the list of special mappings. Derived: the highest bit of the first
/// byte of UTF-8 depends only on the number of bytes, so it never differs between two code points with equally many
/// bytes.
pub const SPECIAL: u32 = 0x80;

/// The bit of a change that marks a cased letter. Derived: the highest bit of the fourth byte of UTF-8 is always set,
/// so it never differs between two code points of four bytes, and shorter ones have no fourth byte.
pub const IS_CASED: u32 = 1 << 31;

/// The bit of a class that marks a cased letter.
pub const CASED: u8 = 1;

/// The bit of a class that marks a code point with the property `Case_Ignorable`.
pub const CASE_IGNORABLE: u8 = 2;

/// The most bytes that the other case of one code point takes: three code points of three bytes. Derived from Unicode:
/// the build fails if a mapping is longer.
pub const MAX_MAPPING_LEN: usize = 9;
