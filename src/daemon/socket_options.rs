//! The options of the sockets to serve.

use std::fmt;
use std::os::fd::AsFd;

use log::warn;

use crate::daemon::config::args::FixedSettings;
use crate::sys::{self, SocketFamily};

/// Seconds without a packet from a client after which the kernel probes it (tcp(7)). Chosen: an idle connection costs
/// the client's network one packet a minute, and a client that is gone is detected within two minutes.
const KEEPALIVE_IDLE: u32 = 60;
/// Seconds between probes. Chosen: a client that is gone is detected a minute after the first of [`KEEPALIVE_PROBES`].
const KEEPALIVE_INTERVAL: u32 = 15;
/// Probes without a reply after which the connection is reset. Chosen: three lost packets in a row are not a reason to
/// reset it.
const KEEPALIVE_PROBES: u32 = 4;
/// Milliseconds that sent data may stay without an acknowledgement (`TCP_USER_TIMEOUT`, tcp(7)). Derived: the time in
/// which keepalive detects that a silent client is gone.
const USER_TIMEOUT: u32 = 1000 * (KEEPALIVE_IDLE + KEEPALIVE_PROBES * KEEPALIVE_INTERVAL);

/// Sets the options that accepted connections inherit from their listener, which is called `name` in messages. An
/// option that cannot be set causes a warning: the listener serves without it. Does nothing for Unix and vsock sockets,
/// whose connections inherit nothing.
pub fn set_options(socket: &impl AsFd, family: SocketFamily, name: &impl fmt::Display, settings: &FixedSettings) {
    if family != SocketFamily::Internet {
        return;
    }
    let mut results = vec![
        ("TCP_NODELAY", sys::enable_nodelay(socket)),
        ("SO_KEEPALIVE", sys::enable_keepalive(socket)),
        ("TCP_KEEPIDLE", sys::set_keepalive_idle(socket, KEEPALIVE_IDLE)),
        ("TCP_KEEPINTVL", sys::set_keepalive_interval(socket, KEEPALIVE_INTERVAL)),
        ("TCP_KEEPCNT", sys::set_keepalive_probes(socket, KEEPALIVE_PROBES)),
        ("TCP_USER_TIMEOUT", sys::set_user_timeout(socket, USER_TIMEOUT)),
    ];
    if let Some(size) = settings.recv_buffer {
        results.push(("SO_RCVBUF", sys::set_receive_buffer(socket, size.in_memory())));
    }
    if let Some(size) = settings.send_buffer {
        results.push(("SO_SNDBUF", sys::set_send_buffer(socket, size.in_memory())));
    }
    for (option, result) in results {
        if let Err(error) = result {
            warn!("cannot set {option} on {name}: {error}; serving without it");
        }
    }
}
