//! The sockets to serve: those that systemd or inetd passes, and those that the daemon binds itself.
//!
//! A socket option that cannot be set causes a warning: the listener serves without it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;

use log::warn;

use super::activation::{Inherited, InheritedSocket};
use super::listen_failure::{cannot_bind, cannot_listen, excludes, passed_too};
use crate::daemon::config::args::FixedSettings;
use crate::daemon::config::listen::{Endpoint, ListenAddress, Origin, not_unicast};
use crate::daemon::exit_status::Failure;
use crate::protocol::ProtocolInfo;
use crate::server::{self, AdoptedConnection, Listener};
use crate::sys::{self, Errno, SocketAddress, SocketFamily, StreamListener, StreamSocket};

/// Seconds without a packet from a client after which the kernel probes it (tcp(7)). Chosen: an idle connection costs
/// the client's network one packet a minute, and a client that is gone is detected within two minutes.
const KEEPALIVE_IDLE: u32 = 60;
/// Seconds between probes. Chosen: a client that is gone is detected a minute after the first of [`KEEPALIVE_PROBES`].
const KEEPALIVE_INTERVAL: u32 = 15;
/// Probes without a reply after which the connection is reset. Chosen: three lost packets in a row are not a reason to
/// reset it.
const KEEPALIVE_PROBES: u32 = 4;
/// Milliseconds that sent data may stay without an acknowledgement (`TCP_USER_TIMEOUT`, tcp(7)). Derived: the time in
/// which keepalive detects that a silent client is gone.
const USER_TIMEOUT: u32 = 1000 * (KEEPALIVE_IDLE + KEEPALIVE_PROBES * KEEPALIVE_INTERVAL);

/// The sockets to serve.
#[derive(Debug)]
pub struct Sockets {
    /// Sockets that listen.
    pub listeners: Vec<Listener>,
    /// The one connection of an `Accept=yes` unit, or of inetd's `nowait`.
    pub connection: Option<AdoptedConnection>,
    /// Names of descriptors that the manager's store has to remove.
    pub stored: Vec<String>,
}

/// The origin of each listener that [`open`] returns for these settings and sockets, and behind them that of the
/// connection.
#[must_use]
pub fn origins(settings: &FixedSettings, inherited: &Inherited) -> Vec<Origin> {
    let listeners = inherited.listeners.iter().map(InheritedSocket::origin);
    let connection = inherited.connection.iter().map(InheritedSocket::origin);
    let own = own_endpoints(settings, inherited).into_iter().map(Origin::Own);
    listeners.chain(own).chain(connection).collect()
}

/// The endpoints to bind: those of the settings; the default one if there is no other socket.
fn own_endpoints(settings: &FixedSettings, inherited: &Inherited) -> Vec<Endpoint> {
    let has_inherited = !inherited.listeners.is_empty() || inherited.connection.is_some();
    if settings.endpoints.is_empty() && !has_inherited {
        return vec![Endpoint::default()];
    }
    settings.endpoints.clone()
}

/// Prepares the inherited sockets and binds the configured endpoints; the default one if there is no other socket.
///
/// # Errors
/// 78: an address that another start will not get; 71: the system refused an address or an option that is needed.
pub fn open(settings: &FixedSettings, inherited: Inherited) -> Result<Sockets, Failure> {
    let endpoints = own_endpoints(settings, &inherited);
    let mut listeners = Vec::new();
    for InheritedSocket { socket, protocol, .. } in inherited.listeners {
        let listener = inherited_listener(socket, protocol)?;
        prepare_inherited(&listener, settings);
        listeners.push(listener);
    }
    let passed = listeners.len();
    for endpoint in &endpoints {
        let address = endpoint.address.socket_address();
        check_unicast(address)?;
        let own = bind_own(endpoint, settings).map_err(|error| cannot_listen(address, error, &listeners[..passed]))?;
        listeners.push(own);
    }
    let adopt = |InheritedSocket { socket, protocol, .. }| {
        Ok(AdoptedConnection { stream: inherited_connection(socket)?, protocol })
    };
    let connection = inherited.connection.map(adopt).transpose()?;
    Ok(Sockets { listeners, connection, stored: inherited.stored })
}

/// Checks what is known without binding the configured endpoints.
///
/// # Errors
/// 78, as [`open`]: an endpoint that the kernel would refuse beside the inherited sockets, or that no client can reach.
pub fn check(settings: &FixedSettings, inherited: &Inherited) -> Result<(), Failure> {
    for endpoint in own_endpoints(settings, inherited) {
        let address = endpoint.address.socket_address();
        check_unicast(address)?;
        if let Some(passed) = inherited.listeners.iter().find(|passed| excludes(&passed.socket, address)) {
            let name = listener_name(&passed.socket, passed.protocol);
            return Err(passed_too(&cannot_bind(address, Errno::EADDRINUSE), &name));
        }
    }
    Ok(())
}

