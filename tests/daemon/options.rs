//! Options, environment and settings file: their effects, and the messages about invalid ones.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use crate::harness::action::{UNKNOWN, UPPERCASE};
use crate::harness::{Client, DaemonBuilder, Directory, Finished, any_memory, available, has_ipv6, listener, skip};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

const LOCAL: &str = "--listen=frame=127.0.0.1:0";

fn finish(arguments: &[&str]) -> Finished {
    DaemonBuilder::new(arguments).finish()
}

fn assert_rejected(option: &str, value: &str) {
    let finished = finish(&[&format!("{option}={value}")]);
    assert_eq!(finished.code, 2, "{option}={value}: {}", finished.log);
    assert!(finished.log.contains(option), "{option}={value}: {}", finished.log);
    assert_eq!(finished.output, "", "{option}={value}");
}

#[test]
fn invalid_option_value_exits_2_and_names_option() {
    let table: &[(&str, &[&str])] = &[
        ("--port", &["", "65536", "8083.5", "8k"]),
        ("--listen", &["", "frame=", "frame=65536", "frame=1.2.3.4", "frame=[::1]", "frame=::1:1", "frame-2021"]),
        ("--listener-options", &["", "gopher", "echo=7"]),
        ("--backlog", &["0", "2147483648", "none"]),
        ("--recv-buffer", &["0", "1025M", "64KB"]),
        ("--send-buffer", &["0", "1025M", "99999999999G"]),
        ("--workers", &["0", "1025", "none"]),
        ("--max-connections", &["1.5", "64Ki"]),
        ("--max-per-source", &[""]),
        ("--max-message", &["134217728", "128M", "1.5M", ""]),
        ("--max-buffered", &["1", "1023K"]),
        ("--max-line", &["64KB", ""]),
        ("--min-rate", &["16K/s", ""]),
        ("--max-delayed", &["4095", "1025M", "0", "none", ""]),
        ("--idle-timeout", &["5x", "2years", ""]),
        ("--request-timeout", &["-1s", "1e3", "1:30"]),
        ("--write-timeout", &["-1s", "5."]),
        ("--drain-delay", &["-1s", "2years"]),
        ("--drain-timeout", &["-1s", "30,5"]),
        ("--hand-over", &["", "maybe", "2"]),
        ("--hand-over-timeout", &["-1s", "0", "none"]),
        ("--exit-idle", &["-1s", "s"]),
        ("--seed", &["18446744073709551616"]),
        ("--log", &["", "journald"]),
        ("--log-format", &["", "xml"]),
    ];
    for (option, values) in table {
        for value in *values {
            assert_rejected(option, value);
        }
    }
}

/// Without a table, so that it includes every new option.
#[test]
fn every_option_rejects_a_word_and_a_negative_number() {
    let mut count = 0;
    for option in retortd::daemon::config::args::command().get_arguments() {
        let names = option.get_value_names().unwrap_or_default();
        // any text is the name of a file
        if !option.get_action().takes_values() || names.iter().any(|name| name.as_str() == "FILE") {
            continue;
        }
        let long = format!("--{}", option.get_long().expect("every option has a long name"));
        for value in ["x", "-1"] {
            assert_rejected(&long, value);
        }
        count += 1;
    }
    assert!(count >= 20, "{count} options with a value");
}

#[test]
fn unknown_option_exits_2() {
    for (arguments, words) in
        [(&["--colour"][..], "--colour"), (&["8083"], "8083"), (&["--port"], "--port"), (&["-x"], "-x")]
    {
        let finished = finish(arguments);
        assert_eq!((finished.code, finished.output.as_str()), (2, ""));
        assert!(finished.log.contains(words), "{}", finished.log);
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    for argument in ["-h", "--help", "-V", "--version"] {
        let finished = finish(&[argument]);
        assert_eq!((finished.code, finished.log.as_str()), (0, ""), "{argument}");
        assert!(finished.output.contains("retortd"), "{argument}: {}", finished.output);
    }
    assert_eq!(finish(&["-V"]).output, format!("retortd {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_lists_every_option_and_variable() {
    let help = finish(&["--help"]).output;
    for argument in retortd::daemon::config::args::command().get_arguments() {
        let long = argument.get_long().expect("every option has a long name");
        assert!(help.contains(&format!("--{long}")), "--{long}");
        let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned());
        assert!(variable.is_none_or(|name| help.contains(&name)), "the variable of --{long}");
    }
    for heading in ["Listening:", "Limits:", "Running:", "Logging:", "Exit status:", "Signals:"] {
        assert!(help.contains(heading), "{heading}");
    }
}

#[test]
fn default_verbosity_prints_nothing() {
    let mut daemon = DaemonBuilder::new(&[LOCAL]).start();
    let mut client = daemon.connect("frame");
    assert_eq!(client.request(UPPERCASE, b"x"), b"X");
    assert_eq!(client.request(UNKNOWN, b"\xff"), b"error");
    client.reset();
    assert_eq!(daemon.stop(), 0);
    daemon.output.wait_closed();
    assert_eq!((daemon.output.text().as_str(), daemon.log.text().as_str()), ("", ""));
}

#[test]
fn port_option_listens_on_all_addresses() {
    let daemon = DaemonBuilder::new(&["-p", "0"]).start();
    assert_eq!(daemon.listening().len(), 1);
    let port = daemon.address("frame").port();
    for ip in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
        let address = std::net::SocketAddr::new(ip, port);
        if ip.is_ipv6() && !has_ipv6() {
            return;
        }
        assert_eq!(Client::connect(address).request(UPPERCASE, b"x"), b"X", "{address}");
    }
}

#[test]
fn listen_option_repeats_and_combines_with_port() {
    let daemon =
        DaemonBuilder::new(&["--listen=echo=127.0.0.1:0 time=127.0.0.1:0", "--listen", "ack=127.0.0.1:0", "-p0"])
            .start();
    let names: Vec<&str> = daemon.listening().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["frame", "echo", "time", "ack"]);
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
}

