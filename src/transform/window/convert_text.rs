//! Converts a text in place by windows of 64 bytes, each of them by [`convert_window`].

use std::ops::Range;

use super::byte_mapping::ByteMapping;
use super::{CONTEXT_BEFORE, WINDOW_LEN, Window, convert_window};

/// Memory to work in, which the caller owns: the compiler takes local variables of [`convert`] apart into single bytes.
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

/// Converts windows in place, from `start` to the end, or to a code point that is beyond the lanes; returns where that
/// is. A code point starts at `start`, and at the start of each window.
///
/// A window is written to the text after the next one is converted: no load has to wait for a store that overlaps it.
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
                // with the start of a code point that is cut, which the next window converts again
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

fn write(text: &mut [u8], place: Range<usize>, converted: &[u8; WINDOW_LEN]) {
    let length = place.len();
    text[place].copy_from_slice(&converted[..length]);
}

/// How many bytes at the end of a window belong to a code point that does not end there.
#[inline(always)]
fn split_len(window: &Window) -> usize {
    let starts = |back: usize, first: u8| usize::from(window[CONTEXT_BEFORE + WINDOW_LEN - back] >= first);
    starts(1, 0xc0) + 2 * starts(2, 0xe0) + 3 * starts(3, 0xf0)
}

/// The window that starts at `at`: a view of the text, or at either end of the text a copy with zeros around it.
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
