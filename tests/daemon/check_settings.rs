//! `retortd --check`: the settings in force, and the errors of a start without a start.

use std::collections::BTreeSet;

use crate::harness::{DaemonBuilder, Directory, Finished, available, connection, listener};
use retortd::daemon::config::args::command;

fn check(arguments: &[&str]) -> DaemonBuilder {
    DaemonBuilder::new(&[&["--check"], arguments].concat())
}

/// The lines of the output that are settings.
fn settings(finished: &Finished) -> Vec<&str> {
    assert_eq!((finished.code, finished.log.as_str()), (0, ""), "{}", finished.output);
    finished.output.lines().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn check_prints_settings_as_a_settings_file() {
    let directory = Directory::new();
    let quotes = directory.write("my quotes", "a\n");
    let text = format!("RETORTD_WORKERS=3\nRETORTD_MAX_LINE=1K\nRETORTD_QUOTES='{quotes}'\n");
    let file = directory.write("settings", text);
    let arguments = ["--settings", &file, "--idle-timeout=5m", "-vv", "--listen=echo=127.0.0.1:7007 time=[::1]:37"];
    let launch = || check(&arguments).env("RETORTD_MAX_LINE", "2K").env("RETORTD_LISTEN", "ack=1");
    let finished = launch().finish();
    let mut expected = [
        "RETORTD_LISTEN=\"echo=127.0.0.1:7007 time=[::1]:37\"",
        "RETORTD_WORKERS=3",
        "RETORTD_MAX_LINE=2K",
        &format!("RETORTD_QUOTES=\"{quotes}\""),
        "RETORTD_IDLE_TIMEOUT=5m",
        "RETORTD_VERBOSE=2",
    ];
    expected.sort_unstable();
    let mut listed = settings(&finished);
    listed.sort_unstable();
    assert_eq!(listed, expected);
    for line in ["# Listeners: echo=127.0.0.1:7007, time=[::1]:37", "#RETORTD_WRITE_TIMEOUT=30s", "#RETORTD_SEED="] {
        assert!(finished.output.lines().any(|printed| printed == line), "{line}: {}", finished.output);
    }
    assert!(finished.output.contains(&format!("# Settings file: RETORTD_SETTINGS={file}\n")), "{}", finished.output);
    let copy = directory.write("copy", &finished.output);
    assert_eq!(settings(&check(&["--settings", &copy]).finish()), settings(&finished));
}

/// Every setting is printed once; a default that the system decides has its value.
#[test]
fn check_prints_every_setting() {
    let finished = check(&[]).finish();
    assert_eq!(settings(&finished), [""; 0]);
    let printed: Vec<&str> =
        finished.output.lines().filter_map(|line| Some(line.strip_prefix('#')?.split_once('=')?.0)).collect();
    let command = command();
    let variables = command.get_arguments().filter_map(|option| option.get_env()?.to_str());
    let listed: BTreeSet<&str> = printed.iter().copied().filter(|name| name.starts_with("RETORTD_")).collect();
    assert_eq!(listed, variables.collect());
    assert_eq!(printed.iter().filter(|name| name.starts_with("RETORTD_")).count(), listed.len());
    assert!(finished.output.contains("# Listeners: frame=8083\n#RETORTD_PORT=8083\n"), "{}", finished.output);
    for name in ["WORKERS", "MAX_CONNECTIONS", "MAX_BUFFERED"] {
        let value = finished.output.split(&format!("#RETORTD_{name}=")).nth(1).and_then(|rest| rest.lines().next());
        assert!(value.is_some_and(|value| value.parse::<u64>().is_ok_and(|number| number > 0)), "{name}: {value:?}");
    }
}

/// Neither a port nor the service manager's socket is used.
#[test]
fn check_opens_no_socket() {
    let (_taken, address) = listener();
    let mut daemon = check(&["-v", &format!("--listen=frame={address}")]).spawn();
    assert_eq!(daemon.wait_exit(), 0);
    daemon.log.wait_closed();
    daemon.notices.wait_closed();
    assert_eq!((daemon.log.text().as_str(), daemon.notices.all()), ("", Vec::new()));
}

#[test]
fn check_serves_no_inherited_socket() {
    let (socket, address) = listener();
    let finished = check(&["--listen=time=1"]).with_sockets("echo", vec![socket.into()]).finish();
    assert_eq!(settings(&finished), ["RETORTD_LISTEN=time=1"]);
    assert!(finished.output.contains("# Listeners: echo (inherited), time=1\n"), "{}", finished.output);
    assert!(std::net::TcpStream::connect(address).is_err(), "it still listens");
    let finished = check(&[]).with_sockets("gopher", vec![listener().0.into()]).finish();
    assert_eq!((finished.code, finished.output.as_str()), (78, ""), "{}", finished.log);
    assert!(finished.log.contains("descriptor 3 (gopher): no protocol has that name"), "{}", finished.log);
}

/// The exit codes and messages are those of a start.
#[test]
fn check_reports_what_a_start_reports() {
    let directory = Directory::new();
    let settings = directory.write("settings", "RETORTD_WORKERS=none\n");
    let quotes = directory.write("quotes", "x".repeat(513));
    for (arguments, code) in [
        (&["--port=none"][..], 2),
        (&["--colour"], 2),
        (&["--settings", &settings], 78),
        (&["--settings=/nonexistent"], 78),
        (&["--quotes", &quotes], 78),
        (&["--max-connections=4000000000"], 78),
    ] {
        let (checked, started) = (check(arguments).finish(), DaemonBuilder::new(arguments).finish());
        assert_eq!((checked.code, checked.output.as_str()), (code, ""), "{arguments:?}: {}", checked.log);
        // the usage behind the first line names the options that are given
        let first = |finished: &Finished| (finished.code, finished.log.lines().next().map(String::from));
        assert_eq!(first(&checked), first(&started), "{arguments:?}");
    }
    let finished = check(&[]).env("RETORTD_PORT", "none").finish();
    assert_eq!((finished.code, finished.output.as_str()), (2, ""), "{}", finished.log);
}

#[test]
fn check_logs_warnings_to_stderr() {
    let directory = Directory::new();
    let file = directory.write("settings", "nonsense\nRETORTD_LOG=syslog\n");
    let finished = check(&["--settings", &file]).finish();
    assert_eq!(finished.code, 0);
    assert!(finished.log.contains(&format!("{file}:1: ignored: not NAME=VALUE")), "{}", finished.log);
    let finished = check(&["-v", "--settings=-/nonexistent/settings"]).finish();
    assert_eq!(finished.code, 0);
    assert!(finished.log.contains("there is no file /nonexistent/settings"), "{}", finished.log);
    if available("prlimit") {
        let limited = check(&["--max-buffered=none"]).under(&["prlimit", "--as=512000000"]).finish();
        assert_eq!(limited.code, 0, "{}", limited.log);
        assert!(limited.log.contains("--max-buffered=none is above RLIMIT_AS"), "{}", limited.log);
    }
}

#[test]
fn broadcast_address_of_an_interface_is_rejected() {
    let arguments = &["--listen=frame=127.255.255.255:8083"];
    let words = "cannot listen on 127.255.255.255:8083: '127.255.255.255' is a broadcast address, on which TCP cannot be \
                 served: write the address of an interface";
    for finished in [check(arguments).finish(), DaemonBuilder::new(arguments).finish()] {
        assert_eq!((finished.code, finished.output.as_str()), (78, ""), "{}", finished.log);
        assert!(finished.log.contains(words), "{}", finished.log);
    }
}

#[test]
fn check_reports_listener_that_a_passed_socket_excludes() {
    let (socket, address) = listener();
    let arguments = &[&*format!("--listen=frame=127.0.0.1:{}", address.port())];
    let socket = || socket.try_clone().expect("a copy").into();
    let started = DaemonBuilder::new(arguments).with_sockets("echo", vec![socket()]).finish();
    let checked = check(arguments).with_sockets("echo", vec![socket()]).finish();
    for finished in [checked, started] {
        assert_eq!((finished.code, finished.output.as_str()), (78, ""), "{}", finished.log);
        let words = format!(
            "cannot listen on {address}: Address already in use (os error 98): systemd passes echo={address}, too (remove"
        );
        assert!(finished.log.contains(&words), "{}", finished.log);
    }
    let other = check(&["--listen=frame=127.0.0.2:1"]).with_sockets("echo", vec![socket()]).finish();
    assert_eq!(other.code, 0, "{}", other.log);
}

/// The settings go to standard output, which is the connection here.
#[test]
fn check_shows_socket_on_standard_input() {
    let (client, server) = connection();
    let finished = check(&[]).on_standard_socket(server.into()).finish();
    assert_eq!(finished.code, 0);
    let output = crate::harness::Client::from_stream(client).receive_all();
    let output = String::from_utf8_lossy(&output);
    assert!(output.contains("\n# Listeners: frame (inherited)\n"), "{output}");
}