#[test]
fn wrong_addresses_of_listeners_are_rejected_with_advice() {
    assert_rejected_with_advice(&[
        ("--listen", "gopher=70", "there is no protocol 'gopher': retortd --list prints the protocols"),
        ("--listen", "frame-2021", "frame-2021 has no port of its own: write frame-2021=PORT"),
        ("--listen", "echo=", "there is no address after 'echo='"),
        ("--listen", "echo=65536", "port 65536 is out of range: 0 to 65535"),
        ("--listen", "echo=localhost:7", "'localhost:7' is not an address: write PORT, ADDRESS:PORT or [ADDRESS]:PORT"),
        ("--listen", "echo=::1", "'::1' has no port: write [::1]:PORT"),
        (
            "--listen",
            "echo=224.0.0.1:7",
            "'224.0.0.1' is a multicast address, on which TCP cannot be served: write the",
        ),
        ("--listen", "echo=[ff02::1%2]:7", "'ff02::1' is a multicast address, on which TCP cannot be served: write"),
        ("--listen", "echo=255.255.255.255:7", "'255.255.255.255' is a broadcast address, on which TCP cannot be"),
    ]);
}

#[test]
fn wrong_names_and_options_of_listeners_are_rejected_with_advice() {
    assert_rejected_with_advice(&[
        ("--listen", "=7", "there is no name at the beginning of '=7'"),
        ("--listen", " ", "the value is empty"),
        (
            "--listen",
            "echo=7,",
            "there is no option after a comma behind 'echo': a comma begins an option, white space",
        ),
        ("--listen", "echo=7,=1", "there is no name before '=1' behind 'echo'"),
        ("--listen", "echo=7,fast=", "there is no value after 'fast=' behind 'echo'"),
        ("--listen", "echo=7,fast=1", "echo has no option 'fast': the options are proxy, allow, "),
        (
            "--listen",
            "echo=7,time=37",
            "'time' is a protocol and not an option of echo: write a space between listeners",
        ),
        (
            "--listen",
            "time=37 echo,ack",
            "'ack' is a protocol and not an option of echo: write a space between listeners",
        ),
        ("--listen", "echo=7,jitter=1ms", "the option jitter of echo needs a latency to vary: add latency=TIME"),
        ("--listen", "echo=7,corrupt=nan", "the option corrupt of echo: must be from 0 to 1"),
        ("--listener-options", "echo,slice=0", "the option slice of echo: must be at least 1: leave the option out"),
        ("--listener-options", "echo,probability=1", "the option probability of echo has no effect alone: it is"),
        (
            "--connection",
            "echo,cut-after=1,reset-after=1",
            "echo has the options cut-after and reset-after: a listener",
        ),
        ("--listener-options", "gopher", "no socket is called 'gopher': write the name of a protocol (retortd --list"),
        ("--listener-options", "echo=7", "echo has an address here: the address of a socket from systemd is in its"),
        ("--listener-options", "frame echo,fast", "echo has no option 'fast': the options are proxy, allow, "),
        ("--listener-options", "echo,frame", "'frame' is a protocol and not an option of echo: write a space between"),
    ]);
}

/// Each option with this value is rejected in these words.
#[track_caller]
fn assert_rejected_with_advice(cases: &[(&str, &str, &str)]) {
    for (option, value, words) in cases {
        let finished = finish(&[&format!("{option}={value}")]);
        assert_eq!((finished.code, finished.output.as_str()), (2, ""), "{option}={value}: {}", finished.log);
        assert!(finished.log.contains(words), "{option}={value}: {}", finished.log);
        // in the environment too, and by the name of the variable
        let variable = option.replacen("--", "RETORTD_", 1).replace('-', "_").to_uppercase();
        let finished = DaemonBuilder::new(&[]).env(&variable, value).finish();
        assert_eq!(finished.code, 2, "{variable}={value}: {}", finished.log);
        assert!(finished.log.contains(words), "{variable}={value}: {}", finished.log);
    }
}

#[test]
fn any_white_space_separates_listeners() {
    let listen = " frame=127.0.0.1:0\techo=127.0.0.1:0 \n time=127.0.0.1:0\n";
    let launch = DaemonBuilder::new(&[]).env("RETORTD_LISTEN", listen).env("RETORTD_LISTENER_OPTIONS", "echo\tframe");
    let daemon = launch.start();
    let names: Vec<&str> = daemon.listening().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["frame", "echo", "time"]);
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
}

#[test]
fn reload_keeps_addresses_and_warns_until_the_restart() {
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_LISTEN=echo=127.0.0.1:0\n");
    let daemon = DaemonBuilder::new(&["--settings", &file]).start();
    directory.write("settings", "RETORTD_LISTEN=echo=127.0.0.1:0\nRETORTD_LISTENER_OPTIONS=echo\n");
    daemon.reload();
    assert!(!daemon.log.text().contains("restart"), "{}", daemon.log.text());
    directory.write("settings", "RETORTD_LISTEN=time=127.0.0.1:0\nRETORTD_WORKERS=7\n");
    for _ in 0..2 {
        let before = daemon.log.len();
        daemon.reload();
        let names = "the addresses and modes of listeners, --connection, --backlog, --recv-buffer, --send-buffer, \
                     --workers, --seed, --log and --log-format";
        daemon.wait_for_line(before, &format!("{names} change only with a restart"));
        assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
    }
    directory.write("settings", "RETORTD_LISTEN=echo=127.0.0.1:7 time=127.0.0.1:7\n");
    let before = daemon.log.len();
    daemon.reload();
    daemon.wait_for_line(before, "cannot reload: cannot listen on echo=127.0.0.1:7 and time=127.0.0.1:7: port 7 is");
    directory.write("settings", "RETORTD_LISTEN=echo=127.0.0.1:0,fast\n");
    let before = daemon.log.len();
    daemon.reload();
    daemon.wait_for_line(before, ":1: RETORTD_LISTEN: invalid value 'echo=127.0.0.1:0,fast'");
}

