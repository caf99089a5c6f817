//! The source addresses of a benchmark's connections.
//!
//! A connection is known by both addresses and ports, so that one source address has as many connections to a server as
//! it has ports, those in TIME-WAIT included, in which a closed connection stays for a minute (tcp(7)).

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::client::connector;
use crate::client::failure::{Failure, reason};
use crate::sys::{SocketAddress, StreamSocket};

/// Loopback addresses that connections to 127.0.0.1 come from. Chosen: with 28,000 ports each
/// (`net.ipv4.ip_local_port_range`) they allow 90,000 new connections a second.
const LOOPBACK_SOURCES: u8 = 200;

/// The kernel's list of IPv6 addresses: for each the address, the number of its interface, prefix length, scope and
/// flags in hexadecimal, and the name of the interface.
const IPV6_ADDRESSES: &str = "/proc/net/if_inet6";

/// The scope of addresses that are valid on every link (`IPV6_ADDR_SCOPE_GLOBAL` of the kernel's `include/net/ipv6.h`).
const SCOPE_GLOBAL: &str = "00";

/// Flags of an address that cannot be used, or not yet: `IFA_F_DADFAILED`, `IFA_F_DEPRECATED` and `IFA_F_TENTATIVE`
/// (the kernel's `include/uapi/linux/if_addr.h`).
const UNUSABLE: u8 = 0x08 | 0x20 | 0x40;

/// The addresses that connections to one server come from, in turn; none if the kernel chooses.
#[derive(Clone, Debug)]
pub struct SourceAddresses(Vec<IpAddr>);

impl SourceAddresses {
    /// Those that are given, or if there are none, [all](Self::for_server).
    #[must_use]
    pub fn new(given: &[IpAddr], server: &SocketAddress) -> Self {
        if given.is_empty() { Self::for_server(server) } else { Self(given.to_vec()) }
    }

    /// All that this machine has for `server`.
    ///
    /// 127.0.0.1 is reached from the whole network 127.0.0.0/8. `::1` is alone on its interface, but is reached from the
    /// other IPv6 addresses of the machine, too.
    #[must_use]
    pub fn for_server(server: &SocketAddress) -> Self {
        let SocketAddress::Internet(server) = server else { return Self(Vec::new()) };
        let list = || fs::read_to_string(IPV6_ADDRESSES).unwrap_or_default();
        Self(match server.ip() {
            IpAddr::V4(Ipv4Addr::LOCALHOST) => {
                (1..=LOOPBACK_SOURCES).map(|last| Ipv4Addr::new(127, 0, 0, last).into()).collect()
            }
            IpAddr::V6(Ipv6Addr::LOCALHOST) => [server.ip()].into_iter().chain(global_addresses(&list())).collect(),
            _ => Vec::new(),
        })
    }

    /// Starts to connect to `server`; `number` chooses the source. The socket becomes writable when the attempt has
    /// succeeded or failed.
    ///
    /// # Errors
    /// As connect(2), for example EADDRNOTAVAIL when the source has no free port.
    pub fn start_connect(&self, server: &SocketAddress, number: usize) -> io::Result<StreamSocket> {
        let source = self.0.get(number % self.0.len().max(1)).map(|address| SocketAddr::new(*address, 0));
        connector::start(server, source)
    }
}

/// Checks that connections to `server` can come from these addresses.
///
/// # Errors
/// One is of another family, or this machine does not have it.
pub fn check_sources(given: &[IpAddr], server: &SocketAddress) -> Result<(), Failure> {
    for source in given {
        match server {
            SocketAddress::Internet(server) if server.is_ipv4() == source.is_ipv4() => {}
            _ => {
                let message = format!(
                    "--source {source}: connections to {server} cannot come from it, an address of another family"
                );
                return Err(Failure::cannot_run(message));
            }
        }
        if let Some(reason) = not_local(*source) {
            return Err(Failure::cannot_run(format!("--source {source}: {reason}: not an address of this machine")));
        }
    }
    Ok(())
}

