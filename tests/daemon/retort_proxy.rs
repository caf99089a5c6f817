//! `retort --proxy`, and `retort check --only proxy`: a correct receiver passes, and each bug is found by its checks.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::thread;

use crate::buggy_servers::{self, for_each_client};
use crate::harness::{DaemonBuilder, run, stderr, stdout};
use crate::proxy_receivers::{Bug, Service, start};
use serde_json::Value;

fn report(address: SocketAddr, arguments: &[&str]) -> Value {
    let address = address.to_string();
    let output = run(&[&["check", &address, "--json"], arguments].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let is_good = report["failed"] == 0;
    assert_eq!(output.status.code(), Some(i32::from(!is_good)), "{report:#}");
    report
}

/// The checks that failed, and their hints.
fn failed(report: &Value) -> Vec<(&str, &str)> {
    let checks = report["checks"].as_array().expect("an array").iter();
    let failed = checks.filter(|check| check["status"] == "failed");
    let mut failed: Vec<_> = failed
        .map(|check| (check["name"].as_str().expect("a name"), check["hint"].as_str().expect("a hint")))
        .collect();
    failed.sort_unstable();
    failed
}

fn names<'a>(failed: &[(&'a str, &str)]) -> Vec<&'a str> {
    failed.iter().map(|(name, _)| *name).collect()
}

/// The number of checks of each service.
const CHECKED: [(Service, usize); 4] =
    [(Service::Frame, 26), (Service::Echo, 27), (Service::Who, 26), (Service::Daytime, 26)];

/// Asserts that a receiver passes this number of checks, with no failure and no note.
fn assert_passes(address: SocketAddr, protocol: &str, checks: usize) {
    let report = report(address, &["-P", protocol, "--only=proxy"]);
    assert_eq!(failed(&report), [], "{protocol}: {report:#}");
    assert_eq!((&report["passed"], &report["notes"]), (&Value::from(checks), &Value::from(0)), "{protocol}");
}

#[test]
fn a_correct_receiver_passes_in_every_protocol() {
    thread::scope(|scope| {
        for (service, checks) in CHECKED {
            scope.spawn(move || assert_passes(start(service, Bug::None), service.protocol(), checks));
        }
    });
}

/// The daemon passes every check that its protocols have.
#[test]
fn the_daemon_is_a_correct_receiver_in_every_protocol() {
    let listeners = CHECKED.map(|(service, _)| format!("--listen={}=127.0.0.1:0,proxy", service.protocol()));
    let daemon = DaemonBuilder::new(&listeners.each_ref().map(String::as_str)).start();
    thread::scope(|scope| {
        for (protocol, checks) in CHECKED.map(|(service, checks)| (service.protocol(), checks)) {
            let address = daemon.address(protocol);
            scope.spawn(move || assert_passes(address, protocol, checks));
        }
    });
}

#[test]
fn what_the_specification_leaves_open_is_a_note() {
    for (bug, notes) in [(Bug::NoUnix, 1), (Bug::DropsParts, 2)] {
        let report = report(start(Service::Frame, bug), &["--only=proxy"]);
        assert_eq!(failed(&report), []);
        assert_eq!(report["notes"], notes, "{report:#}");
        assert!(
            bug == Bug::NoUnix || report.to_string().contains("allowed, but the specification recommends keeping"),
            "{report:#}"
        );
    }
}

/// The pauses of the checks last longer than five times the patience.
#[test]
fn a_little_patience_fails_no_correct_receiver() {
    let checks = "--only=proxy-silent,proxy-v1-fragments,proxy-v2-fragments";
    let report = report(start(Service::Frame, Bug::None), &[checks, "--patience=30ms"]);
    assert_eq!(failed(&report), [], "{report:#}");
}

#[test]
fn the_peer_that_is_judged_is_reported() {
    let receiver = start(Service::Who, Bug::RealPeer);
    let report = report(receiver, &["-P", "who", "--only=proxy-v1-tcp4"]);
    let check = &report["checks"][0];
    assert_eq!(check["expected"], "the peer 192.0.2.10:56324");
    let came = check["came"].as_str().expect("a text");
    assert!(came.starts_with("the peer 127.0.0.1:"), "{came}");
}

