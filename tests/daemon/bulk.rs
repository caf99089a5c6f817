//! Large input of `echo` and `discard`, which the daemon does not read: every byte that comes back, in the order in
//! which it was sent, and the pipes in which replies are held for clients that do not take them.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::LazyLock;

use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};

use crate::hand_over::{self, ProgramCopy};
use crate::harness::{Client, DEADLINE, Daemon, DaemonBuilder, Directory, Statistics, has_bytes, wait_until};

/// What clients send, repeated. A prime number of bytes: parts that change places are noticed, whatever the size of
/// segments, pages and pipes.
const PERIOD: usize = 1_000_003;
/// The most bytes that are sent or received at once. Chosen: more than the daemon takes at once.
const PIECE: usize = 300_000;
/// Bytes that arrive as one segment on the loopback interface, after which the daemon does not read (`BULK` in
/// `src/connection/passthrough.rs`).
const SEGMENT: usize = 50_000;
/// The most pipes of a worker: `MAX_PIPES` in `src/server/pipes.rs`.
const MAX_PIPES: usize = 16;
const MIB: usize = 1 << 20;
/// The kernel holds few replies.
const SEND_BUFFER: &str = "--send-buffer=64K";

static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = vec![0; PERIOD];
    fastrand::Rng::with_seed(1).fill(&mut bytes);
    bytes.extend_from_within(..PIECE);
    bytes
});

/// A client of `echo`, with the number of bytes that it has sent and received.
struct Echo {
    client: Client,
    /// Where its input begins in [`CONTENT`].
    start: usize,
    sent: usize,
    received: usize,
}

impl Echo {
    fn connect(daemon: &Daemon) -> Self {
        Self::new(daemon.connect("echo"), 0)
    }

    /// The input of each `number` differs. A small receive buffer: the daemon soon holds replies that are not received.
    fn new(client: Client, number: usize) -> Self {
        setsockopt(&client.stream, sockopt::RcvBuf, &65_536).expect("SO_RCVBUF");
        Self { client, start: number * 7919, sent: 0, received: 0 }
    }

    /// [`PIECE`] bytes of its input behind the first `at`.
    fn input(&self, at: usize) -> &'static [u8] {
        &CONTENT[(self.start + at) % PERIOD..][..PIECE]
    }

    /// Sends as much as the kernel takes without waiting, at most `most` and [`PIECE`] bytes; returns the number of
    /// bytes.
    fn send_what_fits(&mut self, most: usize) -> usize {
        let sent = self.client.send_what_fits(&self.input(self.sent)[..most.min(PIECE)]);
        self.sent += sent;
        sent
    }

    /// Sends `n` bytes; receives nothing before the kernel takes no more.
    fn send(&mut self, n: usize) {
        let end = self.sent + n;
        while self.sent < end {
            if self.send_what_fits(end - self.sent) == 0 {
                assert!(self.sent > self.received, "there is no room for input, and no reply");
                self.receive(PIECE.min(self.sent - self.received));
            }
        }
    }

    fn receive(&mut self, n: usize) {
        let end = self.received + n;
        while self.received < end {
            let piece = PIECE.min(end - self.received);
            let is_right = self.client.receive(piece) == self.input(self.received)[..piece];
            assert!(is_right, "other bytes within {piece} behind {}", self.received);
            self.received += piece;
        }
    }

    /// Receives everything that it has sent.
    fn receive_rest(&mut self) {
        self.receive(self.sent - self.received);
    }

    /// Sends segments until the daemon holds a part of one in a pipe; it has received all of them then. The daemon has
    /// one worker and no other client.
    fn send_until_held(&mut self, daemon: &Daemon, pipes: &Pipes) {
        // the first is read
        self.send(SEGMENT);
        self.receive_rest();
        while !pipes.hold_bytes(daemon) {
            self.client.send(&self.input(self.sent)[..SEGMENT]);
            self.sent += SEGMENT;
            wait_until("the daemon has everything", || self.is_acknowledged() && daemon.is_idle("worker-0"));
        }
    }

    /// Whether the daemon's kernel has everything that was sent.
    fn is_acknowledged(&self) -> bool {
        let sockets = procfs::net::tcp().expect("list the sockets");
        sockets.iter().any(|socket| socket.local_address == self.client.address() && socket.tx_queue == 0)
    }

    /// Half-closes, and receives the rest and the end.
    fn finish(mut self) {
        self.client.half_close();
        self.receive_rest();
        assert_eq!(self.client.receive_all(), b"", "more than was sent");
    }
}

/// The pipes of a daemon that are not those of its workers: standard output and error.
struct Pipes(BTreeMap<String, PathBuf>);

impl Pipes {
    /// To be called before there are clients.
    fn before(daemon: &Daemon) -> Self {
        Self(daemon.pipes())
    }

    /// Those of its workers.
    fn of_workers(&self, daemon: &Daemon) -> Vec<PathBuf> {
        let pipes = daemon.pipes().into_iter();
        pipes.filter(|(name, _)| !self.0.contains_key(name)).map(|(_, path)| path).collect()
    }

