//! The descriptors that the service manager passes (`sd_listen_fds(3)`), and the use of each.
//!
//! The crate listenfd takes them from the environment without a check of its variables, so [`super::listen_fds`] checks
//! them before.
//!
//! Descriptors come from two sources, which only the descriptors themselves can tell apart:
//!
//! * from socket units: sockets that listen, datagram sockets without a peer, or with `Accept=yes` exactly one
//!   descriptor, a connected stream socket. One that cannot be served is an error of the configuration.
//! * from the manager's file descriptor store, where another version of this daemon has put them: all others. They are
//!   closed, and the store is requested to remove them, so that an older version can always be started. A file, or a
//!   single connection of packets, is one of them only if its name means no service.
//!
//! * from a predecessor, which hands its connections over, through the store or through execve(2): one connected Unix
//!   socket of packets with a name of its own, which carries all others ([`super::hand_over`]).
//!
//! What is dropped never makes the daemon open the default port in its place.

use std::collections::BTreeMap;
use std::env;
use std::mem;
use std::os::fd::{OwnedFd, RawFd};

use listenfd::ListenFd;
use log::warn;

use super::listen_fds::announced;
use crate::daemon::config::descriptor::{Descriptor, means_service};
use crate::daemon::config::origin::SocketOrigin;
use crate::daemon::exit_status::Failure;
use crate::daemon::hand_over::{HandedListener, Incoming, ListenerOrigin, NAME};
use crate::sys::{self, DescriptorReceiver, Errno, SocketAddress, SocketKind, StreamListener, StreamSocket};

/// The sockets that the service manager has passed.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Sockets that listen.
    pub listeners: Vec<InheritedSocket<StreamListener>>,
    /// The one connection of an `Accept=yes` unit, or of inetd's `nowait`. Its client may have disconnected already.
    pub connection: Option<InheritedSocket<StreamSocket>>,
    /// The names of descriptors from the store, which were closed.
    pub stored: Vec<String>,
    /// Sockets that carry what a predecessor has handed over.
    pub hand_over: Vec<DescriptorReceiver>,
    /// A predecessor has handed connections over.
    pub has_connections: bool,
    /// The number of descriptors, those that were closed included. One from a predecessor does not count if that had
    /// listeners of its own: then the default port is none that it gets by mistake.
    pub passed: u32,
}

/// A socket to serve.
#[derive(Debug)]
pub struct InheritedSocket<S> {
    /// The socket.
    pub socket: S,
    /// Its address.
    pub local: SocketAddress,
    /// Its use.
    pub descriptor: Descriptor,
}

impl Inherited {
    /// Whether nothing was passed, except from a predecessor.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.passed == 0
    }

    /// Whether there is a socket to serve.
    #[must_use]
    pub fn has_socket(&self) -> bool {
        !self.listeners.is_empty() || self.connection.is_some()
    }

    /// Takes the listeners that a service manager had passed to a predecessor out of what that has handed over, under
    /// their names. `connection` is the value of `--connection`. One that cannot be served is closed.
    pub fn take_back(&mut self, incoming: &mut Incoming, connection: Option<&Descriptor>) {
        for HandedListener { socket, origin, file } in mem::take(&mut incoming.listeners) {
            match origin {
                ListenerOrigin::Own { .. } => incoming.listeners.push(HandedListener { socket, origin, file }),
                ListenerOrigin::Inherited { name } => match inherited_listener(socket, &name, connection) {
                    Ok(listener) => self.listeners.push(listener),
                    Err(why) => warn!("the listener '{}' that was handed over is closed: {why}", name.escape_debug()),
                },
            }
        }
        self.has_connections = incoming.taken_over.as_ref().is_some_and(|taken_over| !taken_over.is_empty());
        // a predecessor without listeners of its own served nothing but those of a service manager
        if incoming.was_passed && !incoming.has_own_listeners {
            self.passed += 1;
        }
    }
}

impl<S: TryFrom<OwnedFd, Error = Errno>> InheritedSocket<S> {
    /// A socket of this use.
    ///
    /// # Errors
    /// As getsockname(2); EAFNOSUPPORT: it is of a family that [`SocketAddress`] does not have.
    pub fn new(socket: OwnedFd, descriptor: Descriptor) -> Result<Self, Errno> {
        let local = sys::local_address(&socket)?;
        Ok(Self { socket: socket.try_into()?, local, descriptor })
    }
}

