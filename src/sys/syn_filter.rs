//! The end of a listener without resets: the kernel stops completing connections before the queue is emptied.

#![allow(clippy::cast_possible_truncation, reason = "the size of a struct of the kernel")]
#![allow(unsafe_code, reason = "calls setsockopt(2) for an option that nix does not have")]

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::libc;

/// The flags of a TCP header (RFC 9293, section 3.1): their offset, and the one of a segment that begins a connection.
const FLAGS_OFFSET: u32 = 13;
const SYN: u32 = 0x02;
/// Filters return the number of bytes to keep.
const ALL: u32 = u32::MAX;

/// Drops every segment that would begin a connection, at a listening TCP socket (`SO_ATTACH_FILTER`, socket(7)). The
/// client sends it again, a second later, and is refused then if the listener is closed. Handshakes that have begun are
/// completed.
///
/// # Errors
/// As setsockopt(2): ENOMEM; EPERM where the filter of the socket is locked.
pub fn drop_new_connections(listener: &impl AsFd) -> Result<(), Errno> {
    let instruction = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut filter = [
        instruction(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, FLAGS_OFFSET),
        instruction(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, SYN),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, ALL),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    let length = size_of::<libc::sock_fprog>() as libc::socklen_t;
    let fd = listener.as_fd().as_raw_fd();
    // SAFETY: the kernel copies the program, which has `len` instructions, before the call returns.
    let result =
        unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, (&raw const program).cast(), length) };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    /// A connection that has begun is served; a new one is neither accepted nor refused until the listener is closed.
    #[test]
    fn only_new_connections_are_dropped() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let address = listener.local_addr().expect("an address");
            let mut early = TcpStream::connect(address).expect("connect");
            drop_new_connections(&listener).expect("a filter");
            let late = TcpStream::connect_timeout(&address, Duration::from_millis(1));
            assert_eq!(late.map_err(|error| error.kind()).err(), Some(ErrorKind::TimedOut));
            let (mut accepted, _) = listener.accept().expect("accept");
            drop(listener);
            early.write_all(b"request").expect("send");
            let mut buffer = [0; 7];
            accepted.read_exact(&mut buffer).expect("receive");
            assert_eq!(&buffer, b"request");
        }
    }
}
