//! The source addresses of a benchmark's connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use crate::client::connector;

/// Loopback addresses that connections come from. Chosen: with 28,000 ports each (`net.ipv4.ip_local_port_range`) they
/// allow 90,000 new connections a second, each of which stays in TIME-WAIT for a minute after its end.
const LOOPBACK_SOURCES: u64 = 200;

/// Starts to connect; the socket becomes writable when the attempt has succeeded or failed.
///
/// Connections to 127.0.0.1 come from [`LOOPBACK_SOURCES`] addresses in turn (`number` chooses), because the ports of a
/// single one would soon all be in TIME-WAIT.
pub fn start_connect(address: SocketAddr, number: u64) -> io::Result<TcpStream> {
    let source = Ipv4Addr::new(127, 0, 0, 1 + (number % LOOPBACK_SOURCES) as u8);
    let source = (address.ip() == Ipv4Addr::LOCALHOST).then(|| SocketAddr::new(source.into(), 0));
    connector::start(address, source)
}
