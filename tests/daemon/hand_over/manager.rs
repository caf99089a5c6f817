//! The hand-over through the file descriptor store of a service manager, which a test plays.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use crate::harness::action::{REVERSE, UPPERCASE};
use crate::harness::{
    Client, DEADLINE, Daemon, DaemonBuilder, Directory, connection, frame, length_prefixed, listener, receive_notice,
};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair};

const LISTEN: &str = "--listen=frame=127.0.0.1:0";

/// The descriptor that a daemon has stored before it exited with the status 75.
fn stored_by(daemon: &mut Daemon) -> OwnedFd {
    daemon.signal(Signal::SIGUSR2);
    assert_eq!(daemon.wait_exit(), 75, "{}", daemon.log.text());
    daemon.notices.wait_closed();
    let stored = daemon.stored.all();
    assert_eq!(stored.len(), 1, "{:?}", daemon.notices.all());
    stored[0].try_clone().expect("a copy")
}

#[test]
fn the_manager_passes_the_connections_to_the_next_start() {
    let mut daemon = DaemonBuilder::new(&["-v", "--hand-over", LISTEN]).start();
    let address = daemon.address("frame");
    let text = vec![b'x'; 8 << 20];
    let mut reading = daemon.connect("frame");
    reading.send(&frame(REVERSE, &text));
    let first = reading.receive(4);
    let mut within = daemon.connect("frame");
    let request = frame(REVERSE, b"one more time");
    within.send(&request[..9]);
    daemon.statistics_when(|statistics| statistics.bytes_in == (text.len() + 4 + 9) as u64);
    let stored = stored_by(&mut daemon);
    let notices = daemon.notices.all();
    let at = |words: &str| notices.iter().position(|notice| notice == words);
    let stored_at = at("FDSTORE=1\nFDPOLL=0\nFDNAME=hand-over\n");
    assert!(stored_at.is_some() && stored_at < at("BARRIER=1\n"), "{notices:?}");
    assert!(notices.iter().any(|notice| notice.starts_with("STOPPING=1\n")), "{notices:?}");
    drop(daemon);
    // until then they are the client's kernel's
    within.send(&request[9..]);
    let successor = DaemonBuilder::new(&["-v", "--hand-over", LISTEN]).with_sockets("hand-over", vec![stored]).start();
    assert_eq!(successor.taken_over(0), 2);
    assert_eq!(successor.address("frame"), address);
    assert!([first, reading.receive(text.len())].concat() == length_prefixed(&text), "the reply is not as expected");
    assert_eq!(within.receive_frame(), b"emit erom eno");
    assert_eq!(Client::connect(address).request(UPPERCASE, b"x"), b"X");
    let (ready, _) = successor.wait_for_notice(0, "READY=1\n");
    successor.wait_for_notice(ready, "FDSTOREREMOVE=1\nFDNAME=hand-over\n");
}

#[test]
fn sockets_of_socket_units_come_from_the_manager_again() {
    let (socket, address) = listener();
    let again = socket.try_clone().expect("a copy");
    let mut daemon = DaemonBuilder::new(&["--hand-over"]).with_sockets("frame", vec![socket.into()]).start();
    let mut client = Client::connect(address);
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    let stored = stored_by(&mut daemon);
    drop(daemon);
    let mut waiting = Client::connect(address);
    let builder = DaemonBuilder::new(&["--hand-over"]).with_sockets("frame:hand-over", vec![again.into(), stored]);
    let mut successor = builder.start();
    assert_eq!(successor.taken_over(0), 1);
    assert_eq!(client.request(UPPERCASE, b"y"), b"Y");
    assert_eq!(waiting.request(UPPERCASE, b"z"), b"Z");
    let statistics = successor.statistics_when(|statistics| statistics.requests == 3);
    assert_eq!((statistics.accepted, statistics.open), (2, 2), "{statistics:?}");
    assert_eq!(successor.stop(), 0);
}

