//! Writes the tables of `src/transform/tables.rs`, from what the standard library of this toolchain knows about Unicode.
//!
//! They are written while the library is built and not checked in, so that they agree with `std` under every toolchain
//! (the oldest one that is supported, and the nightly that fuzzing needs), whichever version of Unicode that has.

mod title;

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs, io};

/// The first code point of those that have no case. This constant and those below are also in `tables.rs`.
const CASE_TABLE_LEN: u32 = 0x2_0000;
/// Code points in a block of changes.
const CASE_BLOCK_LEN: u32 = 64;
/// The bit of a change that says that the rest is a place in the list of special ones: two first bytes never differ in it.
const SPECIAL: u32 = 0x80;
/// The bit of a change that says that the code point is a cased letter: two fourth bytes never differ in it.
const IS_CASED: u32 = 1 << 31;
/// Code points in a block of kinds.
const CLASS_BLOCK_LEN: u32 = 256;

/// Bits of a kind.
const CASED: u8 = 1;
const CASE_IGNORABLE: u8 = 2;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=unicode");
    let upper = case_table("UPPER", |code_point| code_point.to_uppercase().collect());
    let lower = case_table("LOWER", |code_point| match code_point {
        // `σ` or `ς`: the code points around it decide
        'Σ' => String::new(),
        _ => code_point.to_lowercase().collect(),
    });
    let title = case_table("TITLE", title::of);
    let directory = env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR");
    fs::write(Path::new(&directory).join("tables.rs"), [upper, lower, title, class_table()].concat())
}

/// A list of blocks in which none is there twice.
struct Blocks<T> {
    list: Vec<T>,
    /// The place of each block in the list.
    indexes: Vec<u8>,
}

impl<T: Clone + Ord> Blocks<T> {
    fn new(blocks: Vec<T>) -> Self {
        let (mut list, mut known) = (Vec::new(), BTreeMap::new());
        let indexes = blocks.into_iter().map(|block| {
            *known.entry(block.clone()).or_insert_with(|| {
                list.push(block);
                u8::try_from(list.len() - 1).expect("at most 256 blocks differ")
            })
        });
        Self { indexes: indexes.collect(), list }
    }
}

/// The source of a `CaseTable` of that name.
fn case_table(name: &str, mapping: impl Fn(char) -> String) -> String {
    let (mut special, mut blocks) = (Vec::new(), Vec::new());
    for start in (0..CASE_TABLE_LEN).step_by(CASE_BLOCK_LEN as usize) {
        let code_points = (start..start + CASE_BLOCK_LEN).map(char::from_u32);
        let change = |from: Option<char>| from.map_or(0, |from| change(from, mapping(from), &mut special));
        blocks.push(code_points.map(change).collect::<Vec<_>>());
    }
    for rest in (CASE_TABLE_LEN..=u32::from(char::MAX)).filter_map(char::from_u32) {
        assert_eq!(change(rest, mapping(rest), &mut special), 0, "{rest:?} has case");
    }
    let Blocks { list, indexes } = Blocks::new(blocks);
    let special: String = special.iter().map(|text| special_source(text)).collect();
    format!(
        "static {name}: CaseTable = CaseTable {{ block_indexes: {indexes:?}, blocks: &{list:?}, special: &[{special}] }};\n"
    )
}

/// The source of one entry of the list of special ones.
fn special_source(text: &str) -> String {
    let mut bytes = [0; 9];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    format!("SpecialMapping {{ bytes: {bytes:?}, len: {} }}, ", text.len())
}

/// The bits that differ between the bytes of a code point and those of its other case; or, with [`SPECIAL`], the place of
/// its other case in the list, where that is not one code point of equal width. And [`IS_CASED`].
fn change(from: char, other: String, special: &mut Vec<String>) -> u32 {
    let is_cased = if class(from) & CASED != 0 { IS_CASED } else { 0 };
    let single = other.parse::<char>().ok().filter(|to| to.len_utf8() == from.len_utf8());
    if let Some(to) = single {
        return bytes(from) ^ bytes(to) | is_cased;
    }
    special.push(other);
    (special.len() as u32 - 1) << 8 | SPECIAL | is_cased
}

/// The bytes of a code point in UTF-8, the first one lowest.
fn bytes(code_point: char) -> u32 {
    let mut bytes = [0; 4];
    code_point.encode_utf8(&mut bytes);
    u32::from_le_bytes(bytes)
}

/// The source of the table of kinds: two bits for each code point.
fn class_table() -> String {
    let class = |number: u32| char::from_u32(number).map_or(0, class);
    let packed = |start: u32| (0..4).rev().fold(0, |byte, place| byte << 2 | class(start + place));
    let starts = (0..=u32::from(char::MAX)).step_by(CLASS_BLOCK_LEN as usize);
    let blocks = starts.map(|start| (start..start + CLASS_BLOCK_LEN).step_by(4).map(packed).collect::<Vec<u8>>());
    let Blocks { list, indexes } = Blocks::new(blocks.collect());
    format!("static CLASSES: ClassTable = ClassTable {{ block_indexes: {indexes:?}, blocks: &{list:?} }};\n")
}

/// What a code point is to a sigma near it. `std` has no public function that says so, but it decides on a sigma: behind
/// the code point alone, and with a letter before that.
fn class(code_point: char) -> u8 {
    let ends_word = |text: String| text.to_lowercase().ends_with('ς');
    let decides = ends_word(format!("{code_point}Σ"));
    let is_cased = decides || code_point.is_lowercase() || code_point.is_uppercase();
    let is_case_ignorable = !decides && ends_word(format!("A{code_point}Σ"));
    u8::from(is_cased) * CASED + u8::from(is_case_ignorable) * CASE_IGNORABLE
}
