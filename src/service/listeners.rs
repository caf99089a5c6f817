//! The sockets to serve on: those that systemd hands over, and those that we bind ourselves.
//!
//! listenfd takes over the descriptors but knows no names and checks little: names are read before it clears the
//! environment, and everything else is checked here, before any thread starts. An option that cannot be set on an
//! inherited socket is warned about and no more: the socket serves without it.

use std::env;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use listenfd::ListenFd;
use log::warn;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, getpeername, getsockopt, setsockopt, socket, sockopt,
};

use super::failure::Failure;
use super::options::{self, Listen, Settings};
use crate::kernel;
use crate::protocol::{self, Entry};
use crate::server::BoundListener;

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
    pub connection: Option<(TcpStream, &'static Entry)>,
}

/// Takes what systemd hands over and binds what `settings` ask for.
///
/// Call before any thread is started: listenfd changes the environment.
///
/// # Errors
/// 78 for a descriptor that cannot be used and for an address that a retry will not give; 71 for what may pass.
pub fn open(settings: &Settings) -> Result<Sockets, Failure> {
    let mut sockets = take_inherited()?;
    for listener in &sockets.listeners {
        prepare_inherited(listener, settings);
    }
    let nothing = sockets.listeners.is_empty() && sockets.connection.is_none();
    let wanted =
        if nothing && settings.listen.is_empty() { vec![options::default_listen()] } else { settings.listen.clone() };
    for listen in &wanted {
        sockets.listeners.push(bind_own(listen, settings)?);
    }
    Ok(sockets)
}

/// Takes the descriptors of `sd_listen_fds(3)`.
fn take_inherited() -> Result<Sockets, Failure> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    check_environment()?;
    let mut inherited = ListenFd::from_env();
    let mut sockets = Sockets { listeners: Vec::new(), connection: None };
    for index in 0..inherited.len() {
        let name = names.get(index).copied().unwrap_or_default();
        take_one(&mut inherited, index, name, &mut sockets)?;
    }
    Ok(sockets)
}

/// listenfd takes descriptors without a `LISTEN_PID`; those may be anybody's.
fn check_environment() -> Result<(), Failure> {
    let Ok(count) = env::var("LISTEN_FDS") else { return Ok(()) };
    let ours = std::process::id().to_string();
    match env::var("LISTEN_PID") {
        Ok(pid) if pid == ours => Ok(()),
        Ok(pid) => {
            warn!("LISTEN_FDS={count} is for process {pid}, not for this one ({ours}): not used");
            Ok(())
        }
        Err(_) => Err(Failure::configuration(format!("LISTEN_FDS={count} is set without LISTEN_PID"))
            .with_hint("sockets are handed over by systemd or systemd-socket-activate")),
    }
}

fn take_one(inherited: &mut ListenFd, index: usize, name: &str, sockets: &mut Sockets) -> Result<(), Failure> {
    let fd = 3 + index;
    let unusable =
        |why: &str| Failure::configuration(format!("cannot serve on inherited descriptor {fd} ({name}): {why}"));
    let entry = protocol_of(name).ok_or_else(|| {
        unusable("no protocol has that name").with_hint("set FileDescriptorName= to one that retortd --list prints")
    })?;
    let taken = inherited.take_tcp_listener(index);
    let socket = taken.map_err(|error| unusable(&format!("it is no TCP socket ({error})")))?;
    let socket = socket.ok_or_else(|| unusable("it is not there"))?;
    if getsockopt(&socket, sockopt::AcceptConn).unwrap_or(false) {
        sockets.listeners.push(inherited_listener(socket, entry)?);
    } else if is_connected(&socket) {
        if sockets.connection.is_some() {
            return Err(unusable("it is a second connection; Accept=yes hands over one"));
        }
        sockets.connection = Some((take_connection(socket)?, entry));
    } else {
        return Err(unusable("it neither listens nor is connected"));
    }
    Ok(())
}

/// The protocol that a descriptor's name means. What systemd calls a socket without `FileDescriptorName=` (its unit,
/// `connection` with `Accept=yes`, `unknown`) means the main job, or what the unit's name ends in.
fn protocol_of(name: &str) -> Option<&'static Entry> {
    match name.strip_suffix(".socket") {
        Some("retortd") => Some(options::default_protocol()),
        Some(unit) => protocol::by_name(unit.strip_prefix("retortd-").unwrap_or(unit)),
        None if ["", "unknown", "connection"].contains(&name) => Some(options::default_protocol()),
        None => protocol::by_name(name),
    }
}

fn is_connected(socket: &impl AsFd) -> bool {
    getpeername::<SockaddrStorage>(socket.as_fd().as_raw_fd()).is_ok()
}

fn take_connection(socket: TcpListener) -> Result<TcpStream, Failure> {
    let stream = TcpStream::from(OwnedFd::from(socket));
    stream
        .set_nonblocking(true)
        .map_err(|error| Failure::system(format!("cannot make the inherited connection non-blocking: {error}")))?;
    if let Err(error) = stream.set_nodelay(true) {
        warn!("cannot set TCP_NODELAY on the inherited connection: {error}");
    }
    Ok(stream)
}

fn inherited_listener(socket: TcpListener, entry: &'static Entry) -> Result<BoundListener, Failure> {
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
        ("TCP_NODELAY", setsockopt(socket, sockopt::TcpNoDelay, &true)),
        ("SO_KEEPALIVE", setsockopt(socket, sockopt::KeepAlive, &true)),
        ("TCP_KEEPIDLE", setsockopt(socket, sockopt::TcpKeepIdle, &KEEPALIVE_IDLE)),
        ("TCP_KEEPINTVL", setsockopt(socket, sockopt::TcpKeepInterval, &KEEPALIVE_INTERVAL)),
        ("TCP_KEEPCNT", setsockopt(socket, sockopt::TcpKeepCount, &KEEPALIVE_PROBES)),
        ("TCP_USER_TIMEOUT", setsockopt(socket, sockopt::TcpUserTimeout, &USER_TIMEOUT)),
    ];
    if let Some(size) = settings.recv_buffer {
        results.push(("SO_RCVBUF", setsockopt(socket, sockopt::RcvBuf, &size)));
    }
    if let Some(size) = settings.send_buffer {
        results.push(("SO_SNDBUF", setsockopt(socket, sockopt::SndBuf, &size)));
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
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    if address.ip() == IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED) {
        setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    }
    for (what, error) in set_options(&socket, settings) {
        warn!("cannot set {what} on {address}: {error}; serving without");
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    // the kernel takes net.core.somaxconn where that is less
    let backlog = settings.backlog.and_then(|backlog| i32::try_from(backlog).ok()).unwrap_or(i32::MAX);
    kernel::listen(&socket, backlog)?;
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
fn listener_name(socket: &TcpListener, entry: &Entry) -> String {
    match socket.local_addr() {
        Ok(address) => format!("{}={address}", entry.name),
        Err(_) => entry.name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_descriptors() {
        let name = |fd: &str| protocol_of(fd).map(|entry| entry.name);
        assert_eq!(name("frame"), Some("frame"));
        assert_eq!(name("echo"), Some("echo"));
        for default in ["", "unknown", "connection", "retortd.socket"] {
            assert_eq!(name(default), Some("frame"), "{default}");
        }
        assert_eq!(name("retortd-echo.socket"), Some("echo"));
        assert_eq!(name("gopher"), None);
        assert_eq!(name("retortd-gopher.socket"), None);
    }
}
