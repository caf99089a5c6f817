//! Where the output of an action is.

/// Where [`Action::apply`](super::Action::apply) left its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// The text itself is the answer, with its length unchanged.
    InPlace,
    /// The first so many bytes of `out` are the answer.
    Out(usize),
}