/// The line about limits that the daemon logs at start with `-vv`.
fn limits_line(launch: DaemonBuilder) -> String {
    let mut daemon = launch.spawn();
    let (_, line) = daemon.wait_for_line(0, "at most");
    daemon.wait_ready_in_log();
    line
}

#[test]
fn environment_variables_set_options() {
    let launch =
        DaemonBuilder::new(&[]).env("RETORTD_LISTEN", "frame=127.0.0.1:0 echo=127.0.0.1:0").env("RETORTD_VERBOSE", "2");
    let line = limits_line(launch.env("RETORTD_WORKERS", "3").env("RETORTD_MAX_CONNECTIONS", "77"));
    assert!(line.contains("at most 77 connections") && line.ends_with("on 3 workers"), "{line}");
    let bad = DaemonBuilder::new(&[LOCAL]).env("RETORTD_IDLE_TIMEOUT", "soon").finish();
    assert_eq!(bad.code, 2);
    assert!(bad.log.contains("--idle-timeout") && bad.log.contains("soon"), "{}", bad.log);
}

#[test]
fn empty_environment_variables_are_not_set() {
    let mut launch = DaemonBuilder::new(&["--check"]);
    for option in retortd::daemon::config::args::command().get_arguments() {
        if let Some(variable) = option.get_env().and_then(OsStr::to_str) {
            launch = launch.env(variable, "");
        }
    }
    let (empty, without) = (launch.finish(), finish(&["--check"]));
    assert_eq!((empty.code, empty.output, empty.log), (without.code, without.output, without.log));
    // so the file decides
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_LISTEN=echo=127.0.0.1:0\n");
    let daemon = DaemonBuilder::new(&["--settings", &file]).env("RETORTD_LISTEN", "").start();
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
    daemon.reload();
    daemon.wait_for_line(0, "reloaded");
}

/// The environment of a pod beside a Service named retortd, as kubelet sets it.
fn beside_service(launch: DaemonBuilder, protocol: &str) -> DaemonBuilder {
    let (link, port) =
        (format!("{protocol}://10.96.0.7:8083"), format!("RETORTD_PORT_8083_{}", protocol.to_uppercase()));
    let variables = [
        ("RETORTD_SERVICE_HOST", "10.96.0.7"),
        ("RETORTD_SERVICE_PORT", "8083"),
        ("RETORTD_SERVICE_PORT_FRAME", "8083"),
        ("RETORTD_PORT", &link),
        (&port, &link),
        (&format!("{port}_PROTO"), protocol),
        (&format!("{port}_PORT"), "8083"),
        (&format!("{port}_ADDR"), "10.96.0.7"),
    ];
    variables.into_iter().fold(launch, |launch, (name, value)| launch.env(name, value))
}

#[test]
fn kubernetes_service_named_retortd_changes_no_option() {
    for protocol in ["tcp", "udp", "sctp"] {
        let words = format!(
            "RETORTD_PORT={protocol}://10.96.0.7:8083 in the environment is ignored: it is the address of a Kubernetes"
        );
        let checked = beside_service(DaemonBuilder::new(&["--check"]), protocol).finish();
        assert_eq!((checked.code, checked.output), (0, finish(&["--check"]).output), "{}", checked.log);
        assert!(checked.log.contains(&words) && checked.log.lines().count() == 1, "{}", checked.log);
        let mut daemon = beside_service(DaemonBuilder::new(&[LOCAL]), protocol).start();
        daemon.reload();
        assert_eq!(daemon.stop(), 0);
        daemon.log.wait_closed();
        let log = daemon.log.text();
        assert_eq!(log.matches(&words).count(), 1, "{log}");
    }
    // the settings file decides, as for a variable that is empty
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_PORT=9083\n");
    let checked = beside_service(DaemonBuilder::new(&["--check", "--settings", &file]), "tcp").finish();
    assert!(checked.output.contains("\nRETORTD_PORT=9083\n"), "{}{}", checked.output, checked.log);
}

#[test]
fn address_of_service_is_ignored_only_in_environment() {
    let link = "tcp://10.96.0.7:8083";
    let finished = finish(&["--check", &format!("--port={link}")]);
    assert_eq!(finished.code, 2, "{}", finished.log);
    let directory = Directory::new();
    let file = directory.write("settings", format!("RETORTD_PORT={link}\n"));
    let finished = finish(&["--check", "--settings", &file]);
    assert_eq!(finished.code, 78, "{}", finished.log);
    assert!(finished.log.contains(&format!("{file}:1: RETORTD_PORT: invalid value '{link}'")), "{}", finished.log);
    // neither for other variables nor for other values
    for (variable, value) in
        [("RETORTD_WORKERS", link), ("RETORTD_PORT", "http://10.96.0.7:8083"), ("RETORTD_PORT", "tcp")]
    {
        let finished = DaemonBuilder::new(&["--check"]).env(variable, value).finish();
        assert_eq!(finished.code, 2, "{variable}={value}: {}", finished.log);
    }
}