impl<S> InheritedSocket<S> {
    /// The origin of a listener or connection of this socket.
    #[must_use]
    pub fn origin(&self) -> SocketOrigin {
        SocketOrigin::Inherited { descriptor: self.descriptor.clone(), local: self.local.clone() }
    }
}

/// Takes the descriptors that the service manager has passed, and removes `LISTEN_PID` and `LISTEN_FDS` from the
/// environment. `connection` is the value of `--connection`.
///
/// # Errors
/// 78: the environment contradicts itself, or a socket unit passes a socket that cannot be served.
pub fn take(connection: Option<&Descriptor>) -> Result<Inherited, Failure> {
    let announced = announced(|variable| env::var_os(variable), std::process::id())?;
    // listenfd allocates a list of this length, so every descriptor must exist
    for place in 0..announced.count {
        sys::inherited_flags(number_of(place)).map_err(|_| unusable(place, announced.name(place), "it is not open"))?;
    }
    let mut listenfd = ListenFd::from_env();
    let mut inherited = Inherited::default();
    let mut stored: BTreeMap<String, usize> = BTreeMap::new();
    for place in 0..announced.count {
        let name = announced.name(place);
        let number = listenfd.take_raw_fd(place as usize).ok().flatten();
        let descriptor = number.ok_or(Errno::EBADF).and_then(sys::take_inherited);
        let descriptor = descriptor.map_err(|_| unusable(place, name, "it is not open"))?;
        let taken = hand_over(descriptor, name).map(|socket| inherited.hand_over.push(socket));
        let Err(descriptor) = taken else { continue };
        inherited.passed += 1;
        match use_of(&descriptor, announced.count == 1, means_service(name)) {
            // nothing but a listener can be from a socket unit under this name
            Use::Connection | Use::Unusable(_) if name == NAME && !sys::is_listening(&descriptor) => {
                *stored.entry(name.into()).or_default() += 1;
            }
            Use::Listener => inherited.listeners.push(inherited_socket(descriptor, place, name, connection)?),
            Use::Connection => inherited.connection = Some(inherited_socket(descriptor, place, name, connection)?),
            Use::Stored => *stored.entry(name.into()).or_default() += 1,
            Use::Unusable(why) => return Err(unusable(place, name, why)),
        }
    }
    for (name, count) in &stored {
        let name = name.escape_debug();
        warn!(
            "descriptors named '{name}' from the file descriptor store are dropped ({count}): another version stored them"
        );
    }
    inherited.stored = stored.into_keys().filter(|name| is_stored_name(name)).collect();
    Ok(inherited)
}

/// A descriptor that carries what a predecessor has handed over, by its name and its kind; otherwise returns it.
fn hand_over(descriptor: OwnedFd, name: &str) -> Result<DescriptorReceiver, OwnedFd> {
    if name != NAME {
        return Err(descriptor);
    }
    DescriptorReceiver::try_from(descriptor).map_err(|(descriptor, _)| descriptor)
}

/// Whether a store can contain descriptors of this name: it must be printable ASCII, and not empty (`sd_notify(3)`).
fn is_stored_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| matches!(c, ' '..='~'))
}

/// The number of a descriptor, by its place among those that were passed.
fn number_of(place: u32) -> RawFd {
    RawFd::try_from(sys::FIRST_INHERITED + place).unwrap_or(RawFd::MAX)
}

fn unusable(place: u32, name: &str, why: &str) -> Failure {
    let number = number_of(place);
    let name = name.escape_debug();
    Failure::configuration(format!("cannot serve on inherited descriptor {number} ({name}): {why}"))
}

/// A socket, with the use that its name means.
fn inherited_socket<S: TryFrom<OwnedFd, Error = Errno>>(
    socket: OwnedFd,
    place: u32,
    name: &str,
    connection: Option<&Descriptor>,
) -> Result<InheritedSocket<S>, Failure> {
    let descriptor = Descriptor::of_name(name, connection).map_err(|why| {
        let failure = unusable(place, name, &why);
        // the other reasons say what to change
        if means_service(name) {
            return failure;
        }
        failure.with_hint("set FileDescriptorName= to a protocol that retortd --list prints")
    })?;
    InheritedSocket::new(socket, descriptor).map_err(|error| unusable(place, name, error.desc()))
}

