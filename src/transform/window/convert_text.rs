//! Upper and lower case of a text, in place, window by window.

use std::ops::Range;

use super::super::tables::{MAX_MAPPING_LEN, Mapped};
use super::super::utf8;
use super::byte_mapping::ByteMapping;
use super::convert_window::Marks;
use super::{CONTEXT_AFTER, CONTEXT_BEFORE, WINDOW_AND_CONTEXT, WINDOW_LEN, Window, convert_window};

/// Working memory of [`convert`], which the caller owns: local variables would be split into single bytes by the
/// compiler.
pub(in crate::transform) struct Scratch {
    copy: Window,
    converted: [u8; WINDOW_LEN],
    previous: [u8; WINDOW_LEN],
}

impl Scratch {
    pub(in crate::transform) const fn new() -> Self {
        Self { copy: [0; WINDOW_AND_CONTEXT], converted: [0; WINDOW_LEN], previous: [0; WINDOW_LEN] }
    }
}

/// The most marks of a window whose unsupported code points are mapped one by one. With more, scalar conversion of the
/// whole window takes less time (measured by group `scripts` of `benches/transform.rs`).
const MAX_MARKS: u32 = 6;

/// Converts a text in place, from index `start` to its end, to the first window with many unsupported code points, or to
/// the first unsupported code point that changes its length. Returns the index at which it ends. A code point starts at
/// `start` and at the start of each window.
///
/// A window is written to the text after the next one is converted, so that no load has to wait for an overlapping
/// store.
#[inline(always)]
pub(in crate::transform) fn convert<L: ByteMapping>(text: &mut [u8], start: usize, scratch: &mut Scratch) -> usize {
    let Scratch { copy, converted, previous } = scratch;
    let (mut converted, mut previous) = (converted, previous);
    let (mut unwritten, mut at) = (start, start);
    while at < text.len() {
        let window = window_at(text, at, copy);
        let length = (WINDOW_LEN - split_len(window)).min(text.len() - at);
        let marks = convert_window::convert::<L>(window, converted);
        if marks != 0 {
            if let Some(place) = patch::<L>(text, at..at + length, marks, converted) {
                write(text, unwritten..at, previous);
                write(text, at..place, converted);
                return place;
            }
        }
        if at > unwritten {
            let next = text[at..].first_chunk::<{ utf8::MAX_LEN }>().copied();
            match (text[unwritten..].first_chunk_mut(), next) {
                (Some(whole), Some(next)) => {
                    *whole = *previous;
                    // a code point that the windows split stays as it is until all of it is converted: before that, a
                    // sigma may look back at it
                    text[at..at + next.len()].copy_from_slice(&next);
                }
                _ => write(text, unwritten..at, previous),
            }
        }
        std::mem::swap(&mut converted, &mut previous);
        unwritten = at;
        at += length;
    }
    write(text, unwritten..at, previous);
    at
}

/// Converts the unsupported code points of the window at `range`. Returns the index of the first one that cannot be
/// converted in place.
#[inline(never)]
fn patch<L: ByteMapping>(
    text: &[u8],
    range: Range<usize>,
    marks: Marks,
    converted: &mut [u8; WINDOW_LEN],
) -> Option<usize> {
    let mut unsupported = Unsupported { text, range: range.clone(), marks };
    if marks.count_ones() > MAX_MARKS {
        return unsupported.next();
    }
    for at in unsupported {
        let mut out = [0; MAX_MAPPING_LEN];
        let Mapped { input_len, output_len, .. } = L::map_code_point(text, at, &mut out);
        if input_len != output_len {
            return Some(at);
        }
        converted[at - range.start..][..output_len].copy_from_slice(&out[..output_len]);
    }
    None
}

/// The indexes at which the marked code points of a window start, without one that continues after it.
struct Unsupported<'a> {
    text: &'a [u8],
    /// The window in the text.
    range: Range<usize>,
    marks: Marks,
}

impl Iterator for Unsupported<'_> {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.marks == 0 {
            return None;
        }
        let mut start = self.range.start + self.marks.trailing_zeros() as usize;
        while start > self.range.start && self.text.get(start).is_some_and(|byte| utf8::is_continuation(*byte)) {
            start -= 1;
        }
        let end = start + utf8::sequence_len(*self.text.get(start)?);
        if end > self.range.end {
            return None;
        }
        let done = end - self.range.start;
        self.marks &= Marks::MAX << (done - 1) << 1; // not at once: `done` may be the number of bits
        Some(start)
    }
}

