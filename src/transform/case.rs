//! Upper and lower case: byte for byte what `str::to_uppercase` and `str::to_lowercase` say.
//!
//! Three ways through a text, each for what the one before it cannot do: blocks of ASCII in place; windows of 64
//! bytes ([`lanes`]); one code point after another, by a table for those of two bytes, else by asking
//! `char`. The answer stays in the text until the first code point that changes its length, and goes on in `out`.

use std::sync::LazyLock;

use super::lanes::{self, WINDOW, Window};
use super::{InvalidUtf8, Placed, sigma, utf8};

/// Bytes of ASCII that are checked and then converted, so that the second look finds them in the nearest cache.
const ASCII_BLOCK: usize = 1024;

/// About how many bytes are converted before they are put in their place.
const BLOCK: usize = 256;

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
    /// One byte of a window.
    fn lane(previous: u8, byte: u8, next: u8) -> (u8, bool);
    /// One ASCII character.
    fn ascii(byte: u8) -> u8;
    /// A block of ASCII.
    fn ascii_block(block: &mut [u8]);
    /// The two-byte code points.
    fn pairs() -> &'static Pairs;
    /// Writes the other case of the code point at `at`, whatever it is; returns how many bytes that took.
    fn any(text: &[u8], at: usize, out: &mut [u8]) -> usize;
}

/// Upper case.
pub(super) struct Upper;

/// Lower case.
pub(super) struct Lower;

impl Mapping for Upper {
    #[inline]
    fn lane(previous: u8, byte: u8, next: u8) -> (u8, bool) {
        lanes::upper(previous, byte, next)
    }

    fn ascii(byte: u8) -> u8 {
        byte.to_ascii_uppercase()
    }

    fn ascii_block(block: &mut [u8]) {
        block.make_ascii_uppercase();
    }

    fn pairs() -> &'static Pairs {
        static PAIRS: LazyLock<Pairs> = LazyLock::new(|| pairs(char::to_uppercase));
        &PAIRS
    }

    fn any(text: &[u8], at: usize, out: &mut [u8]) -> usize {
        utf8::encode(utf8::decode(text, at).to_uppercase(), out)
    }
}

impl Mapping for Lower {
    #[inline]
    fn lane(previous: u8, byte: u8, next: u8) -> (u8, bool) {
        lanes::lower(previous, byte, next)
    }

    fn ascii(byte: u8) -> u8 {
        byte.to_ascii_lowercase()
    }

    fn ascii_block(block: &mut [u8]) {
        block.make_ascii_lowercase();
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

fn convert<M: Mapping>(text: &mut [u8], out: &mut [u8]) -> Result<Placed, InvalidUtf8> {
    let start = convert_ascii::<M>(text);
    utf8::check(&text[start..])?;
    Ok(convert_from::<M>(text, start, out))
}

/// Converts whole blocks of ASCII from the front; returns where they end.
fn convert_ascii<M: Mapping>(text: &mut [u8]) -> usize {
    let mut done = 0;
    for block in text.chunks_mut(ASCII_BLOCK) {
        if !block.is_ascii() {
            break;
        }
        M::ascii_block(block);
        done += block.len();
    }
    done
}

/// Converts valid UTF-8 from `start` on.
///
/// A sigma looks at what stands before it: in the text, where converted and original letters are equally good
/// (the case of a letter does not matter for that), and where all of it stands as long as `start` is a boundary.
fn convert_from<M: Mapping>(text: &mut [u8], start: usize, out: &mut [u8]) -> Placed {
    let mut block = [0; 3 * (BLOCK + WINDOW + MOST_SINGLY + utf8::LONGEST)];
    let mut patience = LEAST_SINGLY;
    let (mut done, mut moved) = (start, None);
    while done < text.len() {
        let (taken, made) = convert_block::<M>(text, done, &mut patience, &mut block);
        if moved.is_none() && taken == made {
            text[done..done + taken].copy_from_slice(&block[..made]);
        } else {
            let at = moved.unwrap_or_else(|| move_front(text, done, out));
            out[at..at + made].copy_from_slice(&block[..made]);
            moved = Some(at + made);
        }
        done += taken;
    }
    moved.map_or(Placed::InPlace, Placed::Out)
}

/// Copies what was converted in place to where the answer has to go on.
fn move_front(text: &[u8], length: usize, out: &mut [u8]) -> usize {
    out[..length].copy_from_slice(&text[..length]);
    length
}

/// Converts code points from `start` on, about a block of them; returns how many bytes that took and made.
///
/// What the lanes decline is converted singly, for the longer the more often they have declined of late.
fn convert_block<M: Mapping>(text: &[u8], start: usize, patience: &mut usize, block: &mut [u8]) -> (usize, usize) {
    let mut copy = [0; WINDOW + 2];
    let (mut at, mut made) = (start, 0);
    while at < text.len() && at - start < BLOCK {
        let window = window(text, at, &mut copy);
        let (converted, beyond) = lanes::convert(window, M::lane);
        let whole = beyond.unwrap_or_else(|| whole(window).min(text.len() - at));
        block[made..made + WINDOW].copy_from_slice(&converted);
        at += whole;
        made += whole;
        if beyond.is_some() {
            let (taken, written) = convert_singly::<M>(text, at, *patience, &mut block[made..]);
            at += taken;
            made += written;
            *patience = MOST_SINGLY.min(*patience * 2);
        } else {
            *patience = LEAST_SINGLY;
        }
    }
    (at - start, made)
}

/// The window that starts at `at`: a view of the text, or at either end of the text a copy with zeros around it.
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
fn whole(window: &Window) -> usize {
    let [before, last, after] = [WINDOW - 1, WINDOW, WINDOW + 1].map(|at| utf8::is_continuation(window[at]));
    WINDOW - usize::from(after) * (1 + usize::from(last) + usize::from(last & before))
}

/// Converts at least `length` bytes from `start` on by code points; returns how many bytes that took and made.
fn convert_singly<M: Mapping>(text: &[u8], start: usize, length: usize, out: &mut [u8]) -> (usize, usize) {
    let pairs = M::pairs();
    let end = text.len().min(start + length);
    let (mut at, mut made) = (start, 0);
    while at < end {
        made += convert_one::<M>(pairs, text, at, &mut out[made..]);
        at += utf8::width(text[at]);
    }
    (at - start, made)
}

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
