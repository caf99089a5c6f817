//! Servers that hand their connections over to another server in the same process.

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
    let config = ServerConfig { workers: 2, seed: Some(7), limits, listeners: options };
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

#[test]
fn a_server_that_is_frozen_again_and_again_under_load_loses_nothing() {
    const CLIENTS: u64 = 6;
    let frame = Endpoint::new("frame");
    let server = start(&[&frame], LIMITS, None);
    let is_over = AtomicBool::new(false);
    let requests: u64 = thread::scope(|scope| {
        let converse = |number: u64| {
            let (frame, is_over) = (&frame, &is_over);
            scope.spawn(move || {
                let mut client = frame.connect(b"");
                let mut requests = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let message = format!("client {number}, {requests}").repeat(1 + requests as usize % 5000);
                    let batch = request(UPPERCASE, message.as_bytes());
                    client.write_all(&[&batch[..], &batch].concat()).expect("send");
                    (0..2).for_each(|_| assert_eq!(read_reply(&mut client), message.to_ascii_uppercase().as_bytes()));
                    requests += 2;
                }
                requests
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(converse).collect();
        for _ in 0..100 {
            let answered = server.stats().totals.answered;
            wait_for_totals(&server, "more requests", |totals| totals.answered > answered);
            let frozen = server.freeze(TIMEOUT).expect("frozen");
            let before = server.stats().totals;
            (0..100).for_each(|_| thread::yield_now());
            assert_eq!(server.stats().totals, before, "nothing happens");
            drop(frozen);
        }
        is_over.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("no panic")).sum()
    });
    let totals = stop(server).totals;
    assert_eq!((totals.accepted, totals.requests, totals.answered), (CLIENTS, requests, requests));
}

/// Connects again and again until `is_over`, and checks every reply; returns the numbers of connections and requests.
fn converse(frame: &Endpoint, client: usize, is_over: &AtomicBool) -> [u64; 2] {
    let equal = vec![b'e'; 70_000];
    let mut done = [0, 0];
    while !is_over.load(Ordering::Relaxed) {
        let mut connection = frame.connect(b"");
        done[0] += 1;
        for number in 0..20 {
            let message = format!("client {client}, {number}").repeat(1 + number * 500);
            let long = request(SHUFFLE, &equal[..if number % 4 == 3 { equal.len() } else { number }]);
            let small = request(UPPERCASE, message.as_bytes());
            connection.write_all(&[&small[..], &long, &small].concat()).expect("send");
            assert_eq!(read_reply(&mut connection), message.to_ascii_uppercase().as_bytes());
            assert_eq!(read_reply(&mut connection), long[4..]);
            assert_eq!(read_reply(&mut connection), message.to_ascii_uppercase().as_bytes());
            done[1] += 3;
        }
    }
    done
}

#[test]
fn ten_hand_overs_under_load_lose_nothing() {
    const CLIENTS: usize = 6;
    let frame = Endpoint::new("frame");
    let is_over = AtomicBool::new(false);
    let (server, done) = thread::scope(|scope| {
        let (frame, is_over) = (&frame, &is_over);
        let mut server = start(&[frame], LIMITS, None);
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || converse(frame, client, is_over))).collect();
        for _ in 0..10 {
            let answered = server.stats().totals.answered;
            wait_for_totals(&server, "more requests", |totals| totals.answered > answered + 100);
            let (handed_over, before) = hand_over(server);
            assert_eq!(handed_over.saved, Saved { handed_over: before.open, left: 0 });
            server = start(&[frame], LIMITS, Some(handed_over.take_over()));
            assert_eq!(server.taken_over(), TakeOverCounts { taken_over: before.open, failed: 0 });
            assert!(server.stats().totals.answered >= before.totals.answered, "no counter falls");
        }
        is_over.store(true, Ordering::Relaxed);
        let of_client = clients.into_iter().map(|client| client.join().expect("no panic"));
        (server, of_client.fold([0, 0], |sum, done| [sum[0] + done[0], sum[1] + done[1]]))
    });
    let totals = stop(server).totals;
    assert_eq!([totals.accepted, totals.requests], done);
    assert_eq!((totals.answered, totals.closed[CloseReason::Finished as usize]), (totals.requests, totals.accepted));
}

