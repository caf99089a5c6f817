//! A worker without a thread: tests run the iterations of its loop.

mod impaired;
mod turns;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZero;
use std::sync::Weak;

use super::*;
use crate::connection::ProxyResult;
use crate::protocol::{self, ProtocolSettings};
use crate::server::access::AccessList;
use crate::server::admission::Slot;
use crate::server::clock::Clock;
use crate::server::config::ServerLimits;
use crate::server::listener::{ListenerOptions, Origin, ProxyReceiver};
use crate::server::listener_profile::ListenerProfile;
use crate::server::message::{NewConnection, Reconfiguration};
use crate::server::peer::{Client, Peer};
use crate::server::rate_limit::{Rate, Rates};
use crate::sys::Credentials;

/// Iterations that a test runs at most for something that happens at once.
const MAX_ITERATIONS: usize = 1000;

/// The listener that serves `chargen`.
const CHARGEN: u32 = 2;

struct Harness {
    worker: Worker,
    shared: Arc<Shared>,
    address: SocketAddr,
    listener: Weak<Listener>,
}

impl Harness {
    /// A worker with this limit on connections. Listener 0 serves `frame`; listener 1, whose socket is closed, `qotd`, and
    /// listener 2 likewise `chargen`.
    fn new(max_connections: usize) -> Self {
        let max_connections = Some(max_connections);
        Self::with(ServerLimits { max_connections, ..ServerLimits::UNLIMITED }, ListenerOptions::default())
    }

    /// A worker whose connections begin with PROXY headers of peers in `from`, complete within `timeout`. From one
    /// source it serves one connection.
    fn expecting_headers(from: Option<&str>, timeout: Millis) -> Self {
        let from = from.map(|network| Arc::new([network.parse().expect("a network")].into_iter().collect()));
        let options = ListenerOptions { proxy: Some(ProxyReceiver { from, timeout }), ..ListenerOptions::default() };
        Self::with(ServerLimits { max_per_source: Some(1), ..ServerLimits::UNLIMITED }, options)
    }

    /// A worker with these limits, and these options of listener 0.
    fn with(limits: ServerLimits, options: ListenerOptions) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
        socket.set_nonblocking(true).expect("O_NONBLOCK");
        let address = socket.local_addr().expect("an address");
        let [frame, qotd, chargen] = ["frame", "qotd", "chargen"].map(|name| protocol::by_name(name).expect(name));
        let listener = Arc::new(Listener::new(socket.into(), frame, "frame".into(), Origin::Own));
        let limits = ServerLimits { max_message: 1024, ..limits };
        let config = ServerConfig { workers: 1, pipes: 4, seed: None, limits, listeners: Vec::new() };
        let profiles = [(frame, Arc::new(options)), (qotd, Arc::default()), (chargen, Arc::default())]
            .map(|(protocol, options)| ListenerProfile::new(protocol, protocol.name.into(), &options));
        let shared = Shared::new(&config, profiles.into(), 1, Clock::start()).expect("eventfds");
        let weak = Arc::downgrade(&listener);
        let worker = Worker::new(0, &[listener], &shared, &config).expect("a worker");
        Self { worker, shared, address, listener: weak }
    }

    /// A client that has sent a part of a request: a drain does not close its connection.
    fn connect_and_begin(&self) -> TcpStream {
        self.connect_and_send(&[0])
    }

    /// A client that has sent these bytes.
    fn connect_and_send(&self, bytes: &[u8]) -> TcpStream {
        let mut client = TcpStream::connect(self.address).expect("connect");
        client.write_all(bytes).expect("send");
        client
    }

    /// Has the worker adopt a connection, which counts as one of this listener.
    fn adopt(&self, stream: TcpStream, listener: u32) {
        stream.set_nonblocking(true).expect("O_NONBLOCK");
        self.shared.admission.adopt(0);
        let listener = ListenerIndex(listener);
        let number = self.shared.profile(listener).number();
        let connection = NewConnection { stream: stream.into(), listener, number, peer: None };
        assert!(self.shared.channels.send(0, WorkerMessage::Connection(connection)).is_ok());
    }

    /// Runs iterations until this number of connections have closed for a reason.
    fn await_closed(&mut self, reason: CloseReason, connections: u64) {
        self.iterate_until(reason.name(), |harness| {
            harness.shared.stats().totals.closed[reason as usize] == connections
        });
    }

    /// Connects and sends `header` and a request; runs iterations until that is answered.
    fn serve(&mut self, header: &[u8]) -> TcpStream {
        let before = self.shared.stats().totals.answered;
        let mut client = self.connect_and_send(&[header, b"\x08\0\0\x02hi"].concat());
        self.iterate_until("a request is answered", |harness| harness.shared.stats().totals.answered > before);
        let mut reply = [0; 6];
        client.read_exact(&mut reply).expect("a reply");
        assert_eq!(&reply, b"\0\0\0\x02HI");
        client
    }

    /// Runs one iteration with the events of the next 10 ms at most.
    fn iterate(&mut self) {
        self.await_events();
        self.worker.run_iteration();
    }

    /// Takes the events of the next 10 ms at most, unless some are still to be handled.
    fn await_events(&mut self) {
        if self.worker.events.is_empty() {
            self.worker.events =
                0..self.worker.driver.poller.wait(Some(Duration::from_millis(10))).expect("epoll_wait");
        }
    }

    /// Runs iterations until `is_done`.
    fn iterate_until(&mut self, what: &str, mut is_done: impl FnMut(&Self) -> bool) {
        for _ in 0..MAX_ITERATIONS {
            if is_done(self) {
                return;
            }
            self.iterate();
        }
        panic!("not in {MAX_ITERATIONS} iterations: {what}");
    }

    fn connections(&self) -> usize {
        self.worker.table.len()
    }
}

