//! The place of an action's output.

/// The place to which [`Action::apply`](super::Action::apply) has written its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// Over the text, whose length is unchanged.
    InPlace,
    /// At the beginning of `out`; the field is the length in bytes.
    Out(usize),
}
