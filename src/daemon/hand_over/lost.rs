//! The statistics of connections whose state cannot be used.

use std::collections::{BTreeMap, HashMap};
use std::io;

use crate::server::{Listener, SavedServer, TakenOver, Totals};
use crate::sys::SocketAddress;

/// The state of a server whose connections with these addresses of its own were open, and cannot be served: they are
/// counted as closed, for the protocol of the listener that they came from. Those of a listener that is gone are not
/// counted. `None` if there is nothing to count.
#[must_use]
pub fn lost(connections: &[SocketAddress], listeners: &[Listener]) -> Option<TakenOver> {
    let mut totals: BTreeMap<String, Totals> = BTreeMap::new();
    let addresses: Vec<_> = listeners.iter().map(|listener| listener.socket.local_address().ok()).collect();
    for connection in connections {
        let is_from =
            |address: &Option<SocketAddress>| address.as_ref().is_some_and(|address| came_from(connection, address));
        if let Some(place) = addresses.iter().position(is_from) {
            totals.entry(listeners[place].protocol.name.into()).or_default().accepted += 1;
        }
    }
    let server = SavedServer { totals, ..SavedServer::default() };
    (!server.totals.is_empty()).then(|| TakenOver::read(server, &mut io::empty(), 0, HashMap::new()))
}

/// Whether a connection with this address of its own can have been accepted by a listener with that one.
fn came_from(connection: &SocketAddress, listener: &SocketAddress) -> bool {
    match (connection, listener) {
        (SocketAddress::Internet(connection), SocketAddress::Internet(listener)) => {
            let is_any = listener.ip().is_unspecified();
            connection.port() == listener.port()
                && (is_any || connection.ip().to_canonical() == listener.ip().to_canonical())
        }
        (connection, listener) => connection == listener,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::config::listen_address::ListenAddress;

    #[test]
    fn a_connection_has_the_address_of_its_listener() {
        let address = |text: &str| text.parse::<ListenAddress>().expect(text).socket_address();
        for (connection, listener) in [
            ("127.0.0.1:7", "127.0.0.1:7"),
            ("127.0.0.1:7", "0.0.0.0:7"),
            ("[::1]:7", "[::]:7"),
            ("[::ffff:127.0.0.1]:7", "[::]:7"),
            ("unix:/run/echo", "unix:/run/echo"),
        ] {
            assert!(came_from(&address(connection), &address(listener)), "{connection} {listener}");
        }
        for (connection, listener) in [
            ("127.0.0.1:7", "127.0.0.1:8"),
            ("127.0.0.1:7", "127.0.0.2:7"),
            ("unix:/run/echo", "unix:/run/other"),
            ("unix:/run/echo", "127.0.0.1:7"),
        ] {
            assert!(!came_from(&address(connection), &address(listener)), "{connection} {listener}");
        }
    }
}
