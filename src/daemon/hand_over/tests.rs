//! A server that is packed and unpacked, and sockets that contain something else.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::format::{
    CONNECTIONS, FileRecord, Header, INHERITED, LISTENERS, ListenerRecord, MAX_HEADER, STATE, numbers_of,
};
use super::*;
use crate::daemon::activation::{Inherited, InheritedSocket};
use crate::daemon::config::descriptor::Descriptor;
use crate::daemon::config::listen::Endpoint;
use crate::daemon::config::load::{Command, load};
use crate::daemon::config::origin::{Origins, SocketOrigin};
use crate::daemon::config::settings::Settings;
use crate::daemon::listeners::{self, Sockets};
use crate::daemon::server_config::server_config;
use crate::daemon::side::SideServices;
use crate::server::{CloseReason, SavedServer, Server};
use crate::sys::{self, DescriptorReceiver, DescriptorSender, SocketAddress, descriptor_pair};

/// Bounds a wait for a worker. Chosen: far above what any machine needs.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A daemon without its main loop.
struct Daemon {
    server: Server,
    side: SideServices,
    origins: Origins,
    /// The names of its listeners, with their addresses.
    names: Vec<String>,
}

fn settings(listen: &str) -> Settings {
    let arguments = ["retortd", "--workers", "2", "--listen", listen].map(OsString::from);
    match load(&arguments) {
        Ok(Command::Serve(configuration)) => configuration.settings,
        other => panic!("{other:?}"),
    }
}

impl Daemon {
    fn start(settings: &Settings, mut inherited: Inherited, mut incoming: Incoming) -> Self {
        inherited.take_back(&mut incoming, None);
        let origins = listeners::origins(&settings.fixed, &inherited).expect("origins");
        let config = server_config(settings, &origins).expect("a configuration");
        let sockets = listeners::open(&settings.fixed, inherited, incoming.listeners).expect("sockets");
        let Sockets { listeners, side, .. } = sockets;
        let names = listeners.iter().map(|listener| &listener.name).chain(side.iter().map(|listener| &listener.name));
        let names = names.cloned().collect();
        let taken_over = incoming.taken_over.or_else(|| lost(&incoming.lost, &listeners));
        let server = Server::start(listeners, None, taken_over, &config).expect("a server");
        let side = SideServices::start(side, server.observer()).expect("a thread");
        Self { server, side, origins, names }
    }

    /// The address of a listener.
    fn address(&self, place: usize) -> &str {
        self.names[place].split_once('=').expect("a name").1
    }

    /// Ends; `all_listeners` as in [`pack`].
    fn hand_over(self, all_listeners: bool) -> Vec<DescriptorReceiver> {
        self.hand_over_with(all_listeners, || ())
    }

    /// Ends; `meanwhile` runs before the workers do.
    fn hand_over_with(self, all_listeners: bool, meanwhile: impl FnOnce()) -> Vec<DescriptorReceiver> {
        let mut frozen = self.server.freeze(TIMEOUT).expect("frozen");
        let packed = pack(&mut frozen, &self.server.stats(), &self.side, &self.origins, all_listeners).expect("packed");
        let socket = packed.as_fd().try_clone_to_owned().expect("a descriptor");
        meanwhile();
        packed.commit().expect("a copy of the socket");
        frozen.commit();
        let _ = self.server.join();
        self.side.stop();
        vec![DescriptorReceiver::try_from(socket).expect("an end")]
    }

    fn stop(self) {
        self.server.abort();
        let _ = self.server.join();
        self.side.stop();
    }
}

fn echo(client: &mut (impl Read + Write), text: &[u8]) {
    client.write_all(text).expect("send");
    receive(client, text);
}

fn receive(client: &mut impl Read, expected: &[u8]) {
    let mut received = vec![0; expected.len()];
    client.read_exact(&mut received).expect("receive");
    assert_eq!(received, expected);
}

