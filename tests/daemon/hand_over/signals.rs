//! Signals while a hand-over is in progress.

use super::serving;
use crate::harness::action::{REVERSE, SHUFFLE, UPPERCASE};
use crate::harness::{Daemon, Directory, frame, length_prefixed};
use nix::sys::signal::Signal;

/// A daemon with a service manager, at which its stop is the first half of a restart.
fn with_manager(arguments: &[&str]) -> Daemon {
    Daemon::serving("frame", &[&["-v", "--hand-over", "--workers=1"], arguments].concat())
}

/// Fault 53: SIGTERM follows at once, as that of `systemctl restart` does.
#[test]
fn sigterm_after_sigusr2_does_not_end_the_hand_over() {
    let mut daemon = with_manager(&[]);
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    daemon.signal_at_once(&[Signal::SIGUSR2, Signal::SIGTERM]);
    assert_eq!(daemon.wait_exit(), 75, "{}", daemon.log.text());
    daemon.wait_for_line(0, "the hand-over goes on");
    assert_eq!(daemon.stored.len(), 1);
}

#[test]
fn a_refused_hand_over_after_sigterm_is_a_drain() {
    let directory = Directory::new();
    let file = directory.write("settings", "");
    let mut daemon = with_manager(&["--settings", &file]);
    let request = frame(REVERSE, b"in progress");
    let mut client = daemon.connect("frame");
    client.send(&request[..7]);
    daemon.statistics_when(|statistics| statistics.bytes_in == 7);
    directory.write("settings", "RETORTD_SEED=some\n");
    daemon.signal_at_once(&[Signal::SIGUSR2, Signal::SIGTERM]);
    daemon.wait_for_line(0, "stopping as without a hand-over");
    daemon.wait_for_notice(0, "STOPPING=1");
    client.send(&request[7..]);
    assert_eq!(client.receive_all(), length_prefixed(b"ssergorp ni"));
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.stored.len(), 0);
}

/// A client of a daemon that processes its request for seconds, while a hand-over waits for that.
fn within_the_preparation(daemon: &Daemon) -> crate::harness::Client {
    let mut client = daemon.connect("frame");
    client.send(&frame(SHUFFLE, &vec![b'x'; 32 << 20]));
    daemon.statistics_when(|statistics| statistics.requests == 1);
    daemon.signal(Signal::SIGUSR2);
    daemon.wait_for_line(0, "handing over: waiting at most 1m (--hand-over-timeout) for");
    client
}

#[test]
fn the_daemon_serves_while_it_waits_for_a_request() {
    let mut daemon = with_manager(&["--hand-over-timeout=1m"]);
    let _busy = within_the_preparation(&daemon);
    assert_eq!(daemon.connect("frame").request(UPPERCASE, b"x"), b"X");
    daemon.reload();
    daemon.signal(Signal::SIGUSR2);
    assert_eq!(daemon.wait_exit(), 75, "{}", daemon.log.text());
    daemon.wait_for_line(0, "handed over 1 connection;");
}

/// Fault 53: SIGTERM twice.
#[test]
fn a_second_sigterm_ends_the_hand_over() {
    let mut daemon = with_manager(&["--hand-over-timeout=1m"]);
    let mut busy = within_the_preparation(&daemon);
    let thread = daemon.freeze_at_work("offload");
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_line(0, "the hand-over goes on");
    daemon.stop_now();
    daemon.wait_for_line(0, "stopping at once");
    drop(thread);
    busy.wait_closed();
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.stored.len(), 0);
}

#[test]
fn sigterm_ends_a_hand_over_that_no_manager_completes() {
    let mut daemon = serving("frame", &[]);
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    daemon.signal_at_once(&[Signal::SIGUSR2, Signal::SIGTERM]);
    assert_eq!(daemon.wait_exit(), 0, "{}", daemon.log.text());
    assert_eq!(daemon.lines_with("took over"), 0);
    assert_eq!(client.receive_all(), b"");
}

#[test]
fn sigterm_right_after_a_hand_over_stops_the_successor() {
    for _ in 0..5 {
        let mut daemon = serving("frame", &[]);
        let client = daemon.connect("frame");
        daemon.hand_over();
        assert_eq!(daemon.stop(), 0);
        drop(client);
    }
}

#[test]
fn sigusr2_during_a_stop_is_ignored() {
    let mut daemon = serving("frame", &["--drain-delay=30s"]);
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_line(0, "(--drain-delay)");
    daemon.signal(Signal::SIGUSR2);
    daemon.wait_for_line(0, "SIGUSR2 ignored: the daemon is stopping");
    daemon.stop_now();
    assert_eq!(daemon.wait_exit(), 0);
}
