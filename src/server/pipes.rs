//! The pipes of a worker, through which sockets send input back.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use crate::connection::SentBack;
use crate::sys::{Errno, Pipe, StreamSocket};

/// The most pipes of a worker; beyond them input is read and written. Chosen: each call of a connection needs one, the
/// others are for clients that do not take what is in theirs.
pub const MAX_PIPES: usize = 16;

/// The capacity of a pipe, in bytes. Measured: with the kernel's default of 64 KiB, echo of 1 MiB takes 1.5 times the CPU
/// time of two copies, with 256 KiB 0.6 to 0.7 times, and with 1 MiB 0.8 times.
const CAPACITY: i32 = 256 * 1024;

/// The pipes of one worker.
#[derive(Debug)]
pub struct Pipes {
    #[allow(clippy::vec_box, reason = "streams have a pipe in a box, which makes a connection without one smaller")]
    spare: Vec<Box<LentPipe>>,
    /// Each pipe has a clone.
    open: Arc<()>,
    /// The most that may be open.
    most: usize,
}

/// A pipe that its worker lends to a stream; the bytes in it go with it when it is dropped.
#[derive(Debug)]
pub struct LentPipe {
    pipe: Pipe,
    /// Bytes in it.
    held: usize,
    _open: Arc<()>,
}

impl Pipes {
    /// At most `most` pipes, which are opened as they are needed.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { spare: Vec::new(), open: Arc::new(()), most }
    }

    /// A pipe that is empty; `None` if there may be no more, or the system has none.
    pub fn lend(&mut self) -> Option<Box<LentPipe>> {
        if let Some(pipe) = self.spare.pop() {
            return Some(pipe);
        }
        if Arc::strong_count(&self.open) > self.most {
            return None;
        }
        let pipe = Pipe::new(CAPACITY).ok()?;
        Some(Box::new(LentPipe { pipe, held: 0, _open: Arc::clone(&self.open) }))
    }

    /// Takes back a pipe that is empty.
    pub fn take_back(&mut self, pipe: Box<LentPipe>) {
        debug_assert!(pipe.is_empty(), "a pipe with bytes in it is its stream's");
        self.spare.push(pipe);
    }
}

impl LentPipe {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Sends at most `n` received bytes back; what the socket has no room for stays in the pipe.
    ///
    /// # Errors
    /// As recv(2) and send(2); EAGAIN: nothing has arrived.
    pub fn send_back(&mut self, socket: &StreamSocket, n: usize) -> io::Result<SentBack> {
        let received = again(|| self.pipe.fill(socket, n))?;
        self.held += received;
        let sent = match self.send(socket, received) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            sent => sent?,
        };
        Ok(SentBack { received, sent })
    }

    /// Sends at most `n` bytes of what is in the pipe.
    ///
    /// # Errors
    /// As send(2).
    pub fn send(&mut self, socket: &StreamSocket, n: usize) -> io::Result<usize> {
        if n == 0 {
            return Ok(0);
        }
        let sent = again(|| self.pipe.drain(socket, n))?;
        self.held -= sent;
        Ok(sent)
    }

    /// Takes out what is in the pipe.
    ///
    /// # Errors
    /// As read(2).
    pub fn take(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = (&self.pipe).read(into)?;
        self.held -= length;
        Ok(length)
    }
}

/// Calls again after EINTR.
fn again(mut call: impl FnMut() -> Result<usize, Errno>) -> io::Result<usize> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result.map_err(Into::into),
        }
    }
}
