//! The one place where the client connects: an address of any family, with an optional source address and timeout.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use super::failure::reason;
use crate::sys::{self, Errno, Interest, SocketAddress, StreamSocket};

/// Time before the client connects or sends again after a failure. Chosen without tuning: a server that refuses
/// connections must not be flooded with them.
pub const BACKOFF: Duration = Duration::from_millis(10);

/// Starts to connect, for TCP with `TCP_NODELAY` and from `source` if given; returns a non-blocking socket at once, which
/// becomes writable when the attempt has succeeded or failed.
///
/// # Errors
/// As socket(2), bind(2) to `source`, and connect(2); an attempt on a Unix socket ends at once. `ConnectionRefused`:
/// also a Unix socket whose accept queue is full. `Unsupported`: the kernel lacks the family, or a transport to this
/// vsock address (EAFNOSUPPORT, ENODEV).
pub fn start(address: &SocketAddress, source: Option<SocketAddr>) -> io::Result<StreamSocket> {
    sys::start_connect(address, source).map_err(|error| {
        match (error.kind(), error.raw_os_error().map(Errno::from_raw)) {
            (ErrorKind::WouldBlock, _) => {
                io::Error::new(ErrorKind::ConnectionRefused, "the accept queue of the server is full")
            }
            (_, Some(Errno::ENODEV | Errno::EAFNOSUPPORT)) => io::Error::new(ErrorKind::Unsupported, reason(&error)),
            _ => error,
        }
    })
}

/// Connects, for TCP with `TCP_NODELAY`, within `timeout`; returns a blocking socket.
///
/// # Errors
/// As socket(2) and connect(2). `TimedOut`: the attempt has neither succeeded nor failed by then.
pub fn connect(address: &SocketAddress, timeout: Duration) -> io::Result<StreamSocket> {
    if let SocketAddress::Unix(address) = address {
        return sys::connect_unix(address, timeout).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => timed_out(),
            _ => error,
        });
    }
    let stream = start(address, None)?;
    if sys::wait_ready(&stream, Interest::WRITE, timeout)?.is_none() {
        return Err(timed_out());
    }
    match stream.take_error()? {
        None => stream.set_nonblocking(false).map(|()| stream),
        Some(error) => Err(error),
    }
}

fn timed_out() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "connection timed out")
}

/// Whether an attempt that [`start`] began has succeeded by now.
///
/// # Errors
/// Why it failed, as connect(2).
pub fn is_connected(stream: &StreamSocket) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_address() {
        Ok(_) => Ok(true),
        Err(Errno::ENOTCONN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    fn address_of(listener: &TcpListener) -> SocketAddress {
        SocketAddress::Internet(listener.local_addr().unwrap())
    }

    fn is_blocking(stream: &StreamSocket) -> bool {
        nix::fcntl::fcntl(stream, nix::fcntl::FcntlArg::F_GETFL).unwrap() & nix::libc::O_NONBLOCK == 0
    }

    #[test]
    fn a_connection_is_blocking() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = connect(&address_of(&listener), TIMEOUT).unwrap();
        let peer = SocketAddress::Internet(listener.accept().unwrap().1);
        assert_eq!((client.local_address(), is_blocking(&client)), (Ok(peer), true));
    }

    #[test]
    fn an_attempt_is_not_blocking_and_comes_from_its_source() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = SocketAddr::from(([127, 0, 0, 78], 0));
        let client = start(&address_of(&listener), Some(source)).unwrap();
        assert_eq!(listener.accept().unwrap().1.ip(), source.ip());
        assert!(!is_blocking(&client));
        sys::wait_ready(&client, Interest::WRITE, TIMEOUT).unwrap().expect("an attempt that has ended");
        assert!(is_connected(&client).unwrap());
    }

    #[test]
    fn a_failed_attempt_has_the_error_of_connect() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = address_of(&listener);
        drop(listener);
        assert_eq!(connect(&address, TIMEOUT).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }

    /// An address, and what keeps the accept queue of its socket full.
    fn with_full_queue() -> [(SocketAddress, Box<dyn std::any::Any>); 2] {
        let (tcp, directory) = (TcpListener::bind("127.0.0.1:0").unwrap(), tempfile::tempdir().unwrap());
        let path = directory.path().join("socket");
        let unix = UnixListener::bind(&path).unwrap();
        // one connection more than the backlog is queued (listen(2)); then the kernel drops SYNs of further clients
        sys::listen(&tcp, 0).unwrap();
        sys::listen(&unix, 0).unwrap();
        let of_unix = SocketAddress::parse_local(&format!("unix:{}", path.display())).unwrap().unwrap();
        let addresses = [address_of(&tcp), of_unix];
        let [queued, of_unix] = addresses.each_ref().map(|address| connect(address, TIMEOUT).unwrap());
        let keep: [Box<dyn std::any::Any>; 2] = [Box::new((tcp, queued)), Box::new((unix, directory, of_unix))];
        let mut keep = keep.into_iter();
        addresses.map(|address| (address, keep.next().unwrap()))
    }

    #[test]
    fn an_attempt_without_a_reply_times_out() {
        for (address, _full) in with_full_queue() {
            let error = connect(&address, Duration::from_millis(20)).unwrap_err();
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::TimedOut, "connection timed out".into()));
        }
    }

    #[test]
    fn a_unix_socket_with_a_full_queue_refuses_an_attempt_that_does_not_wait() {
        let [_, (address, _full)] = with_full_queue();
        let error = start(&address, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains("queue of the server is full"), "{error}");
    }
}