/// The states of connections in which they are saved here, by what is only in their records.
const STATES: [&str; 6] =
    ["\"handshake\"", "\"idle\"", "\"receiving\"", "\"replying\"", "\"generating\"", "\"is_counted\":true"];

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

#[test]
fn connections_in_all_states_are_continued_and_statistics_stay_exact() {
    let [frame, chargen, daytime] = ["frame", "chargen", "daytime"].map(Endpoint::new);
    let proxied = Endpoint::new("frame").with_headers();
    let endpoints = [&frame, &chargen, &daytime, &proxied];
    let server = start(&endpoints, LIMITS, None);
    let (text, equal) = (vec![b'x'; 12 << 20], vec![b'e'; 100_000]);
    server.prepare_hand_over();
    let (mut fresh, mut idle) = (frame.connect(b""), served(&frame));
    let whole = request(UPPERCASE, &text[..300_000]);
    let (mut begun, mut half) = (frame.connect(&whole[..2]), frame.connect(&whole[..150_000]));
    let mut unread = frame.connect(&request(UPPERCASE, &text));
    let mut queued = frame.connect(&[request(SHUFFLE, &equal), request(UPPERCASE, b"next")].concat());
    let mut generated = chargen.connect(b"");
    let (header, rest) = (b"PROXY TCP4 192.0.2.1 127.0.0.1", b" 1000 80\r\n");
    let mut announced = proxied.connect(header);
    // each look at the states copies what has arrived
    wait_for_totals(&server, "the large request arrives", |totals| totals.bytes_in >= 12 << 20);
    drop(save_in_states(&server, 8, &STATES));
    // the last, because it lingers for a bounded time
    let mut told = daytime.connect(b"");
    wait_until("its line is sent", || of(&server.stats(), "daytime").totals.answered == 1);
    let (frozen, handed_over) = save_in_states(&server, 9, &["\"lingering\""]);
    assert_eq!(handed_over.saved, Saved { handed_over: 9, left: 0 });
    frozen.commit();
    let before = server.join();
    assert_eq!((before.open, before.totals.in_flight()), (9, 2), "nothing is counted as closed");
    // its first words are sent by the predecessor, the next ones by the successor
    let mut stream = vec![0; 74 * 200];
    generated.read_exact(&mut stream).expect("characters");

    let server = start(&endpoints, LIMITS, Some(handed_over.take_over()));
    assert_eq!(server.taken_over(), TakeOverCounts { taken_over: 9, failed: 0 });
    assert_eq!(server.stats().totals.accepted, 9);
    ask(&mut fresh, b"fresh");
    ask(&mut idle, b"idle");
    begun.write_all(&whole[2..]).expect("send");
    half.write_all(&whole[150_000..]).expect("send");
    for client in [&mut begun, &mut half] {
        assert_eq!(read_reply(client), vec![b'X'; 300_000]);
    }
    assert_eq!(read_reply(&mut unread), vec![b'X'; 12 << 20]);
    assert_eq!((read_reply(&mut queued), read_reply(&mut queued)), (equal, b"NEXT".to_vec()));
    announced.write_all(&[&rest[..], &request(UPPERCASE, b"who")].concat()).expect("send");
    assert_eq!(read_reply(&mut announced), b"WHO");
    check_pattern(&mut generated, &stream);
    let mut line = String::new();
    told.read_to_string(&mut line).expect("a line and the end");
    assert!(line.ends_with('\n'), "{line:?}");
    let mut late = served(&frame);
    ask(&mut late, b"late");

    drop((fresh, idle, begun, half, unread, queued, generated, told, announced, late));
    wait_until("all have closed", || server.stats().open == 0);
    let totals = stop(server).totals;
    assert_eq!((totals.accepted, totals.closed.iter().sum::<u64>(), totals.closed[FAILED]), (10, 10, 0));
    // the line of daytime counts, too
    assert_eq!((totals.requests, totals.answered, totals.abandoned.iter().sum::<u64>()), (12, 12, 0));
    assert_eq!((totals.offloaded, totals.proxy[ProxyResult::V1 as usize]), (1, 1));
}

