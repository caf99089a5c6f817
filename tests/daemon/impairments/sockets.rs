//! Impairments of other sockets than those that the daemon bound for TCP, and behind a balancer.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use super::{acted, receive_until_reset};
use crate::harness::action::UPPERCASE;
use crate::harness::{DEADLINE, DaemonBuilder, Directory, frame, length_prefixed, listener};
use crate::headers::{TCP4, TCP4_BINARY};

#[test]
fn a_unix_socket_delays_slices_and_cuts() {
    let directory = Directory::new();
    let path = directory.path("socket");
    let options = "latency=20ms,slice=3,cut-after=10";
    let listen = format!("--listen=frame=unix:{},{options}", path.display());
    let daemon = DaemonBuilder::new(&["-v", &listen]).start();
    let mut client = UnixStream::connect(&path).expect("connect");
    client.set_read_timeout(Some(DEADLINE)).expect("SO_RCVTIMEO");
    client.write_all(&frame(UPPERCASE, b"abc").repeat(3)).expect("send");
    client.shutdown(Shutdown::Write).expect("shutdown");
    let mut received = Vec::new();
    client.read_to_end(&mut received).expect("no reset");
    assert_eq!(received, length_prefixed(b"ABC").repeat(2)[..10]);
    let statistics = daemon.statistics_at_rest();
    assert_eq!(acted(&statistics), [("cut", 1), ("latency", 1), ("slice", 1)]);
    assert_eq!(statistics.closed_for("impaired"), 1);
}

/// A Unix socket cannot send a reset of its own: the client sees the end.
#[test]
fn a_unix_socket_is_closed_in_place_of_a_reset() {
    let directory = Directory::new();
    let path = directory.path("socket");
    let listen = format!("--listen=echo=unix:{},reset-after=2", path.display());
    let daemon = DaemonBuilder::new(&["-v", &listen]).start();
    let mut client = UnixStream::connect(&path).expect("connect");
    client.set_read_timeout(Some(DEADLINE)).expect("SO_RCVTIMEO");
    client.write_all(b"abc").expect("send");
    let mut received = Vec::new();
    // ECONNRESET if input was left, the end otherwise (unix(7))
    let _ = client.read_to_end(&mut received);
    assert_eq!(received, b"ab");
    let statistics = daemon.statistics_at_rest();
    assert_eq!((acted(&statistics), statistics.closed_for("impaired")), (vec![("reset", 1)], 1));
}

#[test]
fn connections_behind_a_balancer_are_impaired() {
    let daemon = DaemonBuilder::new(&["-v", "--listen=frame=127.0.0.1:0,proxy,latency=10ms,reset-after=10"]).start();
    for header in [TCP4, TCP4_BINARY] {
        let mut client = daemon.connect("frame");
        client.send(header);
        client.send(&frame(UPPERCASE, b"abc").repeat(3));
        assert_eq!(receive_until_reset(&mut client), length_prefixed(b"ABC").repeat(2)[..10]);
    }
    let statistics = daemon.statistics_at_rest();
    assert_eq!((acted(&statistics), statistics.closed_for("impaired")), (vec![("latency", 2), ("reset", 2)], 2));
}

#[test]
fn a_socket_from_systemd_is_impaired_by_the_options_of_listeners() {
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_LISTENER_OPTIONS=echo,cut-after=2\n");
    let builder = DaemonBuilder::new(&["-v", "--settings", &file]);
    let daemon = builder.with_sockets("echo", vec![listener().0.into()]).start();
    let mut client = daemon.connect("echo");
    client.send(b"abc");
    assert_eq!(client.receive_all(), b"ab");
    drop(client);
    assert_eq!(daemon.statistics_at_rest().closed_for("impaired"), 1);
    directory.write("settings", "");
    daemon.reload();
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
}