#[test]
fn invalid_utf8_in_environment_names_variable() {
    let invalid = |text: &[u8]| OsString::from(OsStr::from_bytes(text));
    for variable in ["RETORTD_PORT", "RETORTD_LISTEN", "RETORTD_IDLE_TIMEOUT", "RETORTD_VERBOSE", "RETORTD_LOG"] {
        let launch =
            || DaemonBuilder::new(&["--check"]).env("RETORTD_QUOTES", invalid(b"/\xfe")).env("RETORTD_SEED", "");
        let finished = launch().env(variable, invalid(b"80\xff")).finish();
        assert_eq!((finished.code, finished.output.as_str()), (2, ""), "{variable}: {}", finished.log);
        let words = format!("error: the value of {variable} is not UTF-8: \"80\\xFF\"\n");
        assert!(finished.log.starts_with(&words), "{}", finished.log);
    }
    // the command line takes precedence
    let finished = DaemonBuilder::new(&["--check", "--port=1"]).env("RETORTD_PORT", invalid(b"80\xff")).finish();
    assert_eq!(finished.code, 0, "{}", finished.log);
}

#[test]
fn invalid_utf8_on_command_line_names_option() {
    for (argument, words) in [
        ("--workers=$bytes", "the value of --workers is not UTF-8: \"80\\xFF\""),
        ("--workers $bytes", "the value of --workers is not UTF-8: \"80\\xFF\""),
        ("--quotes=$bytes --seed=$bytes", "the value of --seed is not UTF-8: \"80\\xFF\""),
    ] {
        let script = format!("bytes=$(printf '80\\377'); exec \"$@\" {argument}");
        let finished = DaemonBuilder::new(&[]).under(&["sh", "-c", &script, "sh"]).finish();
        assert_eq!(finished.code, 2, "{argument}: {}", finished.log);
        assert!(finished.log.starts_with(&format!("error: {words}\n")), "{argument}: {}", finished.log);
    }
}

#[test]
fn output_that_cannot_be_written_exits_71() {
    for option in ["--check", "--list", "--help", "--version"] {
        let full = ["sh", "-c", "exec \"$@\" >/dev/full", "sh"];
        let finished = DaemonBuilder::new(&[option]).under(&full).finish();
        let words = "retortd: cannot write to standard output: No space left on device (os error 28)\n";
        assert_eq!((finished.code, finished.log.as_str()), (71, words), "{option}");
    }
}

#[test]
fn paths_in_environment_may_be_any_bytes() {
    let directory = Directory::new();
    let path = |name: &[u8]| directory.path("").join(OsStr::from_bytes(name));
    fs::write(path(b"\xfe"), "RETORTD_WORKERS=3\n").expect("write");
    fs::write(path(b"\xff"), "a quote\n").expect("write");
    let launch = DaemonBuilder::new(&["--check"]).env("RETORTD_SETTINGS", path(b"\xfe"));
    let finished = launch.env("RETORTD_QUOTES", path(b"\xff")).finish();
    assert_eq!((finished.code, finished.log.as_str()), (0, ""));
    assert!(finished.output.contains("\nRETORTD_WORKERS=3\n"), "{}", finished.output);
    assert!(finished.output.contains("\n# RETORTD_QUOTES is not UTF-8: "), "{}", finished.output);
}

#[test]
fn command_line_overrides_environment_overrides_file() {
    let directory = Directory::new();
    let text = "RETORTD_WORKERS=1\nRETORTD_MAX_CONNECTIONS=11\nRETORTD_VERBOSE=2\nRETORTD_LISTEN=echo=127.0.0.1:0\n";
    let file = directory.write("settings", text);
    let settings = format!("--settings={file}");
    let launch = |arguments: &[&str]| DaemonBuilder::new(&[&[settings.as_str()], arguments].concat());
    let line = limits_line(launch(&[]));
    assert!(line.contains("at most 11 connections") && line.ends_with("on 1 worker"), "{line}");
    let line = limits_line(launch(&[]).env("RETORTD_WORKERS", "2"));
    assert!(line.contains("at most 11 connections") && line.ends_with("on 2 workers"), "{line}");
    let line = limits_line(launch(&["--workers=3"]).env("RETORTD_WORKERS", "2"));
    assert!(line.contains("at most 11 connections") && line.ends_with("on 3 workers"), "{line}");
    let daemon = launch(&[LOCAL]).start();
    assert_eq!(daemon.listening().len(), 1);
    assert_eq!(daemon.listening()[0].0, "frame");
    let daemon = DaemonBuilder::new(&[]).env("RETORTD_SETTINGS", file).start();
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
}

