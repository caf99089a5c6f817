//! The state of a server and of its connections in a form that another process can continue from.
//!
//! A line of JSON each; behind that of a session follow the bytes that its connection holds.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::connection_table::ClientRecord;
use super::histogram::SavedHistogram;
use crate::connection::{SavedConnection, Totals};

/// What a successor continues beside the connections.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedServer {
    /// The time of the server's clock.
    pub elapsed: Duration,
    /// Connections served so far: the numbers of `who`.
    pub numbered: u64,
    /// Connections that were saved.
    pub sessions: u64,
    /// The statistics of each protocol, by its name.
    pub totals: BTreeMap<String, Totals>,
    /// How long requests have waited for a thread of the offload pool.
    pub offload_waits: SavedHistogram,
}

/// A connection, and the state that the event loop keeps for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedSession {
    /// Identifies its socket (`SO_COOKIE`, socket(7)).
    pub cookie: u64,
    /// The name of its protocol.
    pub protocol: String,
    /// The name of its listener.
    pub listener: String,
    /// What is to be known about its client.
    pub client: Option<ClientRecord>,
    /// The connection.
    pub connection: SavedConnection,
}
