//! Options of TCP sockets (socket(7), tcp(7), ipv6(7)).
//!
//! Each function fails as setsockopt(2) or getsockopt(2): ENOTSOCK for what is no socket, ENOPROTOOPT or EOPNOTSUPP
//! where the kernel or the socket does not have the option.

#![allow(clippy::missing_errors_doc, reason = "described above for all of them")]

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};

/// Sends small segments at once (`TCP_NODELAY`).
pub fn enable_nodelay(socket: &impl AsFd) -> Result<(), Errno> {
    setsockopt(socket, sockopt::TcpNoDelay, &true)
}

/// Probes peers that are silent (`SO_KEEPALIVE`).
pub fn enable_keepalive(socket: &impl AsFd) -> Result<(), Errno> {
    setsockopt(socket, sockopt::KeepAlive, &true)
}

/// Seconds of silence before the first keep-alive probe (`TCP_KEEPIDLE`).
pub fn set_keepalive_idle(socket: &impl AsFd, seconds: u32) -> Result<(), Errno> {
    setsockopt(socket, sockopt::TcpKeepIdle, &seconds)
}

/// Seconds between keep-alive probes (`TCP_KEEPINTVL`).
pub fn set_keepalive_interval(socket: &impl AsFd, seconds: u32) -> Result<(), Errno> {
    setsockopt(socket, sockopt::TcpKeepInterval, &seconds)
}

/// Keep-alive probes without a reply after which the connection is given up (`TCP_KEEPCNT`).
pub fn set_keepalive_probes(socket: &impl AsFd, probes: u32) -> Result<(), Errno> {
    setsockopt(socket, sockopt::TcpKeepCount, &probes)
}

/// Milliseconds that sent data may stay unacknowledged before the connection is given up (`TCP_USER_TIMEOUT`).
pub fn set_user_timeout(socket: &impl AsFd, milliseconds: u32) -> Result<(), Errno> {
    setsockopt(socket, sockopt::TcpUserTimeout, &milliseconds)
}

/// Lets a listener bind an address whose old connections are in TIME-WAIT (`SO_REUSEADDR`).
pub fn enable_address_reuse(socket: &impl AsFd) -> Result<(), Errno> {
    setsockopt(socket, sockopt::ReuseAddr, &true)
}

/// Lets an IPv6 socket take IPv4 connections too, whatever net.ipv6.bindv6only says (`IPV6_V6ONLY`).
pub fn enable_dual_stack(socket: &impl AsFd) -> Result<(), Errno> {
    setsockopt(socket, sockopt::Ipv6V6Only, &false)
}

/// Whether an IPv6 socket takes no IPv4 connections (`IPV6_V6ONLY`); false for other sockets.
#[must_use]
pub fn is_ipv6_only(socket: &impl AsFd) -> bool {
    getsockopt(socket, sockopt::Ipv6V6Only).unwrap_or(false)
}

/// Requests a receive buffer of `bytes`, which the kernel doubles (`SO_RCVBUF`).
pub fn set_receive_buffer(socket: &impl AsFd, bytes: usize) -> Result<(), Errno> {
    setsockopt(socket, sockopt::RcvBuf, &bytes)
}

/// Requests a send buffer of `bytes`, which the kernel doubles (`SO_SNDBUF`).
pub fn set_send_buffer(socket: &impl AsFd, bytes: usize) -> Result<(), Errno> {
    setsockopt(socket, sockopt::SndBuf, &bytes)
}

/// The size of the receive buffer in bytes, with the kernel's overhead (`SO_RCVBUF`).
pub fn receive_buffer(socket: &impl AsFd) -> Result<usize, Errno> {
    getsockopt(socket, sockopt::RcvBuf)
}

/// The size of the send buffer in bytes, with the kernel's overhead (`SO_SNDBUF`).
pub fn send_buffer(socket: &impl AsFd) -> Result<usize, Errno> {
    getsockopt(socket, sockopt::SndBuf)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn options_reach_their_socket() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
        enable_nodelay(&socket).expect("TCP_NODELAY");
        enable_keepalive(&socket).expect("SO_KEEPALIVE");
        set_keepalive_idle(&socket, 61).expect("TCP_KEEPIDLE");
        set_keepalive_interval(&socket, 16).expect("TCP_KEEPINTVL");
        set_keepalive_probes(&socket, 5).expect("TCP_KEEPCNT");
        set_user_timeout(&socket, 120_001).expect("TCP_USER_TIMEOUT");
        set_receive_buffer(&socket, 10_000).expect("SO_RCVBUF");
        set_send_buffer(&socket, 11_000).expect("SO_SNDBUF");
        assert_eq!(getsockopt(&socket, sockopt::TcpNoDelay), Ok(true));
        assert_eq!(getsockopt(&socket, sockopt::KeepAlive), Ok(true));
        assert_eq!(getsockopt(&socket, sockopt::TcpKeepIdle), Ok(61));
        assert_eq!(getsockopt(&socket, sockopt::TcpKeepInterval), Ok(16));
        assert_eq!(getsockopt(&socket, sockopt::TcpKeepCount), Ok(5));
        assert_eq!(getsockopt(&socket, sockopt::TcpUserTimeout), Ok(120_001));
        assert_eq!(receive_buffer(&socket), Ok(20_000));
        assert_eq!(send_buffer(&socket), Ok(22_000));
    }
}
