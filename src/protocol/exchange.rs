//! What a protocol works on: the input that has arrived, and the answers to it.
//!
//! Answers leave in the order in which they are given. Those that stand in the input itself, one behind another, cost
//! no copy; from the first that does not, all go to the spill, a second slice of fixed size. So a turn holds at most
//! one run of input and one run of spill, and both leave with one system call.

use std::ops::Range;

/// Input and answers of one call to a [`Protocol`](super::Protocol).
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

/// How many requests a turn has dealt with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Answered as asked.
    pub answered: u32,
    /// Answered with an error.
    pub refused: u32,
    /// Events of the protocol itself, such as the records of `record`.
    pub events: u32,
}

/// One request, as the log tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// What was asked for.
    pub action: &'static str,
    /// Bytes of the message.
    pub length: usize,
    /// Answered with an error.
    pub refused: bool,
}

/// What a protocol has to tell the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// A request was dealt with.
    Request(RequestRecord),
    /// An event of the protocol itself; its text.
    Protocol(String),
}

impl<'a> Exchange<'a> {
    /// A turn over `input`, with `reply_buf` for the answers that do not fit into it.
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

    /// The first `preprocessed` bytes of the input have been worked on ([`super::Needed::preprocessed`]).
    #[must_use]
    pub fn with_preprocessed(mut self, preprocessed: usize) -> Self {
        self.preprocessed = preprocessed;
        self
    }

    /// How many bytes of the rest have been worked on.
    #[must_use]
    #[inline]
    pub fn preprocessed(&self) -> usize {
        if self.consumed == 0 { self.preprocessed } else { 0 }
    }

    /// Collects notes for the log from here on.
    #[must_use]
    pub fn with_log_events(mut self, wanted: bool) -> Self {
        self.log_events = wanted.then(Vec::new);
        self
    }

    /// The input that nobody has taken yet.
    #[inline]
    pub fn input(&mut self) -> &mut [u8] {
        &mut self.input[self.consumed..]
    }

    /// Takes `n` bytes of the input: they are done with.
    ///
    /// # Panics
    /// If there are fewer.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.input.len() - self.consumed, "took more input than there is");
        self.consumed += n;
    }

    /// Whether the next `n` bytes of input can be an answer where they stand, or by copying.
    #[must_use]
    pub fn fits_in_place(&self, n: usize) -> bool {
        self.fits_behind(0, n)
    }

    /// Whether the `n` bytes of input behind the next `gap` can be an answer, once those have been taken.
    #[must_use]
    #[inline]
    pub fn fits_behind(&self, gap: usize, n: usize) -> bool {
        self.continues_in_place_at(self.consumed + gap) || n <= self.remaining()
    }

    /// Takes the next `n` bytes of the input, as they are now, as an answer.
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

    /// How many bytes of answer the spill can still take.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.reply_buf.len() - self.copied
    }

    /// Copies an answer, or a part of one.
    ///
    /// # Panics
    /// If it is longer than [`Exchange::remaining`].
    pub fn reply(&mut self, bytes: &[u8]) {
        self.reply_buf[self.copied..][..bytes.len()].copy_from_slice(bytes);
        self.copied += bytes.len();
    }

    /// The untaken input, and the room for an answer to be written to and then [`Exchange::advance`]ted.
    pub fn input_and_remaining(&mut self) -> (&mut [u8], &mut [u8]) {
        (&mut self.input[self.consumed..], &mut self.reply_buf[self.copied..])
    }

    /// The first `n` bytes of the spare room are an answer.
    ///
    /// # Panics
    /// If there is less room.
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.remaining(), "committed more than there is room for");
        self.copied += n;
    }

    /// Whether there is no answer yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_place.is_empty() && self.copied == 0
    }

    /// Counts a request, and notes it for the log. Every request is to be counted once, when it is answered.
    #[inline]
    pub fn count_request(&mut self, request: RequestRecord) {
        if request.refused {
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

    /// How many bytes of the input are taken.
    #[must_use]
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// The answers: where they stand in the input, then how much of the spill.
    #[must_use]
    pub fn reply_ranges(&self) -> (Range<usize>, usize) {
        (self.in_place.clone(), self.copied)
    }

    /// The answers' bytes, in the two runs in which they stand.
    #[must_use]
    pub fn replies(&self) -> [&[u8]; 2] {
        [&self.input[self.in_place.clone()], &self.reply_buf[..self.copied]]
    }

    /// How many requests were dealt with.
    #[must_use]
    pub fn counts(&self) -> RequestCounts {
        self.counts
    }

    /// The notes made so far.
    pub fn drain_log_events(&mut self) -> impl Iterator<Item = LogEvent> {
        self.log_events.as_mut().map(std::mem::take).unwrap_or_default().into_iter()
    }
}
