//! The configuration of a server. Here "no limit" is `None`; this file turns it into the values that the parts below use
//! in their hot paths.

use std::sync::Arc;
use std::time::Duration;

use super::clock::Millis;
use super::listener::ListenerOptions;
use crate::connection::{Limits, NEVER};

/// The configuration of a server; `limits` and `listeners` can be changed while it runs.
#[derive(Debug)]
pub struct ServerConfig {
    /// The number of worker threads, and the greatest number of threads for offloaded requests.
    pub workers: usize,
    /// The seed that makes shuffle and random repeatable.
    pub seed: Option<u64>,
    /// Limits on connections, memory and time.
    pub limits: ServerLimits,
    /// The options of each listener, in their order; behind them those of the adopted connection, if there is one.
    pub listeners: Vec<Arc<ListenerOptions>>,
}

/// Limits on connections, memory and time, each with the name of its option; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Bytes of the longest message.
    pub max_message: usize,
    /// Bytes that all connections together may hold.
    pub max_buffered: Option<u64>,
    /// Connections that may be open.
    pub max_connections: Option<usize>,
    /// Connections that may be open from one address.
    pub max_per_source: Option<usize>,
    /// Time without a request after which a connection is closed.
    pub idle_timeout: Option<Duration>,
    /// Time in which a request must be complete, extended by the bytes that arrive at [`Limits::REQUEST_RATE`].
    pub request_timeout: Option<Duration>,
    /// Time without progress of a reply after which a connection is closed.
    pub write_timeout: Option<Duration>,
    /// Bytes of the longest line, where a request is a line.
    pub max_line: Option<usize>,
    /// Bytes a second that a client must take of a reply above 16 KiB, once other clients have waited for memory for five
    /// seconds.
    pub min_rate: Option<u64>,
}

impl ServerLimits {
    /// The limits of a single connection.
    #[must_use]
    pub fn per_connection(&self) -> Limits {
        Limits {
            message: self.max_message,
            idle: millis(self.idle_timeout),
            request: millis(self.request_timeout),
            write: millis(self.write_timeout),
            line: self.max_line.unwrap_or(self.max_message),
            min_rate: self.min_rate.unwrap_or(0),
        }
    }

    /// Bytes of the memory budget of all connections.
    #[must_use]
    pub fn budget(&self) -> u64 {
        self.max_buffered.unwrap_or(u64::MAX)
    }
}

/// A time limit in milliseconds, rounded down; [`NEVER`] for none.
#[must_use]
pub fn millis(limit: Option<Duration>) -> Millis {
    limit.map_or(NEVER, |limit| Millis::try_from(limit.as_millis()).unwrap_or(NEVER))
}

#[cfg(test)]
impl ServerLimits {
    /// No limits, but messages of at most one byte.
    pub const UNLIMITED: Self = Self {
        max_message: 1,
        max_buffered: None,
        max_connections: None,
        max_per_source: None,
        idle_timeout: None,
        request_timeout: None,
        write_timeout: None,
        max_line: None,
        min_rate: None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_becomes_the_value_that_never_applies() {
        let limits = ServerLimits::UNLIMITED.per_connection();
        assert_eq!(limits, Limits { message: 1, idle: NEVER, request: NEVER, write: NEVER, line: 1, min_rate: 0 });
        assert_eq!(ServerLimits::UNLIMITED.budget(), u64::MAX);
        assert_eq!([millis(Some(Duration::from_micros(1999))), millis(Some(Duration::MAX))], [1, NEVER]);
    }
}
