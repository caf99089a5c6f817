//! Upper and lower case: byte for byte what `str::to_uppercase` and `str::to_lowercase` say.
//!
//! There are three ways through a text, each for what the one before it cannot do: blocks of ASCII in place; windows of
//! 64 bytes ([`window`](super::window)); one code point after another, by a table ([`tables`]). The answer stays in
//! the text until the first run of code points that changes its length, and goes on in `out`.

use super::output::Placed;
use super::tables::{self, LONGEST_MAPPING, Mapped};
use super::utf8::{self, InvalidUtf8};
use super::window::WINDOW;
use super::window::convert_text::Scratch;
use super::{cpu_dispatch, sigma};

/// Bytes of an unfinished text that are checked and then converted, so that the second look finds them in the nearest
/// cache; and the most that are looked at again each time that a byte comes in behind what is not done.
const PREPARE_BLOCK: usize = 16 * 1024;

/// The bounds of how many bytes are converted singly before the lanes are tried again. Chosen: a window that the lanes
/// decline costs as much as 16 bytes that are converted singly, and a sixteenth of what 256 cost.
const LEAST_SINGLY: usize = 16;
const MOST_SINGLY: usize = 256;

/// What a run of bytes becomes that are converted singly: at most three times as many bytes. The last code point is written
/// with room for the longest mapping.
type Run = [u8; 3 * (MOST_SINGLY + utf8::LONGEST) + LONGEST_MAPPING];

const EMPTY_RUN: Run = [0; size_of::<Run>()];

/// What upper and lower case differ in.
pub(super) trait Mapping {
    /// A block of ASCII.
    fn ascii_block(block: &mut [u8]);
    /// [`super::window::convert_text::convert`].
    fn windows(text: &mut [u8], start: usize, scratch: &mut Scratch) -> usize;
    /// Writes the other case of the code point at `at`, whatever it is.
    fn map(text: &[u8], at: usize, out: &mut [u8; LONGEST_MAPPING]) -> Mapped;
    /// How many bytes there are before the first code point whose other case is decided by those around it.
    fn certain(text: &[u8]) -> usize;
}

/// Upper case.
pub(super) struct Upper;

/// Lower case.
pub(super) struct Lower;

impl Mapping for Upper {
    fn ascii_block(block: &mut [u8]) {
        cpu_dispatch::uppercase_ascii(block);
    }

    fn windows(text: &mut [u8], start: usize, scratch: &mut Scratch) -> usize {
        cpu_dispatch::uppercase_windows(text, start, scratch)
    }

    #[inline]
    fn map(text: &[u8], at: usize, out: &mut [u8; LONGEST_MAPPING]) -> Mapped {
        tables::upper().map(text, at, out)
    }

    fn certain(text: &[u8]) -> usize {
        text.len()
    }
}

impl Mapping for Lower {
    fn ascii_block(block: &mut [u8]) {
        cpu_dispatch::lowercase_ascii(block);
    }

    fn windows(text: &mut [u8], start: usize, scratch: &mut Scratch) -> usize {
        cpu_dispatch::lowercase_windows(text, start, scratch)
    }

    #[inline]
    fn map(text: &[u8], at: usize, out: &mut [u8; LONGEST_MAPPING]) -> Mapped {
        sigma::settle(tables::lower().map(text, at, out), text, at, out)
    }

    fn certain(text: &[u8]) -> usize {
        sigma::first(text)
    }
}

/// Upper case.
pub(super) fn uppercase(text: &mut [u8], out: &mut [u8]) -> Result<Placed, InvalidUtf8> {
    convert::<Upper>(text, out)
}

/// Lower case.
pub(super) fn lowercase(text: &mut [u8], out: &mut [u8]) -> Result<Placed, InvalidUtf8> {
    convert::<Lower>(text, out)
}

/// Converts the front of a text of which more may arrive: in place, from `done` on, as far as each code point by itself
/// decides what becomes of it, and the text keeps its length. It also ends where `singly` code points have been converted
/// one by one, or a few more. Returns how many bytes at the front are converted.
///
/// [`uppercase`] converts the rest, or all of it again: a converted letter stays what it is.
pub(super) fn prepare_uppercase(text: &mut [u8], done: usize, singly: usize) -> usize {
    prepare::<Upper>(text, done, singly)
}

