//! Upper and lower case: byte for byte what `str::to_uppercase` and `str::to_lowercase` say.
//!
//! Three ways through a text, each for what the one before it cannot do: blocks of ASCII in place; windows of 64
//! bytes ([`lanes`]); one code point after another, by a table for those of two bytes, else by asking
//! `char`. The answer stays in the text until the first code point that changes its length, and goes on in `out`.

#![allow(
    clippy::inline_always,
    reason = "what is inlined is compiled for each kind of processor, see `super::vectors`"
)]

use std::sync::LazyLock;

use super::lanes::{self, WINDOW, Window};
use super::{InvalidUtf8, Placed, sigma, utf8, vectors};

/// So many bytes of a text that is still coming in are checked and then converted, so that the second look finds them
/// in the nearest cache; and no more are looked at again each time that a byte comes in behind what can't be done yet.
const PREPARE_BLOCK: usize = 16 * 1024;

/// About how many bytes are converted before they are put in their place.
const BLOCK: usize = 256;

/// The most bytes that [`convert_block`] takes.
const BLOCK_MOST: usize = BLOCK + WINDOW + MOST_SINGLY + utf8::LONGEST;

/// What they may become.
pub(super) const BLOCK_ROOM: usize = 3 * BLOCK_MOST;

/// The bounds of how many bytes are converted singly before the lanes are tried again.
const LEAST_SINGLY: usize = 8;
const MOST_SINGLY: usize = 128;

/// The most bytes that one code point becomes: three code points of three bytes.
const LONGEST_MAPPING: usize = 9;

/// For each code point of two bytes the two bytes of its other case; 0 where these are not two bytes, or where the
/// context decides.
pub(super) type Pairs = [u16; 0x800];

/// What upper and lower case differ in.
pub(super) trait Mapping {
    /// The bytes of a window.
    type Lane: lanes::Lane;

    /// One ASCII character.
    fn ascii(byte: u8) -> u8;
    /// A block of ASCII.
    fn ascii_block(block: &mut [u8]);
    /// [`convert_block`].
    fn block(text: &[u8], start: usize, patience: &mut usize, block: &mut [u8; BLOCK_ROOM]) -> Block;
    /// The two-byte code points.
    fn pairs() -> &'static Pairs;
    /// Writes the other case of the code point at `at`, whatever it is; returns how many bytes that took.
    fn any(text: &[u8], at: usize, out: &mut [u8]) -> usize;
    /// Up to where the answer to a text stays the same, whatever comes behind it.
    fn settled(text: &[u8]) -> usize;
}

/// Upper case.
pub(super) struct Upper;

/// Lower case.
pub(super) struct Lower;

impl Mapping for Upper {
    type Lane = lanes::Upper;

    fn ascii(byte: u8) -> u8 {
        byte.to_ascii_uppercase()
    }

    fn ascii_block(block: &mut [u8]) {
        vectors::uppercase_ascii(block);
    }

    fn block(text: &[u8], start: usize, patience: &mut usize, block: &mut [u8; BLOCK_ROOM]) -> Block {
        vectors::uppercase_block(text, start, patience, block)
    }

    fn pairs() -> &'static Pairs {
        static PAIRS: LazyLock<Pairs> = LazyLock::new(|| pairs(char::to_uppercase));
        &PAIRS
    }

    fn any(text: &[u8], at: usize, out: &mut [u8]) -> usize {
        utf8::encode(utf8::decode(text, at).to_uppercase(), out)
    }

    fn settled(text: &[u8]) -> usize {
        text.len()
    }
}

impl Mapping for Lower {
    type Lane = lanes::Lower;

    fn ascii(byte: u8) -> u8 {
        byte.to_ascii_lowercase()
    }

    fn ascii_block(block: &mut [u8]) {
        vectors::lowercase_ascii(block);
    }

    fn block(text: &[u8], start: usize, patience: &mut usize, block: &mut [u8; BLOCK_ROOM]) -> Block {
        vectors::lowercase_block(text, start, patience, block)
    }

    fn pairs() -> &'static Pairs {
        static PAIRS: LazyLock<Pairs> = LazyLock::new(|| {
            let mut pairs = pairs(char::to_lowercase);
            pairs[sigma::CAPITAL as usize] = 0;
            pairs
        });
        &PAIRS
    }

    fn any(text: &[u8], at: usize, out: &mut [u8]) -> usize {
        match utf8::decode(text, at) {
            sigma::CAPITAL => sigma::small(text, at).encode_utf8(out).len(),
            code_point => utf8::encode(code_point.to_lowercase(), out),
        }
    }

    fn settled(text: &[u8]) -> usize {
        sigma::settled(text)
    }
}

