//! Input that no protocol has to look at.

/// What becomes of the input of a protocol that treats every byte alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passthrough {
    /// It is sent back; what arrives at once counts as a request.
    Echo,
    /// It is dropped.
    Discard,
}
