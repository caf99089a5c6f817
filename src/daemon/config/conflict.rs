//! Listeners that exclude each other: the same port of the same address, or the same Unix or vsock address.
//!
//! bind(2) refuses the second one with EADDRINUSE, as if it were another process that listens there.

use std::net::{IpAddr, SocketAddr};

use super::listen::Endpoint;
use crate::daemon::exit_status::Failure;
use crate::sys::{SocketAddress, VsockAddress};

/// Checks that the kernel can bind each of these endpoints beside the others.
///
/// # Errors
/// 78: two of them are the same, or one of them is on all addresses and the other has the same port.
pub fn check_for_conflicts(endpoints: &[Endpoint]) -> Result<(), Failure> {
    for (number, two) in endpoints.iter().enumerate() {
        let address = two.address.socket_address();
        let is_other = |one: &&Endpoint| exclude(&one.address.socket_address(), &address);
        if let Some(one) = endpoints[..number].iter().find(is_other) {
            let (what, hint) = match address {
                SocketAddress::Internet(address) => (format!("port {}", address.port()), SAME_PORT),
                address => (address.to_string(), SAME_ADDRESS),
            };
            let what = format!("cannot listen on {one} and {two}: {what} is given twice");
            return Err(Failure::configuration(what).with_hint(hint));
        }
    }
    Ok(())
}

/// How to resolve a conflict of ports.
const SAME_PORT: &str =
    "give one of them another port; a port without an address, also that of --port, is a port of all addresses";
/// How to resolve a conflict of other addresses.
const SAME_ADDRESS: &str = "give one of them another address";

/// Whether the kernel refuses to bind two listeners that set `SO_REUSEADDR`, as those of the daemon do (socket(7)).
#[must_use]
pub fn exclude(one: &SocketAddress, two: &SocketAddress) -> bool {
    match (one, two) {
        (SocketAddress::Internet(one), SocketAddress::Internet(two)) => {
            // port 0 is a free port for each
            one.port() == two.port() && one.port() != 0 && (includes(*one, *two) || includes(*two, *one))
        }
        (SocketAddress::Unix(one), SocketAddress::Unix(two)) => one == two,
        (SocketAddress::Vsock(one), SocketAddress::Vsock(two)) => {
            let has_all = one.cid == VsockAddress::ANY || two.cid == VsockAddress::ANY;
            one.port == two.port && (has_all || one.cid == two.cid)
        }
        _ => false,
    }
}

/// Whether a listener on `one` includes the address of `two`. The daemon makes all addresses of IPv6 include those of
/// IPv4 (ipv6(7)).
fn includes(one: SocketAddr, two: SocketAddr) -> bool {
    match (one.ip().to_canonical(), two.ip().to_canonical()) {
        (IpAddr::V6(all), _) if all.is_unspecified() => true,
        (IpAddr::V4(all), IpAddr::V4(_)) if all.is_unspecified() => true,
        (one_ip, two_ip) => one_ip == two_ip && scope(one) == scope(two),
    }
}

/// The interface that a link-local address belongs to: each interface may have the same one.
fn scope(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V6(address) if address.ip().is_unicast_link_local() => address.scope_id(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::config::listen::Listen;
    use crate::daemon::config::listener_syntax::Separated;

    /// The error about `--listen` with this value.
    fn conflict(listen: &str) -> Option<String> {
        let listen: Separated<Listen> = listen.parse().expect(listen);
        let endpoints: Vec<Endpoint> = listen.0.iter().map(|listen| listen.endpoint.clone()).collect();
        check_for_conflicts(&endpoints).err().map(|failure| failure.to_string())
    }

    #[test]
    fn a_port_that_is_given_twice_names_both_listeners() {
        for listeners in [
            ["frame=8083", "frame=8083"],
            ["frame=127.0.0.1:7", "echo=127.0.0.1:7"],
            ["frame=7", "echo"],
            ["frame=7", "echo=127.0.0.1:7"],
            ["frame=[::1]:7", "echo=7"],
            ["frame=7", "echo=0.0.0.0:7"],
            ["frame=0.0.0.0:7", "echo=[::]:7"],
            ["frame=0.0.0.0:7", "echo=127.0.0.1:7"],
            ["frame=[::ffff:127.0.0.1]:7", "echo=127.0.0.1:7"],
            ["frame=0.0.0.0:7", "echo=[::ffff:127.0.0.1]:7"],
            ["frame=[fe80::1%2]:7", "echo=[fe80::1%2]:7"],
            ["frame=[fe80::1%2]:7", "echo=7"],
            ["frame=[::1]:7", "echo=[::1%2]:7"],
        ] {
            let error = conflict(&format!("time=37 {} ack=1 {}", listeners[0], listeners[1])).expect(listeners[0]);
            let two = if listeners[1] == "echo" { "echo=7" } else { listeners[1] };
            assert!(error.starts_with(&format!("cannot listen on {} and {two}: port ", listeners[0])), "{error}");
        }
    }

    #[test]
    fn an_address_that_is_given_twice_names_both_listeners() {
        for (listeners, address) in [
            (["frame=unix:/run/echo,mode=0600", "echo=unix:/run/echo"], "unix:/run/echo"),
            (["frame=unix:@echo", "echo=unix:@echo"], "unix:@echo"),
            (["frame=vsock:1:7", "echo=vsock:1:7"], "vsock:1:7"),
            (["frame=vsock::7", "echo=vsock:1:7"], "vsock:1:7"),
        ] {
            let [one, two] = listeners;
            let error = conflict(&format!("{one} {two}")).expect(one);
            let hint = "give one of them another address";
            assert_eq!(error, format!("cannot listen on {one} and {two}: {address} is given twice ({hint})"));
        }
    }

    #[test]
    fn other_listeners_do_not_exclude_each_other() {
        for listeners in [
            "frame=0 echo=0",
            "frame=127.0.0.1:0 echo=127.0.0.1:0",
            "frame=7 echo=8",
            "frame=127.0.0.1:7 echo=127.0.0.2:7",
            "frame=127.0.0.1:7 echo=[::1]:7",
            "frame=0.0.0.0:7 echo=[::1]:7",
            "frame=[fe80::1%2]:7 echo=[fe80::1%3]:7",
            "frame=unix:/run/frame echo=unix:/run/echo",
            "frame=unix:/run/frame echo=unix:@/run/frame",
            "frame=vsock:1:7 echo=vsock:1:8 time=vsock:2:7 ack=7",
        ] {
            assert_eq!(conflict(listeners), None, "{listeners}");
        }
    }
}
