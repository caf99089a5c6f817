//! `retort` and servers on Unix sockets.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use crate::buggy_servers::{self, Bug};
use crate::harness::{Daemon, Directory, run, stderr, stdout};
use serde_json::Value;

/// Listens on a Unix socket, and passes each connection on to `server`; returns the name of the socket for retort.
fn unix_front(path: &Path, server: SocketAddr) -> String {
    let listener = UnixListener::bind(path).expect("bind");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(server) else { return };
            pass_on(client, server);
        }
    });
    format!("unix:{}", path.display())
}

fn pass_on(client: UnixStream, server: TcpStream) {
    let (mut from_client, mut to_server) = (client.try_clone().expect("dup"), server.try_clone().expect("dup"));
    let (mut from_server, mut to_client) = (server, client);
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
}

#[test]
fn a_unix_socket_is_a_server_for_send_ping_and_bench() {
    let (daemon, directory) = (Daemon::serving("frame", &[]), Directory::new());
    let server = unix_front(&directory.path("socket"), daemon.address("frame"));
    let sent = run(&["send", &server, "reverse", "abc"]);
    assert_eq!((stdout(&sent), stderr(&sent), sent.status.code()), ("cba\n", "", Some(0)));
    for options in [&["-c2", "-i0"][..], &["-c2", "-i0", "--reconnect"]] {
        let output = run(&[&["ping", &server], options].concat());
        assert!(stdout(&output).starts_with(&format!("{server} (frame): connected in ")), "{output:?}");
        assert!(stdout(&output).contains("2 sent, 2 received, 0 lost"), "{output:?}");
    }
    for options in [&["-c4"][..], &["-c4", "--reconnect"]] {
        let output = run(&[&["bench", &server, "-n100", "--warm-up=0", "--json"], options].concat());
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
        assert_eq!((&report["requests"], output.status.code()), (&Value::from(100), Some(0)), "{report:#}");
        assert_eq!(report["target"], server.as_str());
    }
}

#[test]
fn a_correct_server_on_a_unix_socket_passes() {
    let directory = Directory::new();
    let server = unix_front(&directory.path("socket"), buggy_servers::start(Bug::None));
    let output = run(&["check", &server, "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!((&report["failed"], output.status.code()), (&Value::from(0), Some(0)), "{report:#}");
    let checks = report["checks"].as_array().expect("an array").iter();
    let skipped = checks.filter(|check| check["reason"] == "only TCP has resets").map(|check| &check["name"]);
    assert_eq!(skipped.collect::<Vec<_>>(), ["reset-in-request", "reset-at-once"]);
}

#[test]
fn servers_that_cannot_be_reached_are_explained() {
    let directory = Directory::new();
    let (stale, absent) = (directory.path("stale"), directory.path("absent"));
    drop(UnixListener::bind(&stale).expect("bind"));
    let name = |path: &Path| format!("unix:{}", path.display());
    let abstract_name = format!("unix:@retort-test-{}", std::process::id());
    for (server, words) in [
        (name(&stale), "Connection refused; no process listens there: is the server running?"),
        (name(&absent), "No such file or directory; is the server running, and is this its path or name?"),
        (abstract_name, "Connection refused; no process listens there: is the server running?"),
    ] {
        for command in [["ping", &server, "-c1"], ["bench", &server, "-n1"], ["check", &server, "-q"]] {
            let output = run(&command);
            let expected = format!("retort: cannot connect to {server}: {words}\n");
            assert_eq!((stderr(&output), output.status.code()), (expected.as_str(), Some(2)));
        }
    }
}

#[test]
fn a_server_without_room_in_its_queue_is_waited_for() {
    let directory = Directory::new();
    let path = directory.path("socket");
    let listener = UnixListener::bind(&path).expect("bind");
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).expect("a backlog")).expect("listen");
    let _queued = UnixStream::connect(&path).expect("connect");
    let output = run(&["ping", &format!("unix:{}", path.display()), "--connect-timeout=50ms"]);
    assert!(stderr(&output).contains("connection timed out; the server accepts no connections"), "{output:?}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn names_that_no_client_can_connect_to_are_usage_errors() {
    for (server, words) in
        [("vsock::7", "every CID"), ("unix:x", "not an absolute path"), ("vsock:2:x", "vsock:CID:PORT")]
    {
        let output = run(&["ping", server]);
        assert!(stderr(&output).contains(words), "{output:?}");
        assert_eq!(output.status.code(), Some(2));
    }
    let output = run(&["ping", "-6", "unix:@x"]);
    assert_eq!(stderr(&output), "retort: unix:@x has no IPv6 address: leave out -4 and -6\n");
}
