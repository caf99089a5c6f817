//! Pure text functions: no I/O, no clock, no allocation that grows with the text.
//!
//! Text is UTF-8 in a byte slice. What keeps its length is changed in place; what may change it is written to a
//! second slice that the caller sizes by [`Action::answer_bound`]. The random source is passed in.

/// Where random numbers come from; the server passes its own, tests a scripted one.
pub trait RandomSource {
    /// A uniform number in `0..bound`, without bias; `bound` is not 0.
    fn below(&mut self, bound: usize) -> usize;
    /// A uniform number in `[0, 1)`.
    fn unit(&mut self) -> f64;
}

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

/// Where [`Action::apply`] left its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// The text itself is the answer, with its length unchanged.
    InPlace,
    /// The first so many bytes of `out` are the answer.
    Out(usize),
}

/// The bytes are not valid UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;
