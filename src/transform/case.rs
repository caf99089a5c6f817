//! Upper and lower case: the output has the bytes that `str::to_uppercase` and `str::to_lowercase` produce.
//!
//! There are three algorithms, each for input that the one before it cannot convert: blocks of ASCII; windows of 64
//! bytes ([`window`](super::window)); scalar conversion, one code point after another, by a table ([`tables`]). Output
//! is written over the text until the first scalar run that changes its length; from there on everything is copied to
//! `out`.

use super::output::Placed;
use super::tables::{MAX_MAPPING_LEN, Mapped};
use super::utf8::{self, InvalidUtf8};
use super::window::WINDOW_LEN;
use super::window::byte_mapping::ByteMapping;
use super::window::convert_text::{Lengths, Scratch};
use super::window::lower::Lower;
use super::window::upper::Upper;
use super::{cpu_dispatch, sigma};

/// Block size of [`preprocess`], in bytes: a block fits in the L1 data cache (32 KiB on common CPUs) between the
/// validation and the conversion pass, and bounds how much is scanned again when one more byte arrives. Chosen without
/// tuning.
const PREPROCESS_BLOCK: usize = 16 * 1024;

/// Bounds of the length of a scalar run, in bytes, after which windows are tried again. Derived: the lower bound is the
/// window that could not be converted. Measured by group `scripts` of `benches/transform.rs`: such a window costs half as
/// much as the scalar conversion of as many bytes, so that retrying costs at most half as much as the run itself, and at
/// most an eighth of it in text that windows never convert.
const MIN_SCALAR_LEN: usize = WINDOW_LEN;
const MAX_SCALAR_LEN: usize = 256;

/// The output of a scalar run: at most three times as many bytes as its input, which ends with a complete code point.
/// The last code point is written with room for the longest mapping.
type ScalarBuffer = [u8; 3 * (MAX_SCALAR_LEN + utf8::MAX_LEN) + MAX_MAPPING_LEN];

const EMPTY_SCALAR_BUFFER: ScalarBuffer = [0; size_of::<ScalarBuffer>()];

/// The differences between upper and lower case.
trait CaseMapping: ByteMapping {
    /// Converts ASCII in place.
    fn convert_ascii(block: &mut [u8]);
    /// Calls [`convert_text::convert`](super::window::convert_text::convert).
    fn convert_windows(text: &mut [u8], start: usize, scratch: &mut Scratch) -> usize;
    /// Calls [`convert_text::convert_to`](super::window::convert_text::convert_to).
    fn convert_windows_to(text: &[u8], start: usize, out: &mut [u8], scratch: &mut Scratch) -> Lengths;
    /// The number of bytes before the first code point whose other case depends on the code points around it.
    fn context_free_len(text: &[u8]) -> usize;
}

impl CaseMapping for Upper {
    fn convert_ascii(block: &mut [u8]) {
        cpu_dispatch::uppercase_ascii(block);
    }

    fn convert_windows(text: &mut [u8], start: usize, scratch: &mut Scratch) -> usize {
        cpu_dispatch::uppercase_windows(text, start, scratch)
    }

