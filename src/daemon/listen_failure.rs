//! Why the daemon cannot listen on an address, and how to resolve it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::config::conflict::exclude;
use super::exit_status::Failure;
use crate::server::Listener;
use crate::sys::{self, Errno, SocketAddress, StreamListener};

/// The first port that any process may bind (`net.ipv4.ip_unprivileged_port_start`, ip(7)). Derived: its default.
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// The failure of a listener of the daemon on `address`, beside the `inherited` ones.
///
/// 78: an address that another start will not get; 71: the system refused it.
#[must_use]
pub fn cannot_listen(address: SocketAddr, error: Errno, inherited: &[Listener]) -> Failure {
    if !may_open_sockets() {
        return forbidden(address, error, !inherited.is_empty());
    }
    let what = cannot_bind(address, error);
    match error {
        Errno::EACCES if address.port() < FIRST_UNPRIVILEGED_PORT => Failure::configuration(what).with_hint(
            "ports below 1024 need CAP_NET_BIND_SERVICE, or a socket unit that binds them; another port needs neither",
        ),
        Errno::EAFNOSUPPORT => Failure::configuration(what).with_hint("this machine has no IPv6: use an IPv4 address"),
        Errno::EINVAL if is_link_local(address) => Failure::configuration(what)
            .with_hint("a link-local address needs the number of its interface: [fe80::1%2], see ip link"),
        Errno::EACCES | Errno::EINVAL => Failure::configuration(what),
        Errno::EADDRINUSE => in_use(address, what, inherited),
        Errno::EADDRNOTAVAIL => {
            Failure::system(what).with_hint("no interface of this machine has that address: ip address shows them")
        }
        _ => Failure::system(what),
    }
}

/// Whether this process may open sockets of IPv4, which every machine has. `RestrictAddressFamilies=` in systemd.exec(5)
/// makes socket(2) fail with EAFNOSUPPORT, and a filter of system calls usually with EPERM.
fn may_open_sockets() -> bool {
    let address = SocketAddress::Internet(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0));
    let socket = sys::stream_socket(&address);
    !matches!(socket, Err(Errno::EAFNOSUPPORT | Errno::EPERM | Errno::EACCES))
}

/// The failure of a service without network; `has_inherited` if systemd has passed sockets nevertheless.
fn forbidden(address: SocketAddr, error: Errno, has_inherited: bool) -> Failure {
    let why = io::Error::from(error);
    if has_inherited {
        return Failure::configuration(format!(
            "cannot listen on {address}: this service may not open sockets itself ({why})"
        ))
        .with_hint(
            "systemd listens for it: remove --port, --listen, RETORTD_PORT and RETORTD_LISTEN, and set ListenStream= \
             with 'systemctl edit retortd.socket'",
        );
    }
    Failure::configuration(format!(
        "cannot listen on {address}: systemd passed no socket, and this service may not open one itself ({why})"
    ))
    .with_hint(
        "run 'systemctl start retortd.socket'; the port is in ListenStream= of the socket ('systemctl edit \
         retortd.socket'), not in RETORTD_PORT or RETORTD_LISTEN",
    )
}

/// Whether the kernel refuses to bind `address` beside this listener.
#[must_use]
pub fn excludes(listener: &StreamListener, address: SocketAddr) -> bool {
    let other = listener.local_address();
    matches!(other, Ok(SocketAddress::Internet(other)) if exclude(other, address))
        && !(address.ip().to_canonical().is_ipv4() && sys::is_ipv6_only(listener))
}

fn in_use(address: SocketAddr, what: String, inherited: &[Listener]) -> Failure {
    match inherited.iter().find(|listener| excludes(&listener.socket, address)) {
        Some(Listener { name, .. }) => passed_too(&what, name),
        None => Failure::system(what)
            .with_hint(format!("another process listens there: ss -ltnp sport = :{} shows it", address.port())),
    }
}

/// The address that cannot be bound, and why.
#[must_use]
pub fn cannot_bind(address: SocketAddr, error: Errno) -> String {
    format!("cannot listen on {address}: {}", io::Error::from(error))
}

/// The failure of a listener whose address the inherited listener `name` has.
#[must_use]
pub fn passed_too(what: &str, name: &str) -> Failure {
    Failure::configuration(format!("{what}: systemd passes {name}, too")).with_hint(
        "remove the listener from --port, --listen, RETORTD_PORT and RETORTD_LISTEN, or disable the socket unit",
    )
}

fn is_link_local(address: SocketAddr) -> bool {
    matches!(address.ip(), IpAddr::V6(address) if address.is_unicast_link_local())
}
