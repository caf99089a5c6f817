//! The descriptors that the service manager hands over (`sd_listen_fds(3)`), and the use of each.
//!
//! listenfd takes them over from the environment; it believes what that says, so it is checked before ([`announced`]).
//!
//! Descriptors come from two sources, which only the descriptors themselves can tell apart:
//!
//! * from socket units: sockets that listen, datagram sockets without a peer, or with `Accept=yes` exactly one
//!   descriptor, a connected stream socket. Something is wrong with the configuration when we cannot serve on one.
//! * from the manager's file descriptor store, to which another version of this daemon has given them: everything
//!   else. They are closed and the store is asked to drop them, so that an older version can always be started.

use std::collections::BTreeMap;
use std::env;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{OwnedFd, RawFd};

use listenfd::ListenFd;
use log::warn;

use super::announced::announced;
use crate::daemon::config::args;
use crate::daemon::exit_status::Failure;
use crate::protocol::{self, ProtocolInfo};
use crate::sys::{self, Errno, SocketKind};

/// What was handed over.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Sockets that listen, and the protocol of each.
    pub listeners: Vec<(TcpListener, &'static ProtocolInfo)>,
    /// The one connection of an `Accept=yes` unit, and what is spoken on it. Its client may be gone already.
    pub connection: Option<(TcpStream, &'static ProtocolInfo)>,
    /// The names of descriptors from the store, which were closed.
    pub stored: Vec<String>,
}

/// Takes what was handed over.
///
/// # Errors
/// 78: the environment contradicts itself, or a socket unit hands over what cannot be served.
pub fn take() -> Result<Inherited, Failure> {
    let names = announced(|variable| env::var_os(variable), std::process::id())?;
    // listenfd makes a list of that length: only of descriptors that there are
    for place in 0..names.count {
        sys::inherited_flags(number_of(place)).map_err(|_| unusable(place, names.of(place), "it is not open"))?;
    }
    let mut announced = ListenFd::from_env();
    let mut inherited = Inherited::default();
    let mut stored: BTreeMap<String, usize> = BTreeMap::new();
    for place in 0..names.count {
        let name = names.of(place);
        let number = announced.take_raw_fd(place as usize).ok().flatten();
        let descriptor = number.ok_or(Errno::EBADF).and_then(sys::take_inherited);
        let descriptor = descriptor.map_err(|_| unusable(place, name, "it is not open"))?;
        match use_of(&descriptor, names.count == 1) {
            Use::Listener => inherited.listeners.push((descriptor.into(), known(place, name)?)),
            Use::Connection => inherited.connection = Some((descriptor.into(), known(place, name)?)),
            Use::Stored => *stored.entry(name.into()).or_default() += 1,
            Use::Nothing(why) => return Err(unusable(place, name, why)),
        }
    }
    for (name, count) in &stored {
        let name = name.escape_debug();
        warn!("descriptors named '{name}' from the manager's store are dropped ({count}): another version stored them");
    }
    inherited.stored = stored.into_keys().filter(|name| is_stored_name(name)).collect();
    Ok(inherited)
}

/// Whether a store can have descriptors of that name: printable ASCII, and not nothing (`sd_notify(3)`).
fn is_stored_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| matches!(c, ' '..='~'))
}

/// The number of a descriptor, by its place among those that were handed over.
fn number_of(place: u32) -> RawFd {
    RawFd::try_from(sys::FIRST_INHERITED + place).unwrap_or(RawFd::MAX)
}

fn unusable(place: u32, name: &str, why: &str) -> Failure {
    let number = number_of(place);
    let name = name.escape_debug();
    Failure::configuration(format!("cannot serve on inherited descriptor {number} ({name}): {why}"))
}

/// The protocol that a name means, which must mean one.
fn known(place: u32, name: &str) -> Result<&'static ProtocolInfo, Failure> {
    protocol_of(name).ok_or_else(|| {
        unusable(place, name, "no protocol has that name")
            .with_hint("set FileDescriptorName= to one that retortd --list prints")
    })
}

/// The protocol that a descriptor's name means. What systemd calls a socket without `FileDescriptorName=` (its unit,
/// `connection` with `Accept=yes`, `unknown`) means the main job, or what the unit's name ends in.
fn protocol_of(name: &str) -> Option<&'static ProtocolInfo> {
    match name.strip_suffix(".socket") {
        Some("retortd") => Some(args::default_protocol()),
        Some(unit) => protocol::by_name(unit.strip_prefix("retortd-").unwrap_or(unit)),
        None if ["", "unknown", "connection"].contains(&name) => Some(args::default_protocol()),
        None => protocol::by_name(name),
    }
}

