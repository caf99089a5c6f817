//! Upper and lower case of a text, in place, window by window.

use std::ops::Range;

use super::byte_mapping::ByteMapping;
use super::{CONTEXT_BEFORE, WINDOW_LEN, Window, convert_window};

/// Working memory of [`convert`], which the caller owns: local variables would be split into single bytes by the
/// compiler.
pub(in crate::transform) struct Scratch {
    copy: Window,
    converted: [u8; WINDOW_LEN],
    previous: [u8; WINDOW_LEN],
}

impl Scratch {
    pub(in crate::transform) const fn new() -> Self {
        Self { copy: [0; CONTEXT_BEFORE + WINDOW_LEN + 1], converted: [0; WINDOW_LEN], previous: [0; WINDOW_LEN] }
    }
}

/// Converts a text in place, from index `start` to its end or to the first unsupported code point. Returns the index at
/// which it ends. A code point starts at `start` and at the start of each window.
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
        if let Some(place) = convert_window::convert::<L>(window, converted) {
            write(text, unwritten..at, previous);
            write(text, at..at + place, converted);
            return at + place;
        }
        if at > unwritten {
            match text[unwritten..].first_chunk_mut() {
                // includes the start of a code point that is split, which the next window converts again
                Some(whole) => *whole = *previous,
                None => write(text, unwritten..at, previous),
            }
        }
        std::mem::swap(&mut converted, &mut previous);
        unwritten = at;
        at += length;
    }
    write(text, unwritten..at, previous);
    at
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
    let (start, end) = (at.saturating_sub(CONTEXT_BEFORE), text.len().min(at + WINDOW_LEN + 1));
    copy.fill(0);
    copy[start + CONTEXT_BEFORE - at..end + CONTEXT_BEFORE - at].copy_from_slice(&text[start..end]);
    copy
}
