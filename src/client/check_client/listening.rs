//! The sockets by which a scripted server listens, or does not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use super::plan::Listening;
use super::result::Halt;
use crate::client::failure::{Failure, reason};
use crate::sys::{self, Errno, SocketAddress, StreamListener};

/// A free port, and the socket that listens on it.
#[derive(Debug)]
pub struct Port {
    /// The address to connect to.
    pub address: SocketAddr,
    /// The listening socket, if connections are accepted.
    pub listener: Option<StreamListener>,
    /// Sockets that keep the port from being used by others.
    _kept: Vec<OwnedFd>,
}

/// Ports to try, so that one is free for both families. Chosen: other programs on a machine use few of the 28,000.
const ATTEMPTS: usize = 20;

/// Bytes of the buffers if a plan wants small ones. Chosen: a few segments of the loopback interface, with which tens of
/// megabytes take a second; with the kernel's minimum (socket(7)) each segment waits for a delayed acknowledgement.
const SMALL_BUFFER: usize = 64 << 10;

/// Opens the sockets on a free port.
///
/// # Errors
/// The machine has no such address, or lacks descriptors.
pub fn open(listening: Listening, small_buffers: bool) -> Result<Port, Halt> {
    let (address, other): (IpAddr, IpAddr) = match listening {
        Listening::V6 => (Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()),
        _ => (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()),
    };
    for _ in 0..ATTEMPTS {
        let socket = bound(SocketAddr::new(address, 0)).map_err(|error| unavailable(address, error))?;
        let Ok(SocketAddress::Internet(local)) = sys::local_address(&socket) else { continue };
        // a connection to the same port of the other family must be refused: the socket is bound, and does not listen
        let kept = match bound(SocketAddr::new(other, local.port())) {
            Ok(kept) => vec![kept],
            Err(Errno::EADDRINUSE) => continue,
            Err(_) => Vec::new(),
        };
        return listen(socket, local, kept, listening, small_buffers).map_err(|error| unavailable(address, error));
    }
    Err(Halt::CannotRun(Failure::cannot_run("no port is free on both 127.0.0.1 and ::1")))
}

fn listen(
    socket: OwnedFd,
    address: SocketAddr,
    mut kept: Vec<OwnedFd>,
    listening: Listening,
    small_buffers: bool,
) -> Result<Port, Errno> {
    if small_buffers {
        sys::set_receive_buffer(&socket, SMALL_BUFFER)?;
        sys::set_send_buffer(&socket, SMALL_BUFFER)?;
    }
    let mut listener = None;
    match listening {
        Listening::Absent => kept.push(socket),
        Listening::V4 | Listening::V6 | Listening::Resets => {
            sys::listen(&socket, i32::MAX)?;
            listener = Some(StreamListener::try_from(socket)?);
        }
    }
    Ok(Port { address, listener, _kept: kept })
}

fn bound(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let address = SocketAddress::Internet(address);
    let socket = sys::stream_socket(&address)?;
    sys::bind(&socket, &address)?;
    Ok(socket)
}

fn unavailable(address: IpAddr, error: Errno) -> Halt {
    let why = format!("cannot listen on {address}: {}", reason(&error.into()));
    match error {
        Errno::EADDRNOTAVAIL | Errno::EAFNOSUPPORT if address.is_ipv6() => Halt::Skip(why),
        _ => Halt::CannotRun(Failure::cannot_run(why)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_kind_of_server_is_what_its_clients_find() {
        let connect = |port: &Port| TcpStream::connect_timeout(&port.address, Duration::from_millis(50));
        let port = open(Listening::V4, true).unwrap();
        assert!(port.address.is_ipv4() && port.listener.is_some() && connect(&port).is_ok());
        let absent = open(Listening::Absent, false).unwrap();
        assert_eq!(connect(&absent).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_server_of_one_family_is_absent_in_the_other() {
        let Ok(port) = open(Listening::V6, false) else { return };
        assert!(port.address.is_ipv6());
        let other = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port.address.port());
        assert_eq!(TcpStream::connect(other).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