/// [`prepare_uppercase`] for [`lowercase`].
pub(super) fn prepare_lowercase(text: &mut [u8], done: usize, singly: usize) -> usize {
    prepare::<Lower>(text, done, singly)
}

fn prepare<M: Mapping>(text: &mut [u8], done: usize, singly: usize) -> usize {
    let mut converter = Converter::new(done, singly);
    while converter.done < text.len() {
        let start = converter.done;
        let end = utf8::whole(&text[..text.len().min(start + PREPARE_BLOCK)]);
        if !prepare_block::<M>(&mut converter, &mut text[..end]) || converter.done == start {
            break;
        }
    }
    converter.done
}

/// [`prepare`] for a block that ends where the text ends; says whether all of it is converted.
fn prepare_block<M: Mapping>(converter: &mut Converter, text: &mut [u8]) -> bool {
    let block = &mut text[converter.done..];
    if block.is_ascii() {
        M::ascii_block(block);
        converter.done = text.len();
        return true;
    }
    if utf8::check(block).is_err() {
        return false;
    }
    let end = converter.done + M::certain(block);
    converter.in_place::<M>(&mut text[..end]) && end == text.len()
}

fn convert<M: Mapping>(text: &mut [u8], out: &mut [u8]) -> Result<Placed, InvalidUtf8> {
    let start = utf8::each_ascii_block(text, M::ascii_block);
    if start == text.len() {
        return Ok(Placed::InPlace);
    }
    utf8::check(&text[start..])?;
    Ok(convert_from::<M>(text, start, out))
}

/// Converts valid UTF-8 from `start` on.
///
/// A sigma looks at what is before it: in the text, where converted and original letters are equally good
/// (the case of a letter does not matter for that), and where all of it is as long as `start` is a boundary.
fn convert_from<M: Mapping>(text: &mut [u8], start: usize, out: &mut [u8]) -> Placed {
    let mut converter = Converter::new(start, usize::MAX);
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
        let mut run = EMPTY_RUN;
        let Singly { taken, made } = converter.singly::<M>(text, &mut run);
        out[length..length + made].copy_from_slice(&run[..made]);
        length += made;
        converter.done += taken;
    }
    Placed::Out(length)
}

/// A run of code points that has been converted singly.
struct Singly {
    /// How many bytes they took.
    taken: usize,
    /// How many bytes the converted ones take.
    made: usize,
}

/// A text that is being converted: by windows in place, and singly where the lanes decline, in runs that become longer
/// while the lanes decline again and again.
struct Converter {
    /// How far it is.
    done: usize,
    /// How many code points may still be converted singly in place.
    singly: usize,
    /// How many bytes are converted singly the next time.
    patience: usize,
}

impl Converter {
    fn new(start: usize, singly: usize) -> Self {
        Self { done: start, singly, patience: LEAST_SINGLY }
    }

    /// Converts in place, up to the first run that changes its length, or to the bound of what may be converted singly.
    /// Says whether it came to the end.
    fn in_place<M: Mapping>(&mut self, text: &mut [u8]) -> bool {
        loop {
            self.windows::<M>(text);
            if self.done == text.len() {
                return true;
            }
            if self.singly == 0 {
                return false;
            }
            let mut run = EMPTY_RUN;
            let Singly { taken, made } = self.singly::<M>(text, &mut run);
            if made != taken {
                return false;
            }
            text[self.done..self.done + taken].copy_from_slice(&run[..made]);
            self.done += taken;
        }
    }

    fn windows<M: Mapping>(&mut self, text: &mut [u8]) {
        let reached = M::windows(text, self.done, &mut Scratch::new());
        if reached - self.done >= WINDOW {
            self.patience = LEAST_SINGLY;
        }
        self.done = reached;
    }

    /// Converts the next code points of the text into `run`.
    fn singly<M: Mapping>(&mut self, text: &[u8], run: &mut Run) -> Singly {
        let end = text.len().min(self.done + self.patience);
        self.patience = MOST_SINGLY.min(self.patience * 2);
        let (mut at, mut made, mut count) = (self.done, 0, 0);
        while at < end {
            let Some(out) = run.get_mut(made..).and_then(|rest| rest.first_chunk_mut()) else { break };
            let mapped = M::map(text, at, out);
            at += mapped.width;
            made += mapped.made;
            count += 1;
        }
        self.singly = self.singly.saturating_sub(count);
        Singly { taken: at - self.done, made }
    }
}
