//! Servers that hand their connections over to another server in the same process.

mod damage;
mod impaired;
mod limits;
mod states;
mod under_load;
mod undone;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::listener::ListenerIndex;
use super::message::NewConnection;
use super::*;
use crate::protocol;
use crate::sys::{self, DescriptorReceiver, StreamSocket, descriptor_pair, socket_cookie};

/// Longer than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(60);
const FAILED: usize = CloseReason::HandoverFailed as usize;
const LIMITS: ServerLimits = ServerLimits { max_message: 16 << 20, ..ServerLimits::UNLIMITED };

/// A listening socket that predecessor and successor share.
struct Endpoint {
    socket: TcpListener,
    protocol: &'static str,
    options: ListenerOptions,
}

impl Endpoint {
    fn new(protocol: &'static str) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
        socket.set_nonblocking(true).expect("O_NONBLOCK");
        Self { socket, protocol, options: ListenerOptions::default() }
    }

    /// Its connections begin with PROXY headers.
    fn with_headers(self) -> Self {
        let proxy = Some(ProxyReceiver { from: None, timeout: Millis::new(60_000) });
        Self { options: ListenerOptions { proxy, ..self.options }, ..self }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("an address")
    }

    fn listener(&self) -> Listener {
        let socket = self.socket.try_clone().expect("a descriptor");
        let protocol = protocol::by_name(self.protocol).expect("a protocol");
        Listener::new(socket.into(), protocol, format!("{}={}", self.protocol, self.address()), Origin::Inherited)
    }

    /// A client that has sent these bytes.
    fn connect(&self, bytes: &[u8]) -> TcpStream {
        let mut client = TcpStream::connect(self.address()).expect("connect");
        client.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        client.write_all(bytes).expect("send");
        client
    }
}

/// A server on these endpoints, with what was handed over to it.
fn start(endpoints: &[&Endpoint], limits: ServerLimits, taken_over: Option<TakenOver>) -> Server {
    let listeners = endpoints.iter().map(|endpoint| endpoint.listener()).collect();
    let options = endpoints.iter().map(|endpoint| Arc::new(endpoint.options.clone())).collect();
    let config = ServerConfig { workers: 2, pipes: 4, seed: Some(7), limits, listeners: options };
    Server::start(listeners, None, taken_over, &config).expect("a server")
}

/// What a predecessor passes on.
struct HandedOver {
    server: String,
    file: Vec<u8>,
    sockets: DescriptorReceiver,
    saved: Saved,
}

impl HandedOver {
    fn save(frozen: &mut Frozen<'_>) -> Self {
        let (sender, sockets) = descriptor_pair().expect("a pair");
        let server = serde_json::to_string(&frozen.saved_server()).expect("JSON");
        let mut file = Vec::new();
        let saved = frozen.save_sessions(&mut file, &sender).expect("saved");
        Self { server, file, sockets, saved }
    }

    /// The sockets, by cookie.
    fn receive(&self) -> HashMap<u64, StreamSocket> {
        let mut sockets = HashMap::new();
        while let Some(message) = self.sockets.receive().expect("a message") {
            assert!(message.payload == b"connections" && !message.truncated);
            let with_cookie =
                |socket: OwnedFd| (socket_cookie(&socket).expect("a socket"), socket.try_into().expect("a connection"));
            sockets.extend(message.descriptors.into_iter().map(with_cookie));
        }
        sockets
    }

    fn take_over(&self) -> TakenOver {
        self.take_over_with(&self.file, self.receive())
    }

    fn take_over_with(&self, file: &[u8], sockets: HashMap<u64, StreamSocket>) -> TakenOver {
        let server = serde_json::from_str(&self.server).expect("the state of a server");
        TakenOver::read(server, &mut { file }, file.len() as u64, sockets)
    }

    /// The lines of the file; what the connections hold must have none.
    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.file.clone()).expect("text").split_inclusive('\n').map(Into::into).collect()
    }
}

/// Hands the connections of a server over; returns its last statistics, too.
fn hand_over(server: Server) -> (HandedOver, StatsSnapshot) {
    server.prepare_hand_over();
    wait_until("the jobs are done", || server.is_prepared());
    let mut frozen = server.freeze(TIMEOUT).expect("frozen");
    let handed_over = HandedOver::save(&mut frozen);
    frozen.commit();
    assert_eq!(server.phase(), Phase::Stopped);
    (handed_over, server.join())
}

/// Waits for an event that other threads cause.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < TIMEOUT, "never: {what}");
        thread::yield_now();
    }
}

fn wait_for_totals(server: &Server, what: &str, is_so: impl Fn(&Totals) -> bool) {
    wait_until(what, || is_so(&server.stats().totals));
}

/// The statistics of a protocol.
fn of<'a>(stats: &'a StatsSnapshot, name: &str) -> &'a ProtocolStats {
    stats.protocols.iter().find(|stats| stats.protocol.name == name).expect("its statistics")
}

/// Drains a server; returns its statistics.
fn stop(server: Server) -> StatsSnapshot {
    server.drain(Some(TIMEOUT));
    server.join()
}

/// A request of `frame`.
fn request(action: u32, message: &[u8]) -> Vec<u8> {
    let head = action << 24 | u32::try_from(message.len()).expect("short");
    [&head.to_be_bytes(), message].concat()
}

const UPPERCASE: u32 = 0x08;
const SHUFFLE: u32 = 0x40;

fn read_reply(client: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 4];
    client.read_exact(&mut head).expect("the head of a reply");
    let mut reply = vec![0; u32::from_be_bytes(head) as usize];
    client.read_exact(&mut reply).expect("a reply");
    reply
}

/// Sends a request, and checks its reply.
fn ask(client: &mut TcpStream, message: &[u8]) {
    client.write_all(&request(UPPERCASE, message)).expect("send");
    assert_eq!(read_reply(client), message.to_ascii_uppercase());
}

/// A client that was served once.
fn served(endpoint: &Endpoint) -> TcpStream {
    let mut client = endpoint.connect(b"");
    ask(&mut client, b"hello");
    client
}

/// Freezes a server until it has this number of connections, in these states, and saves them.
fn save_in_states<'a>(server: &'a Server, connections: u64, states: &[&str]) -> (Frozen<'a>, HandedOver) {
    let begun = Instant::now();
    loop {
        let mut frozen = server.freeze(TIMEOUT).expect("frozen");
        let handed_over = HandedOver::save(&mut frozen);
        let text = String::from_utf8_lossy(&handed_over.file);
        let missing = states.iter().find(|state| !text.contains(**state));
        if missing.is_none() && handed_over.saved == (Saved { handed_over: connections, left: 0 }) {
            return (frozen, handed_over);
        }
        assert!(begun.elapsed() < TIMEOUT, "never: {connections} connections, {missing:?}");
        drop(frozen);
        thread::yield_now();
    }
}
