//! pipe(2) and splice(2): bytes that move from one socket to another in the kernel, without a copy.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;

/// A pipe that this process alone reads from and writes to; both are non-blocking and closed on exec.
#[derive(Debug)]
pub struct Pipe {
    reader: File,
    writer: File,
}

impl Pipe {
    /// Creates an empty one for `capacity` bytes, if every page is full (`F_SETPIPE_SZ`, fcntl(2)). A page may have
    /// fewer: a part of a TCP segment takes one.
    ///
    /// # Errors
    /// EMFILE, ENFILE: too many descriptors, or this user has too many pages in pipes; EPERM: with this one, it would have
    /// (pipe(7)).
    pub fn new(capacity: i32) -> Result<Self, Errno> {
        let (reader, writer) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        fcntl(&writer, FcntlArg::F_SETPIPE_SZ(capacity))?;
        Ok(Self { reader: reader.into(), writer: writer.into() })
    }

    /// Moves at most `n` received bytes from a non-blocking socket into the pipe; returns their number, 0 at the end of
    /// the input.
    ///
    /// # Errors
    /// As splice(2): EAGAIN if nothing has arrived, or the pipe is full; and as recv(2).
    pub fn fill(&self, from: impl AsFd, n: usize) -> Result<usize, Errno> {
        splice(from, None, &self.writer, None, n, SpliceFFlags::SPLICE_F_NONBLOCK)
    }

    /// Moves at most `n` bytes from the pipe to a non-blocking socket; returns their number.
    ///
    /// # Errors
    /// As splice(2): EAGAIN if the socket has no room, or the pipe is empty; and as send(2).
    pub fn drain(&self, to: impl AsFd, n: usize) -> Result<usize, Errno> {
        splice(&self.reader, None, to, None, n, SpliceFFlags::SPLICE_F_NONBLOCK)
    }
}

/// Takes bytes out of the pipe.
impl Read for &Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&self.reader).read(into)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::sys::wait_readable;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
        let (server, _) = listener.accept().expect("a connection");
        server.set_nonblocking(true).expect("non-blocking");
        (client, server)
    }

    #[test]
    fn bytes_move_through_a_pipe_in_order_until_the_end_of_the_input() {
        let ((mut client, server), pipe) = (pair(), Pipe::new(65536).expect("a pipe"));
        assert_eq!(pipe.fill(&server, 100), Err(Errno::EAGAIN));
        client.write_all(b"to be sent back, to be read").expect("send");
        client.shutdown(std::net::Shutdown::Write).expect("shutdown");
        wait_readable([server.as_fd()], None).expect("poll");
        assert_eq!(pipe.fill(&server, 17), Ok(17));
        assert_eq!(pipe.drain(&server, 16), Ok(16));
        assert_eq!(pipe.fill(&server, 100), Ok(10));
        let mut rest = [0; 100];
        assert_eq!((&pipe).read(&mut rest).expect("read"), 11);
        assert_eq!(&rest[..11], b" to be read");
        assert_eq!((&pipe).read(&mut rest).expect_err("empty").kind(), io::ErrorKind::WouldBlock);
        wait_readable([server.as_fd()], None).expect("poll");
        assert_eq!(pipe.fill(&server, 100), Ok(0), "the end of the input");
        drop(server);
        let mut received = String::new();
        client.read_to_string(&mut received).expect("receive");
        assert_eq!(received, "to be sent back,");
    }

    #[test]
    fn a_socket_without_room_leaves_bytes_in_the_pipe() {
        let ((_client, server), pipe) = (pair(), Pipe::new(65536).expect("a pipe"));
        let (mut other_client, other) = pair();
        // the kernel moves room from one side to the other for a while
        let mut is_full = false;
        while !is_full {
            other_client.write_all(&[b'a'; 1024]).expect("send");
            wait_readable([other.as_fd()], None).expect("poll");
            let received = pipe.fill(&other, 65536).expect("input");
            let sent = pipe.drain(&server, received);
            is_full = sent.is_ok_and(|sent| sent < received) || sent == Err(Errno::EAGAIN);
            assert!(is_full || sent == Ok(received), "{sent:?}");
        }
        assert!((&pipe).read(&mut [0; 1024]).is_ok_and(|left| left > 0));
    }
}
