//! Listeners: the protocol, the address and the options in a value of `--listen`, and the options in a value of
//! `--listener-options` (LISTENERS in retortd(8)). The grammar of both is in [`super::listener_syntax`].

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::listener_option::ListenerOption;
use super::listener_syntax::Written;
use crate::protocol::{self, ProtocolInfo};

/// The default port of the default protocol, [`default_protocol`].
const DEFAULT_PORT: u16 = 8083;

/// The protocol that is served where none is named: `frame`, the first one in the list.
#[must_use]
pub fn default_protocol() -> &'static ProtocolInfo {
    protocol::PROTOCOLS[0]
}

/// The protocol that the name of an inherited descriptor means. The names that systemd gives to a socket without
/// `FileDescriptorName=` (its unit, `connection` with `Accept=yes`, `unknown`) mean the default protocol, or the one
/// that the unit's name ends in.
#[must_use]
pub fn protocol_of_descriptor(name: &str) -> Option<&'static ProtocolInfo> {
    match name.strip_suffix(".socket") {
        Some("retortd") => Some(default_protocol()),
        Some(unit) => protocol::by_name(unit.strip_prefix("retortd-").unwrap_or(unit)),
        None if ["", "unknown", "connection"].contains(&name) => Some(default_protocol()),
        None => protocol::by_name(name),
    }
}

/// The address of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// This port of all addresses, IPv6 and IPv4 on one socket; 0 is any free port.
    AllAddresses(u16),
    /// This port of this address.
    One(SocketAddr),
}

impl ListenAddress {
    /// The port; 0 is any free port.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::AllAddresses(port) => port,
            Self::One(address) => address.port(),
        }
    }

    /// The address to bind; for all addresses that is the unspecified one of IPv6.
    #[must_use]
    pub fn socket_address(self) -> SocketAddr {
        match self {
            Self::AllAddresses(port) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port),
            Self::One(address) => address,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return check_unicast(address).map(|()| Self::One(address));
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let port = text.parse().map_err(|_| format!("port {text} is out of range: 0 to 65535"))?;
            return Ok(Self::AllAddresses(port));
        }
        let without_brackets = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        Err(match without_brackets.parse() {
            Ok(IpAddr::V4(address)) => format!("'{text}' has no port: write {address}:PORT"),
            Ok(IpAddr::V6(address)) => format!("'{text}' has no port: write [{address}]:PORT"),
            Err(_) => {
                format!(
                    "'{text}' is not an address: write PORT, ADDRESS:PORT or [ADDRESS]:PORT, with a numeric address"
                )
            }
        })
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

/// A protocol and the address to serve it on. Changes only with a restart.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// The protocol.
    pub protocol: &'static ProtocolInfo,
    /// The address.
    pub address: ListenAddress,
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        (self.protocol.name, self.address) == (other.protocol.name, other.address)
    }
}

impl Endpoint {
    /// The default protocol on a port of all addresses.
    #[must_use]
    pub fn of_port(port: u16) -> Self {
        Self { protocol: default_protocol(), address: ListenAddress::AllAddresses(port) }
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self::of_port(DEFAULT_PORT)
    }
}

/// As `--listen` takes it: `echo=127.0.0.1:7007`, `frame=8083`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            ListenAddress::AllAddresses(port) => write!(f, "{}={port}", self.protocol.name),
            ListenAddress::One(address) => write!(f, "{}={address}", self.protocol.name),
        }
    }
}

/// One listener: `echo=127.0.0.1:7007`.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// The protocol and the address.
    pub endpoint: Endpoint,
    /// The options, in their order.
    pub options: Vec<ListenerOption>,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let written = Written::parse(text)?;
        let name = written.name;
        let protocol = protocol::by_name(name)
            .ok_or_else(|| format!("there is no protocol '{name}': retortd --list prints the protocols"))?;
        let address = match written.address {
            Some("") => return Err(format!("there is no address after '{name}='")),
            Some(address) => address.parse()?,
            None => {
                let port = protocol.port.ok_or_else(|| format!("{name} has no port of its own: write {name}=PORT"))?;
                ListenAddress::AllAddresses(port)
            }
        };
        Ok(Self { endpoint: Endpoint { protocol, address }, options: ListenerOption::parse_all(&written)? })
    }
}

