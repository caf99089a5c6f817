//! What a protocol works on: the input that has arrived, and the answers to it.
//!
//! Answers leave in the order in which they are given. Those that stand in the input itself, one behind another, cost
//! no copy; from the first that does not, all go to the spill, a second slice of fixed size. So a turn holds at most
//! one run of input and one run of spill, and both leave with one system call.

use std::ops::Range;

/// Input and answers of one call to a [`Protocol`](super::Protocol).
#[derive(Debug)]
pub struct Turn<'a> {
    input: &'a mut [u8],
    prepared: usize,
    taken: usize,
    placed: Range<usize>,
    spill: &'a mut [u8],
    spilled: usize,
    tally: Tally,
    notes: Option<Vec<Note>>,
}

/// How many requests a turn has dealt with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answered as asked.
    pub answered: u32,
    /// Answered with an error.
    pub refused: u32,
    /// Records decoded (the `record` protocol).
    pub records: u32,
}

/// One request, as the log tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What was asked for.
    pub action: &'static str,
    /// Bytes of the message.
    pub length: usize,
    /// Answered with an error.
    pub refused: bool,
}

/// What a protocol has to tell the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A request was dealt with.
    Request(Request),
    /// A record was decoded; its fields in words.
    Record(String),
}

impl<'a> Turn<'a> {
    /// A turn over `input`, with `spill` for the answers that do not fit into it.
    pub fn new(input: &'a mut [u8], spill: &'a mut [u8]) -> Self {
        Self { input, prepared: 0, taken: 0, placed: 0..0, spill, spilled: 0, tally: Tally::default(), notes: None }
    }

    /// The first `prepared` bytes of the input have been worked on ([`super::Need::prepared`]).
    #[must_use]
    pub fn with_prepared(mut self, prepared: usize) -> Self {
        self.prepared = prepared;
        self
    }

    /// How many bytes of the rest have been worked on.
    #[must_use]
    #[inline]
    pub fn prepared(&self) -> usize {
        if self.taken == 0 { self.prepared } else { 0 }
    }

    /// Collects notes for the log from here on.
    #[must_use]
    pub fn with_notes(mut self, wanted: bool) -> Self {
        self.notes = wanted.then(Vec::new);
        self
    }

    /// The input that nobody has taken yet.
    #[inline]
    pub fn rest(&mut self) -> &mut [u8] {
        &mut self.input[self.taken..]
    }

    /// Takes `n` bytes of the input: they are done with.
    ///
    /// # Panics
    /// If there are fewer.
    #[inline]
    pub fn take(&mut self, n: usize) {
        assert!(n <= self.input.len() - self.taken, "took more input than there is");
        self.taken += n;
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
        self.continues_in_place_at(self.taken + gap) || n <= self.room()
    }

    /// Takes the next `n` bytes of the input, as they are now, as an answer.
    ///
    /// # Panics
    /// If there are fewer, or unless [`Turn::fits_in_place`].
    #[inline]
    pub fn answer_in_place(&mut self, n: usize) {
        let start = self.taken;
        self.take(n);
        if self.continues_in_place_at(start) {
            let from = if self.placed.is_empty() { start } else { self.placed.start };
            self.placed = from..self.taken;
        } else {
            let end = self.spilled + n;
            self.spill[self.spilled..end].copy_from_slice(&self.input[start..self.taken]);
            self.spilled = end;
        }
    }

    fn continues_in_place_at(&self, start: usize) -> bool {
        self.spilled == 0 && (self.placed.is_empty() || self.placed.end == start)
    }

    /// How many bytes of answer the spill can still take.
    #[must_use]
    pub fn room(&self) -> usize {
        self.spill.len() - self.spilled
    }

    /// Copies an answer, or a part of one.
    ///
    /// # Panics
    /// If it is longer than [`Turn::room`].
    pub fn answer(&mut self, bytes: &[u8]) {
        self.spill[self.spilled..][..bytes.len()].copy_from_slice(bytes);
        self.spilled += bytes.len();
    }

    /// The untaken input, and the room for an answer to be written to and then [`Turn::commit`]ted.
    pub fn rest_and_spare(&mut self) -> (&mut [u8], &mut [u8]) {
        (&mut self.input[self.taken..], &mut self.spill[self.spilled..])
    }

    /// The first `n` bytes of the spare room are an answer.
    ///
    /// # Panics
    /// If there is less room.
    pub fn commit(&mut self, n: usize) {
        assert!(n <= self.room(), "committed more than there is room for");
        self.spilled += n;
    }

    /// Whether there is no answer yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.placed.is_empty() && self.spilled == 0
    }

    /// Counts a request, and notes it for the log. Every request is to be counted once, when it is answered.
    #[inline]
    pub fn request(&mut self, request: Request) {
        if request.refused {
            self.tally.refused += 1;
        } else {
            self.tally.answered += 1;
        }
        if let Some(notes) = &mut self.notes {
            notes.push(Note::Request(request));
        }
    }

    /// Counts a record; `words` are made only for a log that wants them.
    pub fn record(&mut self, words: impl FnOnce() -> String) {
        self.tally.records += 1;
        if let Some(notes) = &mut self.notes {
            notes.push(Note::Record(words()));
        }
    }

    /// How many bytes of the input are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// The answers: where they stand in the input, then how much of the spill.
    #[must_use]
    pub fn placed(&self) -> (Range<usize>, usize) {
        (self.placed.clone(), self.spilled)
    }

    /// The answers' bytes, in the two runs in which they stand.
    #[must_use]
    pub fn answers(&self) -> [&[u8]; 2] {
        [&self.input[self.placed.clone()], &self.spill[..self.spilled]]
    }

    /// How many requests were dealt with.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The notes made so far.
    pub fn drain_notes(&mut self) -> impl Iterator<Item = Note> {
        self.notes.as_mut().map(std::mem::take).unwrap_or_default().into_iter()
    }
}
