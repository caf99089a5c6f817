//! Hand-overs that are refused or undone, and what they leave behind.

use super::*;

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
        let listener = ListenerIndex(0);
        let counted = server.shared.profile(listener).number();
        let connection = NewConnection { stream: stream.into(), listener, number: counted, peer: None };
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
        let config = ServerConfig { workers: 2, pipes: 4, seed: None, limits: LIMITS, listeners: vec![Arc::default()] };
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