/// A listener that another process has inherited under this name.
fn inherited_listener(
    socket: StreamListener,
    name: &str,
    connection: Option<&Descriptor>,
) -> Result<InheritedSocket<StreamListener>, String> {
    let descriptor = Descriptor::of_name(name, connection)?;
    let local = socket.local_address().map_err(Errno::desc)?;
    Ok(InheritedSocket { socket, local, descriptor })
}

/// The use of a descriptor.
#[derive(Debug, PartialEq, Eq)]
pub enum Use {
    /// A listener.
    Listener,
    /// The one connection to serve.
    Connection,
    /// None: another version of the daemon has stored it.
    Stored,
    /// A socket unit passes it, but it cannot be served, for this reason.
    Unusable(&'static str),
}

/// Why a socket of another kind or family cannot be served.
const NO_STREAM: &str = "it is not a stream socket of TCP, Unix or vsock";
/// Why a file cannot be served, such as that of `ListenFIFO=` in a socket unit.
const NO_SOCKET: &str = "it is a file, a FIFO or a device, and not a socket";

/// The use of a descriptor; `alone` if it is the only one that was passed, `is_named` if its name means a service.
pub fn use_of(descriptor: &OwnedFd, alone: bool, is_named: bool) -> Use {
    let Ok(kind) = sys::socket_kind(descriptor) else {
        // ENOTSOCK: a memfd, a file, a pipe
        return if is_named { Use::Unusable(NO_SOCKET) } else { Use::Stored };
    };
    let listens = sys::is_listening(descriptor);
    let is_stream = kind == SocketKind::Stream && sys::local_address(descriptor).is_ok();
    match (kind, alone) {
        _ if listens && is_stream => Use::Listener,
        _ if listens => Use::Unusable(NO_STREAM),
        // from ListenDatagram= of a socket unit
        (SocketKind::Datagram, _) if !sys::is_connected(descriptor) => Use::Unusable(NO_STREAM),
        (SocketKind::Stream, true) if sys::is_connected(descriptor) || was_connected(descriptor) => {
            if is_stream {
                Use::Connection
            } else {
                Use::Unusable(NO_STREAM)
            }
        }
        (SocketKind::Stream, true) => Use::Unusable("it neither listens nor is connected"),
        // from Accept=yes of a socket unit
        (SocketKind::Datagram | SocketKind::Other, true) if is_named => Use::Unusable(NO_STREAM),
        _ => Use::Stored,
    }
}

/// Whether a reset has ended the connection of a socket. getpeername(2) fails for it as for a socket that was never
/// connected, but poll(2) reports the end of its input as readable, and nothing for the other.
fn was_connected(socket: &OwnedFd) -> bool {
    sys::is_readable(socket)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::{AsFd, AsRawFd};
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::sys::socket::{
        AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, bind, listen, send, socket, socketpair,
    };

    use super::*;

    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
        (client, listener.accept().expect("accept").0)
    }

    fn stream(family: AddressFamily) -> OwnedFd {
        socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket")
    }

    /// The use of a descriptor that is alone, and among others, whose name means a service.
    fn uses(descriptor: impl Into<OwnedFd>) -> [Use; 2] {
        let descriptor = descriptor.into();
        [use_of(&descriptor, true, true), use_of(&descriptor, false, true)]
    }

    /// Likewise, if its name means none.
    fn uses_unnamed(descriptor: &OwnedFd) -> [Use; 2] {
        [use_of(descriptor, true, false), use_of(descriptor, false, false)]
    }

    #[test]
    fn listeners_and_datagram_sockets_are_from_socket_units() {
        let no_stream = || Use::Unusable(NO_STREAM);
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        assert_eq!(uses(listener), [Use::Listener, Use::Listener]);
        assert_eq!(uses(UdpSocket::bind("127.0.0.1:0").expect("bind")), [no_stream(), no_stream()]);
        assert_eq!(uses(UnixDatagram::unbound().expect("a socket")), [no_stream(), no_stream()]);
        let path = std::env::temp_dir().join(format!("retortd-unit-{}", std::process::id()));
        let unix = UnixListener::bind(&path).expect("bind");
        std::fs::remove_file(&path).expect("remove the socket");
        assert_eq!(uses(unix), [Use::Listener, Use::Listener]);
        let packets = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
        let address = UnixAddr::new_abstract(format!("retortd-packets-{}", std::process::id()).as_bytes());
        bind(packets.as_raw_fd(), &address.expect("an address")).expect("bind");
        listen(&packets, Backlog::new(1).expect("a backlog")).expect("listen");
        assert_eq!(uses(packets), [no_stream(), no_stream()]);
    }