#[test]
fn invalid_settings_file_exits_78_and_names_line() {
    let directory = Directory::new();
    for (text, words) in [
        ("# fine\nRETORTD_PORT=70000\n", ":2: RETORTD_PORT: invalid value '70000'"),
        ("\n\nRETORTD_IDLE_TIMEOUT=5x\n", ":3: RETORTD_IDLE_TIMEOUT: invalid value '5x'"),
        ("RETORTD_COLOUR=red\n", ":1: there is no setting RETORTD_COLOUR"),
        ("PATH=/bin\n", ":1: there is no setting PATH"),
        ("RETORTD_PORT=\"0\n", ":1: a quote is not closed"),
        ("RETORTD_PORT=\"0\" # any\n", ":1: RETORTD_PORT: invalid value '0# any'"),
        ("# \\\nRETORTD_PORT=0\\\n0 x\n", ":2: RETORTD_PORT: invalid value '00 x'"),
        ("RETORTD_PORT='0\u{9b}'\n", ":1: RETORTD_PORT: invalid value '0\u{fffd}'"),
        ("\u{feff}RETORTD_PORT=0\n", ":1: a byte order mark is not part of a name"),
        ("export RETORTD_PORT=0\n", ":1: there is no setting export RETORTD_PORT"),
        ("RETORTD_SETTINGS=/dev/null\n", ":1: RETORTD_SETTINGS: a settings file cannot name another one"),
        ("RETORTD_PORT=0\n\0", ":2: a byte is NUL"),
        ("RETORTD_VERBOSE=4\n", ":1: RETORTD_VERBOSE: invalid value '4'"),
        ("RETORTD_LISTEN=gopher=70\n", ":1: RETORTD_LISTEN: invalid value 'gopher=70'"),
        ("RETORTD_LISTEN=echo=7,time=37\n", ":1: RETORTD_LISTEN: invalid value 'echo=7,time=37'"),
        ("RETORTD_LISTENER_OPTIONS=gopher\n", ":1: RETORTD_LISTENER_OPTIONS: invalid value 'gopher'"),
    ] {
        let file = directory.write("settings", text);
        let finished = finish(&["--settings", &file]);
        assert_eq!(finished.code, 78, "{text}: {}", finished.log);
        assert_eq!(finished.log.lines().count(), 1, "{}", finished.log);
        assert!(finished.log.starts_with(&format!("retortd: {file}{words}")), "{text}: {}", finished.log);
    }
    let finished = finish(&["--settings=/nonexistent/settings"]);
    assert_eq!(finished.code, 78);
    assert_eq!(finished.log, "retortd: cannot read /nonexistent/settings: No such file or directory (os error 2)\n");
}

#[test]
fn settings_file_behind_hyphen_may_be_missing() {
    let directory = Directory::new();
    let path = directory.path("settings");
    let file = path.to_str().expect("a path in UTF-8");
    let optional = format!("-{file}");
    let launches = || {
        let equals = DaemonBuilder::new(&[LOCAL, "-v", &format!("--settings={optional}")]);
        let separate = DaemonBuilder::new(&[LOCAL, "-v", "--settings", &optional]);
        [equals, separate, DaemonBuilder::new(&[LOCAL, "-v"]).env("RETORTD_SETTINGS", &optional)]
    };
    for launch in launches() {
        let daemon = launch.start();
        daemon.wait_for_line(0, &format!("there is no file {file}: settings that are not given elsewhere have their"));
    }
    directory.write("settings", "RETORTD_WORKERS=none\n");
    for launch in launches() {
        let finished = launch.finish();
        assert_eq!(finished.code, 78, "{}", finished.log);
        assert!(finished.log.starts_with(&format!("retortd: {file}:1: RETORTD_WORKERS: ")), "{}", finished.log);
    }
    let quiet = DaemonBuilder::new(&[LOCAL, "--settings=-/nonexistent/settings"]).start();
    assert_eq!(quiet.log.text(), "");
    // only a missing file is allowed
    for other in [format!("-{file}/below"), "-/".into(), "-/dev/zero".into()] {
        let finished = finish(&[LOCAL, "--settings", &other]);
        assert_eq!(finished.code, 78, "{other}: {}", finished.log);
        assert!(finished.log.starts_with(&format!("retortd: cannot read {}: ", &other[1..])), "{}", finished.log);
    }
}

#[test]
fn settings_option_without_value_takes_no_other_option() {
    for option in ["-v", "--port=0", "-p8083"] {
        let finished = finish(&["--settings", option]);
        assert_eq!(finished.code, 2, "{option}: {}", finished.log);
        assert!(finished.log.contains(&format!("write -./{} for a file", &option[1..])), "{}", finished.log);
    }
}

#[test]
fn settings_file_follows_environment_file_syntax() {
    let directory = Directory::new();
    for (text, workers) in [
        ("RETORTD_WORKERS=\\\n2\nRETORTD_VERBOSE=2\n", 2),
        ("RETORTD_WORKERS=2\r\nRETORTD_VERBOSE='2'\r\n", 2),
        ("; comment\nRETORTD_WORKERS=3\nRETORTD_WORKERS = 2 \nRETORTD_VERBOSE=3\nRETORTD_VERBOSE=2\n", 2),
        ("RETORTD_LISTEN=gopher\nRETORTD_LISTEN=\"time=127.0.0.1:0\"\nRETORTD_WORKERS=2\nRETORTD_VERBOSE=2", 2),
    ] {
        let file = directory.write("settings", text);
        let line = limits_line(DaemonBuilder::new(&[LOCAL, "--settings", &file]));
        assert!(line.ends_with(&format!("on {workers} workers")), "{text:?}: {line}");
    }
    // the last value of a name counts, also for options that may be repeated
    let file = directory.write("settings", "RETORTD_LISTEN=time=127.0.0.1:0\nRETORTD_LISTEN=echo=127.0.0.1:0\n");
    let daemon = DaemonBuilder::new(&["--settings", &file]).start();
    assert_eq!((daemon.listening().len(), daemon.exchange("echo", b"abc")), (1, b"abc".to_vec()));
}

#[test]
fn settings_line_without_value_logs_warning() {
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_WORKERS=2\nnonsense\n\nmore\n");
    let daemon = DaemonBuilder::new(&[LOCAL, "--settings", &file]).start();
    daemon.wait_for_line(0, &format!("{file}:2: ignored: not NAME=VALUE (2 such lines)"));
    let before = daemon.log.len();
    directory.write("settings", "RETORTD_WORKERS=2\nnonsense\n");
    daemon.reload();
    let (_, line) = daemon.wait_for_line(before, ":2: ignored: ");
    assert!(line.ends_with("ignored: not NAME=VALUE"), "{line}");
}

