//! A worker without a thread: tests run the iterations of its loop.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Weak;

use super::*;
use crate::protocol::{self, ProtocolSettings};
use crate::server::config::ServerLimits;
use crate::server::listener::{ListenerOptions, ListenerProfile, Origin};
use crate::server::message::NewConnection;

/// Iterations that a test runs at most for something that happens at once.
const MAX_ITERATIONS: usize = 1000;

struct Harness {
    worker: Worker,
    shared: Arc<Shared>,
    address: SocketAddr,
    listener: Weak<Listener>,
}

impl Harness {
    /// A worker with this limit on connections. Listener 0 serves `frame`; listener 1, whose socket is closed, `qotd`.
    fn new(max_connections: usize) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
        socket.set_nonblocking(true).expect("O_NONBLOCK");
        let address = socket.local_addr().expect("an address");
        let [frame, qotd] = ["frame", "qotd"].map(|name| protocol::by_name(name).expect(name));
        let listener = Arc::new(Listener::new(socket.into(), frame, "frame".into(), Origin::Own));
        let limits =
            ServerLimits { max_message: 1024, max_connections: Some(max_connections), ..ServerLimits::UNLIMITED };
        let config = ServerConfig { workers: 1, seed: None, limits, listeners: Vec::new() };
        let profiles =
            [frame, qotd].map(|protocol| ListenerProfile::new(protocol, protocol.name.into(), &Arc::default()));
        let shared = Shared::new(&config, profiles.into()).expect("eventfds");
        let weak = Arc::downgrade(&listener);
        let worker = Worker::new(0, &[listener], &shared, &config).expect("a worker");
        Self { worker, shared, address, listener: weak }
    }

    /// A client that has sent a part of a request: a drain does not close its connection.
    fn connect_and_begin(&self) -> TcpStream {
        let mut client = TcpStream::connect(self.address).expect("connect");
        client.write_all(&[0]).expect("a part of a header");
        client
    }

    /// Runs one iteration with the events of the next 10 ms at most.
    fn iterate(&mut self) {
        let events = self.worker.driver.poller.wait(Some(std::time::Duration::from_millis(10))).expect("epoll_wait");
        self.worker.run_iteration(events);
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

#[test]
fn a_drain_at_the_limit_serves_its_accept_queue_when_a_slot_is_free() {
    let mut harness = Harness::new(1);
    let first = harness.connect_and_begin();
    harness.iterate_until("the first request has begun", |harness| harness.shared.stats().totals.bytes_in == 1);
    let second = harness.connect_and_begin();
    harness.iterate_until("the worker is at the limit", |harness| harness.shared.admission.is_at_limit());
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
    let Harness { worker, shared, address, .. } = Harness::new(2);
    shared.admission.adopt(0);
    let stream = TcpStream::connect(address).expect("connect");
    let connection = NewConnection { stream: stream.into(), listener: ListenerIndex(0) };
    assert!(shared.channels.send(0, WorkerMessage::Connection(connection)).is_ok());
    drop(worker);
    assert!(!shared.lifecycle.any_accepting());
    assert!(shared.channels.send(0, WorkerMessage::Abort).is_err(), "its mailbox is closed");
    let stats = shared.stats();
    assert_eq!((stats.totals.accepted, stats.open, stats.totals.closed[CloseReason::Forced as usize]), (1, 0, 1));
}

#[test]
fn a_connection_is_served_with_the_present_options_of_its_listener() {
    let mut harness = Harness::new(2);
    let quotes = Arc::from(["a quote".to_string()]);
    let protocols = Arc::new(ProtocolSettings { quotes, host_name: None });
    harness
        .shared
        .set_listener_options(&[Arc::default(), Arc::new(ListenerOptions { protocols, ..ListenerOptions::default() })]);
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    let mut client = TcpStream::connect(other.local_addr().expect("an address")).expect("connect");
    let (stream, _) = other.accept().expect("accept");
    stream.set_nonblocking(true).expect("O_NONBLOCK");
    harness.shared.admission.adopt(0);
    let connection = NewConnection { stream: stream.into(), listener: ListenerIndex(1) };
    assert!(harness.shared.channels.send(0, WorkerMessage::Connection(connection)).is_ok());
    harness.iterate_until("the quote is sent", |harness| harness.shared.stats().totals.bytes_out > 0);
    let mut reply = String::new();
    client.read_to_string(&mut reply).expect("a quote and the end");
    assert_eq!(reply.trim_end(), "a quote");
}
