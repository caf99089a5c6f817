//! Upper and lower case: byte for byte what `str::to_uppercase` and `str::to_lowercase` say.
//!
//! There are three ways through a text, each for what the one before it cannot do: blocks of ASCII in place; windows of
//! 64 bytes ([`window`](super::window)); one code point after another, by a table ([`tables`]). The answer stays in
//! the text until the first run of code points that changes its length, and goes on in `out`.

use super::output::Placed;
use super::tables::{self, MAX_MAPPING_LEN, Mapped};
use super::utf8::{self, InvalidUtf8};
use super::window::WINDOW_LEN;
use super::window::convert_text::Scratch;
use super::window::lower::Lower;
use super::window::upper::Upper;
use super::{cpu_dispatch, sigma};

/// Bytes of an unfinished text that are checked and then converted, so that the second look finds them in the nearest
/// cache; and the most that are looked at again each time that a byte comes in behind what is not done.
const PREPROCESS_BLOCK: usize = 16 * 1024;

/// The bounds of how many bytes are converted singly before the lanes are tried again. Chosen: a window that the lanes
/// decline costs as much as 16 bytes that are converted singly, and a sixteenth of what 256 cost.
const MIN_SCALAR_LEN: usize = 16;
const MAX_SCALAR_LEN: usize = 256;

/// What a run of bytes becomes that are converted singly: at most three times as many bytes. The last code point is written
/// with room for the longest mapping.
type ScalarBuffer = [u8; 3 * (MAX_SCALAR_LEN + utf8::MAX_LEN) + MAX_MAPPING_LEN];

const EMPTY_SCALAR_BUFFER: ScalarBuffer = [0; size_of::<ScalarBuffer>()];

/// What upper and lower case differ in.
trait CaseMapping {
    /// A block of ASCII.
    fn convert_ascii(block: &mut [u8]);
    /// [`super::window::convert_text::convert`].
    fn convert_windows(text: &mut [u8], start: usize, scratch: &mut Scratch) -> usize;
    /// Writes the other case of the code point at `at`, whatever it is.
    fn map_code_point(text: &[u8], at: usize, out: &mut [u8; MAX_MAPPING_LEN]) -> Mapped;
    /// How many bytes there are before the first code point whose other case is decided by those around it.
    fn context_free_len(text: &[u8]) -> usize;
}

impl CaseMapping for Upper {
    fn convert_ascii(block: &mut [u8]) {
        cpu_dispatch::uppercase_ascii(block);
    }

    fn convert_windows(text: &mut [u8], start: usize, scratch: &mut Scratch) -> usize {
        cpu_dispatch::uppercase_windows(text, start, scratch)
    }

    #[inline]
    fn map_code_point(text: &[u8], at: usize, out: &mut [u8; MAX_MAPPING_LEN]) -> Mapped {
        tables::upper().map(text, at, out)
    }

    fn context_free_len(text: &[u8]) -> usize {
        text.len()
    }
}

impl CaseMapping for Lower {
    fn convert_ascii(block: &mut [u8]) {
        cpu_dispatch::lowercase_ascii(block);
    }

    fn convert_windows(text: &mut [u8], start: usize, scratch: &mut Scratch) -> usize {
        cpu_dispatch::lowercase_windows(text, start, scratch)
    }

    #[inline]
    fn map_code_point(text: &[u8], at: usize, out: &mut [u8; MAX_MAPPING_LEN]) -> Mapped {
        sigma::resolve(tables::lower().map(text, at, out), text, at, out)
    }