/// Reads on; what was sent by both servers is one pattern: each line begins one character later (RFC 864).
fn check_pattern(client: &mut TcpStream, first: &[u8]) {
    let mut stream = first.to_vec();
    let mut more = vec![0; 8 << 20];
    client.read_exact(&mut more).expect("characters");
    stream.append(&mut more);
    let lines: Vec<&[u8]> = stream.chunks_exact(74).collect();
    for (number, line) in lines.windows(2).enumerate() {
        assert_eq!(line[0][1..72], line[1][..71], "line {number}");
    }
}

#[test]
fn connections_that_wait_for_memory_wait_again() {
    let frame = Endpoint::new("frame");
    let limits = ServerLimits { max_message: 1 << 20, max_buffered: Some(4 << 20), ..LIMITS };
    let server = start(&[&frame], limits, None);
    let whole = request(UPPERCASE, &vec![b'm'; 1 << 20]);
    let clients: Vec<_> = (0..8).map(|_| frame.connect(&whole[..700_000])).collect();
    let (frozen, handed_over) = save_in_states(&server, 8, &["\"waiting-for-memory\""]);
    frozen.commit();
    drop(server.join());
    let taken_over = handed_over.take_over();
    let mut capacities = taken_over.sessions.values().map(|(_, session)| session.bytes[0].capacity());
    assert!(capacities.all(|capacity| capacity >= whole.len()), "what has arrived is not copied again");
    let server = start(&[&frame], limits, Some(taken_over));
    assert_eq!(server.taken_over(), TakeOverCounts { taken_over: 8, failed: 0 });
    thread::scope(|scope| {
        for mut client in clients {
            let whole = &whole;
            scope.spawn(move || {
                client.write_all(&whole[700_000..]).expect("send");
                assert_eq!(read_reply(&mut client), vec![b'M'; 1 << 20]);
            });
        }
    });
    assert_eq!(stop(server).totals.answered, 8);
}

#[test]
fn a_request_that_waits_for_memory_again_counts_once_as_offloaded() {
    let frame = Endpoint::new("frame");
    let server = start(&[&frame], LIMITS, None);
    server.prepare_hand_over();
    let equal = vec![b'e'; 1 << 20];
    let mut clients = [(); 4].map(|()| frame.connect(&request(SHUFFLE, &equal)));
    wait_for_totals(&server, "all wait for a thread", |totals| totals.offloaded == 4);
    let (handed_over, _) = hand_over(server);
    // without room for the replies of all
    let limits = ServerLimits { max_buffered: Some(6 << 20), ..LIMITS };
    let server = start(&[&frame], limits, Some(handed_over.take_over()));
    for client in &mut clients {
        assert_eq!(read_reply(client), equal);
    }
    drop(clients);
    let totals = stop(server).totals;
    assert_eq!((totals.requests, totals.answered, totals.offloaded), (4, 4, 4));
}

#[test]
fn thousands_of_connections_are_handed_over_twice() {
    let limit = usize::try_from(sys::raise_descriptor_limit()).expect("a number");
    let connections = ((limit - 200) / 4).min(3000);
    let frame = Endpoint::new("frame");
    let mut server = start(&[&frame], LIMITS, None);
    let mut clients: Vec<_> = (0..connections).map(|_| frame.connect(b"")).collect();
    let connections = connections as u64;
    wait_until("all are accepted", || server.stats().open == connections);
    for _ in 0..2 {
        let (handed_over, before) = hand_over(server);
        assert_eq!((handed_over.saved, before.open), (Saved { handed_over: connections, left: 0 }, connections));
        server = start(&[&frame], LIMITS, Some(handed_over.take_over()));
        assert_eq!(server.taken_over(), TakeOverCounts { taken_over: connections, failed: 0 });
        for client in &mut clients {
            ask(client, b"still here");
        }
    }
    drop(clients);
    let stats = stop(server);
    assert_eq!((stats.totals.accepted, stats.totals.answered, stats.open), (connections, 2 * connections, 0));
}