/// Options for inherited sockets of one name: `echo,OPTION`.
///
/// The name is that of a descriptor or of a protocol. A name that no descriptor of this daemon can have is an error and
/// not a warning: an option may restrict the access to a listener, and a misspelt name must not grant it. A name that
/// no descriptor has at present is not an error, because socket units are enabled and disabled without the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InheritedOptions {
    name: String,
    options: Vec<ListenerOption>,
}

impl FromStr for InheritedOptions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let written = Written::parse(text)?;
        let name = written.name;
        if protocol_of_descriptor(name).is_none() {
            return Err(format!(
                "no socket is called '{name}': write the name of a protocol (retortd --list prints them) or of a file \
                 descriptor"
            ));
        }
        if written.address.is_some() {
            return Err(format!(
                "{name} has an address here: the address of a socket from systemd is in its socket unit"
            ));
        }
        Ok(Self { name: name.into(), options: ListenerOption::parse_all(&written)? })
    }
}

/// The origin of a listener, by which a reload finds the options of the listener.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// Bound by the daemon.
    Own(Endpoint),
    /// Passed by the service manager.
    Inherited {
        /// The name of the descriptor (`LISTEN_FDNAMES`).
        descriptor: String,
        /// The protocol that the name means.
        protocol: &'static str,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(endpoint) => endpoint.fmt(f),
            Self::Inherited { protocol, .. } => write!(f, "{protocol} (inherited)"),
        }
    }
}

/// The options of all listeners. A reload replaces them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListenerOptions {
    own: Vec<Listen>,
    inherited: Vec<InheritedOptions>,
}

impl ListenerOptions {
    /// The options in `--listen` and in `--listener-options`.
    #[must_use]
    pub fn new(own: Vec<Listen>, inherited: Vec<InheritedOptions>) -> Self {
        Self { own, inherited }
    }

