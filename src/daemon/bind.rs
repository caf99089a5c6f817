//! Binding the sockets of the daemon: TCP, Unix and vsock.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::socket_options::set_options;
use crate::daemon::config::args::FixedSettings;
use crate::daemon::config::listen::Endpoint;
use crate::daemon::config::listen_address::ListenAddress;
use crate::daemon::hand_over::{HandedFile, HandedListener};
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

/// Goes on listening on a socket that a predecessor has bound for the endpoint, with the options of these settings.
///
/// # Errors
/// As listen(2) and [`SocketFile::take_over`]; ENOENT: the file of a Unix socket was not handed over with it.
pub fn take_over(handed: HandedListener, endpoint: &Endpoint, settings: &FixedSettings) -> Result<Bound, BindError> {
    let HandedListener { socket, file, .. } = handed;
    let address = endpoint.address.socket_address();
    let file = match (&address, file) {
        (SocketAddress::Unix(UnixAddress::Path(path)), Some(HandedFile { id, lock })) => {
            let mode = endpoint.mode.unwrap_or_default();
            Some(SocketFile::take_over(path, id, lock, mode.0)?)
        }
        (SocketAddress::Unix(UnixAddress::Path(_)), None) => return Err(Errno::ENOENT.into()),
        _ => None,
    };
    set_options(&socket, address.family(), &address, settings);
    sys::listen(&socket, backlog(settings))?;
    Ok(Bound { socket, file })
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