/// What a descriptor is for.
#[derive(Debug, PartialEq, Eq)]
enum Use {
    /// To accept connections from.
    Listener,
    /// To serve this one connection.
    Connection,
    /// For nothing that this version does.
    Stored,
    /// For something, but we cannot do it: why.
    Nothing(&'static str),
}

/// What a descriptor is for, of which there may be more.
fn use_of(descriptor: &OwnedFd, alone: bool) -> Use {
    // a memfd, a file, a pipe: ENOTSOCK
    let Ok(kind) = sys::socket_kind(descriptor) else { return Use::Stored };
    let listens = sys::is_listening(descriptor);
    let tcp = kind == SocketKind::Stream && sys::is_internet(descriptor);
    match (kind, alone) {
        _ if listens && tcp => Use::Listener,
        _ if listens => Use::Nothing("it is no TCP socket"),
        // from ListenDatagram= of a socket unit
        (SocketKind::Datagram, _) if !sys::is_connected(descriptor) => Use::Nothing("it is no TCP socket"),
        (SocketKind::Stream, true) if sys::is_connected(descriptor) || was_connected(descriptor) => {
            if tcp {
                Use::Connection
            } else {
                Use::Nothing("it is no TCP socket")
            }
        }
        (SocketKind::Stream, true) => Use::Nothing("it neither listens nor is connected"),
        _ => Use::Stored,
    }
}

/// Whether there was a connection that a reset has ended: getpeername(2) fails then as it does for a socket that was
/// never connected. The input of the first has ended, which poll(2) calls readable; the other has never had any.
fn was_connected(socket: &OwnedFd) -> bool {
    sys::is_readable(socket)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::UdpSocket;
    use std::os::fd::{AsFd, AsRawFd};
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socket, socketpair};

    use super::*;

    #[test]
    fn names_of_descriptors() {
        let name = |fd: &str| protocol_of(fd).map(|entry| entry.name);
        assert_eq!(name("frame"), Some("frame"));
        assert_eq!(name("echo"), Some("echo"));
        for default in ["", "unknown", "connection", "retortd.socket"] {
            assert_eq!(name(default), Some("frame"), "{default}");
        }
        assert_eq!(name("retortd-echo.socket"), Some("echo"));
        assert_eq!(name("gopher"), None);
        assert_eq!(name("retortd-gopher.socket"), None);
    }

    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
        (client, listener.accept().expect("accept").0)
    }

    fn stream(family: AddressFamily) -> OwnedFd {
        socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket")
    }

    /// What it is for alone, and among others.
    fn uses(descriptor: impl Into<OwnedFd>) -> [Use; 2] {
        let descriptor = descriptor.into();
        [use_of(&descriptor, true), use_of(&descriptor, false)]
    }

    #[test]
    fn sockets_of_socket_units() {
        let no_tcp = || Use::Nothing("it is no TCP socket");
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        assert_eq!(uses(listener), [Use::Listener, Use::Listener]);
        assert_eq!(uses(UdpSocket::bind("127.0.0.1:0").expect("bind")), [no_tcp(), no_tcp()]);
        assert_eq!(uses(UnixDatagram::unbound().expect("a socket")), [no_tcp(), no_tcp()]);
        let path = std::env::temp_dir().join(format!("retortd-unit-{}", std::process::id()));
        let unix = UnixListener::bind(&path).expect("bind");
        std::fs::remove_file(&path).expect("remove the socket");
        assert_eq!(uses(unix), [no_tcp(), no_tcp()]);
        let (pair, _other) = UnixStream::pair().expect("a pair");
        assert_eq!(uses(pair), [no_tcp(), Use::Stored]);
    }

    #[test]
    fn connections() {
        let (_client, server) = connection();
        assert_eq!(uses(server), [Use::Connection, Use::Stored]);
        let (client, server) = connection();
        drop(client);
        assert_eq!(uses(server), [Use::Connection, Use::Stored]);
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let never = || Use::Nothing("it neither listens nor is connected");
            assert_eq!(uses(stream(family)), [never(), Use::Stored]);
        }
    }

    #[test]
    fn a_connection_that_was_reset_was_a_connection() {
        for received in [false, true] {
            let (client, server) = connection();
            // closing with unread input resets the connection (RFC 2525, section 2.17)
            send(server.as_raw_fd(), b"x", MsgFlags::empty()).expect("send");
            if received {
                send(client.as_raw_fd(), b"y", MsgFlags::empty()).expect("send");
            }
            let mut arrived = [PollFd::new(client.as_fd(), PollFlags::POLLIN)];
            poll(&mut arrived, PollTimeout::NONE).expect("wait for the input");
            drop(client);
            let server = OwnedFd::from(server);
            let mut reset = [PollFd::new(server.as_fd(), PollFlags::POLLERR)];
            poll(&mut reset, PollTimeout::NONE).expect("wait for the reset");
            assert!(!sys::is_connected(&server));
            assert_eq!(uses(server), [Use::Connection, Use::Stored]);
        }
    }

    #[test]
    fn names_of_the_store() {
        assert!(is_stored_name("state") && is_stored_name("stored connections"));
        assert!(!is_stored_name("") && !is_stored_name("a\nREADY=1") && !is_stored_name("ä"));
    }

    #[test]
    fn descriptors_of_the_store() {
        let stored = || [Use::Stored, Use::Stored];
        assert_eq!(uses(File::open("/dev/null").expect("open")), stored());
        assert_eq!(uses(memfd_create("state", MFdFlags::MFD_CLOEXEC).expect("a memfd")), stored());
        for kind in [SockType::SeqPacket, SockType::Datagram] {
            let (one, _other) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).expect("a pair");
            assert_eq!(uses(one), stored());
        }
    }
}