#[test]
fn more_connections_than_the_successor_allows_stay() {
    let frame = Endpoint::new("frame");
    let server = start(&[&frame], LIMITS, None);
    let mut clients = [(); 3].map(|()| served(&frame));
    let (handed_over, _) = hand_over(server);
    let limits = ServerLimits { max_connections: Some(2), ..LIMITS };
    let server = start(&[&frame], limits, Some(handed_over.take_over()));
    for client in &mut clients {
        ask(client, b"above the limit");
    }
    let mut waiting = frame.connect(&request(UPPERCASE, b"waiting"));
    wait_for_totals(&server, "it waits", |totals| totals.connections_full > 0);
    let [first, second, third] = clients;
    drop(first);
    wait_for_totals(&server, "one closes", |totals| totals.closed[CloseReason::Finished as usize] == 1);
    assert_eq!((server.stats().totals.accepted, server.stats().open), (3, 2), "there are still as many as allowed");
    drop(second);
    assert_eq!(read_reply(&mut waiting), b"WAITING");
    drop((third, waiting));
    assert_eq!(stop(server).totals.accepted, 4);
}

#[test]
fn connections_of_a_listener_that_is_gone_are_served() {
    let [frame, echo] = ["frame", "echo"].map(Endpoint::new);
    let server = start(&[&frame, &echo], LIMITS, None);
    let (mut one, mut other) = (echo.connect(b"he"), served(&frame));
    wait_for_totals(&server, "the echo", |totals| totals.bytes_out > 10);
    let (handed_over, _) = hand_over(server);
    let server = start(&[&frame], LIMITS, Some(handed_over.take_over()));
    one.write_all(b"llo").expect("send");
    let mut echoed = [0; 5];
    one.read_exact(&mut echoed).expect("an echo");
    assert_eq!(&echoed, b"hello");
    ask(&mut other, b"hello");
    let stats = server.stats();
    let echo = of(&stats, "echo");
    assert_eq!((echo.open, echo.listeners, echo.totals.accepted), (1, 0, 1));
    drop((one, other));
    assert_eq!(stop(server).open, 0);
}

/// As after a reload that withdraws the trust in a peer while its header is awaited.
#[test]
fn a_header_that_a_listener_awaits_that_is_gone_announces_nobody() {
    let (frame, proxied) = (Endpoint::new("frame"), Endpoint::new("frame").with_headers());
    let server = start(&[&frame, &proxied], LIMITS, None);
    let mut announced = proxied.connect(b"PROXY TCP4 192.0.2.1 127.0.0.1 1000 80\r\n");
    ask(&mut announced, b"before");
    let mut awaited = proxied.connect(b"PROXY ");
    let (frozen, handed_over) = save_in_states(&server, 2, &["\"handshake\"", "\"idle\""]);
    frozen.commit();
    drop(server.join());
    let server = start(&[&frame], LIMITS, Some(handed_over.take_over()));
    ask(&mut announced, b"after");
    awaited.write_all(b"TCP4 192.0.2.2 127.0.0.1 1000 80\r\n").expect("send");
    assert!(!matches!(awaited.read(&mut [0]), Ok(1)), "it is closed");
    wait_for_totals(&server, "it is counted", |totals| totals.closed[CloseReason::ProxyUntrusted as usize] == 1);
    drop((announced, awaited));
    assert_eq!(stop(server).open, 0);
}

