//! Creating sockets: listening, accepting, connecting; discarding input; closing with a reset.

#![allow(unsafe_code, reason = "calls accept4(2) and listen(2), which nix restricts")]

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage};
use nix::sys::socket::{accept4, bind as bind_to, connect, setsockopt, socket, sockopt};

use super::socket_options::enable_nodelay;

/// Creates a TCP socket for addresses of the family of `address`; non-blocking and closed on exec.
///
/// # Errors
/// As socket(2), for example EAFNOSUPPORT on a system without IPv6.
pub fn tcp_socket(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)
}

/// Assigns a local address to a socket.
///
/// # Errors
/// As bind(2), for example EADDRINUSE, EADDRNOTAVAIL or EACCES.
pub fn bind(socket: &impl AsFd, address: SocketAddr) -> Result<(), Errno> {
    bind_to(socket.as_fd().as_raw_fd(), &SockaddrStorage::from(address))
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

/// Accepts a connection, non-blocking and closed on exec; never waits on a non-blocking listener.
///
/// # Errors
/// As accept4(2), EINTR included, which `std::net::TcpListener::accept` would hide.
pub fn accept(listener: &impl AsFd) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = accept4(listener.as_fd().as_raw_fd(), flags)?;
    // SAFETY: accept4 has just opened this descriptor, and no other code knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Starts to connect to `address`, from the IP address of `source` if given, with `TCP_NODELAY`; returns at once. The
/// socket becomes writable when the attempt has succeeded or failed.
///
/// # Errors
/// As socket(2), bind(2) and connect(2), except EINPROGRESS.
pub fn start_connect(address: SocketAddr, source: Option<SocketAddr>) -> io::Result<TcpStream> {
    let socket = tcp_socket(address)?;
    enable_nodelay(&socket)?;
    if let Some(source) = source {
        // lets connect(2) choose the port, which only then knows the destination; bind(2) would take a port away from
        // connections to all destinations, and soon find none (ip(7))
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        bind(&socket, source)?;
    }
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

/// Takes at most `n` received bytes from a TCP connection and drops them in the kernel; returns their number, 0 at the
/// end of input (`MSG_TRUNC` of recv(2), tcp(7)).
///
/// # Errors
/// As recv(2): EAGAIN if nothing has arrived on a non-blocking connection.
pub fn discard(stream: &TcpStream, n: usize) -> Result<usize, Errno> {
    // SAFETY: with MSG_TRUNC, TCP writes nothing to the buffer, so it may be null.
    let length = unsafe { libc::recv(stream.as_raw_fd(), std::ptr::null_mut(), n, libc::MSG_TRUNC) };
    Errno::result(length).map(isize::unsigned_abs)
}

/// Closes a connection with a reset (RST) instead of a FIN: `SO_LINGER` with time 0 (socket(7)).
pub fn close_with_reset(stream: TcpStream) {
    // fails only for what is no socket
    let _ = setsockopt(&stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 });
    drop(stream);
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;
    use crate::sys::{Interest, wait_readable, wait_ready};

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn listener() -> (std::net::TcpListener, SocketAddr) {
        let socket = tcp_socket(SocketAddr::new(LOOPBACK, 0)).expect("a socket");
        bind(&socket, SocketAddr::new(LOOPBACK, 0)).expect("bind");
        listen(&socket, i32::MAX).expect("listen");
        let listener = std::net::TcpListener::from(socket);
        let address = listener.local_addr().expect("an address");
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
    fn discarded_input_is_not_read() {
        let (listener, address) = listener();
        let mut client = TcpStream::connect(address).expect("connect");
        wait_readable([listener.as_fd()], None).expect("poll");
        let mut server = TcpStream::from(accept(&listener).expect("a connection"));
        assert_eq!(discard(&server, 100), Err(Errno::EAGAIN));
        client.write_all(b"discarded, kept").expect("send");
        drop(client);
        wait_readable([server.as_fd()], None).expect("poll");
        assert_eq!(discard(&server, 11), Ok(11));
        let mut kept = [0; 4];
        server.read_exact(&mut kept).expect("receive");
        assert_eq!(&kept, b"kept");
        wait_readable([server.as_fd()], None).expect("poll");
        assert_eq!(discard(&server, 100), Ok(0), "the end of input");
    }

    #[test]
    fn a_connection_from_a_chosen_address_that_ends_with_a_reset() {
        let (listener, address) = listener();
        assert_eq!(accept(&listener).map(drop), Err(Errno::EAGAIN));
        let source = SocketAddr::from(([127, 0, 0, 77], 0));
        let client = start_connect(address, Some(source)).expect("connect");
        wait_readable([listener.as_fd()], None).expect("poll");
        let mut server = TcpStream::from(accept(&listener).expect("a connection"));
        assert_eq!(server.peer_addr().expect("a peer").ip(), source.ip());
        let connected = wait_ready(&client, Interest { read: false, write: true }, Duration::from_secs(60));
        assert_eq!(connected.expect("poll"), Some(Interest { read: false, write: true }));
        assert!(client.nodelay().expect("an option"));
        close_with_reset(client);
        wait_readable([server.as_fd()], None).expect("poll");
        assert_eq!(server.read(&mut [0]).expect_err("a reset").kind(), ErrorKind::ConnectionReset);
    }
}
