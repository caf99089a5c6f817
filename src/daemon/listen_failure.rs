//! Why the daemon cannot listen on an address, and how to resolve it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use super::config::conflict::exclude;
use super::exit_status::Failure;
use crate::server;
use crate::sys::{self, BindError, Errno, SocketAddress, SocketFamily, StreamListener, UnixAddress};

/// The first port that any process may bind (`net.ipv4.ip_unprivileged_port_start`, ip(7)). Derived: its default.
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// The hint if this process lacks the right to bind a port below that.
const PRIVILEGED_PORT: &str =
    "ports below 1024 need CAP_NET_BIND_SERVICE, or a socket unit that binds them; another port needs neither";

/// Another socket that listens.
#[derive(Clone, Copy, Debug)]
pub struct Other<'a> {
    /// The socket.
    pub socket: &'a StreamListener,
    /// Its name in messages.
    pub name: &'a str,
    /// Where it comes from.
    pub origin: server::Origin,
}

/// The failure of a listener of the daemon on `address`, beside the others that it has already.
///
/// 78: an address that another start will not get; 71: the system refused it.
#[must_use]
pub fn cannot_listen(address: &SocketAddress, error: BindError, others: &[Other<'_>]) -> Failure {
    let error = match error {
        BindError::ForeignLock(file) => return foreign_lock(address, &file),
        BindError::ForeignSocket => return foreign_socket(address),
        BindError::ForeignLeftover => return foreign_leftover(address),
        BindError::System(error) => error,
    };
    if address.family() != SocketFamily::Unix && !may_open_sockets() {
        let has_inherited = others.iter().any(|other| other.origin == server::Origin::Inherited);
        return forbidden(address, error, has_inherited);
    }
    let what = cannot_bind(address, error);
    match (address, error) {
        (_, Errno::EADDRINUSE) => in_use(address, what, others),
        (SocketAddress::Internet(address), _) => tcp_failure(*address, what, error),
        (SocketAddress::Unix(address), _) => unix_failure(address, what, error),
        (SocketAddress::Vsock(_), _) => vsock_failure(what, error),
    }
}

fn tcp_failure(address: SocketAddr, what: String, error: Errno) -> Failure {
    match error {
        Errno::EACCES if address.port() < FIRST_UNPRIVILEGED_PORT => {
            Failure::configuration(what).with_hint(PRIVILEGED_PORT)
        }
        Errno::EAFNOSUPPORT => Failure::configuration(what).with_hint("this machine has no IPv6: use an IPv4 address"),
        Errno::EINVAL if is_link_local(address) => Failure::configuration(what)
            .with_hint("a link-local address needs the number of its interface: [fe80::1%2], see ip link"),
        Errno::EACCES | Errno::EINVAL => Failure::configuration(what),
        Errno::EADDRNOTAVAIL => {
            Failure::system(what).with_hint("no interface of this machine has that address: ip address shows them")
        }
        _ => Failure::system(what),
    }
}

fn unix_failure(address: &UnixAddress, what: String, error: Errno) -> Failure {
    let hint = match error {
        Errno::EEXIST if address.path().is_some_and(Path::is_symlink) => {
            "there is a symbolic link, which is not followed: remove it, or write the path it leads to"
        }
        Errno::EEXIST => "there is a file that is no socket: remove it, or choose another path",
        Errno::ENOENT | Errno::ENOTDIR => {
            "the directory of the socket has to exist: RuntimeDirectory=retortd in a unit creates /run/retortd"
        }
        Errno::EACCES | Errno::EPERM => {
            "the daemon has to write to the directory of the socket: RuntimeDirectory=retortd in a unit gives \
             /run/retortd to its user"
        }
        Errno::EROFS => {
            "the directory is read-only for this process: RuntimeDirectory=retortd in a unit makes /run/retortd \
             writable"
        }
        Errno::ENAMETOOLONG => "choose a shorter path",
        _ => return Failure::system(what),
    };
    Failure::configuration(what).with_hint(hint)
}

/// The failure of a Unix socket whose lock file cannot be used.
fn foreign_lock(address: &SocketAddress, file: &Path) -> Failure {
    let file = file.display();
    Failure::configuration(format!("cannot listen on {address}: {file} is there and is no lock file of this user"))
        .with_hint("if no other program needs that file, remove it; otherwise choose another path")
}

/// The failure of a Unix socket in place of a socket to which this process may not connect.
fn foreign_socket(address: &SocketAddress) -> Failure {
    let what = format!("cannot listen on {address}: a socket is there that this user may not connect to");
    Failure::configuration(what)
        .with_hint("if 'ss -lxp' shows no process that listens there, remove it; otherwise choose another path")
}

/// The failure of a Unix socket in place of a leftover that this process may not remove.
fn foreign_leftover(address: &SocketAddress) -> Failure {
    let what = format!("cannot listen on {address}: a socket of another user is there, to which no process listens");
    Failure::configuration(what)
        .with_hint("in a directory with the sticky bit only its owner may remove it: remove it, or choose another path")
}

fn vsock_failure(what: String, error: Errno) -> Failure {
    match error {
        Errno::EAFNOSUPPORT => Failure::configuration(what).with_hint(
            "the kernel has no vsock: load vhost_vsock on a host, vmw_vsock_virtio_transport on a virtual machine",
        ),
        Errno::EACCES => Failure::configuration(what).with_hint(PRIVILEGED_PORT),
        Errno::EADDRNOTAVAIL => {
            Failure::system(what).with_hint("this machine does not have that CID: vsock::PORT listens on every one")
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
fn forbidden(address: &SocketAddress, error: Errno, has_inherited: bool) -> Failure {
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
pub fn excludes(listener: &StreamListener, address: &SocketAddress) -> bool {
    let is_ipv4 = matches!(address, SocketAddress::Internet(address) if address.ip().to_canonical().is_ipv4());
    let other = listener.local_address();
    other.is_ok_and(|other| exclude(&other, address)) && !(is_ipv4 && sys::is_ipv6_only(listener))
}

/// Whether a listener has the file of a Unix socket, by this path or another one.
fn has_file(listener: &StreamListener, address: &SocketAddress) -> bool {
    let file = |address: &SocketAddress| match address {
        SocketAddress::Unix(address) => address.path().and_then(sys::id_of),
        SocketAddress::Internet(_) | SocketAddress::Vsock(_) => None,
    };
    let wanted = file(address);
    wanted.is_some() && listener.local_address().is_ok_and(|local| file(&local) == wanted)
}

fn in_use(address: &SocketAddress, what: String, others: &[Other<'_>]) -> Failure {
    let has_address = |other: &&Other<'_>| match other.origin {
        server::Origin::Inherited => excludes(other.socket, address) || has_file(other.socket, address),
        // two own listeners with one address are found before (`check_for_conflicts`), unless the kernel chose the port
        server::Origin::Own => has_file(other.socket, address),
    };
    if let Some(Other { name, origin, .. }) = others.iter().find(has_address) {
        return match origin {
            server::Origin::Inherited => passed_too(&what, name),
            server::Origin::Own => Failure::configuration(format!("{what}: {name} leads to the same file"))
                .with_hint("give one of them another address"),
        };
    }
    let command = match address {
        SocketAddress::Internet(address) => format!("ss -ltnp sport = :{}", address.port()),
        SocketAddress::Unix(_) => "ss -lxp".into(),
        SocketAddress::Vsock(_) => "ss -lp --vsock".into(),
    };
    Failure::system(what).with_hint(format!("another process listens there: {command} shows it"))
}

/// The address that cannot be bound, and why.
#[must_use]
pub fn cannot_bind(address: &SocketAddress, error: Errno) -> String {
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::daemon::exit_status::Kind;

    #[test]
    fn a_port_that_the_kernel_gave_to_an_own_listener_is_in_use() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
        let address = SocketAddress::Internet(listener.local_addr().expect("an address"));
        let kind = |origin| {
            let socket = &listener.try_clone().expect("a descriptor").into();
            let other = Other { socket, name: "frame", origin };
            cannot_listen(&address, BindError::System(Errno::EADDRINUSE), &[other]).kind
        };
        assert_eq!([server::Origin::Own, server::Origin::Inherited].map(kind), [Kind::System, Kind::Configuration]);
    }
}
