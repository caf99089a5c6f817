//! A test's client: a blocking socket with a timeout on every call.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt};

use super::{DEADLINE, Daemon};

/// A connection with `TCP_NODELAY`: each write becomes a segment.
#[derive(Debug)]
pub struct Client {
    pub stream: TcpStream,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE);
        Self::from_stream(stream.unwrap_or_else(|error| panic!("cannot connect to {address}: {error}")))
    }

    /// Connects from the loopback address `source`.
    pub fn connect_from(source: [u8; 4], address: SocketAddr) -> Self {
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("socket");
        let SocketAddr::V4(address) = address else { panic!("{address} is not an IPv4 address") };
        let source = SocketAddrV4::new(source.into(), 0);
        bind(socket.as_raw_fd(), &SockaddrIn::from(source)).expect("bind");
        connect(socket.as_raw_fd(), &SockaddrIn::from(address)).expect("connect");
        Self::from_stream(TcpStream::from(socket))
    }

    pub fn from_stream(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_read_timeout(Some(DEADLINE)).expect("SO_RCVTIMEO");
        stream.set_write_timeout(Some(DEADLINE)).expect("SO_SNDTIMEO");
        Self { stream }
    }

    /// Its own address, as the server sees it.
    pub fn address(&self) -> SocketAddr {
        self.stream.local_addr().expect("the client's address")
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap_or_else(|error| panic!("cannot send {} bytes: {error}", bytes.len()));
    }

    /// Sends as much as the kernel takes without waiting; returns the number of bytes.
    pub fn send_what_fits(&self, bytes: &[u8]) -> usize {
        self.stream.set_nonblocking(true).expect("non-blocking");
        let mut sent = 0;
        while let Ok(length @ 1..) = (&self.stream).write(&bytes[sent..]) {
            sent += length;
        }
        self.stream.set_nonblocking(false).expect("blocking");
        sent
    }

    /// Half-closes the connection: the server reads end of input.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("shutdown");
    }

    /// Closes the connection with a reset.
    pub fn reset(self) {
        // SO_LINGER with a timeout of zero (socket(7)): queued data is discarded, and the peer gets RST
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&self.stream.as_fd(), sockopt::Linger, &linger).expect("SO_LINGER");
    }

    pub fn receive(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let read = self.stream.read_exact(&mut bytes);
        read.unwrap_or_else(|error| panic!("cannot receive {length} bytes: {error}"));
        bytes
    }

    /// Receives until the server closes; panics if it resets the connection.
    pub fn receive_all(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = self.stream.read_to_end(&mut bytes);
        read.unwrap_or_else(|error| panic!("after {} bytes: {error}", bytes.len()));
        bytes
    }

    /// Sends `bytes` and half-closes; receives until the server closes, at the same time.
    pub fn exchange(mut self, bytes: &[u8]) -> Vec<u8> {
        let mut writer = Self { stream: self.stream.try_clone().expect("a second handle") };
        thread::scope(|scope| {
            scope.spawn(move || {
                writer.send(bytes);
                writer.half_close();
            });
            self.receive_all()
        })
    }

    /// Sends `bytes` and half-closes; returns what the server sends until it closes, which it may do at once.
    pub fn exchange_or_closed(mut self, bytes: &[u8]) -> Vec<u8> {
        if self.stream.write_all(bytes).is_ok() {
            // fails if the server has closed meanwhile
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        self.wait_closed()
    }

    /// Receives one reply of the frame protocol and returns its text.
    pub fn receive_frame(&mut self) -> Vec<u8> {
        let header: [u8; 4] = self.receive(4).try_into().expect("four bytes");
        self.receive(u32::from_be_bytes(header) as usize)
    }

    /// Sends one request of the frame protocol and returns the text of the reply.
    pub fn request(&mut self, code: u8, message: &[u8]) -> Vec<u8> {
        self.send(&frame(code, message));
        self.receive_frame()
    }

    /// Waits until the server has closed or reset the connection; returns what it sent before.
    pub fn wait_closed(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the server did not close")
            }
            _ => bytes,
        }
    }

    /// Whether the server sends nothing for `time` and does not close; what it sends remains to be received.
    pub fn is_silent(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).expect("SO_RCVTIMEO");
        let read = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(DEADLINE)).expect("SO_RCVTIMEO");
        read.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }
}

/// A request of the frame protocol: 5 bits of action code, 27 bits of length, the message.
pub fn frame(code: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message");
    [&(u32::from(code) << 27 | length).to_be_bytes(), message].concat()
}

/// A reply of the frame protocol, or a message of `length-prefix`: 32 bits of length, the text.
pub fn length_prefixed(text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("a length of 32 bits");
    [&length.to_be_bytes(), text].concat()
}

/// Waits until a daemon with one worker has read everything that was sent to it before, on any connection.
pub fn echo_ping(echo: &mut Client) {
    echo.send(b"?");
    assert_eq!(echo.receive(1), b"?");
}

/// Runs `client` for the numbers below `clients`, each in its own thread; returns the results in order.
pub fn in_parallel<R: Send>(clients: usize, client: impl Fn(usize) -> R + Sync) -> Vec<R> {
    thread::scope(|scope| {
        let client = &client;
        let threads: Vec<_> = (0..clients).map(|number| scope.spawn(move || client(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a client failed")).collect()
    })
}

/// Sets a flag when dropped: threads that run until it is set end even when the test fails, and do not keep
/// [`thread::scope`] waiting.
#[derive(Debug)]
pub struct SetWhenDropped<'a>(pub &'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Daemon {
    /// Sends `bytes` to a protocol on a new connection and half-closes; returns everything received.
    pub fn exchange(&self, protocol: &str, bytes: &[u8]) -> Vec<u8> {
        self.connect(protocol).exchange(bytes)
    }
}