/// A client, and its connection, which no worker has accepted.
fn other_connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    let (connection, _) = listener.accept().expect("accept");
    (client, connection)
}

#[test]
fn a_drain_at_the_limit_serves_its_accept_queue_when_a_slot_is_free() {
    let mut harness = Harness::new(1);
    let first = harness.connect_and_begin();
    harness.iterate_until("the first request has begun", |harness| harness.shared.stats().totals.bytes_in == 1);
    let second = harness.connect_and_begin();
    harness.iterate_until("the worker is at the limit", |harness| harness.shared.admission.has_waiting_worker());
    assert_eq!(harness.shared.stats().totals.connections_full, 1);
    harness.shared.channels.send_all(|| WorkerMessage::Drain(None));
    harness.iterate_until("the drain begins", |harness| harness.worker.driver.phase.is_draining());
    for _ in 0..100 {
        // events of other connections wake it as often
        harness.shared.channels.send_all(|| WorkerMessage::Heartbeat(1));
        harness.iterate();
        assert!(harness.worker.is_running() && harness.connections() == 1);
    }
    first.shutdown(Shutdown::Both).expect("shutdown");
    harness.iterate_until("the second request has begun", |harness| harness.shared.stats().totals.bytes_in == 2);
    drop(second);
    harness.iterate_until("the worker has drained", |harness| !harness.worker.is_running());
}

#[test]
fn a_drained_worker_closes_its_listener() {
    let mut harness = Harness::new(1);
    harness.shared.channels.send_all(|| WorkerMessage::Drain(None));
    harness.iterate_until("the worker has drained", |harness| !harness.worker.is_running());
    assert!(harness.listener.upgrade().is_none(), "it was dropped before the worker");
}

#[test]
fn an_aborted_worker_stops_with_its_connections_open() {
    let mut harness = Harness::new(1);
    let client = harness.connect_and_begin();
    harness.iterate_until("the connection is served", |harness| harness.connections() == 1);
    harness.shared.channels.send_all(|| WorkerMessage::Abort);
    harness.iterate_until("the worker stops", |harness| !harness.worker.is_running());
    assert_eq!(harness.connections(), 1, "the end of the loop closes it");
    drop(client);
}

#[test]
fn a_worker_that_ends_discards_its_messages_and_notifies_the_owner() {
    let harness = Harness::new(2);
    let (_client, connection) = other_connection();
    harness.adopt(connection, 0);
    let Harness { worker, shared, .. } = harness;
    drop(worker);
    assert!(!shared.lifecycle.any_accepting());
    assert!(shared.channels.send(0, WorkerMessage::Abort).is_err(), "its mailbox is closed");
    let stats = shared.stats();
    assert_eq!((stats.totals.accepted, stats.open, stats.totals.closed[CloseReason::Forced as usize]), (1, 0, 1));
}

