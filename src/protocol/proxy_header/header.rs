//! What a header says, and its limits.

use core::net::SocketAddr;

/// The longest line of version 1 with its CRLF, in bytes; from the specification.
pub const MAX_LINE: usize = 107;
/// The longest header, in bytes. The specification allows 65551 in version 2; nginx has this limit too, and a TLS
/// certificate (TLV 0x28) fits.
pub const MAX_HEADER: usize = 4096;

/// The content of a complete header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// No client is announced, so the proxy itself is the peer: `LOCAL`, `UNKNOWN`, and clients that have no TCP address.
    Local,
    /// The proxy connected on behalf of a client. An IPv4 address that was sent as IPv6 (`::ffff:192.0.2.1`) is IPv4.
    Proxied {
        /// The address of the client.
        source: SocketAddr,
        /// The address that the client connected to.
        destination: SocketAddr,
    },
}

impl ProxyHeader {
    /// The header for a client at `source` that connected to `destination`. Both get their canonical form.
    #[must_use]
    pub fn proxied(source: SocketAddr, destination: SocketAddr) -> Self {
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self::Proxied { source: canonical(source), destination: canonical(destination) }
    }
}

/// The form of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// A binary structure.
    V2,
}

/// The result of reading the bytes that have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes can make it a header.
    Incomplete,
    /// The header is complete. The bytes behind it are from the client.
    Complete {
        /// What it says.
        header: ProxyHeader,
        /// Its form.
        version: Version,
        /// Its length, in bytes.
        length: usize,
    },
}
