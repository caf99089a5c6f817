//! The actions, and which file does each.

use super::output::Placed;
use super::random_source::RandomSource;
use super::utf8::{self, InvalidUtf8};
use super::{case, random, reverse, shuffle, title};

/// What can be done to a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Full Unicode upper case (`ß` becomes `SS`).
    Uppercase,
    /// Full Unicode lower case, with the final sigma.
    Lowercase,
    /// Python's `str.title()`.
    TitleCase,
    /// Code points in the opposite order.
    Reverse,
    /// A uniform permutation of the code points.
    Shuffle,
    /// Code points dropped and repeated at random.
    Random,
}

impl Action {
    /// Every action, in the order of the table in the protocol's description.
    pub const ALL: [Action; 6] =
        [Action::Uppercase, Action::Lowercase, Action::TitleCase, Action::Reverse, Action::Shuffle, Action::Random];

    /// The action's name on the wire, on the command line and in the log.
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

    /// The action of that [`name`](Action::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Whether ASCII text keeps its length and is changed in place.
    #[must_use]
    pub fn ascii_in_place(self) -> bool {
        self != Action::Random
    }

    /// Whether the work is a fraction of what receiving the text has cost already.
    ///
    /// Shuffle is not light (a cache miss for each byte of a long text), nor is random (its answer can be as long as
    /// the limit, however short the text).
    #[must_use]
    pub fn is_light(self) -> bool {
        !matches!(self, Action::Shuffle | Action::Random)
    }

    /// The most bytes of `out` that [`Action::apply`] needs, as answer or as working memory, for a text of `length`
    /// bytes.
    ///
    /// Upper case and title-case: 3 times the text (`ΐ`, 2 bytes, becomes three code points of 2 bytes each). Lower
    /// case: half as much again (`Ⱥ`, 2 bytes, becomes `ⱥ`, 3 bytes). The tests hold both against every code point.
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
    /// Only upper and lower case are inlined: the others took registers from the rest.
    ///
    /// # Panics
    /// For [`Action::Random`], whose answer has another length ([`Action::ascii_in_place`]).
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
            Action::Random => panic!("random does not keep the length of a text"),
        }
    }

    /// Works on a text that may still be coming in: from `done` on, as far as possible. Returns how far that is.
    ///
    /// For upper and lower case ([`Action::transforms_incrementally`]) what it says is done is done, in place. For the others it
    /// is known to be ASCII. Whatever is left, [`Action::apply`] gives the same answer to the whole text afterwards.
    ///
    /// It ends after about `scalar_budget` code points that were converted one by one, which is what takes time.
    pub fn preprocess(self, text: &mut [u8], done: usize, scalar_budget: usize) -> usize {
        match self {
            Action::Uppercase => case::preprocess_uppercase(text, done, scalar_budget),
            Action::Lowercase => case::preprocess_lowercase(text, done, scalar_budget),
            _ => done + utf8::each_ascii_block(&mut text[done..], |_| {}),
        }
    }

    /// Whether [`Action::preprocess`] does the work itself.
    #[must_use]
    pub fn transforms_incrementally(self) -> bool {
        matches!(self, Action::Uppercase | Action::Lowercase)
    }

    /// Applies the action to any bytes.
    ///
    /// `out` has at least [`Action::max_output_len`] bytes for this text and this `limit`; `limit` is the most bytes
    /// that the answer of [`Action::Random`] may have. What `text` holds is unspecified after an error, and after an
    /// answer that is placed in `out`.
    ///
    /// # Errors
    /// [`InvalidUtf8`] when the bytes are not UTF-8.
    ///
    /// # Panics
    /// If `out` is shorter than the answer.
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