/// Files that must not be read as settings or quotes, because the daemon would block or need much memory; with the
/// reason that it logs.
fn unreadable(directory: &Directory) -> Vec<(String, &'static str)> {
    let fifo = directory.path("fifo");
    mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).expect("a FIFO");
    let large = fs::File::create(directory.path("large")).expect("a file");
    large.set_len(100 << 20).expect("its length");
    let path = |name: &str| directory.path(name).to_str().expect("a path in UTF-8").to_string();
    vec![
        (path("fifo"), "not a regular file"),
        ("/dev/zero".into(), "not a regular file"),
        (path("large"), "larger than 16777216 bytes"),
        (path(""), "Is a directory"),
    ]
}

/// Fault 43: FIFOs, devices, directories and huge files as settings or quotes.
#[test]
fn blocking_or_huge_file_exits_78() {
    let directory = Directory::new();
    let files = unreadable(&directory);
    for option in ["--settings", "--quotes"] {
        for (file, why) in &files {
            let finished = finish(&[LOCAL, option, file]);
            assert_eq!(finished.code, 78, "{option} {file}: {}", finished.log);
            assert_eq!(finished.log.lines().count(), 1, "{}", finished.log);
            let words = format!("retortd: cannot read {file}: {why}");
            assert!(finished.log.starts_with(&words), "{}", finished.log);
        }
    }
}

/// Fault 43: FIFOs, devices, directories and huge files at a reload; the old settings stay.
#[test]
fn blocking_or_huge_file_fails_reload() {
    let directory = Directory::new();
    let (settings, quotes) =
        (directory.write("settings", "RETORTD_MAX_MESSAGE=10\n"), directory.write("quotes", "a\n"));
    let mut daemon = DaemonBuilder::new(&[LOCAL, "--settings", &settings, "--quotes", &quotes]).start();
    let others = Directory::new();
    let files = unreadable(&others);
    for link in [&settings, &quotes] {
        for (file, why) in &files {
            let kept = fs::read(link).expect("read");
            fs::remove_file(link).expect("remove");
            std::os::unix::fs::symlink(file, link).expect("a link");
            let before = daemon.log.len();
            daemon.reload();
            daemon.wait_for_line(before, &format!("cannot reload: cannot read {link}: {why}"));
            assert_eq!(daemon.connect("frame").request(UPPERCASE, b"eleven byte"), b"error");
            fs::remove_file(link).expect("remove");
            fs::write(link, kept).expect("write");
        }
    }
    assert_eq!(daemon.stop(), 0);
}

/// Fault 31: a port in use.
#[test]
fn port_in_use_exits_71() {
    let (_taken, address) = listener();
    let finished = finish(&[&format!("--listen=frame={address}")]);
    assert_eq!(finished.code, 71);
    let words = format!("retortd: cannot listen on {address}: Address already in use (os error 98) (another process");
    assert!(finished.log.starts_with(&words), "{}", finished.log);
}

/// Without this check the second bind(2) fails as if another process had the port. The message names both listeners
/// instead.
#[test]
fn port_given_twice_exits_78_and_names_both_listeners() {
    let directory = Directory::new();
    let file = directory.write("settings", "RETORTD_LISTEN=frame=127.0.0.1:8083\n");
    for (arguments, listeners) in [
        (&["--port=8083", "--listen=frame=8083"][..], "frame=8083 and frame=8083"),
        (&["--listen=frame=127.0.0.1:7", "--listen=echo=127.0.0.1:7"], "frame=127.0.0.1:7 and echo=127.0.0.1:7"),
        (&["--listen=echo=[::1]:8083", "--port=8083"], "frame=8083 and echo=[::1]:8083"),
        (&["--port=8083", "--settings", &file], "frame=8083 and frame=127.0.0.1:8083"),
    ] {
        for check in [&["--check"][..], &[]] {
            let finished = finish(&[arguments, check].concat());
            assert_eq!((finished.code, finished.output.as_str()), (78, ""), "{arguments:?}: {}", finished.log);
            let words = format!("retortd: cannot listen on {listeners}: port ");
            assert!(finished.log.starts_with(&words) && finished.log.contains("is given twice"), "{}", finished.log);
        }
    }
}

/// The kernel refuses what the daemon refuses, and the daemon serves what the kernel accepts.
#[test]
fn only_listeners_that_kernel_refuses_are_rejected() {
    if !has_ipv6() {
        return;
    }
    let outcome = |one: &str, two: &str| {
        let port = listener().1.port();
        let (one, two) = (format!("{one}:{port}"), format!("{two}:{port}"));
        let bound = TcpListener::bind(&one).is_ok_and(|_first| TcpListener::bind(&two).is_ok());
        let mut daemon = DaemonBuilder::new(&[&format!("--listen=frame={one} echo={two}")]).spawn();
        let ready = daemon.notices.wait_for(0, |notice| notice.contains("READY=1")).is_some();
        let log = daemon.log.text();
        (bound, if ready { Ok(daemon.stop()) } else { Err((daemon.wait_exit(), log.contains("given twice"))) })
    };
    let expect = |one, two, expected| {
        // the port may be in use by another test by now
        let outcomes: Vec<_> = (0..20).map(|_| outcome(one, two)).take_while(|found| *found != expected).collect();
        assert!(outcomes.len() < 20, "{one} and {two}: {outcomes:?}");
    };
    for (one, two) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "0.0.0.0"),
        ("[::1]", "[::]"),
        ("[::]", "127.0.0.1"),
        ("0.0.0.0", "[::]"),
        ("[::ffff:127.0.0.1]", "127.0.0.1"),
        ("[::ffff:0.0.0.0]", "127.0.0.1"),
    ] {
        expect(one, two, (false, Err((78, true))));
    }
    for (one, two) in [("127.0.0.1", "127.0.0.2"), ("127.0.0.1", "[::1]"), ("0.0.0.0", "[::1]")] {
        expect(one, two, (true, Ok(0)));
    }
}