    #[test]
    fn single_connected_sockets_are_connections() {
        let (_client, server) = connection();
        assert_eq!(uses(server), [Use::Connection, Use::Stored]);
        let (pair, _other) = UnixStream::pair().expect("a pair");
        assert_eq!(uses(pair), [Use::Connection, Use::Stored]);
        let (client, server) = connection();
        drop(client);
        assert_eq!(uses(server), [Use::Connection, Use::Stored]);
        for family in [AddressFamily::Inet, AddressFamily::Inet6, AddressFamily::Unix] {
            let never = || Use::Unusable("it neither listens nor is connected");
            assert_eq!(uses(stream(family)), [never(), Use::Stored]);
        }
    }

    #[test]
    fn reset_connections_are_recognized() {
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
    fn only_a_pair_of_this_name_is_from_a_predecessor() {
        let pair = || OwnedFd::from(sys::descriptor_pair().expect("a pair").1);
        assert!(hand_over(pair(), NAME).is_ok());
        for name in ["hand-over,proxy", "Hand-over", "", "echo"] {
            assert!(hand_over(pair(), name).is_err(), "{name}");
        }
        let (stream, _other) = UnixStream::pair().expect("a pair");
        let (_client, connected) = connection();
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let packets = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
        let address = UnixAddr::new_abstract(format!("retortd-hand-over-{}", std::process::id()).as_bytes());
        bind(packets.as_raw_fd(), &address.expect("an address")).expect("bind");
        listen(&packets, Backlog::new(1).expect("a backlog")).expect("listen");
        for other in [stream.into(), connected.into(), listener.into(), packets] {
            hand_over(other, NAME).expect_err("it is another socket");
        }
    }

    #[test]
    fn listeners_of_a_predecessor_are_inherited_again() {
        let handed = |origin| {
            let socket = TcpListener::bind("127.0.0.1:0").expect("bind").into();
            HandedListener { socket, origin, file: None }
        };
        let named = |name: &str| handed(ListenerOrigin::Inherited { name: name.into() });
        let own = handed(ListenerOrigin::Own { service: "echo".into(), address: "7".into(), ordinal: 0 });
        let listeners = vec![named("echo,proxy"), own, named("gopher"), named("connection")];
        let mut incoming = Incoming { listeners, was_passed: true, ..Incoming::default() };
        let mut inherited = Inherited::default();
        let connection = Descriptor::of_connection("time").expect("a protocol");
        inherited.take_back(&mut incoming, Some(&connection));
        assert!(matches!(incoming.listeners[..], [HandedListener { origin: ListenerOrigin::Own { .. }, .. }]));
        let found: Vec<&Descriptor> = inherited.listeners.iter().map(|listener| &listener.descriptor).collect();
        assert_eq!(found, [&Descriptor::of_name("echo,proxy", None).expect("a name"), &connection]);
        assert!(inherited.has_socket() && !inherited.is_empty());
    }

    #[test]
    fn store_names_are_printable_ascii() {
        assert!(is_stored_name("state") && is_stored_name("stored connections"));
        assert!(!is_stored_name("") && !is_stored_name("a\nREADY=1") && !is_stored_name("ä"));
    }

    #[test]
    fn other_descriptors_are_from_the_store_unless_they_are_named_like_a_protocol() {
        let stored = || [Use::Stored, Use::Stored];
        let file = File::open("/dev/null").expect("open").into();
        for file in [file, memfd_create("state", MFdFlags::MFD_CLOEXEC).expect("a memfd")] {
            assert_eq!(uses_unnamed(&file), stored());
            assert_eq!(uses(file), [Use::Unusable(NO_SOCKET), Use::Unusable(NO_SOCKET)]);
        }
        for kind in [SockType::SeqPacket, SockType::Datagram] {
            let (one, _other) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).expect("a pair");
            assert_eq!(uses_unnamed(&one), stored());
            assert_eq!(uses(one), [Use::Unusable(NO_STREAM), Use::Stored]);
        }
    }
}