/// The table of two-byte code points that `mapping` makes.
pub(super) fn pairs<I: Iterator<Item = char>>(mapping: impl Fn(char) -> I) -> Pairs {
    let mut pairs = [0; 0x800];
    for (code_point, pair) in ('\u{80}'..='\u{7ff}').zip(&mut pairs[0x80..]) {
        let mut bytes = [0; LONGEST_MAPPING];
        if utf8::encode(mapping(code_point), &mut bytes) == 2 && bytes[0] >= 0x80 {
            *pair = u16::from_be_bytes([bytes[0], bytes[1]]);
        }
    }
    pairs
}

/// Whether code points with this first byte have no case: CJK and kana, and Hangul for the most part.
pub(super) fn is_caseless(lead: u8) -> bool {
    matches!(lead, 0xe3..=0xe9 | 0xeb..=0xed)
}

/// Upper case.
pub(super) fn uppercase(text: &mut [u8], out: &mut [u8]) -> Result<Placed, InvalidUtf8> {
    convert::<Upper>(text, out)
}

/// Lower case.
pub(super) fn lowercase(text: &mut [u8], out: &mut [u8]) -> Result<Placed, InvalidUtf8> {
    convert::<Lower>(text, out)
}

/// Converts the front of a text that is still coming in, unless it is `complete`: in place, from `done` on, as far as
/// the answer is certain and takes as many bytes as the text. Returns how far that is.
///
/// What it leaves is for [`uppercase`], from the start again: a converted letter stays what it is.
pub(super) fn prepare_uppercase(text: &mut [u8], done: usize, complete: bool) -> usize {
    prepare::<Upper>(text, done, complete)
}

/// The same for [`lowercase`].
pub(super) fn prepare_lowercase(text: &mut [u8], done: usize, complete: bool) -> usize {
    prepare::<Lower>(text, done, complete)
}

fn prepare<M: Mapping>(text: &mut [u8], mut done: usize, complete: bool) -> usize {
    while done < text.len() {
        let end = utf8::whole(&text[..text.len().min(done + PREPARE_BLOCK)]);
        let last = complete && end == text.len();
        let reached = prepare_block::<M>(&mut text[..end], done, last);
        if reached == done {
            break;
        }
        done = reached;
    }
    done
}

/// Converts from `start` to about the end of the text, which is the `last` of it or not; returns how far it came.
fn prepare_block<M: Mapping>(text: &mut [u8], start: usize, last: bool) -> usize {
    let block = &mut text[start..];
    if block.is_ascii() {
        M::ascii_block(block);
        return text.len();
    }
    if utf8::check(block).is_err() {
        return start;
    }
    let end = if last { text.len() } else { M::settled(text).saturating_sub(BLOCK_MOST) };
    let mut converter = Converter::new(start);
    converter.in_place::<M>(text, end);
    converter.done
}

fn convert<M: Mapping>(text: &mut [u8], out: &mut [u8]) -> Result<Placed, InvalidUtf8> {
    let start = utf8::each_ascii_block(text, M::ascii_block);
    utf8::check(&text[start..])?;
    Ok(convert_from::<M>(text, start, out))
}

/// Converts valid UTF-8 from `start` on.
///
/// A sigma looks at what stands before it: in the text, where converted and original letters are equally good
/// (the case of a letter does not matter for that), and where all of it stands as long as `start` is a boundary.
fn convert_from<M: Mapping>(text: &mut [u8], start: usize, out: &mut [u8]) -> Placed {
    let mut converter = Converter::new(start);
    if converter.in_place::<M>(text, text.len()) {
        return Placed::InPlace;
    }
    let mut length = converter.done;
    out[..length].copy_from_slice(&text[..length]);
    while converter.done < text.len() {
        let Block { taken, made, .. } = converter.next_block::<M>(text);
        out[length..length + made].copy_from_slice(&converter.block[..made]);
        length += made;
        converter.done += taken;
    }
    Placed::Out(length)
}

/// What became of a few code points.
pub(super) struct Block {
    /// How many bytes they took.
    taken: usize,
    /// How many bytes they take now.
    made: usize,
    /// Each of them takes as many as before.
    in_place: bool,
}