    fn count(&self, daemon: &Daemon) -> usize {
        self.of_workers(daemon).len()
    }

    /// Whether there is a reply in a pipe of its only worker, which is idle.
    fn hold_bytes(&self, daemon: &Daemon) -> bool {
        self.of_workers(daemon).iter().any(|pipe| has_bytes(pipe))
    }
}

/// A daemon that serves `echo`.
fn serving(arguments: &[&str]) -> Daemon {
    Daemon::serving("echo", &[&[SEND_BUFFER], arguments].concat())
}

/// The statistics when every connection is closed, after `connections` that were served to their end.
fn all_finished(daemon: &Daemon, connections: u64) -> Statistics {
    let statistics = daemon.statistics_at_rest();
    assert_eq!(statistics.closed_for("finished"), connections, "{statistics:?}");
    assert_eq!(statistics.bytes_in, statistics.bytes_out, "{statistics:?}");
    assert_eq!(statistics.requests, statistics.answered, "{statistics:?}");
    statistics
}

#[test]
fn a_client_that_reads_later_than_it_sends_gets_every_byte_through_a_pipe() {
    let daemon = serving(&["--workers=1"]);
    let pipes = Pipes::before(&daemon);
    let mut client = Echo::connect(&daemon);
    client.send(64 * MIB);
    client.receive_rest();
    assert_eq!(pipes.count(&daemon), 1);
    client.finish();
    assert_eq!(all_finished(&daemon, 1).bytes_in, 64 << 20);
    wait_until("the pipe is closed with the last connection", || pipes.count(&daemon) == 0);
}

#[test]
fn a_half_closed_client_gets_what_is_held_and_the_end() {
    let daemon = serving(&["--workers=1"]);
    let pipes = Pipes::before(&daemon);
    let mut client = Echo::connect(&daemon);
    client.send_until_held(&daemon, &pipes);
    while client.send_what_fits(PIECE) > 0 {}
    client.finish();
    all_finished(&daemon, 1);
}

#[test]
fn large_and_small_messages_alternate_on_a_connection() {
    let sizes = [1, 100_000, 1, 3 * MIB, 32_767, 32_768, 5, MIB, 1, 60_000, 60_000, 200, 250_000];
    let daemon = serving(&["--workers=1"]);
    let pipes = Pipes::before(&daemon);
    let mut client = Echo::connect(&daemon);
    for size in sizes {
        client.send(size);
        client.receive_rest();
    }
    assert_eq!(pipes.count(&daemon), 1);
    // without waiting for replies
    sizes.iter().cycle().take(10 * sizes.len()).for_each(|size| client.send(*size));
    client.finish();
    all_finished(&daemon, 1);
}

/// Sends large input of more clients than there are pipes, and reads when none can send more. Returns the most pipes
/// that were open.
fn serve_crowd(arguments: &[&str]) -> usize {
    const CLIENTS: usize = 40;
    let daemon = serving(arguments);
    let pipes = Pipes::before(&daemon);
    let mut clients: Vec<Echo> = (0..CLIENTS).map(|number| Echo::new(daemon.connect("echo"), number)).collect();
    // what waits in the kernel is received later
    for Echo { client, .. } in &clients {
        setsockopt(&client.stream, sockopt::SndBuf, &(1 << 18)).expect("SO_SNDBUF");
    }
    let mut most = 0;
    wait_until("no client can send", || {
        let sent: usize = clients.iter_mut().map(|client| client.send_what_fits(PIECE)).sum();
        most = most.max(pipes.count(&daemon));
        sent == 0
    });
    for client in clients {
        assert!(client.sent > client.received + SEGMENT);
        client.finish();
        most = most.max(pipes.count(&daemon));
    }
    all_finished(&daemon, CLIENTS as u64);
    wait_until("no pipe is left", || pipes.count(&daemon) == 0);
    most
}

#[test]
fn more_clients_than_pipes_get_their_own_bytes() {
    assert_eq!(serve_crowd(&["--workers=1"]), MAX_PIPES);
    let most = serve_crowd(&["--workers=2"]);
    assert!((2..=2 * MAX_PIPES).contains(&most), "{most} pipes");
}

#[test]
fn clients_get_their_own_bytes_when_memory_is_short() {
    // a reply in a pipe counts as more than a quarter of half of that, and no further pipe is used
    let most = serve_crowd(&["--workers=1", "--max-buffered=1M"]);
    assert!(most <= 1, "{most} pipes");
}

#[test]
fn no_pipe_is_opened_for_a_unix_socket() {
    let directory = Directory::new();
    let path = directory.path("socket");
    let daemon = DaemonBuilder::new(&[&format!("--listen=echo=unix:{}", path.display())]).start();
    let pipes = Pipes::before(&daemon);
    // the type of a TCP socket, for the functions of a client
    let stream = TcpStream::from(OwnedFd::from(UnixStream::connect(path).expect("connect")));
    stream.set_read_timeout(Some(DEADLINE)).expect("SO_RCVTIMEO");
    let mut client = Echo::new(Client { stream }, 0);
    client.send(8 * MIB);
    client.receive_rest();
    assert_eq!(pipes.count(&daemon), 0);
    client.finish();
    all_finished(&daemon, 1);
}