#[test]
fn each_bug_is_caught_by_its_checks_alone() {
    let cases: &[(Service, Bug, &[&str])] = &[
        (Service::Frame, Bug::Guesses, &["proxy-required"]),
        (Service::Frame, Bug::LineFeed, &["proxy-v1-lf-alone"]),
        (Service::Frame, Bug::WhiteSpace, &["proxy-v1-two-spaces"]),
        (Service::Frame, Bug::LeadingZeros, &["proxy-v1-octet-leading-zero"]),
        (Service::Frame, Bug::PortWraps, &["proxy-v1-port-65536"]),
        (Service::Frame, Bug::LongLine, &["proxy-v1-108-bytes"]),
        (Service::Frame, Bug::NoUnknown, &["proxy-v1-unknown-short"]),
        (Service::Frame, Bug::NoDotted, &["proxy-v1-tcp6-mapped-dotted"]),
        (Service::Frame, Bug::NoLocal, &["proxy-v2-local", "proxy-v2-local-with-addresses"]),
        (Service::Who, Bug::LocalAnnounces, &["proxy-v2-local-with-addresses"]),
        (
            Service::Frame,
            Bug::IgnoresLength,
            &[
                "proxy-v2-crc32c",
                "proxy-v2-crc32c-wrong",
                "proxy-v2-local-with-addresses",
                "proxy-v2-tcp4-short",
                "proxy-v2-tlvs",
            ],
        ),
        (Service::Frame, Bug::ShortLength, &["proxy-v2-tcp4-short"]),
        (Service::Frame, Bug::NoChecksum, &["proxy-v2-crc32c-wrong"]),
        (Service::Frame, Bug::AnyVersion, &["proxy-v2-version-1"]),
        (Service::Frame, Bug::AnyCommand, &["proxy-v2-command-2"]),
        (Service::Echo, Bug::AllHeaders, &["proxy-second-header"]),
        (Service::Frame, Bug::OneRecv, &["proxy-v1-fragments", "proxy-v2-fragments"]),
        (Service::Frame, Bug::ServesParts, &["proxy-silent", "proxy-v1-fragments", "proxy-v2-fragments"]),
        (
            Service::Frame,
            Bug::OnlyV2,
            &[
                "proxy-v1-tcp4",
                "proxy-v1-tcp4-longest",
                "proxy-v1-tcp6",
                "proxy-v1-tcp6-mapped-dotted",
                "proxy-v1-two-requests-behind",
                "proxy-v1-unknown-short",
            ],
        ),
    ];
    let judged = |&(service, bug, checks): &(Service, Bug, &[&str])| {
        let report = report(start(service, bug), &["-P", service.protocol(), "--only=proxy"]);
        assert_eq!(names(&failed(&report)), checks, "{bug:?}: {report:#}");
    };
    thread::scope(|scope| cases.iter().for_each(|case| drop(scope.spawn(move || judged(case)))));
}

const SERVED: &[&str] = &["proxy-v1-tcp4", "proxy-v2-crc32c", "proxy-v2-tcp6"];
const CLOSED: &[&str] = &["proxy-required", "proxy-v1-lf-alone", "proxy-v2-version-1"];

#[test]
fn mistakes_with_every_header_have_hints() {
    let only = format!("--only={},{}", SERVED.join(","), CLOSED.join(","));
    let judged = |service: Service, bug, found: &[&str], words| {
        let report = report(start(service, bug), &["-P", service.protocol(), &only, "--patience=500ms"]);
        let failed = failed(&report);
        assert_eq!(names(&failed), found, "{bug:?}: {report:#}");
        assert!(failed.iter().all(|(_, hint)| hint.contains(words)), "{bug:?}: {failed:#?}");
    };
    thread::scope(|scope| {
        for (service, bug, found, words) in [
            (Service::Who, Bug::RealPeer, SERVED, "in place of the proxy's own"),
            (Service::Frame, Bug::KeepsOpen, CLOSED, "close the connection"),
            (Service::Frame, Bug::Guesses, &["proxy-required"], "must not guess"),
        ] {
            let judged = &judged;
            scope.spawn(move || judged(service, bug, found, words));
        }
    });
}

#[test]
fn a_connection_that_stays_open_is_reported_with_the_time() {
    let report = report(start(Service::Frame, Bug::KeepsOpen), &["--only=proxy-v1-lf-alone", "--patience=300ms"]);
    let check = &report["checks"][0];
    assert_eq!(check["expected"], "the server closes the connection within 300ms, and sends nothing");
    assert_eq!(check["came"], "nothing in time");
}