#[test]
fn connections_that_are_on_their_way_when_a_worker_freezes_are_received() {
    const CONNECTIONS: usize = 3 * accept::MAX_ACCEPTS as usize;
    let mut harness = Harness::new(CONNECTIONS);
    let clients: Vec<_> = (0..CONNECTIONS).map(|_| other_connection()).collect();
    let clients: Vec<_> =
        clients.into_iter().map(|(client, connection)| (client, harness.adopt(connection, 0))).collect();
    harness.shared.channels.send_all(|| WorkerMessage::SlotsFreed);
    harness.shared.channels.send_all(|| WorkerMessage::Freeze(std::sync::mpsc::channel().0));
    harness.iterate();
    assert!(harness.worker.freeze_request.is_some() && harness.connections() < CONNECTIONS, "more than one batch");
    harness.worker.settle();
    assert_eq!(harness.connections(), CONNECTIONS);
    assert!(matches!(harness.worker.inbox.make_contiguous(), [WorkerMessage::SlotsFreed]), "the others wait");
    drop(clients);
}

#[test]
fn a_connection_is_served_with_the_present_options_of_its_listener() {
    let mut harness = Harness::new(2);
    let quotes = Arc::from(["a quote".to_string()]);
    let protocols = Arc::new(ProtocolSettings { quotes, host_name: None });
    harness
        .shared
        .set_listener_options(&[Arc::default(), Arc::new(ListenerOptions { protocols, ..ListenerOptions::default() })]);
    let (mut client, connection) = other_connection();
    harness.adopt(connection, 1);
    harness.iterate_until("the quote is sent", |harness| harness.shared.stats().totals.bytes_out > 0);
    let mut reply = String::new();
    client.read_to_string(&mut reply).expect("a quote and the end");
    assert_eq!(reply.trim_end(), "a quote");
}

#[test]
fn connections_are_counted_for_the_protocol_of_their_listener() {
    let mut harness = Harness::new(5);
    let (served, begun) = (harness.serve(b""), harness.connect_and_begin());
    let (_client, connection) = other_connection();
    harness.adopt(connection, 1);
    harness.await_closed(CloseReason::Served, 1);
    drop(served);
    harness.await_closed(CloseReason::Finished, 1);
    let stats = harness.shared.stats();
    let of = |name: &str| stats.protocols.iter().find(|stats| stats.protocol.name == name).expect(name);
    let [frame, qotd] =
        ["frame", "qotd"].map(|name| (of(name).totals.accepted, of(name).open, of(name).totals.requests));
    assert_eq!([frame, qotd], [(2, 1, 1), (1, 0, 0)]);
    assert_eq!((of("frame").listeners, of("echo").listeners, stats.open), (1, 0, 1));
    assert_eq!((of("frame").totals.bytes_out, stats.totals.bytes_out), (6, 6));
    assert!(stats.gauges.longest_iteration > Duration::ZERO);
    assert_eq!((stats.gauges.workers, stats.gauges.connections_limit, stats.gauges.buffered), (1, Some(5), 0));
    drop(begun);
}

#[test]
fn headers_are_counted_by_their_result() {
    let mut harness = Harness::with(
        ServerLimits::UNLIMITED,
        ListenerOptions { proxy: Some(ProxyReceiver { from: None, timeout: TIMEOUT }), ..ListenerOptions::default() },
    );
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let tcp4 = [&signature[..], b"\x21\x11\0\x0c\xc0\0\x02\x0a\x7f\0\0\x01\0\x50\0\x50"].concat();
    let local = [&signature[..], b"\x20\0\0\0"].concat();
    for header in [b"PROXY TCP4 192.0.2.10 127.0.0.1 80 80\r\n", &tcp4[..], &local, b"PROXY UNKNOWN\r\n"] {
        drop(harness.serve(header));
    }
    drop(harness.connect_and_send(b""));
    harness.await_closed(CloseReason::Finished, 5);
    let proxy = harness.shared.stats().totals.proxy;
    let counts = ["v1", "v2", "local", "missing"].map(|name| {
        let result = ProxyResult::ALL.into_iter().find(|result| result.name() == name).expect(name);
        proxy[result as usize]
    });
    assert_eq!((counts, proxy.iter().sum::<u64>()), ([1, 1, 2, 1], 5));
}