#[test]
fn connections_count_for_their_sources_before_the_first_is_accepted() {
    let frame = Endpoint::new("frame");
    let limits = ServerLimits { max_per_source: Some(3), ..LIMITS };
    let server = start(&[&frame], limits, None);
    let mut clients = vec![served(&frame), served(&frame)];
    let (handed_over, _) = hand_over(server);
    // in the backlog when the successor starts
    let queued = [(); 4].map(|()| frame.connect(b""));
    let server = start(&[&frame], limits, Some(handed_over.take_over()));
    wait_for_totals(&server, "all but one are rejected", |totals| {
        totals.closed[CloseReason::SourceLimit as usize] == 3
    });
    assert_eq!(server.stats().open, 3);
    drop((clients.pop(), queued));
    wait_until("two have closed", || server.stats().open == 1);
    let mut again = [(); 2].map(|()| served(&frame));
    again.iter_mut().chain(&mut clients).for_each(|client| ask(client, b"their places are free"));
    drop((again, clients));
    assert_eq!(stop(server).open, 0);
}

/// Hands three idle connections over, with what `change` does to their records and sockets. Checks that
/// `failed` of them are closed and the others are served, and that the statistics add up.
fn check_damage(failed: usize, change: impl Fn(&mut Vec<String>, &mut HashMap<u64, StreamSocket>)) {
    let frame = Endpoint::new("frame");
    let server = start(&[&frame], LIMITS, None);
    let mut clients = [(); 3].map(|()| served(&frame));
    let (handed_over, _) = hand_over(server);
    let (mut lines, mut sockets) = (handed_over.lines(), handed_over.receive());
    change(&mut lines, &mut sockets);
    let taken_over = handed_over.take_over_with(lines.concat().as_bytes(), sockets);
    drop(handed_over);
    let server = start(&[&frame], LIMITS, Some(taken_over));
    assert_eq!(server.taken_over(), TakeOverCounts { taken_over: 3 - failed as u64, failed: failed as u64 });
    let is_served = |client: &mut TcpStream| {
        client.write_all(&request(UPPERCASE, b"there")).is_ok() && matches!(client.read(&mut [0; 100]), Ok(1..))
    };
    assert_eq!(clients.iter_mut().filter_map(|client| is_served(client).then_some(())).count(), 3 - failed);
    let totals = server.stats().totals;
    assert_eq!((totals.accepted, totals.open(), totals.closed[FAILED]), (3, 3 - failed as u64, failed as u64));
    drop(clients);
    assert_eq!(stop(server).open, 0);
}

/// Fault 54: records and sockets that are missing, double or wrong.
#[test]
fn what_is_missing_or_wrong_costs_no_more_than_its_connection() {
    check_damage(0, |_, _| {});
    check_damage(0, |lines, _| lines.reverse());
    check_damage(1, |lines, _| drop(lines.pop()));
    check_damage(1, |lines, _| lines.push(lines[1].clone()));
    check_damage(1, |lines, _| lines.extend([lines[1].clone(), lines[1].clone()]));
    check_damage(1, |_, sockets| {
        let cookie = *sockets.keys().next().expect("a socket");
        sockets.remove(&cookie);
    });
    check_damage(1, |lines, _| lines[0] = lines[0].replace("\"cookie\":", "\"cookie\":9"));
    check_damage(1, |lines, _| lines[2] = lines[2].replace("\"protocol\":\"frame\"", "\"protocol\":\"gopher\""));
}

#[test]
fn what_follows_a_record_that_cannot_be_read_is_closed() {
    check_damage(2, |lines, _| lines[1] = "garbage\n".into());
    check_damage(1, |lines, _| lines[2].truncate(20));
    check_damage(3, |lines, _| lines.clear());
    check_damage(3, |lines, _| lines[0].insert_str(0, &" ".repeat(70_000)));
    check_damage(2, |lines, _| lines[1] = lines[1].replace("\"lengths\":[0,0]", "\"lengths\":[0,1000000000000]"));
    check_damage(3, |lines, _| lines[0] = lines[0].replace("\"cookie\"", "\"Cookie\""));
}

/// A change to a file.
#[derive(Clone, Debug)]
enum Damage {
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Truncate(prop::sample::Index),
}

