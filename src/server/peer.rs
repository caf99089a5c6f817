//! The client at the other end of a connection: its name in the log, the key by which it is limited, and the facts that
//! a protocol may use.

use std::fmt;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};

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

    fn discard(&mut self, n: usize) -> Option<io::Result<usize>> {
        Some(sys::discard(self, n).map_err(Into::into))
    }
}

/// A client. A further kind of socket, or a handshake that announces another address, would be a variant here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The address of a TCP client.
    Tcp(SocketAddr),
}

/// The part of a peer by which connections are counted and limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceKey {
    /// An IP address.
    Address(IpAddr),
}

impl Peer {
    /// The peer of a socket; `None` if the connection was reset already (ENOTCONN), which reading will report.
    #[must_use]
    pub fn of(stream: &TcpStream) -> Option<Self> {
        stream.peer_addr().ok().map(Self::Tcp)
    }

    /// The source that its connections count for; an IPv4 address that is mapped to IPv6 counts as IPv4.
    #[must_use]
    pub fn source(self) -> SourceKey {
        match self {
            Self::Tcp(address) => SourceKey::Address(address.ip().to_canonical()),
        }
    }
}

/// The peer as messages show it: an IPv4 address that is mapped to IPv6 as IPv4.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(&canonical(*address)),
        }
    }
}

impl fmt::Display for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
        }
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
        Peer::of(self.stream).map(|peer| peer.to_string())
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
pub fn log_name(peer: Option<Peer>, protocol: &str) -> Option<Box<str>> {
    if !log_wants_names() {
        return None;
    }
    let name = peer.map_or_else(|| format!("{protocol} unknown address"), |peer| format!("{protocol} {peer}"));
    Some(name.into())
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
            assert_eq!(Peer::Tcp(address.parse().expect("an address")).to_string(), shown);
        }
    }

    #[test]
    fn a_mapped_address_is_the_source_of_its_ipv4_address() {
        let source = |text: &str| Peer::Tcp(text.parse().expect("an address")).source();
        assert_eq!(source("[::ffff:192.0.2.1]:7"), source("192.0.2.1:8"));
        assert_ne!(source("192.0.2.2:7"), source("192.0.2.1:7"));
        assert_eq!(source("[::ffff:192.0.2.1]:7").to_string(), "192.0.2.1");
    }
}