/// The time in which a header must be complete, where it is.
const TIMEOUT: Millis = Millis::new(60_000);

#[test]
fn connections_count_for_the_source_that_their_header_announces() {
    const FIRST: &[u8] = b"PROXY TCP4 192.0.2.1 127.0.0.1 1000 80\r\n";
    const MAPPED: &[u8] = b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1001 80\r\n";
    let mut harness = Harness::expecting_headers(None, TIMEOUT);
    let first = harness.serve(FIRST);
    let mut second = harness.connect_and_send(MAPPED);
    harness.await_closed(CloseReason::SourceLimit, 1);
    let mut received = Vec::new();
    second.read_to_end(&mut received).expect("the end");
    assert_eq!(received, b"", "nothing is sent to a client that is not admitted");
    let other = harness.serve(b"PROXY TCP4 192.0.2.2 127.0.0.1 1000 80\r\n");
    drop(first);
    harness.await_closed(CloseReason::Finished, 1);
    let third = harness.serve(MAPPED);
    drop((other, third));
    harness.await_closed(CloseReason::Finished, 3);
    assert_eq!((harness.shared.stats().open, harness.connections()), (0, 0));
}

#[test]
fn connections_of_the_balancer_itself_count_for_no_source() {
    let mut harness = Harness::expecting_headers(Some("127.0.0.0/8"), TIMEOUT);
    let clients = [(); 2].map(|()| harness.serve(b"PROXY UNKNOWN\r\n"));
    drop(clients);
    harness.await_closed(CloseReason::Finished, 2);
}

#[test]
fn peer_that_may_not_announce_clients_is_closed_when_it_is_accepted() {
    let mut harness = Harness::expecting_headers(Some("10.0.0.0/8"), TIMEOUT);
    let client = harness.connect_and_send(b"");
    harness.await_closed(CloseReason::ProxyUntrusted, 1);
    let stats = harness.shared.stats();
    assert_eq!((stats.totals.accepted, stats.open, harness.connections()), (1, 0, 0));
    assert_eq!(stats.totals.proxy[ProxyResult::Untrusted as usize], 1);
    drop(client);
}

#[test]
fn reload_that_withdraws_trust_closes_connections_whose_header_is_awaited() {
    let untrusted = ProxyReceiver { from: Some(Arc::new([].into_iter().collect())), timeout: TIMEOUT };
    for proxy in [None, Some(untrusted)] {
        let mut harness = Harness::expecting_headers(None, TIMEOUT);
        let mut client = harness.connect_and_send(b"PROXY ");
        harness.iterate_until("the header has begun", |harness| harness.shared.stats().totals.bytes_in == 6);
        let options = Arc::new(ListenerOptions { proxy, ..ListenerOptions::default() });
        harness.shared.set_listener_options(&[options, Arc::default()]);
        client.write_all(b"TCP4 192.0.2.1 127.0.0.1 1000 80\r\n\x08\0\0\x02hi").expect("send");
        harness.await_closed(CloseReason::ProxyUntrusted, 1);
        assert_eq!(harness.shared.stats().totals.requests, 0);
    }
}

#[test]
fn adopted_connection_that_was_reset_is_neither_judged_nor_served() {
    let proxy = Some(ProxyReceiver { from: None, timeout: TIMEOUT });
    let denying = with_rate_denying(1, "127.0.0.0/8");
    for options in [denying, ListenerOptions { proxy, ..ListenerOptions::default() }] {
        let mut harness = Harness::with(ServerLimits::UNLIMITED, options);
        let (client, connection) = other_connection();
        crate::sys::close_with_reset(client.into());
        harness.adopt(connection, 0);
        harness.await_closed(CloseReason::Reset, 1);
    }
}

