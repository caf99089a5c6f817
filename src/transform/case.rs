//! Upper and lower case: byte for byte what `str::to_uppercase` and `str::to_lowercase` say.
//!
//! Three ways through a text, each for what the one before it cannot do: blocks of ASCII in place; windows of 64
//! bytes ([`lanes`]); one code point after another, by a table for those of two bytes, else by asking
//! `char`. The answer stays in the text until the first code point that changes its length, and goes on in `out`.

#![allow(
    clippy::inline_always,
    reason = "what is inlined is compiled for each kind of processor, see `super::vectors`"
)]

use std::ops::Range;
use std::sync::LazyLock;

use super::lanes::{self, WINDOW, Window};
use super::{InvalidUtf8, Placed, sigma, utf8, vectors};

/// So many bytes of a text that is still coming in are checked and then converted, so that the second look finds them
/// in the nearest cache; and no more are looked at again each time that a byte comes in behind what is not done.
const PREPARE_BLOCK: usize = 16 * 1024;

/// The bounds of how many bytes are converted singly before the lanes are tried again.
const LEAST_SINGLY: usize = 16;
const MOST_SINGLY: usize = 128;

/// The most bytes that [`convert_singly`] takes.
const SINGLY_MOST: usize = MOST_SINGLY + utf8::LONGEST;

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
    /// [`convert_windows`].
    fn windows(text: &mut [u8], start: usize) -> usize;
    /// The two-byte code points.
    fn pairs() -> &'static Pairs;
    /// Writes the other case of the code point at `at`, whatever it is; returns how many bytes that took.
    fn any(text: &[u8], at: usize, out: &mut [u8]) -> usize;
    /// How many bytes stand before the first code point whose other case is decided by those around it.
    fn certain(text: &[u8]) -> usize;
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

    fn windows(text: &mut [u8], start: usize) -> usize {
        vectors::uppercase_windows(text, start)
    }

    fn pairs() -> &'static Pairs {
        static PAIRS: LazyLock<Pairs> = LazyLock::new(|| pairs(char::to_uppercase));
        &PAIRS
    }

    fn any(text: &[u8], at: usize, out: &mut [u8]) -> usize {
        utf8::encode(utf8::decode(text, at).to_uppercase(), out)
    }

    fn certain(text: &[u8]) -> usize {
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

    fn windows(text: &mut [u8], start: usize) -> usize {
        vectors::lowercase_windows(text, start)
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

    fn certain(text: &[u8]) -> usize {
        sigma::first(text)
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

/// Converts the front of a text that may still be coming in: in place, from `done` on, as far as each code point by
/// itself says what becomes of it, and takes as many bytes as before. Returns how far that is.
///
/// What it leaves is for [`uppercase`], from the start again: a converted letter stays what it is.
pub(super) fn prepare_uppercase(text: &mut [u8], done: usize) -> usize {
    prepare::<Upper>(text, done)
}

/// The same for [`lowercase`].
pub(super) fn prepare_lowercase(text: &mut [u8], done: usize) -> usize {
    prepare::<Lower>(text, done)
}

fn prepare<M: Mapping>(text: &mut [u8], mut done: usize) -> usize {
    while done < text.len() {
        let end = utf8::whole(&text[..text.len().min(done + PREPARE_BLOCK)]);
        let reached = prepare_block::<M>(&mut text[..end], done);
        if reached == done {
            break;
        }
        done = reached;
    }
    done
}

/// The same from `start` to the end of the text.
fn prepare_block<M: Mapping>(text: &mut [u8], start: usize) -> usize {
    let block = &mut text[start..];
    if block.is_ascii() {
        M::ascii_block(block);
        return text.len();
    }
    if utf8::check(block).is_err() {
        return start;
    }
    let end = start + M::certain(block);
    let mut converter = Converter::new(start);
    converter.in_place::<M>(&mut text[..end]);
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
    if converter.in_place::<M>(text) {
        return Placed::InPlace;
    }
    let mut length = converter.done;
    out[..length].copy_from_slice(&text[..length]);
    while converter.done < text.len() {
        let start = converter.done;
        converter.windows::<M>(text);
        let windows = &text[start..converter.done];
        out[length..length + windows.len()].copy_from_slice(windows);
        length += windows.len();
        let Singly { taken, made, .. } = converter.singly::<M>(text);
        out[length..length + made].copy_from_slice(&converter.block[..made]);
        length += made;
        converter.done += taken;
    }
    Placed::Out(length)
}

/// What became of a few code points.
struct Singly {
    /// How many bytes they took.
    taken: usize,
    /// How many bytes they take now.
    made: usize,
    /// Each of them takes as many as before.
    in_place: bool,
}

/// A text that is being converted: windows where they lie, and what the lanes decline singly, for the longer the more
/// often they have declined of late.
struct Converter {
    /// How far it is.
    done: usize,
    /// How many bytes are converted singly the next time.
    patience: usize,
    /// What they become.
    block: [u8; 3 * SINGLY_MOST],
}

impl Converter {
    fn new(start: usize) -> Self {
        Self { done: start, patience: LEAST_SINGLY, block: [0; 3 * SINGLY_MOST] }
    }

    /// Converts in place, but nothing from the first code points on of which one changes its length. Says whether it
    /// came to the end.
    fn in_place<M: Mapping>(&mut self, text: &mut [u8]) -> bool {
        loop {
            self.windows::<M>(text);
            if self.done == text.len() {
                return true;
            }
            let Singly { taken, made, in_place } = self.singly::<M>(text);
            if !in_place {
                return false;
            }
            text[self.done..self.done + taken].copy_from_slice(&self.block[..made]);
            self.done += taken;
        }
    }

    fn windows<M: Mapping>(&mut self, text: &mut [u8]) {
        let reached = M::windows(text, self.done);
        if reached - self.done >= WINDOW {
            self.patience = LEAST_SINGLY;
        }
        self.done = reached;
    }

    fn singly<M: Mapping>(&mut self, text: &[u8]) -> Singly {
        let length = self.patience;
        self.patience = MOST_SINGLY.min(length * 2);
        convert_singly::<M>(text, self.done, length, &mut self.block)
    }
}

/// Converts windows in place, from `start` to the end, or up to a code point that is beyond the lanes; returns how far
/// it came.
///
/// Windows cut code points where it happens: each byte is converted by its neighbours. Hence a window is written only
/// when the next one is converted, which still looks at its last byte and may stop at the code point that is cut.
#[inline(always)]
pub(super) fn convert_windows<M: Mapping>(text: &mut [u8], start: usize) -> usize {
    let (mut copy, mut last) = ([0; WINDOW + 2], [0; WINDOW]);
    let (mut unwritten, mut at) = (start, start);
    while at < text.len() {
        let (converted, beyond) = lanes::convert::<M::Lane>(window(text, at, &mut copy));
        if let Some(place) = beyond {
            let stop = at + place - 1;
            write(text, unwritten..stop, if at > unwritten { [last, converted] } else { [converted; 2] });
            return stop;
        }
        if at > unwritten {
            text[unwritten..at].copy_from_slice(&last);
        }
        (unwritten, last) = (at, converted);
        at += WINDOW.min(text.len() - at);
    }
    write(text, unwritten..at, [last; 2]);
    at
}

/// Writes the front of two windows to its place; these are passed by value, to be in registers before.
#[inline(always)]
fn write(text: &mut [u8], place: Range<usize>, converted: [[u8; WINDOW]; 2]) {
    let length = place.len();
    text[place].copy_from_slice(&converted.as_flattened()[..length]);
}

/// The window that starts at `at`: a view of the text, or at either end of the text a copy with zeros around it.
#[inline(always)]
fn window<'a>(text: &'a [u8], at: usize, copy: &'a mut Window) -> &'a Window {
    if let Some(window) = at.checked_sub(1).and_then(|before| text[before..].first_chunk()) {
        return window;
    }
    let (start, end) = (at.saturating_sub(1), text.len().min(at + WINDOW + 1));
    copy.fill(0);
    copy[start + 1 - at..=end - at].copy_from_slice(&text[start..end]);
    copy
}

/// Converts at least `length` bytes from `start` on by code points.
fn convert_singly<M: Mapping>(text: &[u8], start: usize, length: usize, out: &mut [u8]) -> Singly {
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
    Singly { taken: at - start, made, in_place }
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
