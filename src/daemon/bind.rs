//! Binding the sockets of the daemon: TCP, Unix and vsock.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::socket_options::set_options;
use crate::daemon::config::args::FixedSettings;
use crate::daemon::config::listen::Endpoint;
use crate::daemon::config::listen_address::ListenAddress;
use crate::sys::{self, BindError, Errno, SocketAddress, SocketFile, StreamListener, UnixAddress};

/// A socket that listens.
#[derive(Debug)]
pub struct Bound {
    /// The socket.
    pub socket: StreamListener,
    /// Its file, if it is a Unix socket that has one.
    pub file: Option<SocketFile>,
}

/// Binds an endpoint.
///
/// # Errors
/// As socket(2), bind(2), listen(2) and [`SocketFile::bind`].
pub fn bind(endpoint: &Endpoint, settings: &FixedSettings) -> Result<Bound, BindError> {
    let address = endpoint.address.socket_address();
    if let SocketAddress::Unix(UnixAddress::Path(path)) = &address {
        let socket = sys::stream_socket(&address)?;
        let mode = endpoint.mode.unwrap_or_default();
        let file = SocketFile::bind(&socket, path, mode.0, backlog(settings))?;
        return Ok(Bound { socket: socket.try_into()?, file: Some(file) });
    }
    let socket = match (bind_address(&address, settings), &endpoint.address) {
        // no IPv6 on this machine: all addresses are those of IPv4
        (Err(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL), ListenAddress::AllAddresses(port)) => {
            let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), *port);
            bind_address(&SocketAddress::Internet(address), settings)?
        }
        (result, _) => result?,
    };
    Ok(Bound { socket, file: None })
}

fn bind_address(address: &SocketAddress, settings: &FixedSettings) -> Result<StreamListener, Errno> {
    let socket = sys::stream_socket(address)?;
    if let SocketAddress::Internet(address) = address {
        sys::enable_address_reuse(&socket)?;
        if address.ip() == IpAddr::from(Ipv6Addr::UNSPECIFIED) {
            sys::enable_dual_stack(&socket)?;
        }
    }
    set_options(&socket, address.family(), address, settings);
    sys::bind(&socket, address)?;
    sys::listen(&socket, backlog(settings))?;
    StreamListener::try_from(socket)
}

/// The length of the accept queue. The kernel limits it to net.core.somaxconn (listen(2)).
fn backlog(settings: &FixedSettings) -> i32 {
    settings.backlog.and_then(|backlog| i32::try_from(backlog).ok()).unwrap_or(i32::MAX)
}
