//! Creating sockets: listening, connecting; closing with a reset.

#![allow(unsafe_code, reason = "calls listen(2), which nix restricts")]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage};
use nix::sys::socket::{bind as bind_to, connect, setsockopt, socket, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use super::socket_address::{SocketAddress, SocketFamily, UnixAddress};
use super::socket_options::enable_nodelay;
use super::stream_socket::StreamSocket;

/// Creates a stream socket for addresses of the family of `address`; non-blocking and closed on exec.
///
/// # Errors
/// As socket(2), for example EAFNOSUPPORT on a system without IPv6.
pub fn stream_socket(address: &SocketAddress) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddress::Internet(SocketAddr::V4(_)) => AddressFamily::Inet,
        SocketAddress::Internet(SocketAddr::V6(_)) => AddressFamily::Inet6,
        SocketAddress::Unix(_) => AddressFamily::Unix,
        SocketAddress::Vsock(_) => AddressFamily::Vsock,
    };
    socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)
}

/// Assigns a local address to a socket.
///
/// # Errors
/// As bind(2), for example EADDRINUSE, EADDRNOTAVAIL or EACCES.
pub fn bind(socket: &impl AsFd, address: &SocketAddress) -> Result<(), Errno> {
    address.with_kernel_form(|form| bind_to(socket.as_fd().as_raw_fd(), form))?
}

/// Whether a route of this machine makes an address a broadcast address: connect(2) of a datagram socket that may not
/// broadcast fails with EACCES then (ip(7)). Nothing is sent. False if the system refuses the socket.
#[must_use]
pub fn is_broadcast(address: Ipv4Addr) -> bool {
    // the port of discard; any other would do
    let address = SocketAddr::new(address.into(), 9);
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None);
    socket.is_ok_and(|socket| connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) == Err(Errno::EACCES))
}

/// Makes a bound socket accept connections. The kernel limits `backlog` to net.core.somaxconn.
///
/// # Errors
/// As listen(2). (nix's own `listen` rejects a backlog above the 4096 of its build, whatever the kernel allows.)
pub fn listen(socket: &impl AsFd, backlog: i32) -> Result<(), Errno> {
    // SAFETY: listen takes two numbers and touches no memory.
    let result = unsafe { libc::listen(socket.as_fd().as_raw_fd(), backlog) };
    Errno::result(result).map(drop)
}

/// Starts to connect to `address`, for TCP with `TCP_NODELAY` and from the IP address of `source` if given; returns at
/// once. The socket becomes writable when the attempt has succeeded or failed.
///
/// # Errors
/// As socket(2), bind(2) and connect(2), except EINPROGRESS. EAGAIN: the accept queue of a Unix socket is full.
pub fn start_connect(address: &SocketAddress, source: Option<SocketAddr>) -> io::Result<StreamSocket> {
    let socket = stream_socket(address)?;
    if address.family() == SocketFamily::Internet {
        enable_nodelay(&socket)?;
    }
    if let Some(source) = source {
        // lets connect(2) choose the port, which only then knows the destination; bind(2) would take a port away from
        // connections to all destinations, and soon find none (ip(7))
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        bind(&socket, &SocketAddress::Internet(source))?;
    }
    match address.with_kernel_form(|form| connect(socket.as_raw_fd(), form))? {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(StreamSocket::new(socket, address.family())),
        Err(error) => Err(error.into()),
    }
}

/// Connects to a Unix socket; returns a blocking socket. While the accept queue is full it waits, as poll(2) cannot for
/// a Unix socket: `SO_SNDTIMEO`, socket(7).
///
/// # Errors
/// As socket(2) and connect(2). EAGAIN: the queue was full for `timeout`.
pub fn connect_unix(address: &UnixAddress, timeout: Duration) -> io::Result<StreamSocket> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // zero would be no limit
    let microseconds = i64::try_from(timeout.as_micros()).unwrap_or(i64::MAX).max(1);
    setsockopt(&socket, sockopt::SendTimeout, &TimeVal::microseconds(microseconds))?;
    SocketAddress::Unix(address.clone()).with_kernel_form(|form| connect(socket.as_raw_fd(), form))??;
    setsockopt(&socket, sockopt::SendTimeout, &TimeVal::microseconds(0))?;
    Ok(StreamSocket::new(socket, SocketFamily::Unix))
}

