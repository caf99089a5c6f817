//! The state of a server and of its connections in a form that another process can continue from.
//!
//! A line of JSON each; behind that of a session follow the bytes that its connection holds.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::connection_table::ClientRecord;
use super::histogram::SavedHistogram;
use super::listener_profile::ListenerProfile;
use crate::connection::{Impairments, SavedConnection, SavedImpairment, Totals};

/// The payload of each message with sockets of connections.
pub const CONNECTIONS: &[u8] = b"connections";

/// What a successor continues beside the connections.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedServer {
    /// The time of the server's clock.
    pub elapsed: Duration,
    /// Connections served so far: the numbers of `who`.
    pub numbered: u64,
    /// The statistics of each protocol, by its name.
    pub totals: BTreeMap<String, Totals>,
    /// How long requests have waited for a thread of the offload pool.
    pub offload_waits: SavedHistogram,
    /// The listeners that are impaired.
    pub impaired: Vec<SavedListenerState>,
}

/// A listener that is impaired.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedListenerState {
    /// The name of its protocol.
    pub protocol: String,
    /// Its name.
    pub listener: String,
    /// Its impairments.
    pub impairments: Impairments,
    /// The connections that it has accepted since they were set.
    pub accepted: u64,
}

impl SavedListenerState {
    /// The state of a listener; `None` if nothing impairs it.
    #[must_use]
    pub fn of(profile: &ListenerProfile) -> Option<Self> {
        let (impairments, accepted) = profile.impairments();
        let (protocol, listener) = (profile.protocol.name.into(), profile.name().into());
        let saved = Self { protocol, listener, impairments: (*impairments).clone(), accepted };
        (!impairments.is_none()).then_some(saved)
    }

    /// Whether it is the state of the listener with this profile.
    #[must_use]
    pub fn is_of(&self, profile: &ListenerProfile) -> bool {
        self.protocol == profile.protocol.name && self.listener == profile.name()
    }
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
    /// What impairs it. The bytes that it delays follow those of the connection.
    pub impairment: Option<SavedImpairment>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::peer::{Peer, SourceKey};
    use crate::sys::{Credentials, VsockAddress};

    #[test]
    fn clients_are_saved_as_text_that_a_person_can_read() {
        let address = |text: &str| Peer::Tcp(text.parse().expect("an address"));
        let network = |text: &str| SourceKey::Address(text.parse().expect("a network"));
        let credentials = Credentials { pid: Some(7), uid: Some(1000), gid: None };
        for (record, saved) in [
            (ClientRecord::Awaiting(address("192.0.2.1:7")), r#"{"awaiting":{"tcp":"192.0.2.1:7"}}"#),
            (ClientRecord::Awaiting(address("[fe80::1%2]:7")), r#"{"awaiting":{"tcp":"[fe80::1%2]:7"}}"#),
            (
                ClientRecord::Awaiting(Peer::Unix(credentials)),
                r#"{"awaiting":{"unix":{"pid":7,"uid":1000,"gid":null}}}"#,
            ),
            (
                ClientRecord::Awaiting(Peer::Vsock(VsockAddress { cid: 5, port: 1024 })),
                r#"{"awaiting":{"vsock":{"cid":5,"port":1024}}}"#,
            ),
            (ClientRecord::Counted(network("2001:db8::/64")), r#"{"counted":{"address":"2001:db8::/64"}}"#),
            (ClientRecord::Counted(SourceKey::Uid(1000)), r#"{"counted":{"uid":1000}}"#),
            (ClientRecord::Counted(SourceKey::Cid(5)), r#"{"counted":{"cid":5}}"#),
        ] {
            assert_eq!(serde_json::to_string(&record).expect("JSON"), saved);
            assert_eq!(serde_json::from_str::<ClientRecord>(saved).expect(saved), record);
        }
    }

    #[test]
    fn an_unknown_field_is_an_error() {
        let saved = serde_json::to_value(SavedServer::default()).expect("JSON");
        assert!(serde_json::from_value::<SavedServer>(saved.clone()).is_ok());
        let mut other = saved;
        other["mood"] = "good".into();
        assert!(serde_json::from_value::<SavedServer>(other).is_err());
    }
}
