//! The state of a protocol in a form that another process can continue from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The state of a protocol beside its unconsumed input. The default is that of a protocol that has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtocolState {
    /// The protocol's own version of the meaning of `values`; 0 for a protocol without state.
    pub version: u32,
    /// The state.
    pub values: Vec<u64>,
}

impl ProtocolState {
    /// These values, as this version defines them.
    #[must_use]
    pub fn new<const N: usize>(version: u32, values: [u64; N]) -> Self {
        Self { version, values: values.into() }
    }

    /// The values, if they are `N` values of this version.
    ///
    /// # Errors
    /// If they are not.
    pub fn values<const N: usize>(&self, version: u32) -> Result<[u64; N], InvalidState> {
        if self.version != version {
            return Err(InvalidState("the protocol's state has another version"));
        }
        self.values[..].try_into().map_err(|_| InvalidState("the protocol's state has another number of values"))
    }
}

/// The input that a protocol had not consumed when its state was saved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unconsumed<'a> {
    /// The input, with the changes that the protocol has made to it.
    pub input: &'a [u8],
    /// Bytes at its front that are transformed already ([`Needed::preprocessed`](super::Needed::preprocessed)); no more
    /// than there are.
    pub preprocessed: usize,
}

/// A state that cannot be continued from, and what is wrong with it, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidState(pub &'static str);

impl fmt::Display for InvalidState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidState {}