/// Why this machine does not have the address, if so. The kernel binds sockets also to addresses that name no machine,
/// and takes another one when they connect.
fn not_local(address: IpAddr) -> Option<String> {
    if address.is_unspecified() {
        return Some("an unspecified address".into());
    }
    if address.is_multicast() {
        return Some("a multicast address".into());
    }
    // A socket for datagrams, because that shows whether the address is local, and takes no port of TCP. It may not
    // connect to a broadcast address, that of a network included, and sends nothing to its own, whatever the port.
    let socket = UdpSocket::bind((address, 0)).and_then(|socket| socket.connect((address, 9)));
    match socket {
        Ok(()) => None,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Some("a broadcast address".into()),
        Err(error) => Some(reason(&error)),
    }
}

/// The usable addresses of global scope in a list such as [`IPV6_ADDRESSES`].
fn global_addresses(list: &str) -> impl Iterator<Item = IpAddr> + '_ {
    list.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [address, _, _, SCOPE_GLOBAL, flags, _] = fields[..] else { return None };
        let usable = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & UNUSABLE == 0);
        usable.then(|| u128::from_str_radix(address, 16).ok().map(|bits| Ipv6Addr::from_bits(bits).into()))?
    })
}

/// What a user can do about EADDRNOTAVAIL from connect(2), for a message.
pub const PORT_REMEDY: &str = "all local ports for this server are in use or in TIME-WAIT; use fewer connections, several \
    addresses or ports of the server, or more source addresses (for ::1: ip address add fd00::1/128 dev lo), or change \
    the sysctls net.ipv4.ip_local_port_range and net.ipv4.tcp_tw_reuse";

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn sources_of(address: &str) -> Vec<IpAddr> {
        let listener = TcpListener::bind((address, 0)).expect("listen");
        let server = SocketAddress::Internet(listener.local_addr().expect("an address"));
        let addresses = SourceAddresses::for_server(&server);
        let of = |number| {
            let _client = addresses.start_connect(&server, number).expect("connect");
            listener.accept().expect("a connection").1.ip()
        };
        (0..3).map(of).collect()
    }

    #[test]
    fn connections_to_the_loopback_address_come_from_several() {
        let sources = sources_of("127.0.0.1");
        assert_eq!(sources, ["127.0.0.1", "127.0.0.2", "127.0.0.3"].map(|text| text.parse::<IpAddr>().unwrap()));
    }

    #[test]
    fn given_sources_are_of_the_family_and_of_this_machine() {
        let server = SocketAddress::Internet("127.0.0.1:7".parse().expect("an address"));
        let check = |source: &str| check_sources(&[source.parse().expect("an address")], &server);
        assert!(check("127.0.0.9").is_ok());
        for (source, reason) in [
            ("::1", "another family"),
            ("192.0.2.1", "not an address of this machine"),
            ("0.0.0.0", "an unspecified address: not an address of this machine"),
            ("224.0.0.1", "a multicast address: not an address of this machine"),
            ("255.255.255.255", "a broadcast address: not an address of this machine"),
        ] {
            let failure = check(source).expect_err(source).to_string();
            assert!(failure.contains(reason), "{failure}");
        }
        let server = SocketAddress::Internet("[::1]:7".parse().expect("an address"));
        for source in ["::", "ff02::1"] {
            let failure = check_sources(&[source.parse().expect("an address")], &server).expect_err(source).to_string();
            assert!(failure.contains("not an address of this machine"), "{failure}");
        }
    }

    #[test]
    fn connections_to_other_servers_come_from_the_address_that_the_kernel_chooses() {
        let sources = sources_of("127.0.0.2");
        assert!(sources.iter().all(|source| *source == sources[0]), "{sources:?}");
    }

    #[test]
    fn only_usable_global_addresses_are_sources() {
        let list = "00000000000000000000000000000001 01 80 10 80       lo\n\
                    fd000000000000000000000000000002 04 40 00 82     eth0\n\
                    20010db8000000000000000000000003 04 40 00 c0     eth0\n\
                    fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n\
                    nonsense\n";
        let expected: IpAddr = "fd00::2".parse().unwrap();
        assert_eq!(global_addresses(list).collect::<Vec<_>>(), [expected]);
    }
}
