//! A client's socket: its address, its name in the log, and the facts that a protocol may use.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};

use log::{Level, log_enabled};

use crate::connection::Stream;
use crate::protocol::ConnectionInfo;
use crate::sys;

impl Stream for TcpStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn unacknowledged(&self) -> Option<usize> {
        sys::unacknowledged(self).ok()
    }
}

/// A connection as its protocol sees it; the addresses are looked up only for a protocol that wants them.
#[derive(Debug)]
pub struct SocketInfo<'a> {
    /// The socket.
    pub stream: &'a TcpStream,
    /// The number of the connection, counted from 1.
    pub number: u64,
}

impl ConnectionInfo for SocketInfo<'_> {
    fn peer(&self) -> Option<String> {
        self.stream.peer_addr().ok().map(canonical)
    }

    fn local(&self) -> Option<String> {
        self.stream.local_addr().ok().map(canonical)
    }

    fn number(&self) -> u64 {
        self.number
    }
}

/// An address as messages show it: an IPv4 address that is mapped to IPv6 as IPv4, one of IPv6 with its scope.
fn canonical(mut address: SocketAddr) -> String {
    address.set_ip(address.ip().to_canonical());
    address.to_string()
}

/// Whether the log wants the names of clients.
#[must_use]
pub fn log_wants_names() -> bool {
    log_enabled!(Level::Info)
}

/// The name of a client in the log; `None`, at no cost, if the log does not want it.
#[must_use]
pub fn log_name(peer: Option<SocketAddr>, protocol: &str) -> Option<Box<str>> {
    if !log_wants_names() {
        return None;
    }
    let peer = peer.map(canonical);
    Some(format!("{protocol} {}", peer.as_deref().unwrap_or("unknown address")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_in_their_own_family_and_scope() {
        for (address, shown) in [
            ("[::ffff:192.0.2.1]:7", "192.0.2.1:7"),
            ("[2001:db8::1]:7", "[2001:db8::1]:7"),
            ("[fe80::1%2]:7", "[fe80::1%2]:7"),
            ("192.0.2.1:7", "192.0.2.1:7"),
        ] {
            assert_eq!(canonical(address.parse().expect("an address")), shown);
        }
    }
}