#[test]
fn connections_and_listeners_pass_to_a_successor() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("echo");
    let (unix, metrics) = (path.display(), directory.path().join("metrics"));
    let settings = settings(&format!(
        "echo=127.0.0.1:0 echo=127.0.0.1:0 echo=unix:{unix},mode=0600 metrics=127.0.0.1:0 metrics=unix:{}",
        metrics.display()
    ));
    let daemon = Daemon::start(&settings, Inherited::default(), Incoming::default());
    let names = daemon.names.clone();
    let mut client = TcpStream::connect(daemon.address(1)).expect("connect");
    echo(&mut client, b"before");
    let mut local = UnixStream::connect(&path).expect("connect");
    echo(&mut local, b"before");
    // a request and a client that come meanwhile
    let mut queued = None;
    let address = daemon.address(0).to_string();
    let socket = daemon.hand_over_with(false, || {
        client.write_all(b"meanwhile").expect("send");
        queued = Some(TcpStream::connect(address).expect("connect"));
    });
    let files = || std::fs::read_dir(&directory).expect("a directory").count();
    assert_eq!(files(), 4, "the files stay, with those of the locks");
    let incoming = unpack(socket);
    assert_eq!((incoming.listeners.len(), incoming.was_passed), (5, true));
    let successor = Daemon::start(&settings, Inherited::default(), incoming);
    assert_eq!(successor.names, names);
    assert_eq!(successor.server.taken_over().taken_over, 2);
    receive(&mut client, b"meanwhile");
    echo(&mut client, b"after");
    echo(&mut local, b"after");
    echo(&mut queued.expect("a client"), b"queued");
    echo(&mut UnixStream::connect(&path).expect("connect"), b"new");
    TcpStream::connect(successor.address(3)).expect("the metrics listen");
    UnixStream::connect(&metrics).expect("the metrics listen");
    successor.stop();
    assert_eq!(files(), 0, "the files are removed");
}

fn inherited(name: &str) -> (Inherited, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address").to_string();
    let descriptor = Descriptor::of_name(name, None).expect("a name");
    let socket = InheritedSocket::new(listener.into(), descriptor).expect("a socket");
    (Inherited { listeners: vec![socket], passed: 1, ..Inherited::default() }, address)
}

#[test]
fn inherited_listeners_come_back_under_their_names() {
    let (passed, address) = inherited("retortd-echo.socket,proxy");
    let settings = settings("time=127.0.0.1:0");
    let daemon = Daemon::start(&settings, passed, Incoming::default());
    let (names, origins) = (daemon.names.clone(), daemon.origins.clone());
    let incoming = unpack(daemon.hand_over(true));
    assert_eq!(incoming.listeners.len(), 2);
    let successor = Daemon::start(&settings, Inherited::default(), incoming);
    assert_eq!((&successor.names, &successor.origins), (&names, &origins));
    assert_eq!(names[0], format!("echo={address}"));
    let mut client = TcpStream::connect(address).expect("connect");
    client.write_all(b"PROXY UNKNOWN\r\ntext").expect("send");
    receive(&mut client, b"text");
    successor.stop();
}

#[test]
fn a_service_manager_keeps_its_listeners() {
    let (passed, _) = inherited("echo");
    let daemon = Daemon::start(&settings("time=127.0.0.1:0"), passed, Incoming::default());
    let incoming = unpack(daemon.hand_over(false));
    let origins: Vec<&ListenerOrigin> = incoming.listeners.iter().map(|listener| &listener.origin).collect();
    assert!(matches!(origins[..], [ListenerOrigin::Own { service, .. }] if service == "time"), "{origins:?}");
}

