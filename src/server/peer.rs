//! The client at the other end of a connection: its label in the log, the key by which it is limited, and the facts
//! that a protocol may use.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use log::{Level, log_enabled};
use serde::{Deserialize, Serialize};

use crate::protocol::ConnectionInfo;
use crate::protocol::proxy_header::ProxyHeader;
use crate::sys::{Credentials, SocketAddress, SocketFamily, StreamSocket, VsockAddress};

/// The other end of a connection: a client, or a balancer that announces clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// The address of a TCP client.
    Tcp(SocketAddr),
    /// The process that has connected to a Unix socket.
    Unix(Credentials),
    /// The address of a client on a virtual machine or its host.
    Vsock(VsockAddress),
}

/// The part of a peer by which connections are counted and limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKey {
    /// An IPv4 address, or the network of an IPv6 address.
    Address(IpNet),
    /// A user, of a Unix socket.
    Uid(u32),
    /// A context identifier, of a vsock.
    Cid(u32),
}

impl SourceKey {
    /// The source of clients at this address; of an IPv6 address that is its network of `prefix` bits, of which one
    /// client has all. An IPv4 address that is mapped to IPv6 counts as IPv4.
    #[must_use]
    pub fn of_address(ip: IpAddr, prefix: u8) -> Self {
        let host = IpNet::from(ip.to_canonical());
        let length = if ip.to_canonical().is_ipv4() { host.prefix_len() } else { prefix.min(host.prefix_len()) };
        Self::Address(IpNet::new(host.addr(), length).map_or(host, |network| network.trunc()))
    }
}

impl Peer {
    /// The peer of a socket.
    ///
    /// # Errors
    /// `NotConnected`: the client has reset the connection.
    pub fn of(stream: &StreamSocket) -> io::Result<Self> {
        if stream.family() == SocketFamily::Unix {
            return Ok(Self::Unix(stream.peer_credentials()?));
        }
        Self::of_address(&stream.peer_address()?).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// The peer with this address; `None` for one of a Unix socket, which tells nothing about the client.
    #[must_use]
    pub fn of_address(address: &SocketAddress) -> Option<Self> {
        match address {
            SocketAddress::Internet(address) => Some(Self::Tcp(*address)),
            SocketAddress::Vsock(address) => Some(Self::Vsock(*address)),
            SocketAddress::Unix(_) => None,
        }
    }

    /// Its IP address, if it has one; an IPv4 address that is mapped to IPv6 is IPv4.
    #[must_use]
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip().to_canonical()),
            Self::Unix(_) | Self::Vsock(_) => None,
        }
    }

    /// The source that its connections count for: of IPv6 a network of `prefix` bits. `None` for an unknown user.
    #[must_use]
    pub fn source(self, prefix: u8) -> Option<SourceKey> {
        match self {
            Self::Tcp(address) => Some(SourceKey::of_address(address.ip(), prefix)),
            Self::Unix(credentials) => credentials.uid.map(SourceKey::Uid),
            Self::Vsock(address) => Some(SourceKey::Cid(address.cid)),
        }
    }
}

/// A client as limits and log see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// The peer of the socket; `None` if it is unknown.
    Direct(Option<Peer>),
    /// A client that the peer has announced.
    Announced {
        /// Its address.
        source: SocketAddr,
        /// The peer.
        via: Peer,
    },
    /// A peer that may announce clients, and uses this connection itself: to probe the server, for example.
    Balancer(Peer),
}

impl Client {
    /// The client of a connection whose `peer` has sent this header.
    #[must_use]
    pub fn announced(header: ProxyHeader, peer: Peer) -> Self {
        match header {
            ProxyHeader::Local => Self::Balancer(peer),
            ProxyHeader::Proxied { source, .. } => Self::Announced { source, via: peer },
        }
    }

    /// The client as if it had connected itself; `None` if its peer is unknown.
    #[must_use]
    pub fn as_peer(self) -> Option<Peer> {
        match self {
            Self::Direct(peer) => peer,
            Self::Balancer(peer) => Some(peer),
            Self::Announced { source, .. } => Some(Peer::Tcp(source)),
        }
    }

    /// The IP address that access lists judge.
    #[must_use]
    pub fn ip(self) -> Option<IpAddr> {
        self.as_peer().and_then(Peer::ip)
    }

    /// The source that its connection counts for: of IPv6 a network of `prefix` bits. None of a balancer counts: it is
    /// trusted, and its probes must not fail because it has many clients.
    #[must_use]
    pub fn source(self, prefix: u8) -> Option<SourceKey> {
        match self {
            Self::Balancer(_) => None,
            Self::Direct(_) | Self::Announced { .. } => self.as_peer().and_then(|peer| peer.source(prefix)),
        }
    }
}

/// The client as messages show it: `192.0.2.10:56324 via 10.0.0.5:41234`.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(Some(peer)) | Self::Balancer(peer) => peer.fmt(f),
            Self::Direct(None) => f.write_str("unknown address"),
            Self::Announced { source, via } => write!(f, "{} via {via}", Peer::Tcp(*source)),
        }
    }
}

/// The peer as messages show it: an IPv4 address that is mapped to IPv6 as IPv4.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(&canonical(*address)),
            Self::Unix(Credentials { pid, uid, gid }) => {
                let [pid, uid, gid] =
                    [pid, uid, gid].map(|id| id.map_or_else(|| "unknown".to_string(), |id| id.to_string()));
                write!(f, "unix:pid={pid},uid={uid},gid={gid}")
            }
            Self::Vsock(address) => address.fmt(f),
        }
    }
}