#[test]
fn header_that_is_late_or_invalid_closes_its_connection() {
    let mut harness = Harness::expecting_headers(None, Millis::new(1));
    let late = harness.connect_and_send(b"PROXY ");
    harness.await_closed(CloseReason::ProxyTimeout, 1);
    assert_eq!(harness.shared.stats().totals.proxy[ProxyResult::Timeout as usize], 1);
    let mut harness = Harness::expecting_headers(None, TIMEOUT);
    let invalid = harness.connect_and_send(b"\x08\0\0\x02hi");
    harness.await_closed(CloseReason::ProxyHeader, 1);
    let totals = harness.shared.stats().totals;
    assert_eq!((totals.bytes_in, totals.requests), (6, 0));
    assert_eq!(totals.proxy[ProxyResult::Invalid as usize], 1);
    drop((late, invalid));
}

#[test]
fn drain_closes_a_connection_without_a_header_when_the_grace_is_over() {
    let mut harness = Harness::expecting_headers(None, TIMEOUT);
    let silent = harness.connect_and_send(b"");
    harness.iterate_until("the connection is accepted", |harness| harness.connections() == 1);
    harness.shared.channels.send_all(|| WorkerMessage::Drain(None));
    harness.await_closed(CloseReason::Stopped, 1);
    harness.iterate_until("the worker has drained", |harness| !harness.worker.is_running());
    drop(silent);
}

/// The options of a listener with this rate of new connections.
fn with_rate(rate: u32) -> ListenerOptions {
    let total = NonZero::new(rate).map(Rate::per_second);
    ListenerOptions { rates: Rates { total, per_source: None }, ..ListenerOptions::default() }
}

/// A worker that has accepted one client, and leaves a second one in the backlog.
fn over_rate() -> (Harness, [TcpStream; 2]) {
    let limits = ServerLimits { max_connections: Some(2), ..ServerLimits::UNLIMITED };
    let mut harness = Harness::with(limits, with_rate(1));
    let clients = [(); 2].map(|()| harness.connect_and_begin());
    harness.iterate_until("the listener is over its rate", |harness| !harness.worker.accepting.acceptors[0].is_ready());
    assert_eq!((harness.connections(), harness.shared.stats().totals.accept_over_rate), (1, 1));
    (harness, clients)
}

#[test]
fn a_listener_over_its_rate_keeps_no_slot_and_accepts_when_its_rate_is_raised() {
    let (mut harness, _clients) = over_rate();
    assert_eq!(harness.shared.admission.take_slot(), Slot::Granted);
    harness.shared.admission.release_slot();
    let due = harness.worker.accepting.acceptors[0].timers_due().expect("a time");
    assert!(due <= harness.worker.driver.context.now + Millis::new(1000), "when the next connection is possible");
    harness.shared.set_listener_options(&[Arc::new(with_rate(1000)), Arc::default()]);
    let limits = ServerLimits::UNLIMITED.per_connection();
    let applied = std::sync::mpsc::channel().0;
    let message = WorkerMessage::Reconfigure(Reconfiguration { limits, max_delayed: usize::MAX, applied });
    assert!(harness.shared.channels.send(0, message).is_ok());
    harness.iterate_until("the second client is accepted", |harness| harness.connections() == 2);
}

#[test]
fn a_drain_accepts_those_who_wait_for_the_rate() {
    let (mut harness, clients) = over_rate();
    harness.shared.channels.send_all(|| WorkerMessage::Drain(None));
    harness.iterate_until("the drain begins", |harness| harness.worker.driver.phase.is_draining());
    harness.iterate_until("both requests have begun", |harness| harness.shared.stats().totals.bytes_in == 2);
    drop(clients);
    harness.iterate_until("the worker has drained", |harness| !harness.worker.is_running());
}

#[test]
fn an_accept_without_a_client_takes_nothing_from_the_rate() {
    let mut harness = Harness::with(ServerLimits::UNLIMITED, with_rate(2));
    for _ in 0..10 {
        assert!(harness.worker.accept_one(0).is_break());
    }
    let _clients = [harness.serve(b""), harness.serve(b"")];
    assert_eq!(harness.shared.stats().totals.accept_over_rate, 0);
}

