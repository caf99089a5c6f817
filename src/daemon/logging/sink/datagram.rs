//! A socket for the datagrams of a log on this machine. It never blocks, and reconnects after an error.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use crate::sys;

/// A connection to a datagram socket in the file system.
pub struct DatagramSocket {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl DatagramSocket {
    /// A socket for the one at `path`; connects when the first datagram is sent.
    pub fn new(path: PathBuf) -> Self {
        Self { path, socket: None }
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// `WouldBlock` if the queue of the receiver is full; any other error means that nobody receives.
    pub fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        match self.try_send(datagram) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                // the receiver was restarted and has a new socket
                self.socket = None;
                self.try_send(datagram)
            }
            result => result,
        }
    }

    /// Waits, for any time that it takes, until the queue of the receiver has room or the receiver is gone.
    pub fn wait(&self) {
        if let Some(socket) = &self.socket {
            // the next send reports the error
            let _ = sys::wait_writable(socket);
        }
    }

    fn try_send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => self.connect()?,
        };
        let result = socket.send(datagram).map(drop);
        self.socket = Some(socket);
        result
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(&self.path)?;
        Ok(socket)
    }
}