/// A connection as its protocol sees it; an unknown address is looked up only for a protocol that wants it.
#[derive(Debug)]
pub struct SocketInfo<'a> {
    /// The socket.
    pub stream: &'a StreamSocket,
    /// The client.
    pub client: Client,
    /// The number of the connection, counted from 1.
    pub number: u64,
}

impl ConnectionInfo for SocketInfo<'_> {
    fn peer(&self) -> Option<String> {
        self.client.as_peer().or_else(|| Peer::of(self.stream).ok()).map(|peer| peer.to_string())
    }

    fn local(&self) -> Option<String> {
        self.stream.local_address().ok().map(|address| match address {
            SocketAddress::Internet(address) => canonical(address),
            address => address.to_string(),
        })
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

/// Whether the log wants the labels of clients.
#[must_use]
pub fn log_wants_labels() -> bool {
    log_enabled!(Level::Info)
}

/// The label of a client in the log; `None`, at no cost, if the log does not want it.
#[must_use]
pub fn label(client: Client, protocol: &str) -> Option<Box<str>> {
    log_wants_labels().then(|| format!("{protocol} {client}").into())
}

/// The label of a client that was admitted while the log did not want labels. If its peer has announced the client
/// (`is_announced`), the address of the client was not kept, and the label names the peer alone.
#[must_use]
pub fn late_label(stream: &StreamSocket, protocol: &str, is_announced: bool) -> Option<Box<str>> {
    let peer = Client::Direct(Peer::of(stream).ok());
    if is_announced {
        return log_wants_labels().then(|| format!("{protocol} {} via {peer}", Client::Direct(None)).into());
    }
    label(peer, protocol)
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
        let source = |text: &str| Peer::Tcp(text.parse().expect("an address")).source(64);
        let network = |text: &str| Some(SourceKey::Address(text.parse().expect("a network")));
        assert_eq!(source("[::ffff:192.0.2.1]:7"), source("192.0.2.1:8"));
        assert_ne!(source("192.0.2.2:7"), source("192.0.2.1:7"));
        assert_eq!(source("[::ffff:192.0.2.1]:7"), network("192.0.2.1/32"));
    }

    #[test]
    fn ipv6_addresses_count_by_their_network() {
        let source = |text: &str, prefix| SourceKey::of_address(text.parse().expect("an address"), prefix);
        assert_eq!(source("2001:db8::1", 64), source("2001:db8::ffff:0:0:1", 64));
        assert_ne!(source("2001:db8::1", 64), source("2001:db8:0:1::1", 64));
        assert_ne!(source("2001:db8::1", 128), source("2001:db8::2", 128));
        for (address, prefix, network) in [
            ("2001:db8::1", 64, "2001:db8::/64"),
            ("2001:db8::1", 1, "::/1"),
            ("2001:db8::1", 128, "2001:db8::1/128"),
            ("192.0.2.1", 1, "192.0.2.1/32"),
            ("::ffff:192.0.2.1", 64, "192.0.2.1/32"),
        ] {
            assert_eq!(source(address, prefix), SourceKey::Address(network.parse().expect("a network")));
        }
    }

    #[test]
    fn local_clients_count_by_user_and_by_machine() {
        let peer = |uid| Peer::Unix(Credentials { pid: Some(7), uid, gid: None });
        assert_eq!(peer(Some(1000)).to_string(), "unix:pid=7,uid=1000,gid=unknown");
        assert_eq!(peer(Some(1000)).source(64), Some(SourceKey::Uid(1000)));
        assert_eq!(peer(None).source(64), None, "an unknown user is no source");
        let guest = Peer::Vsock(VsockAddress { cid: 5, port: 1024 });
        assert_eq!((guest.to_string(), guest.source(64)), ("vsock:5:1024".into(), Some(SourceKey::Cid(5))));
    }

    #[test]
    fn announced_client_is_named_with_its_peer_and_counts_alone() {
        let [source, balancer] =
            ["[::ffff:192.0.2.10]:56324", "10.0.0.5:41234"].map(|address| address.parse().expect("an address"));
        let peer = Peer::Tcp(balancer);
        let client = Client::announced(ProxyHeader::Proxied { source, destination: balancer }, peer);
        assert_eq!(client.to_string(), "192.0.2.10:56324 via 10.0.0.5:41234");
        assert_eq!(client.ip(), Some([192, 0, 2, 10].into()));
        assert_eq!(client.source(64), Peer::Tcp("192.0.2.10:7".parse().expect("an address")).source(64));
        assert_eq!(client.as_peer(), Some(Peer::Tcp(source)));
        let own = Client::announced(ProxyHeader::Local, peer);
        assert_eq!((own.to_string(), own.ip()), ("10.0.0.5:41234".into(), Some([10, 0, 0, 5].into())));
        assert_eq!((own.source(64), own.as_peer()), (None, Some(peer)), "probes count for no source");
        let direct = Client::Direct(Some(peer));
        assert_eq!((direct.ip(), direct.source(64)), (own.ip(), peer.source(64)));
        assert_eq!(Client::Direct(None).to_string(), "unknown address");
    }
}
