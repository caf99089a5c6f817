//! Input and output of one call of a protocol.
//!
//! Replies are sent in the order in which they are made. Replies that are in the input itself, one directly behind
//! another, are not copied. From the first reply that is not, all go to the reply buffer, a second slice of fixed size.
//! So the replies of one call are at most one range of the input and one range of the reply buffer, and one system call
//! sends both.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::refusal::Refusal;

/// Input and replies of one call of a [`Protocol`](super::Protocol).
#[derive(Debug)]
pub struct Exchange<'a> {
    input: &'a mut [u8],
    preprocessed: usize,
    consumed: usize,
    in_place: Range<usize>,
    reply_buf: &'a mut [u8],
    copied: usize,
    counts: RequestCounts,
    log_events: Option<Vec<LogEvent>>,
}

/// Numbers of requests and events of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestCounts {
    /// Requests that got a reply.
    pub answered: u32,
    /// Requests that got an error.
    pub refused: u32,
    /// Events of the protocol itself, such as the records of `record`.
    pub events: u32,
}

/// One request, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// The action, or the name of the service.
    pub action: &'static str,
    /// Length of the message, in bytes.
    pub length: usize,
    /// Why the reply is an error; `None` if it is none.
    pub refusal: Option<Refusal>,
}

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// A request got its reply.
    Request(RequestRecord),
    /// An event of the protocol itself; its text.
    Protocol(String),
}

impl<'a> Exchange<'a> {
    /// One call over `input`, with `reply_buf` for the replies that are not in it.
    pub fn new(input: &'a mut [u8], reply_buf: &'a mut [u8]) -> Self {
        Self {
            input,
            preprocessed: 0,
            consumed: 0,
            in_place: 0..0,
            reply_buf,
            copied: 0,
            counts: RequestCounts::default(),
            log_events: None,
        }
    }

    /// The first `preprocessed` bytes of the input are already transformed ([`super::Needed::preprocessed`]).
    #[must_use]
    pub fn with_preprocessed(mut self, preprocessed: usize) -> Self {
        self.preprocessed = preprocessed;
        self
    }

    /// Number of bytes at the front of the unconsumed input that are already transformed.
    #[must_use]
    #[inline]
    pub fn preprocessed(&self) -> usize {
        if self.consumed == 0 { self.preprocessed } else { 0 }
    }

    /// Whether to collect log events from here on.
    #[must_use]
    pub fn with_log_events(mut self, wanted: bool) -> Self {
        self.log_events = wanted.then(Vec::new);
        self
    }

    /// The unconsumed input.
    #[inline]
    pub fn input(&mut self) -> &mut [u8] {
        &mut self.input[self.consumed..]
    }

    /// Consumes `n` bytes of the input.
    ///
    /// # Panics
    /// If there are fewer.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.input.len() - self.consumed, "consumed more input than there is");
        self.consumed += n;
    }

    /// Whether the next `n` bytes of input can become a reply, in place or by copying.
    #[must_use]
    pub fn fits_in_place(&self, n: usize) -> bool {
        self.fits_behind(0, n)
    }

    /// Whether the `n` bytes of input behind the next `gap` bytes can become a reply after the gap is consumed.
    #[must_use]
    #[inline]
    pub fn fits_behind(&self, gap: usize, n: usize) -> bool {
        self.continues_in_place_at(self.consumed + gap) || n <= self.remaining()
    }

    /// Consumes the next `n` bytes of the input; they are a reply as they are now.
    ///
    /// # Panics
    /// If there are fewer, or unless [`Exchange::fits_in_place`].
    #[inline]
    pub fn reply_in_place(&mut self, n: usize) {
        let start = self.consumed;
        self.consume(n);
        if self.continues_in_place_at(start) {
            let from = if self.in_place.is_empty() { start } else { self.in_place.start };
            self.in_place = from..self.consumed;
        } else {
            let end = self.copied + n;
            self.reply_buf[self.copied..end].copy_from_slice(&self.input[start..self.consumed]);
            self.copied = end;
        }
    }

    fn continues_in_place_at(&self, start: usize) -> bool {
        self.copied == 0 && (self.in_place.is_empty() || self.in_place.end == start)
    }

    /// Free space in the reply buffer, in bytes.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.reply_buf.len() - self.copied
    }

    /// Copies a reply, or a part of one, into the reply buffer.
    ///
    /// # Panics
    /// If it is longer than [`Exchange::remaining`].
    pub fn reply(&mut self, bytes: &[u8]) {
        self.reply_buf[self.copied..][..bytes.len()].copy_from_slice(bytes);
        self.copied += bytes.len();
    }

    /// The unconsumed input, and the free space of the reply buffer. [`Exchange::advance`] makes what is written there
    /// a reply.
    pub fn input_and_remaining(&mut self) -> (&mut [u8], &mut [u8]) {
        (&mut self.input[self.consumed..], &mut self.reply_buf[self.copied..])
    }

    /// The first `n` bytes of the free space are a reply.
    ///
    /// # Panics
    /// If there is less space.
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.remaining(), "advanced beyond the reply buffer");
        self.copied += n;
    }

    /// Whether there is no reply yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_place.is_empty() && self.copied == 0
    }

    /// Counts a request and logs it. A protocol calls this once for each request, with its reply.
    #[inline]
    pub fn count_request(&mut self, request: RequestRecord) {
        if request.refusal.is_some() {
            self.counts.refused += 1;
        } else {
            self.counts.answered += 1;
        }
        if let Some(log_events) = &mut self.log_events {
            log_events.push(LogEvent::Request(request));
        }
    }

    /// Counts an event of the protocol itself. `text` is called only if the log wants it.
    pub fn count_event(&mut self, text: impl FnOnce() -> String) {
        self.counts.events += 1;
        if let Some(log_events) = &mut self.log_events {
            log_events.push(LogEvent::Protocol(text()));
        }
    }

    /// Number of consumed bytes.
    #[must_use]
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// The replies: a range of the input, then the number of bytes in the reply buffer.
    #[must_use]
    pub fn reply_ranges(&self) -> (Range<usize>, usize) {
        (self.in_place.clone(), self.copied)
    }

    /// The bytes of the replies, in the order in which they are sent.
    #[must_use]
    pub fn replies(&self) -> [&[u8]; 2] {
        [&self.input[self.in_place.clone()], &self.reply_buf[..self.copied]]
    }

    /// The counts of this call.
    #[must_use]
    pub fn counts(&self) -> RequestCounts {
        self.counts
    }

    /// Takes the log events collected so far.
    pub fn drain_log_events(&mut self) -> impl Iterator<Item = LogEvent> {
        self.log_events.as_mut().map(std::mem::take).unwrap_or_default().into_iter()
    }
}
