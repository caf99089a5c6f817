//! Stream sockets of every family: those that listen, and connections.
//!
//! The standard library's `TcpStream` reads and writes every stream socket alike (recv(2), send(2) with `MSG_NOSIGNAL`);
//! only its addresses are those of TCP. So [`StreamSocket`] is one, with addresses of its own.

#![allow(
    unsafe_code,
    reason = "calls recv(2) without a buffer, and accept4(2) with an address, which nix does not have"
)]

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::socket::{SockaddrLike, SockaddrStorage, getpeername, getsockname, getsockopt, sockopt};
use serde::{Deserialize, Serialize};

use super::socket_address::{SocketAddress, SocketFamily};
use super::user_namespace::{known_group, known_user};

/// A connection.
#[derive(Debug)]
pub struct StreamSocket {
    socket: TcpStream,
    family: SocketFamily,
}

/// A socket that listens.
#[derive(Debug)]
pub struct StreamListener {
    socket: OwnedFd,
    family: SocketFamily,
}

/// The process at the other end of a Unix socket when it connected (`SO_PEERCRED`, unix(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The process; `None` if it is not in the PID namespace of this process.
    pub pid: Option<u32>,
    /// The user; `None` if it is not in the user namespace of this process (`PrivateUsers=` in systemd.exec(5)). A
    /// namespace that maps the overflow identifier shows such a user as the one with that number.
    pub uid: Option<u32>,
    /// The group; likewise.
    pub gid: Option<u32>,
}

impl StreamSocket {
    /// A connected socket of this family.
    #[must_use]
    pub fn new(socket: OwnedFd, family: SocketFamily) -> Self {
        Self { socket: socket.into(), family }
    }

    /// The family.
    #[must_use]
    pub fn family(&self) -> SocketFamily {
        self.family
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// ENOTCONN: it is not connected yet, or no longer.
    pub fn peer_address(&self) -> Result<SocketAddress, Errno> {
        SocketAddress::from_kernel(&getpeername::<SockaddrStorage>(self.as_raw_fd())?)
    }

    /// The address of this end.
    ///
    /// # Errors
    /// As getsockname(2).
    pub fn local_address(&self) -> Result<SocketAddress, Errno> {
        local_address(self)
    }

    /// The process at the other end of a Unix socket.
    ///
    /// # Errors
    /// As getsockopt(2): for a socket of another family.
    pub fn peer_credentials(&self) -> Result<Credentials, Errno> {
        let credentials = getsockopt(self, sockopt::PeerCredentials)?;
        Ok(Credentials {
            pid: u32::try_from(credentials.pid()).ok().filter(|pid| *pid != 0),
            uid: known_user(credentials.uid()),
            gid: known_group(credentials.gid()),
        })
    }

    /// Ends one direction, or both (shutdown(2)).
    ///
    /// # Errors
    /// ENOTCONN: the peer has gone.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    /// Whether calls return EAGAIN instead of waiting.
    ///
    /// # Errors
    /// As ioctl(2).
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }

    /// The longest time that a read waits (`SO_RCVTIMEO`, socket(7)).
    ///
    /// # Errors
    /// EINVAL: zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    /// The error that is pending, which this clears (`SO_ERROR`, socket(7)).
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// Takes at most `n` received bytes and drops them in the kernel; returns their number, 0 at the end of input
    /// (`MSG_TRUNC` of recv(2), tcp(7)). `None` where the family cannot do that.
    pub fn discard(&self, n: usize) -> Option<Result<usize, Errno>> {
        if self.family != SocketFamily::Internet {
            return None;
        }
        // SAFETY: with MSG_TRUNC, TCP writes nothing to the buffer, so it may be null.
        let length = unsafe { libc::recv(self.as_raw_fd(), ptr::null_mut(), n, libc::MSG_TRUNC) };
        Some(Errno::result(length).map(isize::unsigned_abs))
    }
}

impl Read for StreamSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }
}

impl Write for StreamSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for StreamSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A connected socket. ENOTSOCK: it is none; EAFNOSUPPORT: it is of a family that [`SocketAddress`] does not have.
impl TryFrom<OwnedFd> for StreamSocket {
    type Error = Errno;