#[test]
fn a_client_that_disconnects_meanwhile_is_closed_by_the_successor() {
    let mut daemon = DaemonBuilder::new(&["-v", "--hand-over", LISTEN]).start();
    let (leaving, resetting) = (daemon.connect("frame"), daemon.connect("frame"));
    daemon.statistics_when(|statistics| statistics.open == 2);
    let stored = stored_by(&mut daemon);
    drop(daemon);
    drop(leaving);
    resetting.reset();
    let successor = DaemonBuilder::new(&["-v", LISTEN]).with_sockets("hand-over", vec![stored]).start();
    assert_eq!(successor.taken_over(0), 2);
    let statistics = successor.statistics_at_rest();
    assert_eq!((statistics.accepted, statistics.closed), (2, 2), "{statistics:?}");
    assert_eq!(statistics.closed_for("handover-failed"), 0, "{statistics:?}");
}

/// A service manager that a test plays by hand.
struct Manager {
    socket: UnixDatagram,
    directory: Directory,
}

impl Manager {
    fn new() -> Self {
        let directory = Directory::new();
        let socket = UnixDatagram::bind(directory.path("notify")).expect("bind");
        socket.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        Self { socket, directory }
    }

    /// Starts a daemon, and waits until it is ready.
    fn start(&self, arguments: &[&str]) -> Daemon {
        let builder = DaemonBuilder::new(&[&["-v", "--hand-over", LISTEN], arguments].concat());
        builder.env("NOTIFY_SOCKET", self.directory.path("notify")).start_by_log()
    }

    /// Receives messages until one contains these words; returns the descriptors that came with it.
    fn receive(&self, words: &str) -> Vec<OwnedFd> {
        loop {
            let (text, descriptors) = receive_notice(&self.socket).unwrap_or_else(|| panic!("no message {words:?}"));
            if text.contains(words) {
                return descriptors;
            }
        }
    }

    fn fill(&self) {
        let other = UnixDatagram::unbound().expect("a socket");
        other.set_nonblocking(true).expect("non-blocking");
        while other.send_to(b"full", self.directory.path("notify")).is_ok() {}
    }
}

/// Fault 52: the service manager takes no message.
#[test]
fn a_manager_that_takes_no_message_refuses() {
    let manager = Manager::new();
    let daemon = manager.start(&[]);
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    manager.fill();
    daemon.signal(Signal::SIGUSR2);
    let why =
        "cannot hand the connections over: the service manager has not taken the messages within 1s; serving goes on";
    daemon.wait_for_line(0, why);
    assert_eq!(client.request(UPPERCASE, b"y"), b"Y");
}

#[test]
fn a_full_queue_of_the_manager_is_waited_for() {
    let manager = Manager::new();
    let mut daemon = manager.start(&["--hand-over-timeout=1m"]);
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    manager.fill();
    daemon.signal(Signal::SIGUSR2);
    let stored = manager.receive("FDSTORE=1");
    assert_eq!(stored.len(), 1);
    assert_eq!(manager.receive("BARRIER=1").len(), 1);
    manager.receive("STOPPING=1");
    assert_eq!(daemon.wait_exit(), 75, "{}", daemon.log.text());
}

#[test]
fn without_the_barrier_the_descriptor_is_removed_again() {
    let manager = Manager::new();
    let daemon = manager.start(&[]);
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    daemon.signal(Signal::SIGUSR2);
    let _stored = manager.receive("FDSTORE=1");
    let _barrier = manager.receive("BARRIER=1");
    daemon
        .wait_for_line(0, "cannot hand the connections over: the service manager has not taken the messages within 1s");
    assert!(manager.receive("FDSTOREREMOVE=1\nFDNAME=hand-over").is_empty());
    assert_eq!(client.request(UPPERCASE, b"y"), b"Y");
}

