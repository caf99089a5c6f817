//! Listeners for metrics and agent: addresses, systemd, and what they change about the daemon.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use super::{Reply, daemon, get};
use crate::harness::{DEADLINE, DaemonBuilder, Directory, connection, listener, wait_until};

#[test]
fn services_beside_the_workers_are_listed_as_such() {
    let finished = DaemonBuilder::new(&["--list"]).finish();
    let line = |name: &str| finished.output.as_str().lines().find(|line| line.starts_with(name)).map(str::to_string);
    let metrics = line("metrics").expect("metrics");
    assert!(metrics.contains(" 9383 ") && metrics.ends_with("(no protocol for clients)"), "{metrics}");
    assert!(line("agent").is_some_and(|line| line.contains("haproxy")));
}

#[test]
fn a_port_means_the_loopback_interface() {
    let daemon = DaemonBuilder::new(&["-v", "--listen=echo=127.0.0.1:0 metrics=0"]).start();
    assert!(daemon.address("metrics").ip().is_loopback());
    daemon.wait_for_line(0, "listening on metrics=127.0.0.1:");
    assert_eq!(get(&daemon, "/readyz").status, 200);
    let finished = DaemonBuilder::new(&["--check", "--listen=echo=7 metrics agent=0.0.0.0:9384"]).finish();
    let listeners = "# Listeners: echo=7, metrics=127.0.0.1:9383, agent=0.0.0.0:9384\n";
    assert!(finished.output.contains(listeners), "{}", finished.output);
}

#[test]
fn metrics_may_have_a_unix_socket() {
    let directory = Directory::new();
    let path = directory.path("metrics");
    let listen = format!("--listen=echo=127.0.0.1:0 metrics=unix:{},mode=0600", path.display());
    let mut daemon = DaemonBuilder::new(&[&listen]).start();
    assert_eq!(path.metadata().expect("the socket").permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&path).expect("connect");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").expect("send");
    assert_eq!(Reply::read(stream).content, "ready\n");
    assert_eq!(daemon.stop(), 0);
    assert!(!path.exists(), "it is removed at the end");
}

#[test]
fn two_services_cannot_have_one_address() {
    let finished = DaemonBuilder::new(&["--listen=metrics=9383 agent=127.0.0.1:9383"]).finish();
    finished.assert_failed(78, "port 9383 is given twice");
    let (_listener, address) = listener();
    let finished = DaemonBuilder::new(&[&format!("--listen=echo=127.0.0.1:0 metrics={address}")]).finish();
    finished.assert_failed(71, "another process listens there");
}

#[test]
fn systemd_may_pass_the_socket() {
    for name in ["metrics", "retortd-metrics.socket"] {
        let sockets = vec![listener().0.into(), listener().0.into()];
        let mut daemon = DaemonBuilder::new(&["-v"]).with_sockets(&format!("echo:{name}"), sockets).start();
        assert_eq!(daemon.exchange("echo", b"hello"), b"hello");
        assert_eq!(get(&daemon, "/livez").content, "alive\n");
        daemon.reload();
        assert_eq!(get(&daemon, "/livez").content, "alive\n");
        assert_eq!(daemon.stop(), 0);
    }
}

#[test]
fn a_connection_from_systemd_is_for_protocols() {
    let (_client, connection) = connection();
    for mode in [&[][..], &["--check"]] {
        let connection = connection.try_clone().expect("a copy").into();
        let finished = DaemonBuilder::new(mode).with_sockets("metrics", vec![connection]).finish();
        finished.assert_failed(78, "cannot serve metrics on a connection: it needs the socket that listens");
    }
}

#[test]
fn a_daemon_without_a_protocol_says_so() {
    let daemon = DaemonBuilder::new(&["--listen=metrics=0"]).start();
    daemon.wait_for_line(0, "no protocol is served");
    assert_eq!(get(&daemon, "/readyz").status, 200);
}

/// The heartbeats of the watchdog are the events by which the test sees time pass. The settings of the package set
/// --exit-idle, so it is no warning that it has no effect.
#[test]
fn a_daemon_with_metrics_does_not_exit_when_it_is_idle() {
    let watched = |listen: &str, level: &str| {
        let builder = DaemonBuilder::new(&["--exit-idle=20ms", listen]).env("RETORTD_VERBOSE", level);
        builder.env("WATCHDOG_USEC", "80000").spawn()
    };
    let daemon = watched("--listen=echo=127.0.0.1:0 metrics=0", "0");
    let mut at = 0;
    for _ in 0..20 {
        (at, _) = daemon.wait_for_notice(at, "WATCHDOG=1");
    }
    assert!(!daemon.has_exited());
    assert_eq!(daemon.lines_with("--exit-idle"), 0);
    let verbose = watched("--listen=echo=127.0.0.1:0 metrics=0", "1");
    verbose.wait_for_line(0, "--exit-idle has no effect while there is a listener for metrics or agent");
    let mut other = watched("--listen=echo=127.0.0.1:0", "0");
    assert_eq!(other.wait_exit(), 0);
}

#[test]
fn reloads_keep_the_listeners() {
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_IDLE_TIMEOUT=5s\n");
    let daemon = daemon(&["echo"], &["-v", "--settings", &file]);
    let before = daemon.descriptors();
    directory.write("settings", "RETORTD_IDLE_TIMEOUT=7s\nRETORTD_ALLOW=192.0.2.1\n");
    daemon.reload();
    assert_eq!(get(&daemon, "/readyz").status, 200, "--allow is about clients");
    wait_until("nothing is left open", || daemon.descriptors() == before);
}