impl Damage {
    fn any() -> impl Strategy<Value = Self> {
        let index = || any::<prop::sample::Index>();
        prop_oneof![
            (index(), any::<u8>()).prop_map(|(at, byte)| Self::Replace(at, byte)),
            (index(), b'0'..=b'9').prop_map(|(at, digit)| Self::Replace(at, digit)),
            (index(), prop_oneof![Just(b"0".to_vec()), Just(b"99999999".to_vec()), Just(b"\n".to_vec())])
                .prop_map(|(at, bytes)| Self::Insert(at, bytes)),
            (index(), 1_usize..300).prop_map(|(at, length)| Self::Remove(at, length)),
            index().prop_map(Self::Truncate),
        ]
    }

    fn apply(&self, file: &mut Vec<u8>) {
        if file.is_empty() {
            return;
        }
        let length = file.len();
        match self {
            Self::Replace(at, byte) => file[at.index(length)] = *byte,
            Self::Insert(at, bytes) => drop(file.splice(at.index(length)..at.index(length), bytes.clone())),
            Self::Remove(at, bytes) => drop(file.drain(at.index(length)..length.min(at.index(length) + bytes))),
            Self::Truncate(at) => file.truncate(at.index(length)),
        }
    }
}

/// Connections in several states that were saved, and their sockets.
fn saved_conversations() -> (Vec<TcpStream>, HandedOver, HashMap<u64, StreamSocket>) {
    let [frame, chargen, record] = ["frame", "chargen", "record"].map(Endpoint::new);
    let proxied = Endpoint::new("frame").with_headers();
    let limits = ServerLimits { max_per_source: Some(100), ..LIMITS };
    let server = start(&[&frame, &chargen, &record, &proxied], limits, None);
    let half = request(UPPERCASE, &[b'x'; 5000]);
    let clients = vec![
        served(&frame),
        frame.connect(&half[..300]),
        chargen.connect(b""),
        record.connect(b"\x01"),
        proxied.connect(b"PROXY TCP4 192.0.2.1"),
    ];
    let (frozen, handed_over) =
        save_in_states(&server, 5, &["\"handshake\"", "\"idle\"", "\"receiving\"", "\"generating\""]);
    frozen.commit();
    drop(server.join());
    let sockets = handed_over.receive();
    (clients, handed_over, sockets)
}

