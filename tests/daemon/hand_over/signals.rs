//! Signals while a hand-over is in progress.

use std::thread;
use std::time::Duration;

use super::{ProgramCopy, serving};
use crate::harness::action::{REVERSE, SHUFFLE, UPPERCASE};
use crate::harness::{Daemon, DaemonBuilder, Directory, frame, length_prefixed};
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

#[test]
fn the_daemon_serves_while_it_waits_for_a_request() {
    let mut daemon = with_manager(&["--hand-over-timeout=1m"]);
    let mut busy = daemon.connect("frame");
    busy.send(&frame(SHUFFLE, &vec![b'x'; 64 << 20]));
    let Some(thread) = daemon.freeze_at_work() else { return };
    daemon.signal(Signal::SIGUSR2);
    daemon.wait_for_line(
        0,
        "handing over: waiting at most 1m (--hand-over-timeout) for requests that are being processed",
    );
    assert_eq!(daemon.connect("frame").request(UPPERCASE, b"x"), b"X");
    daemon.reload();
    daemon.signal(Signal::SIGUSR2);
    daemon.wait_for_line(0, "SIGUSR2 ignored: a hand-over is in progress");
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_line(0, "the hand-over goes on");
    daemon.stop_now();
    daemon.wait_for_line(0, "another SIGTERM or SIGINT during a hand-over: stopping at once");
    // which it waits for
    drop(thread);
    assert_eq!(daemon.wait_exit(), 0, "{}", daemon.log.text());
    busy.wait_closed();
}

/// Fault 53: SIGTERM twice.
#[test]
fn a_second_sigterm_ends_the_hand_over() {
    let directory = Directory::new();
    let program = ProgramCopy::in_directory(&directory);
    let builder = DaemonBuilder::new(&["-v", "--hand-over", "--listen=frame=127.0.0.1:0"]);
    let mut daemon = program.run(builder).start();
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    // a check that does not end
    program.replace_by("exec sleep 1000");
    daemon.signal(Signal::SIGUSR2);
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_line(0, "the hand-over goes on");
    daemon.stop_now();
    daemon.wait_for_line(0, "another SIGTERM or SIGINT during a hand-over: stopping at once");
    assert_eq!(client.wait_closed(), b"");
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

/// Whether the old program handles it, or the new one, which gets what came in between.
#[test]
fn sigterm_at_any_moment_stops_a_daemon_without_manager() {
    for step in 0..30 {
        let mut daemon = serving("frame", &[]);
        let mut client = daemon.connect("frame");
        assert_eq!(client.request(UPPERCASE, b"x"), b"X");
        daemon.signal(Signal::SIGUSR2);
        // no event marks these moments
        thread::sleep(step * Duration::from_micros(700));
        daemon.signal(Signal::SIGTERM);
        assert_eq!(client.wait_closed(), b"");
        drop(client);
        assert_eq!(daemon.wait_exit(), 0, "{}", daemon.log.text());
    }
}

#[test]
fn sigterm_at_any_moment_changes_no_hand_over_to_a_manager() {
    for step in 0..30 {
        let mut daemon = with_manager(&[]);
        daemon.signal(Signal::SIGUSR2);
        // no event marks these moments
        thread::sleep(step * Duration::from_micros(700));
        // it may have exited, and not been waited for
        let _ = nix::sys::signal::kill(daemon.pid, Signal::SIGTERM);
        assert_eq!(daemon.wait_exit(), 75, "{}", daemon.log.text());
        daemon.notices.wait_closed();
        assert_eq!(daemon.stored.len(), 1);
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
