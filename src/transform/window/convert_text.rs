//! Converts a text in place by windows of 64 bytes, each of them by [`convert_window`].

use std::ops::Range;

use super::byte_mapping::Lane;
use super::{BEFORE, WINDOW, Window, convert_window};

/// Memory to work in, which the caller owns: the compiler takes local variables of [`convert`] apart into single bytes.
pub(in crate::transform) struct Scratch {
    copy: Window,
    converted: [u8; WINDOW],
    last: [u8; WINDOW],
}

impl Scratch {
    pub(in crate::transform) const fn new() -> Self {
        Self { copy: [0; BEFORE + WINDOW + 1], converted: [0; WINDOW], last: [0; WINDOW] }
    }
}

/// Converts windows in place, from `start` to the end, or to a code point that is beyond the lanes; returns where that
/// is. A code point starts at `start`, and at the start of each window.
///
/// A window is written to the text after the next one is converted: no load has to wait for a store that overlaps it.
#[inline(always)]
pub(in crate::transform) fn convert<L: Lane>(text: &mut [u8], start: usize, scratch: &mut Scratch) -> usize {
    let Scratch { copy, converted, last } = scratch;
    let (mut converted, mut last) = (converted, last);
    let (mut unwritten, mut at) = (start, start);
    while at < text.len() {
        let window = window(text, at, copy);
        let length = (WINDOW - cut(window)).min(text.len() - at);
        if let Some(place) = convert_window::convert::<L>(window, converted) {
            write(text, unwritten..at, last);
            write(text, at..at + place, converted);
            return at + place;
        }
        if at > unwritten {
            match text[unwritten..].first_chunk_mut() {
                // with the start of a code point that is cut, which the next window converts again
                Some(whole) => *whole = *last,
                None => write(text, unwritten..at, last),
            }
        }
        std::mem::swap(&mut converted, &mut last);
        unwritten = at;
        at += length;
    }
    write(text, unwritten..at, last);
    at
}

fn write(text: &mut [u8], place: Range<usize>, converted: &[u8; WINDOW]) {
    let length = place.len();
    text[place].copy_from_slice(&converted[..length]);
}

/// How many bytes at the end of a window belong to a code point that does not end there.
#[inline(always)]
fn cut(window: &Window) -> usize {
    let starts = |back: usize, first: u8| usize::from(window[BEFORE + WINDOW - back] >= first);
    starts(1, 0xc0) + 2 * starts(2, 0xe0) + 3 * starts(3, 0xf0)
}

/// The window that starts at `at`: a view of the text, or at either end of the text a copy with zeros around it.
#[inline(always)]
fn window<'a>(text: &'a [u8], at: usize, copy: &'a mut Window) -> &'a Window {
    if let Some(window) = at.checked_sub(BEFORE).and_then(|before| text[before..].first_chunk()) {
        return window;
    }
    let (start, end) = (at.saturating_sub(BEFORE), text.len().min(at + WINDOW + 1));
    copy.fill(0);
    copy[start + BEFORE - at..end + BEFORE - at].copy_from_slice(&text[start..end]);
    copy
}