    fn try_from(socket: OwnedFd) -> Result<Self, Errno> {
        let family = local_address(&socket)?.family();
        Ok(Self::new(socket, family))
    }
}

impl AsRawFd for StreamSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl From<TcpStream> for StreamSocket {
    fn from(socket: TcpStream) -> Self {
        Self { socket, family: SocketFamily::Internet }
    }
}

impl From<StreamSocket> for OwnedFd {
    fn from(socket: StreamSocket) -> Self {
        socket.socket.into()
    }
}

impl StreamListener {
    /// The family.
    #[must_use]
    pub fn family(&self) -> SocketFamily {
        self.family
    }

    /// The address.
    ///
    /// # Errors
    /// As getsockname(2).
    pub fn local_address(&self) -> Result<SocketAddress, Errno> {
        local_address(self)
    }

    /// Whether calls return EAGAIN instead of waiting.
    ///
    /// # Errors
    /// As ioctl(2).
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        set_nonblocking(self, nonblocking).map_err(Into::into)
    }

    /// Accepts a connection, non-blocking and closed on exec; never waits on a non-blocking listener. Returns it with
    /// the address of its other end, also if that has reset it already, when [`StreamSocket::peer_address`] fails;
    /// `None` for a Unix socket, whose clients have no address as a rule.
    ///
    /// # Errors
    /// As accept4(2), EINTR included.
    pub fn accept(&self) -> Result<(StreamSocket, Option<SocketAddress>), Errno> {
        const FLAGS: libc::c_int = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let listener = self.socket.as_raw_fd();
        if self.family == SocketFamily::Unix {
            // SAFETY: accept4 takes null pointers in place of an address.
            let accepted = unsafe { libc::accept4(listener, ptr::null_mut(), ptr::null_mut(), FLAGS) };
            return Ok((self.accepted(accepted)?, None));
        }
        let mut address = MaybeUninit::<libc::sockaddr_storage>::zeroed();
        let mut length = SockaddrStorage::size();
        // SAFETY: accept4 writes at most `length` bytes to `address`, which has that size.
        let accepted = unsafe { libc::accept4(listener, address.as_mut_ptr().cast(), &raw mut length, FLAGS) };
        let socket = self.accepted(accepted)?;
        // SAFETY: zeros are a valid sockaddr_storage, and so is the address of `length` bytes that the kernel wrote.
        let address = unsafe { SockaddrStorage::from_raw(address.as_ptr().cast(), Some(length)) };
        Ok((socket, address.and_then(|address| SocketAddress::from_kernel(&address).ok())))
    }

    /// The connection that accept4(2) has returned.
    fn accepted(&self, result: RawFd) -> Result<StreamSocket, Errno> {
        let socket = Errno::result(result)?;
        // SAFETY: accept4 has just opened this descriptor, and no other code knows its number.
        Ok(StreamSocket::new(unsafe { OwnedFd::from_raw_fd(socket) }, self.family))
    }
}

/// A socket that listens; the errors are those for a [`StreamSocket`].
impl TryFrom<OwnedFd> for StreamListener {
    type Error = Errno;

    fn try_from(socket: OwnedFd) -> Result<Self, Errno> {
        let family = local_address(&socket)?.family();
        Ok(Self { socket, family })
    }
}

impl AsFd for StreamListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<TcpListener> for StreamListener {
    fn from(socket: TcpListener) -> Self {
        Self { socket: socket.into(), family: SocketFamily::Internet }
    }
}

/// Makes calls on a descriptor return EAGAIN instead of waiting, or wait again.
///
/// # Errors
/// As fcntl(2).
pub fn set_nonblocking(socket: &impl AsFd, nonblocking: bool) -> Result<(), Errno> {
    let flags = OFlag::from_bits_retain(fcntl(socket, FcntlArg::F_GETFL)?);
    let mut changed = flags;
    changed.set(OFlag::O_NONBLOCK, nonblocking);
    fcntl(socket, FcntlArg::F_SETFL(changed)).map(drop)
}