/// Fault 31: an address that no interface has.
#[test]
fn unavailable_address_exits_71() {
    // an address for documentation (RFC 5737)
    let finished = finish(&["--listen=frame=192.0.2.1:8083"]);
    assert_eq!(finished.code, 71);
    let words = "retortd: cannot listen on 192.0.2.1:8083: Cannot assign requested address (os error 99) (no interface";
    assert!(finished.log.starts_with(words), "{}", finished.log);
}

#[test]
fn link_local_address_without_interface_exits_78() {
    if !has_ipv6() {
        return;
    }
    let finished = finish(&["--listen=frame=[fe80::1]:8083"]);
    assert_eq!(finished.code, 78);
    assert!(finished.log.contains("(a link-local address needs the number of its interface: "), "{}", finished.log);
}

/// Fault 31: a port below 1024 without `CAP_NET_BIND_SERVICE`.
#[test]
fn privileged_port_without_capability_exits_78() {
    let first_free = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    if first_free.trim().parse::<u16>().is_ok_and(|port| port < 1000) {
        return skip("ports below 1024 are free for all here");
    }
    // the user `nobody`, who can read only a copy of the binary
    let directory = Directory::new();
    let copy = directory.path("retortd");
    // By another process: if this one had it open for writing, a program that another thread starts could inherit the
    // descriptor for a moment, and execve(2) of the copy would fail with ETXTBSY.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_retortd")).arg(&copy).status();
    assert!(copied.is_ok_and(|status| status.success()), "copy the binary");
    let mut command = Command::new(&copy);
    if nix::unistd::geteuid().is_root() {
        if !available("setpriv") {
            return;
        }
        command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy);
    }
    let output = command.arg("--listen=echo=127.0.0.1:999").stdin(Stdio::null()).output().expect("run");
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{log}");
    let words = "retortd: cannot listen on 127.0.0.1:999: Permission denied (os error 13) (ports below 1024 need \
        CAP_NET_BIND_SERVICE";
    assert!(log.contains(words), "{log}");
}

/// Fault 9: fewer descriptors than the connections that are allowed.
#[test]
fn connection_limit_above_descriptor_limit_exits_78() {
    if !available("prlimit") {
        return;
    }
    let launch = |arguments: &[&str]| DaemonBuilder::new(arguments).under(&["prlimit", "--nofile=64:64"]);
    let finished = launch(&[LOCAL, "--workers=1", "--max-connections=64"]).finish();
    assert_eq!(finished.code, 78);
    let words =
        "retortd: cannot allow 64 connections: this process may open 64 files and reserves 39 for itself (raise";
    assert!(finished.log.starts_with(words), "{}", finished.log);
    for arguments in [&[LOCAL, "-vv", "--workers=1"][..], &[LOCAL, "-vv", "--workers=1", "--max-connections=none"]] {
        let line = limits_line(launch(arguments));
        assert!(line.contains("at most 25 connections"), "{line}");
    }
}

/// The kernel enlarges the table when a larger descriptor is opened, and a worker that accepts a connection would wait
/// for that.
#[test]
fn the_table_of_descriptors_has_room_from_the_start() {
    if !available("prlimit") {
        return;
    }
    let daemon = DaemonBuilder::new(&[LOCAL]).under(&["prlimit", "--nofile=64:3000"]).start();
    assert!(daemon.status("FDSize") >= 3000);
}

/// A daemon with `limit`, an option of prlimit(1) for half a gigabyte. None: prlimit is not installed, or this runs
/// under a sanitizer, which needs more.
fn with_half_a_gigabyte(limit: &str, arguments: &[&str]) -> Option<DaemonBuilder> {
    if !available("prlimit") || any_memory() {
        return None;
    }
    Some(DaemonBuilder::new(&[&[LOCAL, "-vv", "--workers=1"], arguments].concat()).under(&["prlimit", limit]))
}

/// Fault 42: `RLIMIT_AS` and `RLIMIT_DATA` lower the default of the budget.
#[test]
fn default_budget_respects_rlimits() {
    for limit in ["--as=512000000", "--data=512000000"] {
        let Some(launch) = with_half_a_gigabyte(limit, &[]) else { return };
        let line = limits_line(launch);
        assert!(line.contains("connections, 128000000 bytes of unfinished requests"), "{limit}: {line}");
    }
}

/// Limited memory lowers the defaults, which follow from the options that are set.
#[test]
fn defaults_keep_memory_formula_below_rlimit() {
    if !available("prlimit") {
        return;
    }
    // 256 MiB; 7/8 of it, less 3 MiB and 9 MiB for each worker, is for buffers and for connections of 64 KiB
    let limit = "RLIMIT_DATA (268435456 bytes)";
    let check = |arguments: &[&str]| {
        let launch = DaemonBuilder::new(&[&["--check", "--port=0"], arguments].concat());
        launch.under(&["prlimit", "--data=268435456"]).finish()
    };
    for (arguments, connections) in [
        (&["--workers=2"][..], (224 - 3 - 18 - 64) * 16),
        (&["--workers=4"], (224 - 3 - 36 - 64) * 16),
        (&["--workers=2", "--max-buffered=128M"], (224 - 3 - 18 - 128) * 16),
    ] {
        let finished = check(arguments);
        assert_eq!((finished.code, finished.log.as_str()), (0, ""), "{arguments:?}: {}", finished.output);
        let printed = finished.output.contains(&format!("\n#RETORTD_MAX_CONNECTIONS={connections}\n"));
        let reason = format!("\n# default --max-connections={connections} follows from {limit}\n");
        assert!(printed && finished.output.contains(&reason), "{arguments:?}: {}", finished.output);
        assert!(!finished.output.contains("# default --workers="), "{}", finished.output);
    }
    let many = check(&["--workers=2", "--max-connections=4000"]);
    assert_eq!(many.code, 0, "{}", many.log);
    let words = format!(
        "--workers=2, --max-buffered=67108864 and --max-connections=4000 may need {} bytes, more than {limit}: memory",
        (3 + 18 + 64 + 250) << 20
    );
    assert!(many.log.contains(&words) && many.log.lines().count() == 1, "{}", many.log);
    assert!(many.output.contains("\nRETORTD_MAX_CONNECTIONS=4000\n"), "{}", many.output);
}