/// The default port is open to every network: only a predecessor with listeners of its own leads there.
#[test]
fn the_default_port_is_for_what_had_listeners_of_its_own() {
    let Ok(Command::Serve(defaults)) = load(&[OsString::from("retortd")]) else { panic!("no configuration") };
    let opens_default = |incoming: &mut Incoming| {
        let mut inherited = Inherited::default();
        inherited.take_back(incoming, None);
        let origins = listeners::origins(&defaults.settings.fixed, &inherited).map(|origins| origins.served);
        origins.is_ok_and(|served| served == [SocketOrigin::Own(Endpoint::default())])
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let with = |version: &'static [u8], payload: &'static [u8]| {
        unpacked(|sender| {
            sender.send(version, &[state(&header(Vec::new()), true).as_fd()]).expect("send");
            sender.send(payload, &[listener.as_fd()]).expect("send");
        })
    };
    assert!(opens_default(&mut Incoming::default()), "nothing was passed");
    assert!(opens_default(&mut with(STATE, LISTENERS)));
    assert!(opens_default(&mut with(b"state 999\n", LISTENERS)), "a clean start");
    assert!(!opens_default(&mut with(STATE, INHERITED)));
    assert!(!opens_default(&mut with(b"state 999\n", INHERITED)));
    assert!(!opens_default(&mut with(STATE, CONNECTIONS)), "a service manager has its listeners");
    assert!(!opens_default(&mut unpacked(|_| ())), "garbage");
    let (passed, _) = inherited("echo");
    let daemon = Daemon::start(&defaults.settings, passed, Incoming::default());
    assert!(!opens_default(&mut unpack(daemon.hand_over(true))), "it has that one");
}

#[test]
fn options_of_the_settings_apply_again() {
    let daemon = Daemon::start(&settings("echo=127.0.0.1:0"), Inherited::default(), Incoming::default());
    let incoming = unpack(daemon.hand_over(false));
    let arguments = ["retortd", "--listen=echo=127.0.0.1:0", "--recv-buffer=100000"].map(OsString::from);
    let Ok(Command::Serve(changed)) = load(&arguments) else { panic!("no configuration") };
    let socket = &incoming.listeners[0].socket;
    let (cookie, before) = (sys::socket_cookie(socket), sys::receive_buffer(socket));
    let sockets = listeners::open(&changed.settings.fixed, Inherited::default(), incoming.listeners).expect("sockets");
    let socket = &sockets.listeners[0].socket;
    assert_eq!((sys::socket_cookie(socket), sys::receive_buffer(socket)), (cookie, Ok(200_000)));
    assert_ne!(before, Ok(200_000));
}

#[test]
fn a_server_goes_on_when_its_state_is_not_used() {
    let daemon = Daemon::start(&settings("echo=127.0.0.1:0"), Inherited::default(), Incoming::default());
    let mut client = TcpStream::connect(daemon.address(0)).expect("connect");
    echo(&mut client, b"before");
    let mut frozen = daemon.server.freeze(TIMEOUT).expect("frozen");
    let packed = pack(&mut frozen, &daemon.server.stats(), &daemon.side, &daemon.origins, false).expect("packed");
    let stored = packed.as_fd().try_clone_to_owned().expect("a descriptor");
    drop(packed);
    drop(frozen);
    echo(&mut client, b"after");
    let stored = DescriptorReceiver::try_from(stored).expect("an end");
    assert!(stored.receive().expect("receive").is_none(), "nobody can serve an old state");
    daemon.stop();
}

#[test]
fn an_endpoint_that_is_new_is_bound_and_one_that_is_gone_is_closed() {
    let daemon = Daemon::start(&settings("echo=127.0.0.1:0"), Inherited::default(), Incoming::default());
    let address = daemon.address(0).to_string();
    let mut client = TcpStream::connect(&address).expect("connect");
    echo(&mut client, b"before");
    let incoming = unpack(daemon.hand_over(false));
    let successor = Daemon::start(&settings("time=127.0.0.1:0"), Inherited::default(), incoming);
    TcpStream::connect(&address).expect_err("it is closed");
    echo(&mut client, b"after");
    assert_ne!(successor.address(0), address);
    successor.stop();
}

#[test]
fn a_socket_without_its_file_is_bound_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("echo");
    let settings = settings(&format!("echo=unix:{}", path.display()));
    let daemon = Daemon::start(&settings, Inherited::default(), Incoming::default());
    let mut client = UnixStream::connect(&path).expect("connect");
    echo(&mut client, b"before");
    let incoming = unpack(daemon.hand_over(false));
    // as RuntimeDirectory= in a unit does
    std::fs::remove_file(&path).expect("remove");
    let successor = Daemon::start(&settings, Inherited::default(), incoming);
    echo(&mut client, b"after");
    echo(&mut UnixStream::connect(&path).expect("connect"), b"new");
    successor.stop();
}

/// A file with this text, sealed or not.
fn state(text: &[u8], sealed: bool) -> File {
    let mut file = sys::memory_file("test").expect("a file");
    file.write_all(text).expect("write");
    if sealed {
        sys::seal(&file).expect("seal");
    }
    file
}

fn header(listeners: Vec<ListenerRecord>) -> Vec<u8> {
    let header = Header { server: SavedServer::default(), listeners };
    [serde_json::to_vec(&header).expect("a header"), b"\n".to_vec()].concat()
}

