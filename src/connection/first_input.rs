//! What is special about the first input of a connection, or about a reset in place of it.

use serde::{Deserialize, Serialize};

/// What is special about the first input of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FirstInput {
    /// Nothing, or it has arrived.
    #[default]
    Any,
    /// The listener expects no PROXY header: input that begins like one is reported.
    NoHeader,
    /// It follows a PROXY header that announces no client: a reset in place of it is the end of a probe.
    AfterLocal,
    /// It follows a PROXY header that announces a client, as the header of a probe in version 1 does.
    AfterClient,
}
