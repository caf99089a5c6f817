//! The socket of a client, which can send input back through a pipe in the kernel.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};

use super::pipes::LentPipe;
use crate::connection::{SentBack, Stream};
use crate::sys::{self, SocketFamily, StreamSocket};

/// The socket of a client. It has a pipe only from [`ClientStream::lend`] until the end of the call of its connection,
/// or until the client has taken what is in the pipe.
#[derive(Debug)]
pub struct ClientStream {
    socket: StreamSocket,
    pipe: Option<Box<LentPipe>>,
}

impl ClientStream {
    /// Lends it a pipe, through which [`Stream::send_back`] then goes.
    pub fn lend(&mut self, pipe: Box<LentPipe>) {
        self.pipe = Some(pipe);
    }

    /// Whether it can make use of a pipe, and has none.
    #[must_use]
    pub fn wants_pipe(&self) -> bool {
        self.pipe.is_none() && self.socket.family() == SocketFamily::Internet
    }

    /// Takes its pipe back, if that is empty.
    #[inline]
    pub fn take_spare_pipe(&mut self) -> Option<Box<LentPipe>> {
        self.pipe.take_if(|pipe| pipe.is_empty())
    }

    /// The socket alone; what is in its pipe is dropped.
    #[must_use]
    pub fn into_socket(self) -> StreamSocket {
        self.socket
    }
}

impl From<StreamSocket> for ClientStream {
    fn from(socket: StreamSocket) -> Self {
        Self { socket, pipe: None }
    }
}

impl Deref for ClientStream {
    type Target = StreamSocket;

    fn deref(&self) -> &StreamSocket {
        &self.socket
    }
}

impl AsFd for ClientStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Read for ClientStream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }
}

impl Write for ClientStream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    #[inline]
    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for ClientStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn unacknowledged(&self) -> Option<usize> {
        sys::unacknowledged(&self.socket).ok()
    }

    fn discard(&mut self, n: usize) -> Option<io::Result<usize>> {
        self.socket.discard(n).map(|result| result.map_err(Into::into))
    }

    fn send_back(&mut self, n: usize) -> Option<io::Result<SentBack>> {
        self.pipe.as_mut().map(|pipe| pipe.send_back(&self.socket, n))
    }

    fn send_held(&mut self, n: usize) -> io::Result<usize> {
        self.pipe.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.send(&self.socket, n)
    }

    fn take_held(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.pipe.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.take(into)
    }
}
