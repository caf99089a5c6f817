//! The address in a value of `--listen`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::sys::{SocketAddress, UnixAddress};

/// The address of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// This port of all addresses, IPv6 and IPv4 on one socket; 0 is any free port.
    AllAddresses(u16),
    /// This address.
    One(SocketAddress),
}

impl ListenAddress {
    /// The address to bind; for all addresses that is the unspecified one of IPv6.
    #[must_use]
    pub fn socket_address(&self) -> SocketAddress {
        match self {
            Self::AllAddresses(port) => SocketAddress::Internet((Ipv6Addr::UNSPECIFIED, *port).into()),
            Self::One(address) => address.clone(),
        }
    }

    /// Whether the kernel chooses a port that is free: two listeners with this address are not in conflict.
    #[must_use]
    pub fn is_any_port(&self) -> bool {
        match self {
            Self::AllAddresses(port) => *port == 0,
            Self::One(SocketAddress::Internet(address)) => address.port() == 0,
            Self::One(SocketAddress::Unix(_) | SocketAddress::Vsock(_)) => false,
        }
    }

    /// Whether a listener with this address, which the kernel reports for it, is bound to what is written.
    #[must_use]
    pub fn is_bound_to(&self, local: &SocketAddress) -> bool {
        let SocketAddress::Internet(local) = local else { return self.socket_address() == *local };
        match self {
            // without IPv6 all addresses are those of IPv4
            Self::AllAddresses(port) => local.ip().is_unspecified() && [0, local.port()].contains(port),
            Self::One(SocketAddress::Internet(address)) => {
                address.ip() == local.ip() && [0, local.port()].contains(&address.port())
            }
            Self::One(SocketAddress::Unix(_) | SocketAddress::Vsock(_)) => false,
        }
    }

    /// Whether it is the path of a Unix socket.
    #[must_use]
    pub fn is_path(&self) -> bool {
        matches!(self, Self::One(SocketAddress::Unix(UnixAddress::Path(_))))
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(local) = SocketAddress::parse_local(text) {
            let of_vsock = text.starts_with("vsock:");
            let every = if of_vsock { ", or vsock::PORT to listen on every CID" } else { "" };
            return local.map(Self::One).map_err(|why| why + every);
        }
        if let Ok(address) = text.parse() {
            return check_unicast(address).map(|()| Self::One(SocketAddress::Internet(address)));
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let port = text.parse().map_err(|_| format!("port {text} is out of range: 0 to 65535"))?;
            return Ok(Self::AllAddresses(port));
        }
        let without_brackets = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        Err(match without_brackets.parse() {
            Ok(IpAddr::V4(address)) => format!("'{text}' has no port: write {address}:PORT"),
            Ok(IpAddr::V6(address)) => format!("'{text}' has no port: write [{address}]:PORT"),
            Err(_) => format!(
                "'{text}' is not an address: write PORT, ADDRESS:PORT or [ADDRESS]:PORT, with a numeric address, \
                 unix:/PATH, unix:@NAME or vsock:CID:PORT"
            ),
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllAddresses(port) => port.fmt(f),
            Self::One(address) => address.fmt(f),
        }
    }
}

/// Checks that TCP can listen on an address: connect(2) to a multicast or broadcast address fails, but bind(2) to it may
/// succeed.
fn check_unicast(address: SocketAddr) -> Result<(), String> {
    let ip = address.ip().to_canonical();
    let kind = match ip {
        _ if ip.is_multicast() => "multicast",
        IpAddr::V4(ip) if ip.is_broadcast() => "broadcast",
        _ => return Ok(()),
    };
    Err(not_unicast(ip, kind))
}

/// The error about an address of a kind on which TCP cannot be served.
#[must_use]
pub fn not_unicast(ip: IpAddr, kind: &str) -> String {
    format!(
        "'{ip}' is a {kind} address, on which TCP cannot be served: write the address of an interface, or a port alone \
         for all addresses"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_address_is_that_which_is_written_with_a_port() {
        let local = |text: &str| text.parse::<ListenAddress>().expect(text).socket_address();
        for (written, bound) in [
            ("8083", "[::]:8083"),
            ("8083", "0.0.0.0:8083"),
            ("0", "[::]:4711"),
            ("[::]:8083", "[::]:8083"),
            ("127.0.0.1:0", "127.0.0.1:4711"),
            ("unix:/run/echo", "unix:/run/echo"),
            ("vsock::7", "vsock::7"),
        ] {
            let address: ListenAddress = written.parse().expect(written);
            assert!(address.is_bound_to(&local(bound)), "{written} {bound}");
            assert_eq!(address.is_any_port(), written.ends_with('0'), "{written}");
        }
        for (written, bound) in [
            ("8083", "[::]:8084"),
            ("8083", "127.0.0.1:8083"),
            ("[::]:8083", "0.0.0.0:8083"),
            ("0.0.0.0:8083", "[::]:8083"),
            ("127.0.0.1:0", "127.0.0.2:4711"),
            ("127.0.0.1:7", "unix:/run/echo"),
            ("unix:/run/echo", "unix:/run/other"),
            ("unix:/run/echo", "unix:@echo"),
            ("vsock::7", "vsock:2:7"),
            ("8083", "vsock::8083"),
        ] {
            let address: ListenAddress = written.parse().expect(written);
            assert!(!address.is_bound_to(&local(bound)), "{written} {bound}");
        }
    }
}
