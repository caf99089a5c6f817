//! The options of impaired listeners: warnings, status, reload, sockets from systemd, errors.

use crate::harness::{DaemonBuilder, Directory, listener};

#[test]
fn impaired_listeners_are_warned_about_and_named_in_the_status() {
    let listeners = ["--listen=frame=127.0.0.1:0", "--listen=echo=127.0.0.1:0,jitter=20ms,latency=100ms,latency=60ms"];
    let daemon = DaemonBuilder::new(&listeners).start();
    let name = format!("echo={}", daemon.address("echo"));
    daemon.wait_for_line(0, &format!("{name} is impaired: latency=60ms,jitter=20ms"));
    let (_, ready) = daemon.wait_for_notice(0, "READY=1");
    assert!(ready.contains(&format!("; impaired: {name}\n")), "{ready}");
    assert_eq!(daemon.lines_with("is impaired"), 1, "{}", daemon.log.text());
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
}

#[test]
fn reload_changes_impairments_and_says_so() {
    let directory = Directory::new();
    let write = |options: &str| directory.write("settings", format!("RETORTD_LISTEN=echo=127.0.0.1:0{options}\n"));
    let daemon = DaemonBuilder::new(&["--settings", &write("")]).start();
    let name = format!("echo={}", daemon.address("echo"));
    for (options, line, received) in [
        (",cut-after=2", format!("{name} is impaired: cut-after=2"), "ab"),
        (",cut-after=1", format!("{name} is impaired: cut-after=1"), "a"),
        ("", format!("{name} is not impaired any more"), "abc"),
    ] {
        write(options);
        let before = (daemon.log.len(), daemon.notices.len());
        daemon.reload();
        daemon.wait_for_line(before.0, &line);
        let (_, ready) = daemon.wait_for_notice(before.1, "READY=1");
        assert_eq!(ready.contains(&format!("; impaired: {name}")), !options.is_empty(), "{ready}");
        assert_eq!(daemon.exchange("echo", b"abc"), received.as_bytes(), "{options}");
        let before = daemon.log.len();
        daemon.reload();
        assert!(!daemon.log.all()[before..].iter().any(|line| line.contains("impaired")), "{}", daemon.log.text());
    }
}

#[test]
fn sockets_from_systemd_are_impaired_by_the_setting_for_them() {
    let options = "retortd-echo.socket,cut-after=2 echo,probability=1,slice=1";
    let launch = DaemonBuilder::new(&[]).with_sockets("retortd-echo.socket", vec![listener().0.into()]);
    let daemon = launch.env("RETORTD_LISTENER_OPTIONS", options).start();
    daemon.wait_for_line(0, &format!("echo={} is impaired: slice=1,cut-after=2", daemon.address("echo")));
    assert_eq!(daemon.exchange("echo", b"abc"), b"ab");
    // each entry can be used by itself, and both together cannot
    let options = "retortd-echo.socket,cut-after=2 echo,reset-after=1";
    let launch = DaemonBuilder::new(&[]).with_sockets("retortd-echo.socket", vec![listener().0.into()]);
    let words = "echo (inherited) has the options cut-after and reset-after: a listener can have one of stall-after, ";
    launch.env("RETORTD_LISTENER_OPTIONS", options).finish().assert_failed(78, words);
}

#[test]
fn check_accepts_impairments_and_warns() {
    let listen = "frame=8084,latency=100ms";
    let finished = DaemonBuilder::new(&["--check", "--listen", listen, "--max-delayed=64K"]).finish();
    assert_eq!(finished.code, 0, "{}", finished.log);
    assert!(finished.log.ends_with("frame=8084 is impaired: latency=100ms\n"), "{}", finished.log);
    for line in [format!("RETORTD_LISTEN={listen}"), "RETORTD_MAX_DELAYED=64K".into()] {
        assert!(finished.output.lines().any(|printed| printed == line), "{line}: {}", finished.output);
    }
    let copy = Directory::new();
    let copy = copy.write("settings", &finished.output);
    assert_eq!(DaemonBuilder::new(&["--check", "--settings", &copy]).finish().code, 0);
}

#[test]
fn services_beside_the_workers_cannot_be_impaired() {
    let finished = DaemonBuilder::new(&["--listen=metrics=127.0.0.1:0,latency=1s"]).finish();
    assert_eq!(finished.code, 2, "{}", finished.log);
    assert!(
        finished.log.contains("metrics has no option 'latency': it is served beside the workers"),
        "{}",
        finished.log
    );
}