/// The lengths of a converted part of a text, in bytes.
pub(in crate::transform) struct Lengths {
    pub(in crate::transform) input: usize,
    pub(in crate::transform) output: usize,
}

/// Converts a text from index `start` on to `out`, to its end or to the first window with many unsupported code points.
///
/// # Panics
/// If `out` is shorter than the output.
#[inline(always)]
pub(in crate::transform) fn convert_to<L: ByteMapping>(
    text: &[u8],
    start: usize,
    out: &mut [u8],
    scratch: &mut Scratch,
) -> Lengths {
    let Scratch { copy, converted, .. } = scratch;
    let (mut at, mut output) = (start, 0);
    while at < text.len() {
        let window = window_at(text, at, copy);
        let length = (WINDOW_LEN - split_len(window)).min(text.len() - at);
        let marks = convert_window::convert::<L>(window, converted);
        if marks.count_ones() > MAX_MARKS {
            break;
        }
        output += match out[output..].first_chunk_mut() {
            Some(whole) if marks == 0 => {
                *whole = *converted;
                length
            }
            _ => write_mapped::<L>(text, at..at + length, marks, converted, &mut out[output..]),
        };
        at += length;
    }
    Lengths { input: at - start, output }
}

/// Writes the window at `range` to `out`, with its unsupported code points. Returns the length of the output.
#[inline(never)]
fn write_mapped<L: ByteMapping>(
    text: &[u8],
    range: Range<usize>,
    marks: Marks,
    converted: &[u8; WINDOW_LEN],
    out: &mut [u8],
) -> usize {
    let mut padded = [0; 2 * WINDOW_LEN];
    padded[..WINDOW_LEN].copy_from_slice(converted);
    let (mut done, mut output) = (range.start, 0);
    for at in (Unsupported { text, range: range.clone(), marks }) {
        output += write_part::<WINDOW_LEN>(&padded[done - range.start..], at - done, &mut out[output..]);
        let mut mapping = [0; MAX_MAPPING_LEN];
        let mapped = L::map_code_point(text, at, &mut mapping);
        output += write_part::<MAX_MAPPING_LEN>(&mapping, mapped.output_len, &mut out[output..]);
        done = at + mapped.input_len;
    }
    output + write_part::<WINDOW_LEN>(&padded[done - range.start..], range.end - done, &mut out[output..])
}

/// Writes the first `length` bytes of `from`, and where there is room the bytes after them, which the next part
/// overwrites: a copy of constant length takes less time. Returns `length`.
#[inline(always)]
fn write_part<const WHOLE: usize>(from: &[u8], length: usize, out: &mut [u8]) -> usize {
    match (from.first_chunk::<WHOLE>(), out.first_chunk_mut::<WHOLE>()) {
        (Some(from), Some(out)) => *out = *from,
        _ => out[..length].copy_from_slice(&from[..length]),
    }
    length
}

/// Writes the first bytes of a converted window to `place`.
fn write(text: &mut [u8], place: Range<usize>, converted: &[u8; WINDOW_LEN]) {
    let length = place.len();
    text[place].copy_from_slice(&converted[..length]);
}

/// The number of bytes at the end of a window of a code point that continues after it.
#[inline(always)]
fn split_len(window: &Window) -> usize {
    let starts = |back: usize, first: u8| usize::from(window[CONTEXT_BEFORE + WINDOW_LEN - back] >= first);
    starts(1, 0xc0) + 2 * starts(2, 0xe0) + 3 * starts(3, 0xf0)
}

/// The window that starts at `at`: a view of the text, or near either end of the text a copy padded with zeros.
#[inline(always)]
fn window_at<'a>(text: &'a [u8], at: usize, copy: &'a mut Window) -> &'a Window {
    if let Some(window) = at.checked_sub(CONTEXT_BEFORE).and_then(|before| text[before..].first_chunk()) {
        return window;
    }
    let (start, end) = (at.saturating_sub(CONTEXT_BEFORE), text.len().min(at + WINDOW_LEN + CONTEXT_AFTER));
    copy.fill(0);
    copy[start + CONTEXT_BEFORE - at..end + CONTEXT_BEFORE - at].copy_from_slice(&text[start..end]);
    copy
}
