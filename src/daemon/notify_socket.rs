//! The socket on which messages to the service manager are sent.
//!
//! It is opened once, so that messages do not depend on free descriptors; it never blocks; and its address may be
//! abstract (`@name`).

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use crate::sys::{self, Errno, Interest};
use crate::units::format_time;

/// The maximum time that the manager may take to store a descriptor. Chosen: it takes milliseconds (measured: 3 to 14 ms
/// with systemd 252 and 257), and nothing is served meanwhile; a manager that needs longer is too busy to start a
/// successor.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits until a descriptor is ready.
///
/// # Errors
/// The reason, for the log: it is not ready in time, or poll(2) fails.
pub fn wait(descriptor: &impl AsFd, interest: Interest, until: Instant) -> Result<(), String> {
    match sys::wait_ready(descriptor, interest, until.saturating_duration_since(Instant::now())) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => {
            Err(format!("the service manager has not taken the messages within {}", format_time(STORE_TIMEOUT)))
        }
        Err(error) => Err(format!("cannot wait for the service manager: {error}")),
    }
}

/// A socket that is connected to the manager's.
#[derive(Debug)]
pub struct NotifySocket {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl NotifySocket {
    /// Connects to an absolute path, or to an abstract name after `@` (`sd_notify(3)`).
    ///
    /// # Errors
    /// The name is neither, or as connect(2).
    pub fn to(name: &[u8]) -> io::Result<Self> {
        let address = match name {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(OsStr::from_bytes(name))?,
            _ => return Err(io::Error::other("neither an absolute path nor an abstract name (@NAME)")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect_addr(&address)?;
        Ok(Self { socket, address })
    }

    /// Sends a message without blocking; true if the manager has taken it.
    pub fn send(&self, message: &str) -> bool {
        match self.socket.send(message.as_bytes()) {
            Ok(_) => true,
            // its queue is full
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            // the manager has closed its socket, which disconnects this one (unix(7)); it may have a new one there
            Err(_) => self.socket.connect_addr(&self.address).is_ok() && self.socket.send(message.as_bytes()).is_ok(),
        }
    }

    /// Sends a message with a descriptor, and waits until the queue of the manager has room for it.
    ///
    /// # Errors
    /// The reason, for the log: there is no room in time, or sendmsg(2) fails.
    pub fn send_until_taken(&self, message: &str, descriptor: BorrowedFd<'_>, until: Instant) -> Result<(), String> {
        let mut is_connected_again = false;
        loop {
            match sys::send_with_descriptors(&self.socket, message.as_bytes(), &[descriptor]) {
                Ok(()) => return Ok(()),
                Err(Errno::EAGAIN) => self.wait_for_room(until)?,
                Err(Errno::EINTR) => {}
                // as in `send`
                Err(_) if !is_connected_again && self.socket.connect_addr(&self.address).is_ok() => {
                    is_connected_again = true;
                }
                Err(error) => return Err(format!("cannot pass a descriptor to the service manager: {}", error.desc())),
            }
        }
    }

    /// Waits until the queue of the manager has room for a message.
    ///
    /// # Errors
    /// As [`wait`].
    pub fn wait_for_room(&self, until: Instant) -> Result<(), String> {
        wait(&self.socket, Interest::WRITE, until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_addresses_are_rejected() {
        for name in ["vsock:2:99", "notify", "./notify", " /run/notify"] {
            let refused = NotifySocket::to(name.as_bytes()).expect_err(name).to_string();
            assert_eq!(refused, "neither an absolute path nor an abstract name (@NAME)");
        }
        assert!(NotifySocket::to(&[b'/'; 300]).is_err());
    }

    #[test]
    fn restarted_managers_are_connected_again() {
        let name = format!("retortd-unit-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let first = UnixDatagram::bind_addr(&address).expect("bind");
        let connection = NotifySocket::to(format!("@{name}").as_bytes()).expect("connect");
        assert!(connection.send("one"));
        drop(first);
        assert!(!connection.send("lost") && !connection.send("lost"));
        let second = UnixDatagram::bind_addr(&address).expect("bind again");
        assert!(connection.send("two"));
        let mut message = [0; 8];
        assert_eq!(second.recv(&mut message).map(|length| message[..length].to_vec()).expect("a message"), b"two");
    }
}