    fn context_free_len(text: &[u8]) -> usize {
        sigma::find_first(text)
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
/// decides what becomes of it, and the text keeps its length. It also ends where `scalar_budget` code points have been converted
/// one by one, or a few more. Returns how many bytes at the front are converted.
///
/// [`uppercase`] converts the rest, or all of it again: a converted letter stays what it is.
pub(super) fn preprocess_uppercase(text: &mut [u8], done: usize, scalar_budget: usize) -> usize {
    preprocess::<Upper>(text, done, scalar_budget)
}

/// [`preprocess_uppercase`] for [`lowercase`].
pub(super) fn preprocess_lowercase(text: &mut [u8], done: usize, scalar_budget: usize) -> usize {
    preprocess::<Lower>(text, done, scalar_budget)
}

fn preprocess<M: CaseMapping>(text: &mut [u8], done: usize, scalar_budget: usize) -> usize {
    let mut converter = Converter::new(done, scalar_budget);
    while converter.done < text.len() {
        let start = converter.done;
        let end = utf8::complete_len(&text[..text.len().min(start + PREPROCESS_BLOCK)]);
        if !preprocess_block::<M>(&mut converter, &mut text[..end]) || converter.done == start {
            break;
        }
    }
    converter.done
}

/// [`preprocess`] for a block that ends where the text ends; says whether all of it is converted.
fn preprocess_block<M: CaseMapping>(converter: &mut Converter, text: &mut [u8]) -> bool {
    let block = &mut text[converter.done..];
    if block.is_ascii() {
        M::convert_ascii(block);
        converter.done = text.len();
        return true;
    }
    if utf8::check(block).is_err() {
        return false;
    }
    let end = converter.done + M::context_free_len(block);
    converter.convert_in_place::<M>(&mut text[..end]) && end == text.len()
}

fn convert<M: CaseMapping>(text: &mut [u8], out: &mut [u8]) -> Result<Placed, InvalidUtf8> {
    let start = utf8::each_ascii_block(text, M::convert_ascii);
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
fn convert_from<M: CaseMapping>(text: &mut [u8], start: usize, out: &mut [u8]) -> Placed {
    let mut converter = Converter::new(start, usize::MAX);
    if converter.convert_in_place::<M>(text) {
        return Placed::InPlace;
    }
    let mut length = converter.done;
    out[..length].copy_from_slice(&text[..length]);
    while converter.done < text.len() {
        let start = converter.done;
        converter.convert_windows::<M>(text);
        let windows = &text[start..converter.done];
        out[length..length + windows.len()].copy_from_slice(windows);
        length += windows.len();
        let mut run = EMPTY_SCALAR_BUFFER;
        let ScalarRun { input_len, output_len } = converter.convert_scalar::<M>(text, &mut run);
        out[length..length + output_len].copy_from_slice(&run[..output_len]);
        length += output_len;
        converter.done += input_len;
    }
    Placed::Out(length)
}

/// A run of code points that has been converted singly.
struct ScalarRun {
    /// How many bytes they took.
    input_len: usize,
    /// How many bytes the converted ones take.
    output_len: usize,
}

/// A text that is being converted: by windows in place, and singly where the lanes decline, in runs that become longer
/// while the lanes decline again and again.
struct Converter {
    /// How far it is.
    done: usize,
    /// How many code points may still be converted singly in place.
    scalar_budget: usize,
    /// How many bytes are converted singly the next time.
    scalar_len: usize,
}

impl Converter {
    fn new(start: usize, scalar_budget: usize) -> Self {
        Self { done: start, scalar_budget, scalar_len: MIN_SCALAR_LEN }
    }

    /// Converts in place, up to the first run that changes its length, or to the bound of what may be converted singly.
    /// Says whether it came to the end.
    fn convert_in_place<M: CaseMapping>(&mut self, text: &mut [u8]) -> bool {
        loop {
            self.convert_windows::<M>(text);
            if self.done == text.len() {
                return true;
            }
            if self.scalar_budget == 0 {
                return false;
            }
            let mut run = EMPTY_SCALAR_BUFFER;
            let ScalarRun { input_len, output_len } = self.convert_scalar::<M>(text, &mut run);
            if output_len != input_len {
                return false;
            }
            text[self.done..self.done + input_len].copy_from_slice(&run[..output_len]);
            self.done += input_len;
        }
    }

    fn convert_windows<M: CaseMapping>(&mut self, text: &mut [u8]) {
        let reached = M::convert_windows(text, self.done, &mut Scratch::new());
        if reached - self.done >= WINDOW_LEN {
            self.scalar_len = MIN_SCALAR_LEN;
        }
        self.done = reached;
    }

    /// Converts the next code points of the text into `run`.
    fn convert_scalar<M: CaseMapping>(&mut self, text: &[u8], run: &mut ScalarBuffer) -> ScalarRun {
        let end = text.len().min(self.done + self.scalar_len);
        self.scalar_len = MAX_SCALAR_LEN.min(self.scalar_len * 2);
        let (mut at, mut output_len, mut count) = (self.done, 0, 0);
        while at < end {
            let Some(out) = run.get_mut(output_len..).and_then(|rest| rest.first_chunk_mut()) else { break };
            let mapped = M::map_code_point(text, at, out);
            at += mapped.input_len;
            output_len += mapped.output_len;
            count += 1;
        }
        self.scalar_budget = self.scalar_budget.saturating_sub(count);
        ScalarRun { input_len: at - self.done, output_len }
    }
}