/// What is unpacked from a socket with what `fill` has sent; everything that is not returned is closed.
fn unpacked(fill: impl FnOnce(&DescriptorSender)) -> Incoming {
    let (sender, receiver) = descriptor_pair().expect("a pair");
    let copy = OwnedFd::from(receiver).try_clone().expect("a descriptor");
    let copies =
        [copy.try_clone().expect("a descriptor"), copy].map(|copy| DescriptorReceiver::try_from(copy).expect("an end"));
    fill(&sender);
    let [given, kept] = copies;
    let incoming = unpack(vec![given]);
    assert!(kept.receive().expect("receive").is_none(), "it is empty, wherever else it is");
    incoming
}

/// Whether the other end of a connection in a socket, behind what `fill` sends, is closed by a clean start.
fn is_dropped(fill: impl FnOnce(&DescriptorSender)) -> bool {
    let (mut client, socket) = UnixStream::pair().expect("a pair");
    let incoming = unpacked(|sender| {
        fill(sender);
        sender.send(CONNECTIONS, &[socket.as_fd()]).expect("send");
        drop(socket);
    });
    client.set_nonblocking(true).expect("non-blocking");
    incoming.taken_over.is_none() && incoming.listeners.is_empty() && client.read(&mut [0]).is_ok_and(|n| n == 0)
}

#[test]
fn what_is_no_state_of_this_version_is_dropped() {
    let send = |payload: &'static [u8], file: File| {
        move |sender: &DescriptorSender| {
            sender.send(payload, &[file.as_fd()]).expect("send");
        }
    };
    let valid = header(Vec::new());
    assert!(!is_dropped(send(STATE, state(&valid, true))));
    assert!(is_dropped(|_| ()), "no state");
    assert!(is_dropped(|sender| sender.send(STATE, &[]).expect("send")), "no file");
    assert!(is_dropped(send(b"state 999\n", state(&valid, true))), "another version");
    assert!(is_dropped(send(b"state 2", state(&valid, true))), "a truncated message");
    assert!(is_dropped(send(b"garbage", state(&valid, true))), "garbage");
    assert!(is_dropped(send(STATE, state(&valid, false))), "not sealed");
    assert!(is_dropped(send(STATE, File::open("/dev/null").expect("open"))), "a device");
    assert!(is_dropped(send(STATE, state(b"", true))), "empty");
    assert!(is_dropped(send(STATE, state(&valid[..valid.len() - 1], true))), "truncated");
    let unknown = [b"{\"unknown\":1,", &valid[1..]].concat();
    assert!(is_dropped(send(STATE, state(&unknown, true))), "unknown fields");
    let spaces = vec![b' '; usize::try_from(MAX_HEADER).expect("a length")];
    assert!(is_dropped(send(STATE, state(&[&spaces[..], &valid].concat(), true))), "too long");
    assert!(
        is_dropped(|sender| {
            send(STATE, state(&valid, true))(sender);
            sender.send(b"unknown", &[]).expect("send");
        }),
        "an unknown message"
    );
}

#[test]
fn connections_of_another_version_are_closed_and_counted() {
    let daemon =
        Daemon::start(&settings("echo=127.0.0.1:0 time=127.0.0.1:0"), Inherited::default(), Incoming::default());
    let mut clients: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(daemon.address(0)).expect("connect")).collect();
    for client in &mut clients {
        echo(client, b"before");
    }
    let written = daemon.hand_over(false).remove(0);
    // as another version would have written it
    let (sender, receiver) = descriptor_pair().expect("a pair");
    while let Some(message) = written.receive().expect("receive") {
        let payload = if message.payload == STATE { b"state 999\n" } else { &*message.payload };
        sender.send(payload, &message.descriptors.iter().map(AsFd::as_fd).collect::<Vec<_>>()).expect("send");
    }
    let mut incoming = unpack(vec![receiver]);
    assert!(incoming.taken_over.is_none() && incoming.listeners.is_empty() && incoming.has_own_listeners);
    for client in &mut clients {
        assert_eq!(client.read(&mut [0]).expect("the end"), 0);
    }
    assert_eq!(incoming.lost.len(), 3);
    // the connections were those of a port that is bound again
    let port = incoming.lost[0].to_string();
    incoming.lost.push(SocketAddress::Internet("127.0.0.1:1".parse().expect("an address")));
    let successor = Daemon::start(&settings(&format!("echo={port}")), Inherited::default(), incoming);
    let totals = &successor.server.stats().totals;
    let closed = totals.closed[CloseReason::HandoverFailed as usize];
    assert_eq!((totals.accepted, closed, totals.open()), (3, 3, 0));
    assert_eq!(successor.server.taken_over().failed, 3);
    successor.stop();
}

