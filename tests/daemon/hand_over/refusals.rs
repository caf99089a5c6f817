//! Hand-overs that are refused: the daemon goes on serving.

use super::{ProgramCopy, without_manager};
use crate::harness::action::{SHUFFLE, UPPERCASE};
use crate::harness::{Client, Daemon, DaemonBuilder, Directory, frame};
use nix::sys::signal::Signal;

/// Sends SIGUSR2, and waits for this line of the log; the connection is served before and afterwards.
fn assert_refused(daemon: &Daemon, client: &mut Client, words: &str) {
    let before = daemon.log.len();
    daemon.signal(Signal::SIGUSR2);
    daemon.wait_for_line(before, words);
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    assert_eq!(daemon.connect("frame").request(UPPERCASE, b"y"), b"Y");
}

#[test]
fn sigusr2_without_the_option_is_ignored_with_a_warning() {
    let daemon = Daemon::serving("frame", &[]);
    let mut client = daemon.connect("frame");
    assert_refused(&daemon, &mut client, "SIGUSR2 ignored: --hand-over is not set");
    assert_eq!(daemon.log.len(), 1, "{}", daemon.log.text());
}

/// Fault 52: the settings of the successor are wrong.
#[test]
fn wrong_settings_are_named() {
    let directory = Directory::new();
    let file = directory.write("settings", "");
    let daemon = super::serving("frame", &["--settings", &file]);
    let mut client = daemon.connect("frame");
    directory.write("settings", "RETORTD_WORKERS=some\n");
    let words = format!("cannot hand the connections over: the settings cannot be used: {file}:1: ");
    assert_refused(&daemon, &mut client, &words);
    directory.write("settings", "RETORTD_WORKERS=2\n");
    assert_eq!(daemon.hand_over(), 1);
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
}

/// The program is a copy, which an upgrade replaces by one that does not work.
/// Fault 52: the program cannot be executed.
#[test]
fn a_program_that_does_not_work_is_not_executed() {
    let directory = Directory::new();
    let program = ProgramCopy::in_directory(&directory);
    let builder = DaemonBuilder::new(&["-v", "--hand-over", "--listen=frame=127.0.0.1:0"]);
    let daemon = without_manager(program.run(builder), 1);
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    program.replace_by("echo 'error while loading shared libraries' >&2; exit 127");
    assert_refused(&daemon, &mut client, "the settings cannot be used: error while loading shared libraries");
    program.remove();
    assert_refused(&daemon, &mut client, "cannot execute ");
    program.restore();
    assert_eq!(daemon.hand_over(), 1);
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
}

/// What is processed for longer than the hand-over waits is the only thing that is lost.
#[test]
fn a_request_that_is_processed_too_long_is_left_behind() {
    let daemon = super::serving("frame", &["--hand-over-timeout=1ms", "--workers=1"]);
    let mut quiet = daemon.connect("frame");
    assert_eq!(quiet.request(UPPERCASE, b"x"), b"X");
    let mut busy = daemon.connect("frame");
    busy.send(&frame(SHUFFLE, &vec![b'x'; 64 << 20]));
    let Some(thread) = daemon.freeze_at_work() else { return };
    let before = daemon.log.len();
    daemon.signal(Signal::SIGUSR2);
    daemon.wait_for_line(before, "handed over 1 connection, except 1 whose request is still being processed");
    drop(thread);
    assert_eq!(daemon.taken_over(before), 1);
    busy.wait_closed();
    assert_eq!(quiet.request(UPPERCASE, b"y"), b"Y");
    let statistics = daemon.statistics_when(|statistics| statistics.requests == 3);
    assert_eq!((statistics.open, statistics.closed_for("handover-failed")), (1, 1), "{statistics:?}");
    assert_eq!(statistics.abandoned_by["handover-failed"], 1, "{statistics:?}");
}