/// The address of a socket.
///
/// # Errors
/// ENOTSOCK; EAFNOSUPPORT: it is of a family that [`SocketAddress`] does not have.
pub fn local_address(socket: &impl AsFd) -> Result<SocketAddress, Errno> {
    SocketAddress::from_kernel(&getsockname::<SockaddrStorage>(socket.as_fd().as_raw_fd())?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;
    use crate::sys::socket_address::UnixAddress;
    use crate::sys::wait_readable;

    #[test]
    fn a_unix_connection_has_credentials_and_addresses() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).expect("bind");
        let listener = StreamListener::try_from(OwnedFd::from(listener)).expect("a socket");
        let address = SocketAddress::Unix(UnixAddress::Path(path.clone()));
        assert_eq!((listener.family(), listener.local_address()), (SocketFamily::Unix, Ok(address.clone())));
        let client = UnixStream::connect(&path).expect("connect");
        let client = StreamSocket::try_from(OwnedFd::from(client)).expect("a socket");
        assert_eq!(client.peer_address(), Ok(address.clone()));
        let (server, peer) = listener.accept().expect("a connection");
        assert_eq!(peer, None);
        assert_eq!(server.peer_address(), Ok(SocketAddress::Unix(UnixAddress::Unnamed)));
        assert_eq!(server.local_address(), Ok(address));
        let credentials = server.peer_credentials().expect("credentials");
        assert_eq!(credentials.pid, Some(std::process::id()));
        assert_eq!(credentials.uid, Some(nix::unistd::getuid().as_raw()));
        assert_eq!(credentials.gid, Some(nix::unistd::getgid().as_raw()));
        assert!(server.discard(1).is_none());
    }

    #[test]
    fn a_descriptor_tells_its_family() {
        let (one, mut other) = UnixStream::pair().expect("a pair of sockets");
        let mut one = StreamSocket::try_from(OwnedFd::from(one)).expect("a socket");
        assert_eq!(one.family(), SocketFamily::Unix);
        assert_eq!(one.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"c")]).expect("send"), 3);
        one.shutdown(Shutdown::Write).expect("shutdown");
        let mut received = String::new();
        other.read_to_string(&mut received).expect("receive");
        assert_eq!(received, "abc");
        let file = std::fs::File::open("/dev/null").expect("open");
        assert_eq!(StreamSocket::try_from(OwnedFd::from(file)).expect_err("no socket"), Errno::ENOTSOCK);
    }

    #[test]
    fn accepted_connection_has_the_address_of_a_client_that_has_reset_it() {
        for (listen, resets) in [("127.0.0.1:0", false), ("127.0.0.1:0", true), ("[::1]:0", true)] {
            let listener = TcpListener::bind(listen).expect("bind");
            let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
            let address = SocketAddress::Internet(client.local_addr().expect("an address"));
            if resets {
                let linger = libc::linger { l_onoff: 1, l_linger: 0 };
                nix::sys::socket::setsockopt(&client, sockopt::Linger, &linger).expect("SO_LINGER");
                drop(client);
            }
            let (server, peer) = StreamListener::from(listener).accept().expect("a connection");
            assert_eq!(peer, Some(address), "{listen}");
            assert_eq!(server.peer_address().is_err(), resets, "{listen}");
        }
    }

    #[test]
    fn discarded_input_is_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
        let listener = StreamListener::from(listener);
        let (mut server, _) = listener.accept().expect("a connection");
        assert_eq!(server.discard(100), Some(Err(Errno::EAGAIN)));
        client.write_all(b"discarded, kept").expect("send");
        drop(client);
        wait_readable([server.as_fd()], None).expect("poll");
        assert_eq!(server.discard(11), Some(Ok(11)));
        let mut kept = [0; 4];
        server.read_exact(&mut kept).expect("receive");
        assert_eq!(&kept, b"kept");
        wait_readable([server.as_fd()], None).expect("poll");
        assert_eq!(server.discard(100), Some(Ok(0)), "the end of input");
    }
}
