//! The settings of the successor: its limits, listeners and workers.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;

use super::without_manager;
use crate::harness::action::UPPERCASE;
use crate::harness::{Client, Daemon, DaemonBuilder, Directory, wait_until};

/// A daemon with a settings file of this text, and this number of listeners.
fn with_file(directory: &Directory, text: &str, listeners: usize) -> Daemon {
    let file = directory.write("settings", text);
    without_manager(DaemonBuilder::new(&["-v", "--hand-over", "--settings", &file]), listeners)
}

fn workers(daemon: &Daemon) -> usize {
    daemon.tasks().iter().filter(|task| task.name.starts_with("worker-")).count()
}

#[test]
fn settings_that_need_a_restart_apply() {
    let directory = Directory::new();
    let listen = "RETORTD_LISTEN=frame=127.0.0.1:0\n";
    let daemon = with_file(&directory, &format!("{listen}RETORTD_WORKERS=1\n"), 1);
    let mut client = daemon.connect("frame");
    wait_until("one worker", || workers(&daemon) == 1);
    directory.write("settings", format!("{listen}RETORTD_WORKERS=3\n"));
    assert_eq!(daemon.hand_over(), 1);
    // a thread gets its name after its start
    wait_until("three workers", || workers(&daemon) == 3);
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    assert_eq!(daemon.connect("frame").request(UPPERCASE, b"new"), b"NEW");
}

#[test]
fn a_listener_is_added() {
    let directory = Directory::new();
    let mut daemon = with_file(&directory, "RETORTD_LISTEN=frame=127.0.0.1:0\n", 1);
    let mut client = daemon.connect("frame");
    directory.write("settings", "RETORTD_LISTEN=\"frame=127.0.0.1:0 echo=127.0.0.1:0\"\n");
    let before = daemon.address("frame");
    daemon.hand_over();
    daemon.wait_listening(3);
    let frame = daemon.listening().iter().filter(|(name, _)| name == "frame").map(|(_, address)| *address);
    assert_eq!(frame.collect::<Vec<_>>(), [before; 2], "the port stays");
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
}

#[test]
fn the_connections_of_a_removed_listener_are_served() {
    let directory = Directory::new();
    let daemon = with_file(&directory, "RETORTD_LISTEN=\"frame=127.0.0.1:0 echo=127.0.0.1:0\"\n", 2);
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"before"), b"BEFORE");
    directory.write("settings", "RETORTD_LISTEN=echo=127.0.0.1:0\n");
    assert_eq!(daemon.hand_over(), 1);
    assert_eq!(client.request(UPPERCASE, b"after"), b"AFTER");
    let refused = std::net::TcpStream::connect(daemon.address("frame")).expect_err("nobody listens there");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
}

#[test]
fn the_files_of_a_removed_unix_socket_are_removed() {
    let directory = Directory::new();
    let listen = |name: &str| format!("RETORTD_LISTEN=echo=unix:{}\n", directory.path(name).display());
    let mut daemon = with_file(&directory, &listen("old"), 1);
    let mut client = UnixStream::connect(directory.path("old")).expect("connect");
    directory.write("settings", listen("new"));
    assert_eq!(daemon.hand_over(), 1);
    let has = |name: &str| directory.path(name).exists();
    assert_eq!(["old", "old.lock", "new", "new.lock"].map(has), [false, false, true, true]);
    client.write_all(b"abc").expect("send");
    let mut reply = [0; 3];
    client.read_exact(&mut reply).expect("a reply");
    assert_eq!(&reply, b"abc");
    drop(client);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(directory.names(), ["settings"]);
}