/// A daemon whose memory suffices for one worker and 16 connections serves these.
#[test]
fn small_memory_limit_serves_a_few_clients() {
    if !available("prlimit") || any_memory() {
        return;
    }
    let launch = DaemonBuilder::new(&["--listen=frame=127.0.0.1:0", "-vv"]);
    let daemon = launch.under(&["prlimit", "--data=16777216"]).start();
    for default in [
        "--workers=1 follows from ",
        "--max-buffered=1048576 follows from RLIMIT_DATA (16777216 bytes)",
        "--max-connections=16 follows from RLIMIT_DATA (16777216 bytes)",
    ] {
        daemon.wait_for_line(0, &format!("default {default}"));
    }
    let mut clients: Vec<_> = (0..16).map(|_| daemon.connect("frame")).collect();
    for client in &mut clients {
        assert_eq!(client.request(UPPERCASE, b"small"), b"SMALL");
    }
}

/// Fault 42: `RLIMIT_AS` and `RLIMIT_DATA` below the budget.
#[test]
fn budget_above_rlimit_logs_one_warning() {
    for (limit, name) in [("--as=512000000", "RLIMIT_AS"), ("--data=512000000", "RLIMIT_DATA")] {
        for size in ["600000000", "none"] {
            let Some(launch) = with_half_a_gigabyte(limit, &["--max-buffered", size]) else { return };
            let mut daemon = launch.spawn();
            daemon.wait_for_line(0, &format!("--max-buffered={size} is above {name} (512000000 bytes)"));
            daemon.wait_ready_in_log();
            daemon.reload();
            assert_eq!(daemon.log.text().matches("is above").count(), 1, "{}", daemon.log.text());
        }
        let Some(launch) = with_half_a_gigabyte(limit, &["--max-buffered=512000000"]) else { return };
        let daemon = launch.start_by_log();
        assert!(!daemon.log.text().contains("is above"), "{}", daemon.log.text());
    }
}

#[test]
fn soft_descriptor_limit_is_raised() {
    if !available("prlimit") {
        return;
    }
    let launch = DaemonBuilder::new(&[LOCAL, "-vv", "--workers=1"]).under(&["prlimit", "--nofile=64:128"]);
    let line = limits_line(launch);
    assert!(line.contains("at most 85 connections"), "{line}");
}

fn sysctl(name: &str) -> String {
    fs::read_to_string(format!("/proc/sys/net/{name}")).map_or("unknown".into(), |value| value.trim().to_string())
}

#[test]
fn vv_logs_kernel_limits_at_start() {
    let daemon = DaemonBuilder::new(&[LOCAL, "-vv", "--backlog=77"]).start_by_log();
    let log = daemon.log.text();
    let (somaxconn, syn_backlog) = (sysctl("core/somaxconn"), sysctl("ipv4/tcp_max_syn_backlog"));
    assert!(log.contains(&format!("accept backlog: 77 requested, {somaxconn} allowed (net.core.somaxconn)")), "{log}");
    assert!(log.contains(&format!("handshakes in progress: {syn_backlog} (net.ipv4.tcp_max_syn_backlog)")), "{log}");
    let retries: u32 = sysctl("ipv4/tcp_synack_retries").parse().expect("a number of retries");
    // one second, doubled after each retry
    let timeout: u64 = (0..=retries).map(|retry| 1 << retry).sum();
    assert!(
        log.contains(&format!("SYN/ACK retries: {retries} ")) && log.contains(&format!("after {timeout} s")),
        "{log}"
    );
    let most = |name| sysctl(name).split_whitespace().last().unwrap_or("unknown").to_string();
    assert!(log.contains(&format!("(at most {}, net.ipv4.tcp_rmem)", most("ipv4/tcp_rmem"))), "{log}");
    assert!(log.contains(&format!("(at most {}, net.ipv4.tcp_wmem)", most("ipv4/tcp_wmem"))), "{log}");
    assert!(log.contains("retortd: listening on frame=127.0.0.1:"), "{log}");
}

#[test]
fn socket_buffers_and_backlog_are_set() {
    let arguments = [LOCAL, "-vv", "--recv-buffer=16K", "--send-buffer=32K", "--backlog=7"];
    let daemon = DaemonBuilder::new(&arguments).start_by_log();
    // socket(7): the kernel doubles the requested size
    let (_, line) = daemon.wait_for_line(0, "receive buffer");
    assert!(line.contains("receive buffer 32768 ") && line.contains("send buffer 65536 "), "{line}");
    if available("ss") {
        let sport = format!("sport = :{}", daemon.address("frame").port());
        let output = Command::new("ss").args(["-ltnH", &sport]).output().expect("run ss");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.split_whitespace().nth(2), Some("7"), "{text}");
    }
}

#[test]
fn workers_option_sets_thread_count() {
    for workers in [1, 5] {
        let daemon = DaemonBuilder::new(&[LOCAL, &format!("--workers={workers}")]).start();
        // and the main thread and that of the log
        assert_eq!(daemon.status("Threads"), 2 + workers);
    }
}