    /// The options of one listener, in the order in which they were written.
    #[must_use]
    pub fn of(&self, origin: &Origin) -> Vec<&ListenerOption> {
        match origin {
            Origin::Own(endpoint) => {
                let listen = self.own.iter().find(|listen| listen.endpoint == *endpoint);
                listen.map_or(Vec::new(), |listen| listen.options.iter().collect())
            }
            Origin::Inherited { descriptor, protocol } => {
                let entries =
                    self.inherited.iter().filter(|entry| entry.name == *descriptor || entry.name == *protocol);
                entries.flat_map(|entry| &entry.options).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> Result<(&'static str, SocketAddr), String> {
        let listen: Listen = text.parse()?;
        assert!(listen.options.is_empty());
        Ok((listen.endpoint.protocol.name, listen.endpoint.address.socket_address()))
    }

    #[test]
    fn listener_addresses_are_a_port_or_an_address_and_a_port() {
        for (text, protocol, address) in [
            ("frame", "frame", "[::]:8083"),
            ("echo", "echo", "[::]:7"),
            ("frame=8083", "frame", "[::]:8083"),
            ("frame-2021=0", "frame-2021", "[::]:0"),
            ("frame=127.0.0.1:8083", "frame", "127.0.0.1:8083"),
            ("echo=[::1]:65535", "echo", "[::1]:65535"),
            ("echo=[fe80::1%2]:7", "echo", "[fe80::1%2]:7"),
            ("echo=0.0.0.0:7", "echo", "0.0.0.0:7"),
        ] {
            assert_eq!(listen(text), Ok((protocol, address.parse().expect(address))), "{text}");
            let endpoint = text.parse::<Listen>().expect(text).endpoint;
            assert_eq!(endpoint.to_string().parse::<Listen>().expect("as it is read").endpoint, endpoint);
        }
        assert_eq!(Endpoint::default(), "frame".parse::<Listen>().expect("a listener").endpoint);
    }

    #[test]
    fn wrong_listeners_are_explained() {
        for (text, error) in [
            ("gopher=70", "there is no protocol 'gopher': retortd --list prints the protocols"),
            ("Echo", "there is no protocol 'Echo': retortd --list prints the protocols"),
            ("frame-2021", "frame-2021 has no port of its own: write frame-2021=PORT"),
            ("echo=", "there is no address after 'echo='"),
            ("echo=65536", "port 65536 is out of range: 0 to 65535"),
            ("echo=99999999999999999999", "port 99999999999999999999 is out of range: 0 to 65535"),
            ("echo=1.2.3.4", "'1.2.3.4' has no port: write 1.2.3.4:PORT"),
            ("echo=::1", "'::1' has no port: write [::1]:PORT"),
            ("echo=[::1]", "'[::1]' has no port: write [::1]:PORT"),
            ("echo,echo", "'echo' is a protocol and not an option of echo: write a space between listeners"),
            ("echo=7,time=37", "'time' is a protocol and not an option of echo: write a space between listeners"),
            (
                "echo=7,fast=1",
                "echo has no option 'fast': the options are proxy, allow, deny, max-rate, max-rate-per-source",
            ),
            (
                "echo,fast,time",
                "echo has no option 'fast': the options are proxy, allow, deny, max-rate, max-rate-per-source",
            ),
        ] {
            assert_eq!(listen(text), Err(error.into()), "{text}");
        }
        for address in ["localhost:7", "*:7", "-1", "+7", "7.0", "1.2.3.4:", ":7", "[::1]:", "unix:/run/echo", "a=b"] {
            let error = listen(&format!("echo={address}")).expect_err(address);
            assert!(error.starts_with(&format!("'{address}' is not an address: write PORT, ")), "{error}");
        }
    }

    #[test]
    fn multicast_and_broadcast_addresses_are_explained() {
        for (address, kind) in [
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("[ff02::1]", "multicast"),
            ("[ff02::1%2]", "multicast"),
            ("[::ffff:224.0.0.1]", "multicast"),
        ] {
            let error = listen(&format!("echo={address}:7")).expect_err(address);
            assert!(error.contains(&format!("is a {kind} address, on which TCP cannot be served: write")), "{error}");
        }
        for address in ["223.255.255.255:7", "240.0.0.1:7", "127.255.255.255:7", "[fe80::1%2]:7"] {
            assert!(listen(&format!("echo={address}")).is_ok(), "{address}");
        }
    }

    #[test]
    fn descriptor_names_mean_protocols() {
        let name = |descriptor: &str| protocol_of_descriptor(descriptor).map(|protocol| protocol.name);
        assert_eq!(name("frame"), Some("frame"));
        assert_eq!(name("echo"), Some("echo"));
        for default in ["", "unknown", "connection", "retortd.socket"] {
            assert_eq!(name(default), Some("frame"), "{default}");
        }
        assert_eq!(name("retortd-echo.socket"), Some("echo"));
        assert_eq!(name("gopher"), None);
        assert_eq!(name("retortd-gopher.socket"), None);
    }

    #[test]
    fn options_of_inherited_sockets_name_a_protocol_or_a_descriptor() {
        for name in ["echo", "retortd-echo.socket", "retortd.socket", "connection", "unknown"] {
            let entry: InheritedOptions = name.parse().expect(name);
            assert_eq!(entry, InheritedOptions { name: name.into(), options: Vec::new() });
        }
        let error = |text: &str| text.parse::<InheritedOptions>().expect_err(text);
        assert!(error("gopher").starts_with("no socket is called 'gopher': write the name of a protocol"));
        assert!(error("echo=7").starts_with("echo has an address here: the address of a socket from systemd is in"));
        assert!(error("echo,fast").starts_with("echo has no option 'fast': "));
        assert!(error("echo,time").ends_with("write a space between listeners"));
    }

    #[test]
    fn listeners_without_options_have_none() {
        let own: Listen = "echo=7".parse().expect("a listener");
        let options = ListenerOptions::new(vec![own.clone()], vec!["echo".parse().expect("an entry")]);
        let inherited = |descriptor: &str| Origin::Inherited { descriptor: descriptor.into(), protocol: "echo" };
        for origin in [Origin::Own(own.endpoint), Origin::Own(Endpoint::default()), inherited("retortd-echo.socket")] {
            assert_eq!(options.of(&origin), Vec::<&ListenerOption>::new(), "{origin:?}");
        }
    }
}