/// Closes a connection with a reset (RST) instead of a FIN: `SO_LINGER` with time 0 (socket(7)).
pub fn close_with_reset(stream: StreamSocket) {
    // fails only for what is no socket
    let _ = setsockopt(&stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 });
    drop(stream);
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::net::IpAddr;
    use std::time::Duration;

    use nix::sys::socket::getsockopt;

    use super::*;
    use crate::sys::{Interest, StreamListener, wait_readable, wait_ready};

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn listener() -> (StreamListener, SocketAddress) {
        let address = SocketAddress::Internet(SocketAddr::new(LOOPBACK, 0));
        let socket = stream_socket(&address).expect("a socket");
        bind(&socket, &address).expect("bind");
        listen(&socket, i32::MAX).expect("listen");
        let listener = StreamListener::try_from(socket).expect("a listener");
        let address = listener.local_address().expect("an address");
        (listener, address)
    }

    #[test]
    fn broadcast_addresses_follow_from_routes() {
        assert!(is_broadcast(Ipv4Addr::new(127, 255, 255, 255)));
        assert!(is_broadcast(Ipv4Addr::BROADCAST));
        for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 255), Ipv4Addr::UNSPECIFIED] {
            assert!(!is_broadcast(address), "{address}");
        }
    }

    #[test]
    fn the_queue_of_a_unix_socket_may_be_full() {
        let unix = UnixAddress::Abstract(format!("retortd-unit-{}", std::process::id()).into());
        let address = SocketAddress::Unix(unix.clone());
        let socket = stream_socket(&address).expect("a socket");
        bind(&socket, &address).expect("bind");
        // one more than the backlog is queued (listen(2))
        listen(&socket, 0).expect("listen");
        let _queued = start_connect(&address, None).expect("connect");
        let full = start_connect(&address, None).expect_err("a full queue");
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        let full = connect_unix(&unix, Duration::from_millis(5)).expect_err("a full queue");
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        // the queue gets room while the client waits
        let listener = StreamListener::try_from(socket).expect("a listener");
        let waiting = std::thread::spawn(move || connect_unix(&unix, Duration::from_secs(60)));
        listener.accept().expect("the queued connection");
        let mut connection = waiting.join().expect("a thread").expect("a connection");
        drop(listener.accept().expect("the connection"));
        assert_eq!(connection.read(&mut [0]).expect("the end"), 0, "it is blocking");
    }

    #[test]
    fn a_connection_from_a_chosen_address_that_ends_with_a_reset() {
        let (listener, address) = listener();
        assert_eq!(listener.accept().map(drop), Err(Errno::EAGAIN));
        let source = SocketAddr::from(([127, 0, 0, 77], 0));
        let client = start_connect(&address, Some(source)).expect("connect");
        wait_readable([listener.as_fd()], None).expect("poll");
        let (mut server, peer) = listener.accept().expect("a connection");
        assert_eq!(server.peer_address().ok(), peer);
        assert!(matches!(peer, Some(SocketAddress::Internet(peer)) if peer.ip() == source.ip()), "{peer:?}");
        let connected = wait_ready(&client, Interest { read: false, write: true }, Duration::from_secs(60));
        assert_eq!(connected.expect("poll"), Some(Interest { read: false, write: true }));
        assert_eq!(getsockopt(&client, sockopt::TcpNoDelay), Ok(true));
        close_with_reset(client);
        wait_readable([server.as_fd()], None).expect("poll");
        assert_eq!(server.read(&mut [0]).expect_err("a reset").kind(), ErrorKind::ConnectionReset);
    }
}