#[test]
fn lists_admit_clients_without_an_address() {
    let network = |text: &str| [text.parse().expect(text)];
    let denying = AccessList::new([], network("192.0.2.1/32"));
    for (access, expected) in [
        (AccessList::default(), [true, true]),
        (denying, [true, true]),
        (AccessList::new(network("192.0.2.0/24"), []), [true, false]),
    ] {
        let options = ListenerOptions { access: Arc::new(access), ..ListenerOptions::default() };
        let harness = Harness::with(ServerLimits::UNLIMITED, options.clone());
        let user = Peer::Unix(Credentials { pid: None, uid: Some(1000), gid: None });
        let address = Peer::Tcp(([127, 0, 0, 1], 7).into());
        let admitted = [user, address].map(|peer| {
            let profile = harness.shared.profile(ListenerIndex(0));
            harness.worker.driver.admit_client(Client::Direct(Some(peer)), profile, &options).is_ok()
        });
        assert_eq!(admitted, expected);
    }
}

/// Options of a listener with this rate that denies these clients.
fn with_rate_denying(rate: u32, network: &str) -> ListenerOptions {
    let access = AccessList::new([], [network.parse().expect(network)]);
    ListenerOptions { access: Arc::new(access), ..with_rate(rate) }
}

#[test]
fn rejected_clients_take_nothing_from_the_rate() {
    let untrusted = ProxyReceiver { from: Some(Arc::new([].into_iter().collect())), timeout: TIMEOUT };
    let per_source = Rates { per_source: NonZero::new(1).map(Rate::per_second), ..with_rate(2).rates };
    let limited = ServerLimits { max_per_source: Some(1), ..ServerLimits::UNLIMITED };
    for (limits, options, served, reason) in [
        (ServerLimits::UNLIMITED, with_rate_denying(1, "127.0.0.0/8"), 0, CloseReason::Denied),
        (
            ServerLimits::UNLIMITED,
            ListenerOptions { proxy: Some(untrusted), ..with_rate(1) },
            0,
            CloseReason::ProxyUntrusted,
        ),
        (ServerLimits::UNLIMITED, ListenerOptions { rates: per_source, ..with_rate(1) }, 1, CloseReason::RateLimit),
        (limited, with_rate(2), 1, CloseReason::SourceLimit),
    ] {
        let mut harness = Harness::with(limits, options);
        let _served: Vec<TcpStream> = (0..served).map(|_| harness.serve(b"")).collect();
        let _rejected = [(); 20].map(|()| harness.connect_and_send(b""));
        harness.await_closed(reason, 20);
        assert!(harness.worker.accepting.acceptors[0].is_ready(), "{}: it still accepts", reason.name());
    }
}

#[test]
fn announced_clients_that_are_rejected_take_nothing_from_the_rate() {
    let proxy = Some(ProxyReceiver { from: None, timeout: TIMEOUT });
    let options = ListenerOptions { proxy, ..with_rate_denying(1, "192.0.2.1/32") };
    let mut harness = Harness::with(ServerLimits::UNLIMITED, options);
    let _denied = [(); 20].map(|()| harness.connect_and_send(b"PROXY TCP4 192.0.2.1 127.0.0.1 1000 80\r\n"));
    harness.await_closed(CloseReason::Denied, 20);
}

#[test]
fn a_client_rejected_by_another_worker_ends_the_wait_for_the_rate() {
    let mut harness = Harness::with(ServerLimits::UNLIMITED, with_rate_denying(1, "127.0.0.0/8"));
    let limiter = &harness.shared.profile(ListenerIndex(0)).rate_limiter;
    let now = harness.shared.clock.now();
    assert!(limiter.take(now), "a worker has accepted a client");
    for _ in 0..60 {
        // as many workers wait: a minute passes until this one is to try again
        limiter.next_attempt(now);
    }
    let _waiting = harness.connect_and_send(b"");
    harness.iterate_until("the listener is over its rate", |harness| !harness.worker.accepting.acceptors[0].is_ready());
    let (_client, connection) = other_connection();
    harness.adopt(connection, 0);
    harness.await_closed(CloseReason::Denied, 2);
}

#[test]
fn requests_that_the_first_calls_answer_are_recorded_at_once() {
    let mut harness = Harness::new(1);
    // as if a connection of a predecessor had got its reply
    harness.worker.driver.context.replied = 1;
    harness.worker.continue_sessions();
    assert_eq!(harness.shared.stats().totals.durations.counts.iter().sum::<u64>(), 1);
}
