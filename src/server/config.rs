//! The configuration of a server. Here and in [`Limits`], "no limit" is `None`.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use super::listener::ListenerOptions;
use crate::connection::{
    Limits, Millis, POOL_CAPACITY, READ_BUF_SIZE, REPLY_BUF_SIZE, SCARCE_REPLY_BUF_SIZE, SMALL_REQUEST,
    UNCHARGED_BYTES, UNCHARGED_DELAYED,
};

/// The most memory that a worker takes beside the budget, in bytes. Derived: its read buffer and its reply buffer, a
/// copy of both if the client does not take the replies with which the budget is used up, and the buffers that it
/// keeps.
pub const WORKER_MEMORY: u64 = (2 * (READ_BUF_SIZE + REPLY_BUF_SIZE) + POOL_CAPACITY) as u64;
/// The most memory that a connection takes beside the budget, in bytes: what is not charged, and what it takes when the
/// budget is used up.
pub const CONNECTION_MEMORY: u64 = (UNCHARGED_BYTES + BEYOND_BUDGET) as u64;
/// The most memory that a connection takes when the budget is used up, in bytes: a part of a request, its replies, and
/// what impairments delay of them. Chosen: a round number above the sum of the three, which leaves room for the state
/// and the timer of an impaired connection, below 1 KiB.
const BEYOND_BUDGET: usize = 48 * 1024;
const _: () = assert!(SMALL_REQUEST + SCARCE_REPLY_BUF_SIZE + UNCHARGED_DELAYED + 1024 <= BEYOND_BUDGET);

/// The configuration of a server; `limits` and `listeners` can be changed while it runs.
#[derive(Debug)]
pub struct ServerConfig {
    /// The number of worker threads, and the greatest number of threads for offloaded requests.
    pub workers: usize,
    /// The most pipes of each worker, through which large input of `echo` is sent back.
    pub pipes: usize,
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
    /// Connections that may be open from one source.
    pub max_per_source: Option<usize>,
    /// Bits of an IPv6 address that make a source.
    pub source_prefix: u8,
    /// Time without a request after which a connection is closed.
    pub idle_timeout: Option<Duration>,
    /// Time in which a request must be complete, extended by the bytes that arrive at [`Limits::REQUEST_RATE`].
    pub request_timeout: Option<Duration>,
    /// Time without progress of a reply after which a connection is closed.
    pub write_timeout: Option<Duration>,
    /// Bytes of the longest line, where a request is a line.
    pub max_line: Option<usize>,
    /// Bytes a second that a client must take of a reply above 16 KiB, once other clients have waited for memory for
    /// five seconds.
    pub min_rate: Option<u64>,
    /// Bytes that the impairments of one connection may delay.
    pub max_delayed: usize,
}

impl ServerLimits {
    /// The limits of a single connection.
    #[must_use]
    pub fn per_connection(&self) -> Limits {
        Limits {
            message: self.max_message,
            idle: self.idle_timeout.map(Millis::from),
            request: self.request_timeout.map(Millis::from),
            write: self.write_timeout.map(Millis::from),
            line: self.max_line,
            min_rate: self.min_rate.and_then(NonZero::new),
        }
    }

    /// Bytes of the memory budget of all connections.
    #[must_use]
    pub fn budget(&self) -> u64 {
        self.max_buffered.unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
impl ServerLimits {
    /// No limits, but messages of at most one byte.
    pub const UNLIMITED: Self = Self {
        max_message: 1,
        max_buffered: None,
        max_connections: None,
        max_per_source: None,
        source_prefix: 64,
        idle_timeout: None,
        request_timeout: None,
        write_timeout: None,
        max_line: None,
        min_rate: None,
        max_delayed: usize::MAX,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_without_limits_sets_none_for_a_connection() {
        let limits = ServerLimits::UNLIMITED.per_connection();
        assert_eq!(limits, Limits { message: 1, idle: None, request: None, write: None, line: None, min_rate: None });
        assert_eq!(ServerLimits::UNLIMITED.budget(), u64::MAX);
    }

    #[test]
    fn limits_of_a_connection_are_those_of_the_server_in_milliseconds() {
        let limits = ServerLimits {
            max_message: 100,
            idle_timeout: Some(Duration::from_micros(1999)),
            request_timeout: Some(Duration::from_secs(2)),
            write_timeout: Some(Duration::MAX),
            max_line: Some(50),
            min_rate: Some(10),
            ..ServerLimits::UNLIMITED
        };
        let expected = Limits {
            message: 100,
            idle: Some(Millis::new(1)),
            request: Some(Millis::new(2000)),
            write: Some(Millis::NEVER),
            line: Some(50),
            min_rate: NonZero::new(10),
        };
        assert_eq!(limits.per_connection(), expected);
    }
}