#[test]
fn requests_behind_a_header_that_are_thrown_away_are_reported() {
    let receiver = start(Service::Frame, Bug::ForgetsTheRest).to_string();
    let output = run(&["check", &receiver, "--only=proxy-v1-tcp4", "--patience=300ms"]);
    assert!(stdout(&output).contains("those behind it for the client's first"), "{output:?}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_server_that_expects_no_header_is_reported_in_one_line() {
    for (service, _) in CHECKED {
        let protocol = service.protocol();
        let address = start(service, Bug::NoReceiver).to_string();
        let output = run(&["check", &address, "-P", protocol, "--only=proxy"]);
        let text = stdout(&output);
        assert!(text.contains("FAIL  the server expects no PROXY header: it "), "{protocol}: {text}");
        assert!(text.lines().count() <= 5, "{protocol}: {text}");
        assert_eq!(output.status.code(), Some(1));
    }
}

/// Asserts that a check fails with these words in one line, and no other.
fn fails_in_one_line(address: SocketAddr, arguments: &[&str], words: &str) {
    let output = run(&[&["check", &address.to_string(), "--patience=500ms"], arguments].concat());
    let text = stdout(&output);
    assert!(text.contains(&format!("FAIL  the server {words}")), "{arguments:?}: {text}");
    assert!(text.lines().count() <= 5, "{arguments:?}: {text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_server_that_is_no_receiver_is_recognized() {
    let silent = || for_each_client(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let closing = || for_each_client(drop);
    let reading_once = || for_each_client(|mut stream| drop(stream.read(&mut [0; 4096])));
    let saying = |greeting: &'static [u8]| {
        for_each_client(move |mut stream| {
            let _ = stream.write_all(greeting).and_then(|()| stream.read_to_end(&mut Vec::new()));
        })
    };
    for protocol in ["frame", "echo", "text", "who", "daytime"] {
        let arguments = ["-P", protocol, "--only=proxy"];
        fails_in_one_line(closing(), &arguments, "closes every connection at once");
        fails_in_one_line(reading_once(), &arguments, "closes every connection without a reply, also behind");
        fails_in_one_line(silent(), &arguments, "accepts connections and never replies");
        fails_in_one_line(saying(b"SSH-2.0-OpenSSH_9.2\r\n"), &arguments, &format!("speaks SSH, not {protocol}"));
    }
    fails_in_one_line(start(Service::Echo, Bug::NoReceiver), &["--only=proxy"], "speaks echo");
    fails_in_one_line(start(Service::Echo, Bug::None), &["--only=proxy"], "speaks echo");
    fails_in_one_line(start(Service::Daytime, Bug::None), &["--only=proxy", "-P", "who"], "speaks daytime, not who");
}

#[test]
fn a_header_that_is_not_expected_is_reported_in_one_line() {
    let daemon = DaemonBuilder::every_protocol(&[]).start();
    let words = "seems to expect no PROXY header: leave out --proxy";
    for protocol in ["frame", "frame-2021", "text", "echo", "length-prefix", "daytime", "time", "qotd", "chargen"] {
        for form in ["v1", "v2", "local"] {
            fails_in_one_line(daemon.address(protocol), &["-P", protocol, "--proxy", form], words);
        }
    }
}

#[test]
fn a_header_that_is_missing_is_asked_for() {
    let question = "does it expect a PROXY header (--proxy v2), or none?";
    for service in [Service::Frame, Service::Echo] {
        let protocol = service.protocol();
        let receiver = start(service, Bug::None);
        fails_in_one_line(receiver, &["-P", protocol], "closes every connection without a reply: ");
        let address = receiver.to_string();
        let message: &[&str] = if service == Service::Frame { &["uppercase", "abc"] } else { &["abc"] };
        for arguments in [
            &[&["send", &address, "-P", protocol], message].concat()[..],
            &["ping", &address, "-P", protocol, "-c1"],
            &["bench", &address, "-P", protocol, "-n1"],
            &["check", &address, "-P", protocol],
        ] {
            let output = run(arguments);
            let text = format!("{}{}", stdout(&output), stderr(&output));
            assert!(text.contains(question), "{arguments:?}: {text}");
            assert_eq!(output.status.code(), Some(1));
        }
    }
    let served_once = for_each_client(|mut stream| {
        let _ = stream.read(&mut [0; 7]).and_then(|_| stream.write_all(b"\0\0\0\x03ABC"));
    });
    let output = run(&["ping", &served_once.to_string(), "-c2", "-i0"]);
    assert!(!stdout(&output).contains(question), "{output:?}");
}

#[test]
fn the_group_runs_only_if_it_is_named() {
    let list = run(&["check", "--list"]);
    assert!(stdout(&list).contains("\nproxy (only with --only)\n  proxy-silent "), "{list:?}");
    let report = run(&["check", &buggy_servers::start(buggy_servers::Bug::None).to_string(), "--json"]);
    assert!(!stdout(&report).contains("proxy-"));
    let receiver = start(Service::Who, Bug::None).to_string();
    for (arguments, words) in [
        (&["-P", "who"][..], "who has only the checks of the group proxy: add --only proxy"),
        (
            &["--only=proxy", "-P", "discard"],
            "discard never replies, which shows nothing about a header: there are no checks of the group proxy",
        ),
        (
            &["--only=actions,proxy"],
            "the checks of the group proxy send headers of their own, and other checks send none: run those separately",
        ),
        (&["--only=proxy", "--proxy=v1"], "the checks of the group proxy send headers of their own: leave out --proxy"),
    ] {
        let output = run(&[&["check", &receiver], arguments].concat());
        assert_eq!((stderr(&output), output.status.code()), (format!("retort: {words}\n").as_str(), Some(2)));
    }
}

#[test]
fn every_subcommand_sends_a_header_on_each_connection() {
    let (frame, who) = (start(Service::Frame, Bug::None).to_string(), start(Service::Who, Bug::None).to_string());
    for form in ["v1", "v2", "local"] {
        let sent = run(&["send", &frame, "--proxy", form, "uppercase", "abc"]);
        assert_eq!((stdout(&sent), stderr(&sent), sent.status.code()), ("ABC\n", "", Some(0)), "{form}");
        for options in [&[][..], &["--reconnect"]] {
            let output = run(&[&["ping", &frame, "--proxy", form, "-c3", "-i0"], options].concat());
            assert!(stdout(&output).contains("3 sent, 3 received, 0 lost"), "{form}: {output:?}");
            let output = run(&[&["bench", &frame, "--proxy", form, "-n50", "-c4", "--json"], options].concat());
            let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
            assert_eq!((&report["requests"], output.status.code()), (&Value::from(50), Some(0)), "{form}: {report:#}");
        }
        let output = run(&["check", &frame, "--proxy", form, "--only=actions,closing,clients", "-q"]);
        assert_eq!(output.status.code(), Some(0), "{form}: {output:?}");
        let output = run(&["bench", &who, "-P", "who", "--proxy", form, "-n50", "-c4", "--json", "--verify=length"]);
        assert_eq!(output.status.code(), Some(0), "{form}: {output:?}");
    }
}

#[test]
fn the_announced_client_is_the_source() {
    let who = start(Service::Who, Bug::None).to_string();
    for (options, peer) in [
        (&["--proxy=v1", "--proxy-source=192.0.2.1:5"][..], "192.0.2.1:5"),
        (&["--proxy=v2", "--proxy-source=[2001:db8::1]:5"], "[2001:db8::1]:5"),
        (&["--proxy=v2", "--proxy-source=192.0.2.1:5", "--proxy-tlv=0xE0=00ff", "--proxy-tlv=crc32c"], "192.0.2.1:5"),
    ] {
        let output = run(&[&["send", &who, "-P", "who"], options].concat());
        assert!(stdout(&output).contains(&format!("\"peer\":\"{peer}\"")), "{output:?}");
    }
    let frame = start(Service::Frame, Bug::None).to_string();
    let output = run(&["send", &frame, "uppercase", "abc", "--proxy=v2", "--proxy-tlv=3=00000000"]);
    assert_eq!(output.status.code(), Some(1), "a wrong checksum: {output:?}");
}

#[test]
fn options_that_contradict_one_another_are_usage_errors() {
    for (options, words) in [
        (&["--proxy-source=192.0.2.1"][..], "--proxy <FORM>"),
        (&["--proxy=v1", "--proxy-tlv=3=00"], "--proxy-tlv needs --proxy v2"),
        (&["--proxy=local", "--proxy-source=192.0.2.1"], "--proxy local announces no client"),
        (&["--proxy=v2", "--proxy-source=host"], "not an IP address"),
    ] {
        for command in [&["send", "h:1", "uppercase", "x"][..], &["ping", "h:1"], &["bench", "h:1"], &["check", "h:1"]]
        {
            let output = run(&[command, options].concat());
            assert!(stderr(&output).contains(words), "{command:?}: {output:?}");
            assert_eq!(output.status.code(), Some(2));
        }
    }
}
