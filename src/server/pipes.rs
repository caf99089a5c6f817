//! The pipes of a worker, through which sockets send input back.

use std::io::{self, Read};
use std::sync::Arc;

use crate::connection::SentBack;
use crate::sys::{Pipe, StreamSocket};

/// The most pipes of a worker; beyond them input is read and written. Chosen: the connection that is being served
/// needs one, the others hold what slow clients have not taken.
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
    /// The system has refused a pipe: it is not asked again before [`Pipes::clear`].
    is_refused: bool,
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
        Self { spare: Vec::new(), open: Arc::new(()), most, is_refused: false }
    }

    /// A pipe that is empty; `None` if there may be no more, or the system has none.
    pub fn lend(&mut self) -> Option<Box<LentPipe>> {
        if let Some(pipe) = self.spare.pop() {
            return Some(pipe);
        }
        if self.is_refused || Arc::strong_count(&self.open) > self.most {
            return None;
        }
        let pipe = Pipe::new(CAPACITY);
        self.is_refused = pipe.is_err();
        Some(Box::new(LentPipe { pipe: pipe.ok()?, held: 0, _open: Arc::clone(&self.open) }))
    }

    /// Closes those that are not lent.
    pub fn clear(&mut self) {
        self.spare = Vec::new();
        self.is_refused = false;
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

    /// Sends at most `n` received bytes back; what the socket has no room for stays in the pipe, and so does what it does
    /// not take because of an error, which the next call of [`LentPipe::send`] returns.
    ///
    /// # Errors
    /// As recv(2); EAGAIN: nothing has arrived.
    pub fn send_back(&mut self, socket: &StreamSocket, n: usize) -> io::Result<SentBack> {
        let received = self.pipe.fill(socket, n)?;
        self.held += received;
        Ok(SentBack { received, sent: self.send(socket, received).unwrap_or(0) })
    }

    /// Sends at most `n` bytes of what is in the pipe.
    ///
    /// # Errors
    /// As send(2).
    pub fn send(&mut self, socket: &StreamSocket, n: usize) -> io::Result<usize> {
        if n == 0 {
            return Ok(0);
        }
        let sent = self.pipe.drain(socket, n)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_are_limited_and_used_again() {
        let mut pipes = Pipes::new(2);
        let (first, second) = (pipes.lend().expect("a pipe"), pipes.lend().expect("a pipe"));
        assert!(pipes.lend().is_none());
        pipes.take_back(first);
        let first = pipes.lend().expect("the spare one");
        assert!(pipes.lend().is_none());
        drop(second);
        let second = pipes.lend().expect("in place of the one that was dropped");
        pipes.take_back(first);
        pipes.take_back(second);
        pipes.clear();
        assert_eq!(Arc::strong_count(&pipes.open), 1);
        assert!(Pipes::new(0).lend().is_none());
    }
}
