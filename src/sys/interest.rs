//! What a descriptor is watched for.

/// The kinds of readiness that a descriptor is watched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Input, the end of input, or on a listener a connection to accept.
    pub read: bool,
    /// Room for output, or on a connecting socket the outcome of the attempt.
    pub write: bool,
}

impl Interest {
    /// Input alone.
    pub const READ: Self = Self { read: true, write: false };
    /// Output alone.
    pub const WRITE: Self = Self { read: false, write: true };
}
