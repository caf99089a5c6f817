//! The arguments of a protocol's constructor: its configuration, and facts about its connection.

use std::sync::Arc;

/// Configuration of single protocols. A protocol takes its part in its constructor; no other layer reads it.
#[derive(Clone, Debug, Default)]
pub struct ProtocolSettings {
    /// The quotes that `qotd` chooses from.
    pub quotes: Arc<[String]>,
    /// The name of the machine. `None` where it is unknown.
    pub host_name: Option<String>,
}

/// Facts about a connection. Each call may cost a system call, so a protocol asks only for facts that it sends.
pub trait ConnectionInfo {
    /// The client's address, as the log shows it; behind a balancer the one that a PROXY header announces. `None` where
    /// it is unknown.
    fn peer(&self) -> Option<String>;

    /// The address on which the connection was accepted. `None` where it is unknown.
    fn local(&self) -> Option<String>;

    /// The number of the connection: 1 for the first that the daemon accepted.
    fn number(&self) -> u64;
}

/// A connection without an address, as in tests and benchmarks.
impl ConnectionInfo for () {
    fn peer(&self) -> Option<String> {
        None
    }

    fn local(&self) -> Option<String> {
        None
    }

    fn number(&self) -> u64 {
        1
    }
}
