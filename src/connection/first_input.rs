//! What the first input of a connection means to it, beyond what it is to the protocol.

/// What the first input of a connection means to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum FirstInput {
    /// Nothing: it has arrived, or a PROXY header has announced a client.
    #[default]
    Any,
    /// It should not be a PROXY header, because the listener expects none.
    NoHeader,
    /// It follows a PROXY header that announces no client: a reset in place of it is the end of a probe.
    AfterLocal,
}