/// Checks that an address is no broadcast address of a network of this machine: bind(2) accepts that, and no client can
/// connect to it.
fn check_unicast(address: SocketAddr) -> Result<(), Failure> {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) if sys::is_broadcast(ip) => {
            Err(Failure::configuration(format!("cannot listen on {address}: {}", not_unicast(ip.into(), "broadcast"))))
        }
        _ => Ok(()),
    }
}

fn inherited_connection(stream: StreamSocket) -> Result<StreamSocket, Failure> {
    stream
        .set_nonblocking(true)
        .map_err(|error| Failure::system(format!("cannot make the inherited connection non-blocking: {error}")))?;
    if stream.family() == SocketFamily::Internet {
        if let Err(error) = sys::enable_nodelay(&stream) {
            warn!("cannot set TCP_NODELAY on the inherited connection: {}", error.desc());
        }
    }
    Ok(stream)
}

fn inherited_listener(socket: StreamListener, protocol: &'static ProtocolInfo) -> Result<Listener, Failure> {
    let name = listener_name(&socket, protocol);
    socket
        .set_nonblocking(true)
        .map_err(|error| Failure::system(format!("cannot make inherited {name} non-blocking: {error}")))?;
    Ok(Listener::new(socket, protocol, name, server::Origin::Inherited))
}

fn prepare_inherited(listener: &Listener, settings: &FixedSettings) {
    for (option, error) in set_options(&listener.socket, settings) {
        warn!("cannot set {option} on inherited {}: {error}; serving without it", listener.name);
    }
}

/// Sets the options that accepted connections inherit from their listener; the result is those that cannot be set.
fn set_options(socket: &impl AsFd, settings: &FixedSettings) -> Vec<(&'static str, Errno)> {
    let mut results = vec![
        ("TCP_NODELAY", sys::enable_nodelay(socket)),
        ("SO_KEEPALIVE", sys::enable_keepalive(socket)),
        ("TCP_KEEPIDLE", sys::set_keepalive_idle(socket, KEEPALIVE_IDLE)),
        ("TCP_KEEPINTVL", sys::set_keepalive_interval(socket, KEEPALIVE_INTERVAL)),
        ("TCP_KEEPCNT", sys::set_keepalive_probes(socket, KEEPALIVE_PROBES)),
        ("TCP_USER_TIMEOUT", sys::set_user_timeout(socket, USER_TIMEOUT)),
    ];
    if let Some(size) = settings.recv_buffer {
        results.push(("SO_RCVBUF", sys::set_receive_buffer(socket, size.in_memory())));
    }
    if let Some(size) = settings.send_buffer {
        results.push(("SO_SNDBUF", sys::set_send_buffer(socket, size.in_memory())));
    }
    results.into_iter().filter_map(|(option, result)| result.err().map(|error| (option, error))).collect()
}

/// Binds an endpoint.
fn bind_own(endpoint: &Endpoint, settings: &FixedSettings) -> Result<Listener, Errno> {
    let Endpoint { protocol, address } = *endpoint;
    let socket = match (try_bind(address.socket_address(), settings), address) {
        // no IPv6 on this machine: all addresses are those of IPv4
        (Err(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL), ListenAddress::AllAddresses(port)) => {
            try_bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), settings)?
        }
        (result, _) => result?,
    };
    let name = listener_name(&socket, protocol);
    Ok(Listener::new(socket, protocol, name, server::Origin::Own))
}

fn try_bind(address: SocketAddr, settings: &FixedSettings) -> Result<StreamListener, Errno> {
    let bound = SocketAddress::Internet(address);
    let socket = sys::stream_socket(&bound)?;
    sys::enable_address_reuse(&socket)?;
    if address.ip() == IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED) {
        sys::enable_dual_stack(&socket)?;
    }
    for (option, error) in set_options(&socket, settings) {
        warn!("cannot set {option} on {address}: {error}; serving without it");
    }
    sys::bind(&socket, &bound)?;
    // the kernel limits it to net.core.somaxconn (listen(2))
    let backlog = settings.backlog.and_then(|backlog| i32::try_from(backlog).ok()).unwrap_or(i32::MAX);
    sys::listen(&socket, backlog)?;
    StreamListener::try_from(socket)
}

/// The name of a listener in messages: `frame=[::]:8083`.
fn listener_name(socket: &StreamListener, protocol: &ProtocolInfo) -> String {
    match socket.local_address() {
        Ok(address) => format!("{}={address}", protocol.name),
        Err(_) => protocol.name.to_string(),
    }
}
