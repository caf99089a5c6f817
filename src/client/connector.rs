//! The one place where the client connects: an address, with an optional source address and timeout. Another kind of
//! socket, or bytes in front of the first request, belong here.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::sys::{self, Interest, SocketAddress};

/// Time before the client connects or sends again after a failure. Chosen without tuning: a server that refuses
/// connections must not be flooded with them.
pub const BACKOFF: Duration = Duration::from_millis(10);

/// Starts to connect, with `TCP_NODELAY`, from `source` if given; returns a non-blocking socket at once, which becomes
/// writable when the attempt has succeeded or failed.
pub fn start(address: SocketAddr, source: Option<SocketAddr>) -> io::Result<TcpStream> {
    sys::start_connect(&SocketAddress::Internet(address), source).map(|socket| OwnedFd::from(socket).into())
}

/// Connects, with `TCP_NODELAY`, within `timeout`; returns a blocking socket.
pub fn connect(address: SocketAddr, source: Option<SocketAddr>, timeout: Duration) -> io::Result<TcpStream> {
    let stream = start(address, source)?;
    if sys::wait_ready(&stream, Interest::WRITE, timeout)?.is_none() {
        return Err(io::Error::new(ErrorKind::TimedOut, "connection timed out"));
    }
    match stream.take_error()? {
        None => stream.set_nonblocking(false).map(|()| stream),
        Some(error) => Err(error),
    }
}

/// Whether an attempt that [`start`] began has succeeded by now; the error says why it failed.
pub fn is_connected(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    #[test]
    fn a_connection_is_blocking_and_comes_from_its_source() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = SocketAddr::from(([127, 0, 0, 78], 0));
        let client = connect(listener.local_addr().unwrap(), Some(source), TIMEOUT).unwrap();
        assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
        assert_eq!(client.local_addr().unwrap().ip(), source.ip());
        let flags = nix::fcntl::fcntl(&client, nix::fcntl::FcntlArg::F_GETFL).unwrap();
        assert!(client.nodelay().unwrap() && flags & nix::libc::O_NONBLOCK == 0);
    }

    #[test]
    fn a_failed_attempt_has_the_error_of_connect() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(connect(address, None, TIMEOUT).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn an_attempt_without_a_reply_times_out() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // the kernel drops the SYNs of further clients when the accept queue is full: one more than the backlog
        // (listen(2))
        sys::listen(&listener, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let _queued = connect(address, None, TIMEOUT).unwrap();
        let error = connect(address, None, Duration::from_millis(20)).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::TimedOut, "connection timed out".into()));
    }
}