    fn convert_windows_to(text: &[u8], start: usize, out: &mut [u8], scratch: &mut Scratch) -> Lengths {
        cpu_dispatch::uppercase_windows_to(text, start, out, scratch)
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

    fn convert_windows_to(text: &[u8], start: usize, out: &mut [u8], scratch: &mut Scratch) -> Lengths {
        cpu_dispatch::lowercase_windows_to(text, start, out, scratch)
    }

    fn context_free_len(text: &[u8]) -> usize {
        sigma::find_first(text)
    }
}

/// Converts any bytes to upper case.
pub(super) fn uppercase(text: &mut [u8], out: &mut [u8]) -> Result<Placed, InvalidUtf8> {
    convert::<Upper>(text, out)
}

/// Converts any bytes to lower case.
pub(super) fn lowercase(text: &mut [u8], out: &mut [u8]) -> Result<Placed, InvalidUtf8> {
    convert::<Lower>(text, out)
}

/// Converts the beginning of a text of which more may arrive to upper case, in place, from index `done` on. Returns the
/// index up to which the text is converted.
///
/// Conversion stops before a code point that is incomplete, whose other case depends on context, or that changes its
/// length, and after about `scalar_budget` code points of scalar conversion (those that are mapped one by one in a window
/// are few and do not count). [`uppercase`] then converts the rest, or the whole text again: conversion is idempotent.
pub(super) fn preprocess_uppercase(text: &mut [u8], done: usize, scalar_budget: usize) -> usize {
    preprocess::<Upper>(text, done, scalar_budget)
}

/// Converts to lower case like [`preprocess_uppercase`].
pub(super) fn preprocess_lowercase(text: &mut [u8], done: usize, scalar_budget: usize) -> usize {
    preprocess::<Lower>(text, done, scalar_budget)
}

/// See [`preprocess_uppercase`].
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

/// Preprocesses one block, from `converter.done` to the end of `text`. Returns whether it is converted completely.
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

/// Converts any bytes.
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
/// To convert a sigma, the code points before it are read from `text`, which holds the converted ones up to some index
/// and the original ones behind it. Both give the same result, because the context of a sigma does not depend on case.
fn convert_from<M: CaseMapping>(text: &mut [u8], start: usize, out: &mut [u8]) -> Placed {
    let mut converter = Converter::new(start, usize::MAX);
    if converter.convert_in_place::<M>(text) {
        return Placed::InPlace;
    }
    let mut length = converter.done;
    out[..length].copy_from_slice(&text[..length]);
    while converter.done < text.len() {
        length += converter.convert_windows_to::<M>(text, &mut out[length..]);
        let mut run = EMPTY_SCALAR_BUFFER;
        let ScalarRun { input_len, output_len } = converter.convert_scalar::<M>(text, &mut run);
        out[length..length + output_len].copy_from_slice(&run[..output_len]);
        length += output_len;
        converter.done += input_len;
    }
    Placed::Out(length)
}

/// The lengths of a scalar run, in bytes.
struct ScalarRun {
    input_len: usize,
    output_len: usize,
}

/// Converts by windows where it can and by code point where it must; the scalar run doubles after each window that
/// fails.
struct Converter {
    /// Index up to which the text is converted.
    done: usize,
    /// Number of code points that [`Converter::convert_in_place`] may still convert one by one.
    scalar_budget: usize,
    /// Length of the next scalar run, in bytes.
    scalar_len: usize,
}

impl Converter {
    fn new(start: usize, scalar_budget: usize) -> Self {
        Self { done: start, scalar_budget, scalar_len: MIN_SCALAR_LEN }
    }

    /// Converts in place to the end of the text, to the first scalar run that changes its length, or until the scalar
    /// budget is used up. Returns whether it reached the end.
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

    /// Converts windows in place. If that is at least one window, the next scalar run is short again.
    fn convert_windows<M: CaseMapping>(&mut self, text: &mut [u8]) {
        let reached = M::convert_windows(text, self.done, &mut Scratch::new());
        if reached - self.done >= WINDOW_LEN {
            self.scalar_len = MIN_SCALAR_LEN;
        }
        self.done = reached;
    }

    /// Converts windows to `out`, like [`Converter::convert_windows`]. Returns the length of the output.
    fn convert_windows_to<M: CaseMapping>(&mut self, text: &[u8], out: &mut [u8]) -> usize {
        let Lengths { input, output } = M::convert_windows_to(text, self.done, out, &mut Scratch::new());
        if input >= WINDOW_LEN {
            self.scalar_len = MIN_SCALAR_LEN;
        }
        self.done += input;
        output
    }

    /// Converts a scalar run from `done` on, which it does not advance, and writes the output to `run`.
    fn convert_scalar<M: CaseMapping>(&mut self, text: &[u8], run: &mut ScalarBuffer) -> ScalarRun {
        let end = text.len().min(self.done + self.scalar_len);
        self.scalar_len = MAX_SCALAR_LEN.min(self.scalar_len * 2);
        let (mut at, mut output_len, mut count) = (self.done, 0, 0);
        while at < end {
            let Some(out) = run.get_mut(output_len..).and_then(|rest| rest.first_chunk_mut()) else { break };
            let mapped = map_scalar::<M>(text, at, out);
            at += mapped.input_len;
            output_len += mapped.output_len;
            count += 1;
        }
        self.scalar_budget = self.scalar_budget.saturating_sub(count);
        ScalarRun { input_len: at - self.done, output_len }
    }
}

/// Writes the other case of a code point: of ASCII without the table, whose first branch it would take anyway.
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of the loop over a text, like `CaseTable::map`")]
fn map_scalar<M: CaseMapping>(text: &[u8], at: usize, out: &mut [u8; MAX_MAPPING_LEN]) -> Mapped {
    let byte = text[at];
    if byte.is_ascii() {
        out[0] = M::apply(byte, M::ascii(byte));
        return Mapped { is_cased: false, input_len: 1, output_len: 1 };
    }
    M::map_code_point(text, at, out)
}