#[test]
fn no_pipe_is_opened_while_requests_are_logged() {
    let daemon = serving(&["--workers=1", "-vv"]);
    let pipes = Pipes::before(&daemon);
    let mut client = Echo::connect(&daemon);
    client.send(8 * MIB);
    client.receive_rest();
    assert_eq!(pipes.count(&daemon), 0);
    client.finish();
    let answered = all_finished(&daemon, 1).answered as usize;
    assert_eq!(daemon.lines_with(" bytes answered in "), answered);
}

#[test]
fn what_is_held_is_handed_over() {
    let daemon = hand_over::serving("echo", &["--workers=1", SEND_BUFFER]);
    let pipes = Pipes::before(&daemon);
    let mut client = Echo::connect(&daemon);
    for _ in 0..3 {
        client.send_until_held(&daemon, &pipes);
        // and input that is not read yet
        while client.send_what_fits(PIECE) > 0 {}
        assert_eq!(daemon.hand_over(), 1);
        assert_eq!(pipes.count(&daemon), 0);
        client.send(8 * MIB);
        client.receive_rest();
        assert_eq!(pipes.count(&daemon), 1);
    }
    client.finish();
    all_finished(&daemon, 1);
}

/// The program passes the check of its settings, and is gone when it is to be executed.
#[test]
fn what_is_held_is_sent_after_a_hand_over_that_fails() {
    let directory = Directory::new();
    let program = ProgramCopy::in_directory(&directory);
    let builder = DaemonBuilder::new(&["-v", "--hand-over", "--workers=1", SEND_BUFFER, "--listen=echo=127.0.0.1:0"]);
    let daemon = hand_over::without_manager(program.run(builder), 1);
    let pipes = Pipes::before(&daemon);
    let mut client = Echo::connect(&daemon);
    client.send_until_held(&daemon, &pipes);
    program.replace_by("rm \"$0\"");
    daemon.signal(Signal::SIGUSR2);
    daemon.wait_for_line(0, "cannot execute ");
    assert!(!pipes.hold_bytes(&daemon), "the connections were not saved");
    client.send(MIB);
    client.finish();
    all_finished(&daemon, 1);
}

#[test]
fn a_drain_waits_for_what_is_held() {
    let mut daemon = serving(&["--workers=1", "-v"]);
    let pipes = Pipes::before(&daemon);
    let mut client = Echo::connect(&daemon);
    client.send_until_held(&daemon, &pipes);
    daemon.begin_drain();
    client.receive_rest();
    assert_eq!(client.client.receive_all(), b"", "more than was sent");
    assert_eq!(daemon.wait_exit(), 0);
    let statistics = daemon.last_statistics();
    assert_eq!((statistics.closed_for("stopped"), statistics.abandoned), (1, 0), "{statistics:?}");
    assert_eq!(statistics.bytes_in, statistics.bytes_out, "{statistics:?}");
}

#[test]
fn what_is_held_when_an_impairment_begins_is_sent_before_what_follows() {
    let directory = Directory::new();
    let settings = |options: &str| {
        directory.write("settings", format!("RETORTD_LISTEN=echo=127.0.0.1:0{options}\nRETORTD_WORKERS=1\n"))
    };
    let daemon = DaemonBuilder::new(&["-v", SEND_BUFFER, "--settings", &settings("")]).start();
    let change = |options: &str| {
        settings(options);
        daemon.reload();
    };
    let pipes = Pipes::before(&daemon);
    let mut client = Echo::connect(&daemon);
    for (kind, options) in [("latency", ",latency=2ms,jitter=2ms"), ("rate", ",rate=5M"), ("slice", ",slice=5000")] {
        client.send_until_held(&daemon, &pipes);
        change(options);
        // the client has read nothing
        wait_until("what was held is taken out of the pipe", || !pipes.hold_bytes(&daemon));
        client.send(MIB);
        client.receive_rest();
        daemon.statistics_when(|statistics| statistics.impaired_by.get(kind) == Some(&1));
        change("");
    }
    client.finish();
    all_finished(&daemon, 1);
}

#[test]
fn large_input_of_discard_is_counted() {
    let daemon = Daemon::serving("discard", &["--workers=1", "-v"]);
    let pipes = Pipes::before(&daemon);
    let mut client = daemon.connect("discard");
    for _ in 0..64 {
        client.send(&CONTENT[..MIB]);
    }
    assert_eq!(client.exchange(b"the end"), b"");
    let statistics = daemon.statistics_at_rest();
    assert_eq!((statistics.bytes_in, statistics.bytes_out), ((64 << 20) + 7, 0), "{statistics:?}");
    daemon.wait_for_line(0, "closed: finished after");
    assert_eq!(daemon.lines_with(" 0 requests, 67108871 bytes in, 0 bytes out"), 1, "{}", daemon.log.text());
    assert_eq!(pipes.count(&daemon), 0);
}