/// Fault 52: the service manager takes every message, and has no place for the descriptor.
#[test]
fn a_manager_that_does_not_keep_the_descriptor_refuses() {
    let manager = Manager::new();
    let mut daemon = manager.start(&[]);
    let mut client = daemon.connect("frame");
    let request = frame(UPPERCASE, b"xy");
    client.send(&request[..5]);
    daemon.statistics_when(|statistics| statistics.bytes_in == 5);
    daemon.signal(Signal::SIGUSR2);
    drop(manager.receive("FDSTORE=1"));
    drop(manager.receive("BARRIER=1"));
    daemon.wait_for_line(0, "cannot hand the connections over: the service manager has not kept them (set");
    client.send(&request[5..]);
    assert_eq!(client.receive_frame(), b"XY");
    // as one that does
    daemon.signal(Signal::SIGUSR2);
    let _stored = manager.receive("FDSTORE=1");
    drop(manager.receive("BARRIER=1"));
    assert_eq!(daemon.wait_exit(), 75, "{}", daemon.log.text());
}

/// A stored socket with these messages, the last with a connection.
fn stored_messages(messages: &[&[u8]], connection: &OwnedFd) -> OwnedFd {
    let (sender, receiver) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).expect("a pair");
    let numbers = [connection.as_raw_fd()];
    for message in messages {
        let rights = [ControlMessage::ScmRights(&numbers)];
        let parts = [IoSlice::new(message)];
        sendmsg::<()>(sender.as_raw_fd(), &parts, &rights, MsgFlags::empty(), None).expect("send");
    }
    receiver
}

/// Fault 54: what the service manager has stored is no state, or one of another version.
#[test]
fn what_is_no_state_is_closed_and_the_start_is_clean() {
    let table: [&[&[u8]]; 6] =
        [&[], &[b"state 999\n"], &[b"state 2\n"], &[b"listeners"], &[b"\xff\xff"], &[b"state 2\n", b"connections"]];
    for messages in table {
        let (client, server) = connection();
        let server = OwnedFd::from(server);
        let stored = stored_messages(messages, &server);
        drop(server);
        let builder = DaemonBuilder::new(&["--hand-over", LISTEN]).with_sockets("hand-over", vec![stored]);
        let mut daemon = builder.start();
        if !messages.is_empty() {
            // its only descriptor was in the socket
            let mut client = Client::from_stream(client);
            client.wait_closed();
        }
        assert_eq!(daemon.connect("frame").request(UPPERCASE, b"x"), b"X");
        daemon.wait_for_notice(0, "FDSTOREREMOVE=1\nFDNAME=hand-over\n");
        daemon.wait_for_line(0, "what a predecessor has handed over cannot be used: ");
        assert_eq!(daemon.log.len(), 1, "{}", daemon.log.text());
        let statistics = daemon.statistics_at_rest();
        assert_eq!(statistics.accepted, 1, "{statistics:?}");
        assert_eq!(daemon.stop(), 0);
    }
}

/// All socket units were disabled before the restart.
#[test]
fn connections_are_served_without_a_listener() {
    let (socket, address) = listener();
    let mut daemon = DaemonBuilder::new(&["--hand-over"]).with_sockets("frame", vec![socket.into()]).start();
    let mut client = Client::connect(address);
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    let stored = stored_by(&mut daemon);
    drop(daemon);
    let mut successor = DaemonBuilder::new(&["-v", "--hand-over"]).with_sockets("hand-over", vec![stored]).start();
    assert_eq!(successor.taken_over(0), 1);
    successor.wait_for_line(0, "there is no listener");
    assert_eq!(client.request(UPPERCASE, b"y"), b"Y");
    // which may be handed over again
    let stored = stored_by(&mut successor);
    let mut last = DaemonBuilder::new(&["-v"]).with_sockets("hand-over", vec![stored]).start();
    assert_eq!(client.request(UPPERCASE, b"z"), b"Z");
    drop(client);
    assert_eq!(last.wait_exit(), 0);
    last.wait_for_line(0, "stopping: the last connection has ended, and there is no listener");
}

/// What an upgrade from a daemon that hands over to one of this version without the option does.
#[test]
fn a_successor_without_the_option_takes_over_too() {
    let mut daemon = DaemonBuilder::new(&["--hand-over", LISTEN]).start();
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    let stored = stored_by(&mut daemon);
    let successor = DaemonBuilder::new(&[LISTEN]).with_sockets("hand-over", vec![stored]).start();
    assert_eq!(successor.taken_over(0), 1);
    assert_eq!(client.request(UPPERCASE, b"y"), b"Y");
}
