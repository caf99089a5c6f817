//! A listening socket of a service beside the workers.

use crate::daemon::config::service::SideService;
use crate::server::Origin;
use crate::sys::{SocketFile, StreamListener};

/// A socket that listens for a service.
#[derive(Debug)]
pub struct SideListener {
    /// The socket; non-blocking.
    pub socket: StreamListener,
    /// The service.
    pub service: SideService,
    /// Its name in messages: `metrics=127.0.0.1:9383`.
    pub name: String,
    /// Where the socket comes from.
    pub origin: Origin,
    /// The file of an own Unix socket, which is removed when this is dropped.
    pub file: Option<SocketFile>,
}