#[test]
fn whatever_was_saved_the_successor_starts_and_its_statistics_add_up() {
    let (_clients, handed_over, sockets) = saved_conversations();
    let frame = Endpoint::new("frame");
    let mut runner = TestRunner::new(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() });
    let of_file = prop::collection::vec(Damage::any(), 1..4);
    let result = runner.run(&(of_file, prop::option::of(Damage::any())), |(of_file, of_server)| {
        let (mut file, mut server) = (handed_over.file.clone(), handed_over.server.clone().into_bytes());
        for damage in &of_file {
            damage.apply(&mut file);
        }
        if let Some(damage) = &of_server {
            damage.apply(&mut server);
        }
        let Ok(server) = serde_json::from_slice(&server) else { return Ok(()) };
        let copy = |(cookie, socket): (&u64, &StreamSocket)| {
            let copy = socket.as_fd().try_clone_to_owned().expect("a descriptor");
            (*cookie, copy.try_into().expect("a connection"))
        };
        let taken_over = TakenOver::read(server, &mut &file[..], file.len() as u64, sockets.iter().map(copy).collect());
        let server = start(&[&frame], LIMITS, Some(taken_over));
        let taken_over = server.taken_over().taken_over;
        prop_assert!(taken_over <= 5);
        drop(served(&frame));
        server.abort();
        let stats = server.join();
        prop_assert_eq!((stats.open, stats.totals.in_flight()), (0, 0));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_draining_server_is_not_frozen() {
    let frame = Endpoint::new("frame");
    let server = start(&[&frame], LIMITS, None);
    let client = frame.connect(&[0]);
    wait_for_totals(&server, "a request begins", |totals| totals.bytes_in > 0);
    server.begin_lameduck(TIMEOUT);
    assert!(server.freeze(TIMEOUT).is_ok(), "it accepts and serves");
    server.drain(None);
    assert_eq!(server.freeze(TIMEOUT).err(), Some(FreezeError::Stopping));
    drop(client);
    assert_eq!(server.join().open, 0);
}

#[test]
fn workers_that_stop_too_late_go_on_and_acknowledge_heartbeats() {
    let frame = Endpoint::new("frame");
    let server = start(&[&frame], LIMITS, None);
    let mut client = served(&frame);
    for _ in 0..100 {
        let heartbeat = server.send_heartbeat();
        if let Err(error) = server.freeze(Duration::ZERO) {
            assert_eq!(error, FreezeError::Timeout);
        }
        wait_until("the heartbeat is acknowledged", || server.heartbeat_acked(heartbeat));
        ask(&mut client, b"hello");
    }
    drop(client);
    assert_eq!(stop(server).open, 0);
}

/// Takes a number of bytes, then fails.
struct Failing(usize);

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_hand_over_that_fails_is_undone() {
    let frame = Endpoint::new("frame");
    let server = start(&[&frame], LIMITS, None);
    let equal = vec![b'e'; 100_000];
    server.prepare_hand_over();
    let mut clients = [(); 4].map(|()| frame.connect(&request(SHUFFLE, &equal)));
    wait_for_totals(&server, "all wait for a thread", |totals| totals.offloaded == 4);
    for room in [0, 1000, 150_000] {
        let (sockets, receiver) = descriptor_pair().expect("a pair");
        let mut frozen = server.freeze(TIMEOUT).expect("frozen");
        let error = frozen.save_sessions(&mut Failing(room), &sockets).expect_err("a full disk");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
        drop(receiver);
        let mut file = Vec::new();
        assert!(frozen.save_sessions(&mut file, &sockets).is_err(), "there is no receiver");
        drop(frozen);
        assert!(server.is_prepared());
    }
    server.cancel_hand_over();
    for client in &mut clients {
        assert_eq!(read_reply(client), equal);
    }
    drop(clients);
    let totals = stop(server).totals;
    assert_eq!((totals.requests, totals.answered, totals.offloaded, totals.closed[FAILED]), (4, 4, 4, 0));
}

#[test]
fn the_owner_is_notified_when_the_last_job_ends() {
    let frame = Endpoint::new("frame");
    let server = start(&[&frame], LIMITS, None);
    let equal = vec![b'e'; 4 << 20];
    let mut client = frame.connect(&request(SHUFFLE, &equal));
    wait_until("a thread has the job", || server.stats().gauges.offload_wait.counts.last() == Some(&1));
    server.prepare_hand_over();
    while !server.is_prepared() {
        sys::wait_readable([server.notice_fd()], None).expect("poll");
        server.clear_notice();
    }
    let (handed_over, before) = hand_over(server);
    assert_eq!((handed_over.saved.left, before.totals.offloaded), (0, 1));
    let server = start(&[&frame], LIMITS, Some(handed_over.take_over()));
    assert_eq!(read_reply(&mut client), equal);
    assert_eq!(server.stats().gauges.offload_wait.counts.last(), Some(&1), "the waits are continued");
    drop(client);
    assert_eq!(stop(server).open, 0);
}

#[test]
fn a_connection_whose_job_runs_is_left_behind() {
    let frame = Endpoint::new("frame");
    let server = start(&[&frame], LIMITS, None);
    server.prepare_hand_over();
    let (mut busy, mut idle) = (frame.connect(&request(SHUFFLE, &vec![b'e'; 100_000])), served(&frame));
    wait_for_totals(&server, "a job is queued", |totals| totals.offloaded == 1);
    let job = server.shared.offload_pool.begin_next().expect("a job");
    assert!(!server.is_prepared() && !job.cancel().is_set());
    let mut frozen = server.freeze(TIMEOUT).expect("frozen");
    let handed_over = HandedOver::save(&mut frozen);
    assert_eq!(handed_over.saved, Saved { handed_over: 1, left: 1 });
    frozen.commit();
    drop(server.join());
    let server = start(&[&frame], LIMITS, Some(handed_over.take_over()));
    assert_eq!(server.taken_over(), TakeOverCounts { taken_over: 1, failed: 1 });
    ask(&mut idle, b"hello");
    assert!(!matches!(busy.read(&mut [0]), Ok(1)), "its connection has ended");
    drop((busy, idle));
    let totals = stop(server).totals;
    assert_eq!((totals.closed[FAILED], totals.abandoned[FAILED], totals.in_flight(), totals.open()), (1, 1, 0, 0));
}

#[test]
fn connections_on_their_way_to_a_worker_are_handed_over() {
    let [frame, other] = [(); 2].map(|()| Endpoint::new("frame"));
    let server = start(&[&frame], LIMITS, None);
    let mut clients: Vec<_> = (0..100).map(|_| other.connect(&request(UPPERCASE, b"accepted"))).collect();
    assert_eq!(server.workers(), 2);
    for number in 0..clients.len() {
        let (stream, _) = other.socket.accept().expect("a client");
        stream.set_nonblocking(true).expect("O_NONBLOCK");
        server.shared.admission.take_over(number % 2);
        let connection = NewConnection { stream: stream.into(), listener: ListenerIndex(0), peer: None };
        assert!(server.shared.channels.send(number % 2, WorkerMessage::Connection(connection)).is_ok());
    }
    let (handed_over, _) = hand_over(server);
    assert_eq!(handed_over.saved, Saved { handed_over: 100, left: 0 });
    let server = start(&[&frame], LIMITS, Some(handed_over.take_over()));
    for client in &mut clients {
        assert_eq!(read_reply(client), b"ACCEPTED");
    }
    drop(clients);
    assert_eq!(stop(server).totals.answered, 100);
}

#[test]
fn a_server_with_a_worker_that_has_ended_is_not_frozen() {
    let frame = Endpoint::new("frame");
    let server = start(&[&frame], LIMITS, None);
    assert!(server.shared.channels.send(1, WorkerMessage::Abort).is_ok());
    wait_until("a worker ends", || server.shared.channels.send(1, WorkerMessage::SlotsFreed).is_err());
    assert_eq!(server.freeze(TIMEOUT).err(), Some(FreezeError::WorkerEnded));
    drop(served(&frame));
    assert_eq!(stop(server).open, 0);
}

#[test]
fn the_file_of_a_unix_socket_stays() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    let address = sys::SocketAddress::Unix(sys::UnixAddress::Path(path.clone()));
    let start = |is_handed_over: bool| {
        let socket = sys::stream_socket(&address).expect("a socket");
        let file = sys::SocketFile::bind(&socket, &path, 0o600, 5).expect("bound");
        let (socket, frame) = (socket.try_into().expect("a socket"), protocol::by_name("frame").expect("frame"));
        let listener = Listener::new(socket, frame, "frame".into(), Origin::Own).with_file(Some(file));
        let config = ServerConfig { workers: 2, seed: None, limits: LIMITS, listeners: vec![Arc::default()] };
        let server = Server::start(vec![listener], None, None, &config).expect("a server");
        if is_handed_over { drop(hand_over(server)) } else { drop(stop(server)) }
    };
    start(false);
    assert!(!path.exists());
    start(true);
    assert!(path.exists(), "the successor has the socket");
}

#[test]
fn numbers_of_connections_continue() {
    let who = Endpoint::new("who");
    let number = |endpoint: &Endpoint| {
        let mut line = String::new();
        endpoint.connect(b"").read_to_string(&mut line).expect("a line");
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        line["connection"].as_u64().expect("a number")
    };
    let server = start(&[&who], LIMITS, None);
    assert_eq!([number(&who), number(&who)], [1, 2]);
    let (handed_over, _) = hand_over(server);
    let server = start(&[&who], LIMITS, Some(handed_over.take_over()));
    assert_eq!(number(&who), 3);
    drop(stop(server));
}