#[test]
fn a_listener_that_cannot_be_opened_ends_no_connection() {
    let directory = Directory::new();
    let mut daemon = with_file(&directory, "RETORTD_LISTEN=frame=127.0.0.1:0\n", 1);
    let others = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("bind"));
    let [one, other] = others.each_ref().map(|other| other.local_addr().expect("an address"));
    directory.write("settings", format!("RETORTD_LISTEN=\"echo={one} metrics={other} frame=127.0.0.1:0\"\n"));
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    let before = daemon.log.len();
    assert_eq!(daemon.hand_over(), 1);
    daemon.wait_for_line(before, &format!("cannot listen on {one}: "));
    daemon.wait_for_line(before, &format!("cannot listen on {other}: "));
    assert_eq!(client.request(UPPERCASE, b"y"), b"Y");
    assert_eq!(daemon.connect("frame").request(UPPERCASE, b"new"), b"NEW");
    directory.write("settings", "RETORTD_LISTEN=\"echo=127.0.0.1:0 frame=127.0.0.1:0\"\n");
    assert_eq!(daemon.hand_over(), 1);
    daemon.wait_listening(4);
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
}

#[test]
fn a_successor_without_connections_fails_as_any_start() {
    let directory = Directory::new();
    let mut daemon = with_file(&directory, "RETORTD_LISTEN=frame=127.0.0.1:0\n", 1);
    let other = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = other.local_addr().expect("an address");
    directory.write("settings", format!("RETORTD_LISTEN=\"echo={address} frame=127.0.0.1:0\"\n"));
    daemon.signal(Signal::SIGUSR2);
    assert_eq!(daemon.wait_exit(), 71, "{}", daemon.log.text());
}

#[test]
fn more_connections_than_the_limit_of_the_successor_stay() {
    let directory = Directory::new();
    let listen = "RETORTD_LISTEN=frame=127.0.0.1:0\n";
    let daemon = with_file(&directory, listen, 1);
    let mut clients: Vec<Client> = (0..3).map(|_| daemon.connect("frame")).collect();
    daemon.statistics_when(|statistics| statistics.open == 3);
    directory.write("settings", format!("{listen}RETORTD_MAX_CONNECTIONS=1\n"));
    assert_eq!(daemon.hand_over(), 3);
    let mut waiting = daemon.connect("frame");
    for client in &mut clients {
        assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    }
    assert_eq!(daemon.statistics_when(|statistics| statistics.requests == 3).accepted, 3);
    drop(clients);
    assert_eq!(waiting.request(UPPERCASE, b"y"), b"Y");
}

#[test]
fn a_successor_that_needs_more_descriptors_closes_as_many_connections() {
    let directory = Directory::new();
    let listen = "RETORTD_LISTEN=frame=127.0.0.1:0\n";
    let file = directory.write("settings", format!("{listen}RETORTD_WORKERS=1\n"));
    let builder = DaemonBuilder::new(&["-v", "--hand-over", "--settings", &file]);
    let daemon = without_manager(builder.under(&["prlimit", "--nofile=100"]), 1);
    let clients: Vec<Client> = (0..59).map(|_| daemon.connect("frame")).collect();
    daemon.statistics_when(|statistics| statistics.open == 59);
    directory.write("settings", format!("{listen}RETORTD_WORKERS=16\n"));
    // of 100 the daemon reserves 32, two for each worker and one for its listener; with 16 workers none for pipes
    assert_eq!(daemon.hand_over(), 35);
    let statistics = daemon.statistics_when(|statistics| statistics.open == 35);
    assert_eq!((statistics.accepted, statistics.closed_for("handover-failed")), (59, 24));
    drop(clients);
    daemon.statistics_when(|statistics| statistics.open == 0);
}

#[test]
fn connections_from_a_source_count_as_before() {
    let daemon = super::serving("frame", &["--max-per-source=2"]);
    let mut clients: Vec<Client> = (0..2).map(|_| daemon.connect("frame")).collect();
    daemon.statistics_when(|statistics| statistics.open == 2);
    assert_eq!(daemon.hand_over(), 2);
    assert_eq!(daemon.connect("frame").wait_closed(), b"");
    daemon.statistics_when(|statistics| statistics.closed_for("source-limit") == 1);
    drop(clients.pop());
    daemon.statistics_when(|statistics| statistics.open == 1);
    assert_eq!(daemon.connect("frame").request(UPPERCASE, b"x"), b"X");
    assert_eq!(clients[0].request(UPPERCASE, b"y"), b"Y");
}