#[test]
fn an_empty_list_is_nothing_that_was_passed() {
    let incoming = unpack(Vec::new());
    assert!(!incoming.was_passed && incoming.taken_over.is_none() && incoming.listeners.is_empty());
}

#[test]
fn the_first_valid_state_counts() {
    let sockets = [&b"state 2\n"[..], STATE, STATE].map(|payload| {
        let (sender, receiver) = descriptor_pair().expect("a pair");
        sender.send(payload, &[state(&header(Vec::new()), true).as_fd()]).expect("send");
        receiver
    });
    let copies = sockets.each_ref().map(|socket| socket.as_fd().try_clone_to_owned().expect("a descriptor"));
    let incoming = unpack(sockets.into());
    assert!(incoming.taken_over.is_some() && incoming.was_passed);
    for copy in copies {
        let copy = DescriptorReceiver::try_from(copy).expect("an end");
        assert!(copy.receive().expect("receive").is_none());
    }
}

#[test]
fn listeners_need_a_record_and_a_descriptor() {
    let sockets: Vec<std::net::TcpListener> =
        (0..3).map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("bind")).collect();
    let (connected, _other) = UnixStream::pair().expect("a pair");
    let record = |socket: &dyn Fn() -> u64, file| ListenerRecord {
        cookie: socket(),
        origin: ListenerOrigin::Inherited { name: "echo".into() },
        file,
    };
    let cookie = |place: usize| sys::socket_cookie(&sockets[place]).expect("a number");
    let missing = FileRecord { socket: (1, 2), lock: (3, 4) };
    let records = vec![
        record(&|| cookie(0), None),
        // it has a file, but no lock came with it
        record(&|| cookie(1), Some(missing)),
        // no descriptor
        record(&|| 0, None),
        // twice
        record(&|| cookie(0), None),
        // it does not listen
        record(&|| sys::socket_cookie(&connected).expect("a number"), None),
    ];
    let incoming = unpacked(|sender| {
        sender.send(STATE, &[state(&header(records), true).as_fd()]).expect("send");
        let all = sockets.iter().map(AsFd::as_fd).chain([connected.as_fd()]);
        sender.send(LISTENERS, &all.collect::<Vec<_>>()).expect("send");
    });
    let found: Vec<u64> =
        incoming.listeners.iter().map(|listener| sys::socket_cookie(&listener.socket).expect("a number")).collect();
    assert_eq!(found, [cookie(0), cookie(1)]);
    assert!(incoming.listeners.iter().all(|listener| listener.file.is_none()));
    assert!(incoming.taken_over.is_some());
}

#[test]
fn a_lock_file_is_found_by_its_number() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let (lock, other) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
    let id = sys::file_id(&lock).expect("a number");
    let file = FileRecord { socket: (1, 2), lock: numbers_of(id) };
    let origin = ListenerOrigin::Own { service: "echo".into(), address: "unix:/run/echo".into(), ordinal: 0 };
    let record = ListenerRecord { cookie: sys::socket_cookie(&listener).expect("a number"), origin, file: Some(file) };
    let incoming = unpacked(|sender| {
        sender.send(STATE, &[state(&header(vec![record]), true).as_fd()]).expect("send");
        sender.send(LISTENERS, &[other.as_fd(), lock.as_fd(), listener.as_fd()]).expect("send");
    });
    let file = incoming.listeners[0].file.as_ref().expect("a file");
    assert_eq!((numbers_of(file.id), sys::file_id(&file.lock)), ((1, 2), Ok(id)));
}

#[test]
fn a_state_without_connections_starts_a_server() {
    let incoming = unpacked(|sender| {
        sender.send(STATE, &[state(&header(Vec::new()), true).as_fd()]).expect("send");
    });
    assert!(incoming.taken_over.is_some());
    let daemon = Daemon::start(&settings("echo=127.0.0.1:0"), Inherited::default(), incoming);
    echo(&mut TcpStream::connect(daemon.address(0)).expect("connect"), b"text");
    daemon.stop();
}
