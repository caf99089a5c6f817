//! The load models: how requests follow one another.

/// When the next request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadModel {
    /// When a reply arrives: each connection keeps `depth` requests in flight.
    Closed {
        /// Requests in flight on each connection.
        depth: usize,
    },
    /// When the connection before has ended: each connection carries one request.
    Reconnect,
    /// When it is due, whether or not earlier requests have been replied to.
    Open {
        /// Each request has a new connection.
        reconnect: bool,
    },
}

/// Requests that an open model sends with one call, if more are due. Chosen without tuning.
const OPEN_BATCH: usize = 64;

impl LoadModel {
    /// Whether each connection carries one request.
    pub fn reconnects(self) -> bool {
        matches!(self, Self::Reconnect | Self::Open { reconnect: true, .. })
    }

    /// The most requests to send with one call.
    pub fn batch(self) -> usize {
        match self {
            Self::Closed { depth } => depth,
            Self::Reconnect => 1,
            Self::Open { .. } => OPEN_BATCH,
        }
    }
}
