//! Properties and state of a socket: its kind, its addresses, and its queues.

#![allow(clippy::cast_possible_truncation, reason = "the size of a struct of the kernel")]
#![allow(unsafe_code, reason = "calls getsockopt(2) and ioctl(2) for values that nix does not have")]

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{SockType, SockaddrStorage, getpeername, getsockopt, sockopt};

/// The communication semantics of a socket (`SO_TYPE`, socket(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketKind {
    /// `SOCK_STREAM`.
    Stream,
    /// `SOCK_DGRAM`.
    Datagram,
    /// `SOCK_SEQPACKET` and the rest.
    Other,
}

/// The kind of a socket.
///
/// # Errors
/// ENOTSOCK for a descriptor that is no socket.
pub fn socket_kind(fd: &impl AsFd) -> Result<SocketKind, Errno> {
    getsockopt(fd, sockopt::SockType).map(|kind| match kind {
        SockType::Stream => SocketKind::Stream,
        SockType::Datagram => SocketKind::Datagram,
        _ => SocketKind::Other,
    })
}

/// Whether the descriptor is a socket that accepts connections (`SO_ACCEPTCONN`).
#[must_use]
pub fn is_listening(fd: &impl AsFd) -> bool {
    getsockopt(fd, sockopt::AcceptConn).unwrap_or(false)
}

/// Whether the socket has a peer: getpeername(2) does not fail with ENOTCONN.
#[must_use]
pub fn is_connected(socket: &impl AsFd) -> bool {
    getpeername::<SockaddrStorage>(socket.as_fd().as_raw_fd()).err() != Some(Errno::ENOTCONN)
}

/// The number that the kernel gives to a socket, and to no other one until the machine is started again
/// (`SO_COOKIE`, socket(7)). Every descriptor of the socket has it, in every process.
///
/// # Errors
/// ENOTSOCK for a descriptor that is no socket.
pub fn socket_cookie(socket: &impl AsFd) -> Result<u64, Errno> {
    let mut cookie: u64 = 0;
    let mut length = size_of::<u64>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: getsockopt writes at most `length` bytes to `cookie`, which has that size.
    let result =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_COOKIE, (&raw mut cookie).cast(), &raw mut length) };
    Errno::result(result).map(|_| cookie)
}

/// Bytes written to a TCP socket that the peer's kernel has not acknowledged; a FIN counts as one byte (`SIOCOUTQ`,
/// tcp(7)).
///
/// # Errors
/// As ioctl(2): ENOTTY or EINVAL for a descriptor that is no connected stream socket.
pub fn unacknowledged(socket: &impl AsFd) -> Result<usize, Errno> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ, which has the number of TIOCOUTQ, writes one int.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    Errno::result(result).map(|_| usize::try_from(bytes).unwrap_or(0))
}

/// Connections that wait to be accepted from a listening TCP socket (`TCP_INFO`, tcp(7)).
///
/// # Errors
/// As getsockopt(2).
pub fn queued_connections(listener: &impl AsFd) -> Result<u32, Errno> {
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    let fd = listener.as_fd().as_raw_fd();
    // SAFETY: getsockopt writes at most `length` bytes to `info`, which has that size.
    let result =
        unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length) };
    // SAFETY: zeros are a valid tcp_info, and so is what the kernel wrote over them.
    // Of a listener, tcpi_unacked is the length of the queue (tcp_get_info in the kernel's net/ipv4/tcp.c).
    Errno::result(result).map(|_| unsafe { info.assume_init() }.tcpi_unacked)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_queue_and_what_is_not_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        assert_eq!(queued_connections(&listener), Ok(0));
        let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
        assert_eq!(queued_connections(&listener), Ok(1));
        let (mut server, _) = listener.accept().expect("accept");
        assert_eq!(queued_connections(&listener), Ok(0));
        // more than the client's kernel takes while the client does not read
        server.set_nonblocking(true).expect("non-blocking");
        let block = vec![0; 1 << 20];
        let mut sent = 0;
        while let Ok(length @ 1..) = server.write(&block) {
            sent += length;
        }
        server.shutdown(Shutdown::Write).expect("shutdown");
        assert!(unacknowledged(&server).is_ok_and(|bytes| bytes > 1));
        let mut received = Vec::new();
        assert_eq!(client.read_to_end(&mut received).expect("read"), sent);
        assert!(unacknowledged(&listener).is_err());
    }

    #[test]
    fn a_socket_has_a_number_of_its_own() {
        let (one, other) = UnixStream::pair().expect("a pair of sockets");
        let cookie = socket_cookie(&one).expect("a number");
        assert_eq!(socket_cookie(&one.try_clone().expect("a descriptor")), Ok(cookie));
        assert!(socket_cookie(&other).is_ok_and(|other| other != cookie));
        assert_eq!(socket_cookie(&File::open("/dev/null").expect("open")), Err(Errno::ENOTSOCK));
    }

    #[test]
    fn kinds_of_descriptors() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        assert_eq!(socket_kind(&listener), Ok(SocketKind::Stream));
        assert!(is_listening(&listener) && !is_connected(&listener));
        let datagrams = UdpSocket::bind("127.0.0.1:0").expect("bind");
        assert_eq!(socket_kind(&datagrams), Ok(SocketKind::Datagram));
        assert!(!is_listening(&datagrams) && !is_connected(&datagrams));
        let (unix, _peer) = UnixStream::pair().expect("a pair of sockets");
        assert_eq!(socket_kind(&unix), Ok(SocketKind::Stream));
        assert!(!is_listening(&unix) && is_connected(&unix));
        let file = File::open("/dev/null").expect("open");
        assert_eq!(socket_kind(&file), Err(Errno::ENOTSOCK));
        assert!(!is_listening(&file));
    }
}
