//! Standard error, or a descriptor of any kind: the log thread may block here.

use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use crate::sys::{self, Errno, SocketKind};

/// The maximum length of one write(2), in bytes, unless a single line is longer. Derived: `PIPE_BUF`, up to which a
/// pipe does not mix it with the writes of other processes (pipe(7)).
const MAX_WRITE: usize = 4096;
/// The pause if poll(2) reports a descriptor as writable and write(2) fails with EAGAIN: a terminal may have room for
/// one byte, but not for the two of a line's end. Chosen: ten wake-ups per second are no load.
const PAUSE: Duration = Duration::from_millis(100);

/// A descriptor of any kind. Other processes may use it, too, so its flags are not changed.
pub struct Descriptor<D> {
    fd: D,
    /// The maximum length of a write of several lines, in bytes ([`MAX_WRITE`]).
    pub largest: usize,
    /// The last line was written only in part.
    cut: bool,
}

impl<D: AsFd> Descriptor<D> {
    /// A descriptor whose flags are not changed.
    pub fn new(fd: D) -> Self {
        // one line in each datagram
        let largest = match sys::socket_kind(&fd) {
            Ok(SocketKind::Datagram) => 0,
            _ => MAX_WRITE,
        };
        Self { fd, largest, cut: false }
    }

    /// Writes complete lines, for any time that it takes.
    ///
    /// # Errors
    /// The part that could not be written.
    pub fn write_all<'a>(&mut self, text: &'a [u8]) -> Result<(), &'a [u8]> {
        if self.cut {
            if !self.write(b"\n").is_empty() {
                return Err(text);
            }
            self.cut = false;
        }
        let rest = self.write(text);
        if rest.is_empty() {
            return Ok(());
        }
        self.cut = text[..text.len() - rest.len()].last().is_some_and(|last| *last != b'\n');
        Err(rest)
    }

    /// Writes until an error; returns the part that is not written.
    fn write<'a>(&self, mut rest: &'a [u8]) -> &'a [u8] {
        let mut was_blocked = false;
        while !rest.is_empty() {
            match sys::write(&self.fd, rest) {
                Ok(written @ 1..) => {
                    rest = &rest[written..];
                    was_blocked = false;
                }
                Err(Errno::EINTR) => {}
                // another process has made the open file description non-blocking
                Err(Errno::EAGAIN) if was_blocked => thread::sleep(PAUSE),
                Err(Errno::EAGAIN) => {
                    was_blocked = true;
                    // the next write reports the error
                    let _ = sys::wait_writable(&self.fd);
                }
                Ok(0) | Err(_) => break,
            }
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;

    #[test]
    fn cut_lines_are_ended_before_the_next_one() {
        let (reader, writer) = nix::unistd::pipe().expect("a pipe");
        let mut out = Descriptor::new(writer);
        out.cut = true;
        assert_eq!(out.write_all(b"next\n"), Ok(()));
        assert_eq!(out.write_all(b"third\n"), Ok(()));
        drop(out);
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text).expect("UTF-8");
        assert_eq!(text, "\nnext\nthird\n");
    }
}