/// A text that is being converted, block after block.
struct Converter {
    /// How far it is.
    done: usize,
    /// How many bytes are converted singly when the lanes decline the next time.
    patience: usize,
    block: [u8; BLOCK_ROOM],
}

impl Converter {
    fn new(start: usize) -> Self {
        Self { done: start, patience: LEAST_SINGLY, block: [0; BLOCK_ROOM] }
    }

    /// Converts in place up to `end` or a bit beyond it, but nothing from the first block on in which a code point
    /// changes its length. Says whether it came to the end.
    fn in_place<M: Mapping>(&mut self, text: &mut [u8], end: usize) -> bool {
        while self.done < end {
            let Block { taken, made, in_place } = self.next_block::<M>(text);
            if !in_place {
                return false;
            }
            text[self.done..self.done + taken].copy_from_slice(&self.block[..made]);
            self.done += taken;
        }
        true
    }

    fn next_block<M: Mapping>(&mut self, text: &[u8]) -> Block {
        M::block(text, self.done, &mut self.patience, &mut self.block)
    }
}

/// Converts code points from `start` on, about [`BLOCK`] bytes of them.
///
/// What the lanes decline is converted singly, for the longer the more often they have declined of late.
#[inline(always)]
pub(super) fn convert_block<M: Mapping>(
    text: &[u8],
    start: usize,
    patience: &mut usize,
    block: &mut [u8; BLOCK_ROOM],
) -> Block {
    let mut copy = [0; WINDOW + 2];
    let (mut at, mut made, mut in_place) = (start, 0, true);
    while at < text.len() && at - start < BLOCK {
        let window = window(text, at, &mut copy);
        let (converted, beyond) = lanes::convert::<M::Lane>(window);
        let whole = beyond.unwrap_or_else(|| whole(window).min(text.len() - at));
        block[made..made + WINDOW].copy_from_slice(&converted);
        at += whole;
        made += whole;
        if beyond.is_some() {
            let singly = convert_singly::<M>(text, at, *patience, &mut block[made..]);
            at += singly.taken;
            made += singly.made;
            in_place &= singly.in_place;
            *patience = MOST_SINGLY.min(*patience * 2);
        } else {
            *patience = LEAST_SINGLY;
        }
    }
    Block { taken: at - start, made, in_place }
}

/// The window that starts at `at`: a view of the text, or at either end of the text a copy with zeros around it.
#[inline(always)]
fn window<'a>(text: &'a [u8], at: usize, copy: &'a mut Window) -> &'a Window {
    if let Some(window) = at.checked_sub(1).and_then(|before| text[before..].first_chunk()) {
        return window;
    }
    let end = text.len().min(at + WINDOW + 1);
    copy.fill(0);
    copy[1..=end - at].copy_from_slice(&text[at..end]);
    copy
}

/// How many bytes of a window are whole code points; computed without a branch, as it is anybody's guess.
#[inline(always)]
fn whole(window: &Window) -> usize {
    let [before, last, after] = [WINDOW - 1, WINDOW, WINDOW + 1].map(|at| utf8::is_continuation(window[at]));
    WINDOW - usize::from(after) * (1 + usize::from(last) + usize::from(last & before))
}

/// Converts at least `length` bytes from `start` on by code points.
#[inline(always)]
fn convert_singly<M: Mapping>(text: &[u8], start: usize, length: usize, out: &mut [u8]) -> Block {
    let pairs = M::pairs();
    let end = text.len().min(start + length);
    let (mut at, mut made, mut in_place) = (start, 0, true);
    while at < end {
        let width = utf8::width(text[at]);
        let written = convert_one::<M>(pairs, text, at, &mut out[made..]);
        in_place &= written == width;
        at += width;
        made += written;
    }
    Block { taken: at - start, made, in_place }
}

#[inline(always)]
fn convert_one<M: Mapping>(pairs: &Pairs, text: &[u8], at: usize, out: &mut [u8]) -> usize {
    let lead = text[at];
    match utf8::width(lead) {
        1 => out[0] = M::ascii(lead),
        2 => match pairs[utf8::pair(lead, text[at + 1])] {
            0 => return M::any(text, at, out),
            pair => out[..2].copy_from_slice(&pair.to_be_bytes()),
        },
        3 if is_caseless(lead) => out[..3].copy_from_slice(&text[at..at + 3]),
        _ => return M::any(text, at, out),
    }
    utf8::width(lead)
}
