//! The actions, and the dispatch to the files that implement them.

use super::output::Placed;
use super::random_source::RandomSource;
use super::utf8::{self, InvalidUtf8};
use super::{case, random, reverse, shuffle, title};

/// A transform of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Full Unicode upper case (`ß` becomes `SS`).
    Uppercase,
    /// Full Unicode lower case, with the final sigma (`ΟΣ` becomes `ος`).
    Lowercase,
    /// Title-case as Python's `str.title()` defines it.
    TitleCase,
    /// The code points in reverse order.
    Reverse,
    /// A uniform permutation of the code points.
    Shuffle,
    /// Each code point dropped, kept or repeated at random.
    Random,
}

impl Action {
    /// Every action, in the order in which they are listed to users.
    pub const ALL: [Action; 6] =
        [Action::Uppercase, Action::Lowercase, Action::TitleCase, Action::Reverse, Action::Shuffle, Action::Random];

    /// The name on the wire, on the command line and in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Action::Uppercase => "uppercase",
            Action::Lowercase => "lowercase",
            Action::TitleCase => "title-case",
            Action::Reverse => "reverse",
            Action::Shuffle => "shuffle",
            Action::Random => "random",
        }
    }

    /// The action whose [`name`](Action::name) is `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Whether the output for ASCII text has the length of the text, so that [`Action::apply_ascii`] can write it in
    /// place.
    #[must_use]
    pub fn ascii_in_place(self) -> bool {
        self != Action::Random
    }

    /// Whether the action takes a fraction of the time that receiving the text has taken.
    ///
    /// Shuffle is not light: it has a cache miss for each byte of a long text. Random is not light either: its output
    /// can be as long as the limit, however short the text is.
    #[must_use]
    pub fn is_light(self) -> bool {
        !matches!(self, Action::Shuffle | Action::Random)
    }

    /// The number of bytes of `out` that [`Action::apply`] needs for a text of `length` bytes, as output or as working
    /// memory.
    ///
    /// Derived from Unicode: 3 times the text for upper case and title-case (`ΐ`, 2 bytes, becomes three code points of
    /// 2 bytes each), 1.5 times the text for lower case (`Ⱥ`, 2 bytes, becomes `ⱥ`, 3 bytes). A test compares both with
    /// every code point. `limit` is the limit of [`Action::apply`].
    #[must_use]
    pub fn max_output_len(self, length: usize, limit: usize) -> usize {
        match self {
            Action::Uppercase | Action::TitleCase => length.saturating_mul(3),
            Action::Lowercase => length.saturating_add(length / 2),
            Action::Reverse => 0,
            Action::Shuffle => length,
            Action::Random => limit.max(length.min(utf8::MAX_LEN)),
        }
    }

    /// Applies the action in place to a text that is known to be ASCII.
    ///
    /// Only upper and lower case are inlined: inlining the others leaves fewer registers to the caller.
    ///
    /// # Panics
    /// For [`Action::Random`], whose output has another length ([`Action::ascii_in_place`]).
    #[inline(always)]
    #[allow(
        clippy::inline_always,
        reason = "a pipelined request of 64 bytes takes 216 instructions with a call, 208 without"
    )]
    pub fn apply_ascii(self, text: &mut [u8], random: &mut impl RandomSource) {
        match self {
            Action::Uppercase => text.make_ascii_uppercase(),
            Action::Lowercase => text.make_ascii_lowercase(),
            Action::TitleCase => title::ascii(text),
            Action::Reverse => reverse::ascii(text),
            Action::Shuffle => shuffle::ascii(text, random),
            Action::Random => panic!("random does not keep the length of the text"),
        }
    }

    /// Processes the beginning of a text of which more may arrive, from index `done` on. Returns the index up to which
    /// it is processed; [`Action::apply`] to the whole text has the same output afterwards as without preprocessing.
    ///
    /// For upper and lower case ([`Action::transforms_incrementally`]) the processed part is converted in place. For
    /// the other actions it is only known to be ASCII.
    ///
    /// Processing ends after about `scalar_budget` code points of scalar conversion, which takes most of the time.
    pub fn preprocess(self, text: &mut [u8], done: usize, scalar_budget: usize) -> usize {
        match self {
            Action::Uppercase => case::preprocess_uppercase(text, done, scalar_budget),
            Action::Lowercase => case::preprocess_lowercase(text, done, scalar_budget),
            _ => done + utf8::each_ascii_block(&mut text[done..], |_| {}),
        }
    }

    /// Whether a text can be what [`Action::preprocess`] has processed. The result of [`Action::preprocess`] with any
    /// other beginning is unspecified.
    #[must_use]
    pub fn may_have_processed(self, text: &[u8]) -> bool {
        if self.transforms_incrementally() { utf8::check(text).is_ok() } else { text.is_ascii() }
    }

    /// Whether [`Action::preprocess`] converts the text, instead of only looking for ASCII.
    #[must_use]
    pub fn transforms_incrementally(self) -> bool {
        matches!(self, Action::Uppercase | Action::Lowercase)
    }

    /// Applies the action to any bytes.
    ///
    /// `out` has at least [`Action::max_output_len`] bytes for the length of `text` and `limit`, which is the maximum
    /// length in bytes of the output of [`Action::Random`]. After an error, and after [`Placed::Out`], the contents of
    /// `text` are unspecified.
    ///
    /// # Errors
    /// [`InvalidUtf8`] if the bytes are not UTF-8.
    ///
    /// # Panics
    /// If `out` is shorter than the output.
    pub fn apply(
        self,
        text: &mut [u8],
        out: &mut [u8],
        random: &mut impl RandomSource,
        limit: usize,
    ) -> Result<Placed, InvalidUtf8> {
        match self {
            Action::Uppercase => case::uppercase(text, out),
            Action::Lowercase => case::lowercase(text, out),
            Action::TitleCase => title::title_case(text, out),
            Action::Reverse => reverse::reverse(text),
            Action::Shuffle => shuffle::shuffle(text, out, random),
            Action::Random => random::random(text, out, random, limit),
        }
    }
}
