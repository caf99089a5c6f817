//! What the service manager is told, by `sd_notify(3)`.
//!
//! The messages and the watchdog's settings are the sd-notify crate's. The socket is ours: it is opened once, so that
//! running out of descriptors cannot silence us; it never blocks; and it may be an abstract one (`@name`). A message
//! that the manager does not take is lost, which is never fatal: the next one says the same or more.

use std::env;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use log::warn;
use sd_notify::NotifyState;

/// The connection to the service manager; without one all messages go nowhere.
#[derive(Debug)]
pub struct Manager {
    socket: Option<UnixDatagram>,
    status: String,
}

impl Manager {
    /// The manager that `NOTIFY_SOCKET` names.
    #[must_use]
    pub fn from_environment() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET").and_then(|name| match connect(name.as_bytes()) {
            Ok(socket) => Some(socket),
            Err(error) => {
                warn!("cannot reach the service manager at {}: {error}", name.to_string_lossy());
                None
            }
        });
        Self { socket, status: String::new() }
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.socket.is_some()
    }

    /// How often the watchdog wants to hear from us, if it does.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        sd_notify::watchdog_enabled().filter(|_| self.is_there())
    }

    /// Every listener accepts.
    pub fn ready(&mut self, status: &str) {
        self.status = status.into();
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// New figures; said only when they changed.
    pub fn status(&mut self, status: String) {
        if status != self.status {
            self.tell(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    /// Reloading has begun; [`Manager::ready`] ends it.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(_) => self.tell(&[NotifyState::Reloading]),
        }
    }

    /// Every worker is alive.
    pub fn alive(&self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    /// Stopping has begun.
    pub fn stopping(&mut self, status: String) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status(&status)]);
        self.status = status;
    }

    /// Stopping takes up to so much longer, counted from now.
    pub fn extend(&self, by: Duration) {
        let microseconds = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
        self.tell(&[NotifyState::ExtendTimeoutUsec(microseconds)]);
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let mut message = String::new();
        for state in states {
            // writing to a string does not fail
            let _ = writeln!(message, "{state}");
        }
        // EAGAIN: its queue is full; ECONNREFUSED: it is gone. Both pass.
        let _ = socket.send(message.as_bytes());
    }
}

/// A socket that is connected to a path, or to an abstract name after `@` (`sd_notify(3)`).
fn connect(name: &[u8]) -> io::Result<UnixDatagram> {
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}
