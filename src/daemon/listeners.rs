//! The sockets to serve on: those that systemd hands over, and those that we bind ourselves.
//!
//! An option that cannot be set on an inherited socket is warned about and no more: the socket serves without it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;

use log::warn;

use super::activation::Inherited;
use crate::daemon::config::args::{self, Listen, Settings};
use crate::daemon::exit_status::Failure;
use crate::protocol::ProtocolInfo;
use crate::server::BoundListener;
use crate::sys::{self, Errno};

/// Seconds without a sign of life after which a silent client is probed, and between probes (`tcp(7)`).
const KEEPALIVE_IDLE: u32 = 60;
const KEEPALIVE_INTERVAL: u32 = 15;
const KEEPALIVE_PROBES: u32 = 4;
/// Milliseconds that sent data may stay without an acknowledgement (`TCP_USER_TIMEOUT`).
const USER_TIMEOUT: u32 = 120_000;
/// Below this port the system asks for a privilege.
const FIRST_FREE_PORT: u16 = 1024;

/// What there is to serve.
#[derive(Debug)]
pub struct Sockets {
    /// Sockets that listen.
    pub listeners: Vec<BoundListener>,
    /// The one connection of an `Accept=yes` unit, and what is spoken on it.
    pub connection: Option<(TcpStream, &'static ProtocolInfo)>,
    /// Names of descriptors that the manager's store is to drop.
    pub stored: Vec<String>,
}

/// Makes what systemd handed over ready, and binds what `settings` ask for.
///
/// # Errors
/// 78 for a descriptor that cannot be used and for an address that a retry will not give; 71 for what may pass.
pub fn open(settings: &Settings, inherited: Inherited) -> Result<Sockets, Failure> {
    let mut sockets = Sockets { listeners: Vec::new(), connection: None, stored: inherited.stored };
    for (socket, entry) in inherited.listeners {
        let listener = inherited_listener(socket, entry)?;
        prepare_inherited(&listener, settings);
        sockets.listeners.push(listener);
    }
    if let Some((stream, entry)) = inherited.connection {
        sockets.connection = Some((inherited_connection(stream)?, entry));
    }
    let nothing = sockets.listeners.is_empty() && sockets.connection.is_none();
    let wanted =
        if nothing && settings.listen.is_empty() { vec![args::default_listen()] } else { settings.listen.clone() };
    for listen in &wanted {
        sockets.listeners.push(bind_own(listen, settings)?);
    }
    Ok(sockets)
}

fn inherited_connection(stream: TcpStream) -> Result<TcpStream, Failure> {
    stream
        .set_nonblocking(true)
        .map_err(|error| Failure::system(format!("cannot make the inherited connection non-blocking: {error}")))?;
    if let Err(error) = stream.set_nodelay(true) {
        warn!("cannot set TCP_NODELAY on the inherited connection: {error}");
    }
    Ok(stream)
}

fn inherited_listener(socket: TcpListener, entry: &'static ProtocolInfo) -> Result<BoundListener, Failure> {
    let name = listener_name(&socket, entry);
    socket
        .set_nonblocking(true)
        .map_err(|error| Failure::system(format!("cannot make inherited {name} non-blocking: {error}")))?;
    Ok(BoundListener::new(socket, entry, name, true))
}

fn prepare_inherited(listener: &BoundListener, settings: &Settings) {
    for (what, error) in set_options(&listener.socket, settings) {
        warn!("cannot set {what} on inherited {}: {error}; serving without", listener.name);
    }
}

/// Sets what accepted connections inherit from their listener; says what could not be set.
fn set_options(socket: &impl AsFd, settings: &Settings) -> Vec<(&'static str, Errno)> {
    let mut results = vec![
        ("TCP_NODELAY", sys::enable_nodelay(socket)),
        ("SO_KEEPALIVE", sys::enable_keepalive(socket)),
        ("TCP_KEEPIDLE", sys::set_keepalive_idle(socket, KEEPALIVE_IDLE)),
        ("TCP_KEEPINTVL", sys::set_keepalive_interval(socket, KEEPALIVE_INTERVAL)),
        ("TCP_KEEPCNT", sys::set_keepalive_probes(socket, KEEPALIVE_PROBES)),
        ("TCP_USER_TIMEOUT", sys::set_user_timeout(socket, USER_TIMEOUT)),
    ];
    if let Some(size) = settings.recv_buffer {
        results.push(("SO_RCVBUF", sys::set_receive_buffer(socket, size)));
    }
    if let Some(size) = settings.send_buffer {
        results.push(("SO_SNDBUF", sys::set_send_buffer(socket, size)));
    }
    results.into_iter().filter_map(|(what, result)| result.err().map(|error| (what, error))).collect()
}

/// Binds a socket of our own.
fn bind_own(listen: &Listen, settings: &Settings) -> Result<BoundListener, Failure> {
    let address = listen.socket_address();
    let bound = match try_bind(address, settings) {
        // no IPv6 here: all addresses are IPv4's
        Err(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL) if listen.address.is_none() => {
            try_bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), listen.port), settings)
        }
        result => result,
    };
    let socket = bound.map_err(|error| cannot_listen(listen, error))?;
    let name = listener_name(&socket, listen.entry);
    Ok(BoundListener::new(socket, listen.entry, name, false))
}

fn try_bind(address: SocketAddr, settings: &Settings) -> Result<TcpListener, Errno> {
    let socket = sys::tcp_socket(address)?;
    sys::enable_address_reuse(&socket)?;
    if address.ip() == IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED) {
        sys::enable_dual_stack(&socket)?;
    }
    for (what, error) in set_options(&socket, settings) {
        warn!("cannot set {what} on {address}: {error}; serving without");
    }
    sys::bind(&socket, address)?;
    // the kernel takes net.core.somaxconn where that is less
    let backlog = settings.backlog.and_then(|backlog| i32::try_from(backlog).ok()).unwrap_or(i32::MAX);
    sys::listen(&socket, backlog)?;
    Ok(TcpListener::from(socket))
}

fn cannot_listen(listen: &Listen, error: Errno) -> Failure {
    let what = format!("cannot listen on {}: {}", listen.socket_address(), io::Error::from(error));
    match error {
        Errno::EACCES if listen.port < FIRST_FREE_PORT => Failure::configuration(what)
            .with_hint("ports below 1024 need CAP_NET_BIND_SERVICE, or a socket unit that binds them"),
        Errno::EACCES | Errno::EAFNOSUPPORT | Errno::EINVAL => Failure::configuration(what),
        Errno::EADDRINUSE => Failure::system(what)
            .with_hint(format!("another process listens there: ss -ltnp sport = :{} shows it", listen.port)),
        Errno::EADDRNOTAVAIL => Failure::system(what).with_hint("no interface of this machine has that address"),
        _ => Failure::system(what),
    }
}

/// How a listener is called in messages: `frame=[::]:8083`.
fn listener_name(socket: &TcpListener, entry: &ProtocolInfo) -> String {
    match socket.local_addr() {
        Ok(address) => format!("{}={address}", entry.name),
        Err(_) => entry.name.to_string(),
    }
}
