//! What became of a PROXY header: the word under which it is counted.

use super::close_reason::CloseReason;
use crate::protocol::proxy_header::{ProxyHeader, Version};

/// What became of the PROXY header of a connection, on a listener that expects one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ProxyResult {
    /// A header of version 1 announced a client.
    V1,
    /// A header of version 2 announced a client.
    V2,
    /// A header of either version announced no client: the connection is the peer's own.
    Local,
    /// The bytes were no header, or the peer half-closed inside it.
    Invalid,
    /// The connection ended in another way before its header was complete, such as a probe without a byte.
    Missing,
    /// The header was not complete in time.
    Timeout,
    /// The peer may not announce clients.
    Untrusted,
}

impl ProxyResult {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 7] =
        [Self::V1, Self::V2, Self::Local, Self::Invalid, Self::Missing, Self::Timeout, Self::Untrusted];

    /// The word for it in the metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Local => "local",
            Self::Invalid => "invalid",
            Self::Missing => "missing",
            Self::Timeout => "timeout",
            Self::Untrusted => "untrusted",
        }
    }

    /// The result for a complete header.
    #[must_use]
    pub fn of_header(header: &ProxyHeader, version: Version) -> Self {
        match (header, version) {
            (ProxyHeader::Local, _) => Self::Local,
            (ProxyHeader::Proxied { .. }, Version::V1) => Self::V1,
            (ProxyHeader::Proxied { .. }, Version::V2) => Self::V2,
        }
    }

    /// The result for a connection that closed in front of its protocol.
    #[must_use]
    pub fn of_close(reason: CloseReason) -> Self {
        match reason {
            CloseReason::ProxyHeader => Self::Invalid,
            CloseReason::ProxyTimeout => Self::Timeout,
            CloseReason::ProxyUntrusted => Self::Untrusted,
            _ => Self::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ProxyResult;

    #[test]
    fn every_result_has_its_own_place_and_name() {
        for (place, result) in ProxyResult::ALL.into_iter().enumerate() {
            assert_eq!(place, result as usize);
            assert_eq!(ProxyResult::ALL.iter().filter(|other| other.name() == result.name()).count(), 1);
        }
    }
}
