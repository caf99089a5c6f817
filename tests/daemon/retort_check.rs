//! `retort check`: correct servers pass, and each bug is found by the check that is meant for it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::buggy_servers::{self, Bug};
use crate::harness::{
    DEADLINE, DaemonBuilder, Directory, RETORT_MEMORY, limited_retort, listener, process_id, run, shown_on, terminal,
};
use nix::sys::signal::{Signal, kill};
use retortd::protocol::PROTOCOLS;
use serde_json::Value;

/// The report in JSON, and the exit code.
struct Judgement {
    code: i32,
    report: Value,
    checks: BTreeMap<String, Value>,
}

/// The length of the longest message, in bytes. Its check holds the request, the expected and the received reply (in a
/// buffer that doubles when it grows), and copies of them.
const MESSAGE: u64 = 1 << 27;

fn judge(address: SocketAddr, arguments: &[&str]) -> Judgement {
    let address = address.to_string();
    let large = arguments.contains(&"--large");
    let mut command = limited_retort(if large { 8 * MESSAGE } else { RETORT_MEMORY });
    let output = command.args(["check", &address, "--json"]).args(arguments).output().expect("run retort");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let checks = report["checks"].as_array().expect("an array of checks");
    let checks = checks.iter().map(|check| (check["name"].as_str().unwrap().to_owned(), check.clone())).collect();
    Judgement { code: output.status.code().expect("an exit code"), report, checks }
}

impl Judgement {
    fn failed(&self) -> Vec<&str> {
        let failed = self.checks.iter().filter(|(_, check)| check["status"] == "failed");
        failed.map(|(name, _)| name.as_str()).collect()
    }

    fn hint(&self, name: &str) -> &str {
        self.checks[name]["hint"].as_str().unwrap_or_default()
    }
}

/// A bug, the check that must find it, words of that check's hint, and checks that must pass nevertheless.
type Case = (Bug, &'static str, &'static str, &'static [&'static str]);

/// Asserts that each bug is found as its case says. The servers are checked at the same time, as most of the time is
/// spent waiting for silent ones.
fn caught(cases: &[Case]) {
    thread::scope(|scope| cases.iter().for_each(|case| drop(scope.spawn(|| case_holds(case)))));
}

fn case_holds(&(bug, by, words, innocent): &Case) {
    let judgement = judge(buggy_servers::start(bug), &[]);
    let failed = judgement.failed();
    assert!(failed.contains(&by), "{bug:?} is not caught by {by}, but by {failed:?}");
    assert!(judgement.hint(by).contains(words), "{bug:?}: the hint is: {}", judgement.hint(by));
    assert_eq!(judgement.code, 1, "{bug:?}");
    for name in innocent {
        assert!(!failed.contains(name), "{bug:?} fails {name}: {:#}", judgement.checks[*name]);
    }
}

/// Asserts that a server with this bug fails these checks and no other.
fn caught_by_these_alone(cases: &[(Bug, &[&str])]) {
    let judged = |bug, checks: &[&str]| {
        assert_eq!(judge(buggy_servers::start(bug), &[]).failed(), checks, "{bug:?}");
    };
    thread::scope(|scope| cases.iter().for_each(|&(bug, checks)| drop(scope.spawn(move || judged(bug, checks)))));
}

#[test]
fn correct_server_passes_within_10_seconds() {
    let begun = Instant::now();
    let judgement = judge(buggy_servers::start(Bug::None), &[]);
    assert_eq!((judgement.failed(), judgement.code), (vec![], 0));
    assert_eq!(judgement.report["notes"], 0);
    assert!(judgement.checks.len() >= 40);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn sequential_server_passes_with_note() {
    let judgement = judge(buggy_servers::start(Bug::OneAtATime), &[]);
    assert_eq!((judgement.failed(), judgement.code), (vec![], 0));
    assert_eq!(judgement.report["notes"], 2);
    let note = judgement.checks["second-client"]["note"].as_str().expect("a note");
    assert!(note.contains("one client at a time"), "{note}");
}

#[test]
fn single_recv_is_caught() {
    caught(&[
        (Bug::OneRecv, "data-split", "recv was called once", &["uppercase", "header-split", "unknown-action"]),
        (Bug::OneRecvForTheHeader, "header-split", "whole header", &["uppercase", "data-split", "482164-bytes"]),
    ]);
}

#[test]
fn discarded_pipelined_input_is_caught() {
    caught(&[(Bug::ForgetsPipelined, "two-in-one", "thrown away", &["uppercase", "keep-alive", "data-split"])]);
}

#[test]
fn wrong_reply_header_is_caught() {
    caught(&[
        (Bug::LittleEndian, "length-field", "little-endian", &["half-close-at-once"]),
        (Bug::EchoesHeader, "length-field", "repeats the request's header", &[]),
        (Bug::NoHeader, "length-field", "no header", &[]),
        (Bug::CountsCharacters, "length-in-bytes", "counts characters", &["uppercase", "burst"]),
        (Bug::Newline, "length-field", "one byte too many", &[]),
        (Bug::UncountedNewline, "nothing-more", "no newline", &["uppercase", "data-split", "482164-bytes"]),
    ]);
}

#[test]
fn truncated_lengths_are_caught() {
    caught(&[(Bug::ShortSend, "64k-plus-one", "sendall", &["uppercase", "burst", "data-split", "half-close-at-once"])]);
    caught_by_these_alone(&[
        (
            Bug::ShortLength,
            &[
                "482164-bytes",
                "64k-plus-one",
                "chunk-edges",
                "four-megabytes",
                "half-close",
                "mixed-sizes",
                "unknown-action-long",
            ],
        ),
        (Bug::EmptyIsTheEnd, &["burst", "empty", "mixed-sizes", "unknown-action-empty", "unknown-action-kept"]),
    ]);
}

#[test]
fn byte_wise_text_handling_is_caught() {
    caught(&[
        (Bug::Bytes, "reverse-characters", "decode it as UTF-8", &["uppercase", "reverse", "shuffle", "burst"]),
        (Bug::Bytes, "shuffle-characters", "decode", &[]),
    ]);
    caught_by_these_alone(&[
        (Bug::AsciiCase, &["case-beyond-ascii", "final-sigma", "upper-case-grows"]),
        (Bug::NoFinalSigma, &["final-sigma"]),
        (Bug::Strips, &["control-bytes"]),
        (Bug::DecodesParts, &["code-point-split"]),
    ]);
}

#[test]
fn wrong_error_handling_is_caught() {
    caught(&[
        (
            Bug::ClosesOnError,
            "unknown-action-kept",
            "read the next request",
            &["unknown-action", "invalid-utf8", "burst"],
        ),
        (Bug::DoesNotSkip, "unknown-action-consumed", "LENGTH bytes", &["unknown-action-kept", "burst"]),
        (Bug::Capital, "unknown-action", "`error`", &["uppercase", "burst"]),
        (Bug::UnknownPasses, "unknown-action", "`error`", &["invalid-utf8", "burst"]),
    ]);
    caught_by_these_alone(&[(Bug::Replaces, &["invalid-utf8", "invalid-utf8-kept", "utf8-kinds"])]);
}

#[test]
fn wrong_connection_close_is_caught() {
    caught(&[(Bug::OneReply, "keep-alive", "stays open", &["uppercase", "one-byte", "482164-bytes"])]);
    caught_by_these_alone(&[
        (Bug::ForgetsAtTheEnd, &["half-close", "truncated-data"]),
        (Bug::SilentWhenTruncated, &["truncated-data", "truncated-header"]),
    ]);
}

#[test]
fn server_that_dies_with_its_client_is_caught() {
    let judgement = judge(buggy_servers::start(Bug::DiesWithItsClient), &["--only", "clients"]);
    // the kernel may still accept the next connection before the listener is closed; then the one after it fails
    let failed = judgement.failed();
    assert!(failed.contains(&"vanish-in-request") && failed.len() <= 2, "{failed:?}");
    assert!(failed.iter().any(|name| judgement.hint(name).contains("must not end it")), "{:#}", judgement.report);
    assert_eq!(judgement.checks["second-client"]["status"], "skipped", "the server has exited");
    assert_eq!(judgement.code, 1);
}

#[test]
fn wrong_randomness_is_caught() {
    caught(&[(Bug::DrawsTwice, "shuffle", "drawn twice", &["uppercase", "random"])]);
    caught_by_these_alone(&[
        (Bug::Biased, &["shuffle-uniform"]),
        (Bug::DropsNothing, &["random-statistics"]),
        (Bug::LeavesNothing, &["random-never-empty"]),
    ]);
}

#[test]
fn hanging_server_fails_within_30_seconds() {
    let begun = Instant::now();
    let judgement = judge(buggy_servers::start(Bug::Hangs), &["--patience", "200ms"]);
    assert!(judgement.failed().len() > 40);
    assert!(judgement.checks["uppercase"]["came"].as_str().unwrap().contains("nothing in time"));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn daemon_passes_in_every_protocol() {
    let daemon = DaemonBuilder::every_protocol(&[]).start();
    let mut checked = 0;
    for protocol in PROTOCOLS.iter().map(|protocol| protocol.name) {
        let list = run(&["check", "--list", "-P", protocol]);
        if list.status.code() == Some(2) {
            let message = String::from_utf8_lossy(&list.stderr).into_owned();
            assert!(message.contains(&format!("no checks for protocol {protocol}")), "{message}");
            continue;
        }
        if list.stdout.starts_with(b"proxy (only with --only)") {
            continue;
        }
        let judgement = judge(daemon.address(protocol), &["-P", protocol]);
        assert_eq!((judgement.failed(), judgement.code), (vec![], 0), "{protocol}: {:#}", judgement.report);
        assert_eq!(judgement.report["notes"], 0, "{protocol}");
        checked += 1;
    }
    assert!(checked >= 10, "there are checks for {checked} protocols only");
}

#[test]
fn daemon_passes_longest_message_and_edition_2021() {
    let daemon = DaemonBuilder::new(&["--listen=frame-2021=127.0.0.1:0"]).start();
    let judgement =
        judge(daemon.address("frame-2021"), &["--edition", "2021", "--large", "--only", "largest,title-case"]);
    assert_eq!((judgement.failed(), judgement.code), (vec![], 0), "{:#}", judgement.report);
    assert_eq!(judgement.report["passed"], 2);
}

/// A server that sends `greeting` to every client, and `reply` when it has read a line or the end of input.
fn speaking(greeting: &'static [u8], reply: &'static [u8]) -> SocketAddr {
    buggy_servers::for_each_client(move |mut stream| {
        let _ = stream.write_all(greeting);
        let _ = BufReader::new(&stream).read_until(b'\n', &mut Vec::new());
        let _ = stream.write_all(reply);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

/// Asserts that every check fails with a hint that contains `words`.
fn mistaken(address: SocketAddr, protocol: &str, words: &str) {
    let judgement = judge(address, &["-P", protocol]);
    assert_eq!((judgement.failed().len(), judgement.code), (judgement.checks.len(), 1), "{words}");
    for name in judgement.failed() {
        assert!(judgement.hint(name).contains(words), "{name} of {protocol}: {:#}", judgement.checks[name]);
    }
}

#[test]
fn server_of_foreign_protocol_is_recognized() {
    const HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    for (protocol, greeting, reply, words) in [
        ("frame", b"".as_slice(), HTTP, "speaks HTTP, not frame"),
        ("text", b"", b"<!DOCTYPE HTML>\n<html lang=\"en\">", "speaks HTTP, not text"),
        ("echo", b"", HTTP, "speaks HTTP, not echo"),
        ("discard", b"", HTTP, "speaks HTTP, not discard"),
        ("daytime", b"", HTTP, "speaks HTTP, not daytime"),
        ("frame", b"", b"\x15\x03\x03\0\x02\x02\x32", "speaks TLS, not frame"),
        ("frame", b"SSH-2.0-OpenSSH_9.2\r\n", b"Invalid SSH identification string.\r\n", "speaks SSH, not frame"),
        ("qotd", b"SSH-2.0-OpenSSH_9.2\r\n", b"", "speaks SSH, not qotd"),
        ("frame", b"220 mail.example ESMTP\r\n", b"500 unknown\r\n", "speaks SMTP or FTP, not frame"),
        ("time", b"220 mail.example ESMTP\r\n", b"500 unknown\r\n", "speaks SMTP or FTP, not time"),
        ("frame", b"Welcome!\n", b"", "speaks first: it sends text before it has received a request"),
        ("frame", b"\x4a\0\0\0\x0a8.0.36\0", b"", "speaks first: it sends bytes before it has received a request"),
    ] {
        mistaken(speaking(greeting, reply), protocol, words);
    }
}

/// Many servers of TLS close without an alert if the first bytes are not a record.
#[test]
fn server_of_tls_is_recognized_without_a_reply_to_the_request() {
    let address = buggy_servers::for_each_client(|mut stream| {
        let mut record = [0; 5];
        if stream.read_exact(&mut record).is_ok() && record[..3] == [22, 3, 1] {
            let _ = stream.write_all(b"\x15\x03\x03\0\x02\x02\x32");
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    for protocol in ["frame", "text", "discard", "daytime"] {
        mistaken(address, protocol, &format!("speaks TLS, not {protocol}"));
    }
}

#[test]
fn server_of_other_protocol_of_the_daemon_is_recognized() {
    let daemon = DaemonBuilder::every_protocol(&[]).start();
    for (protocol, served) in [
        ("frame", "text"),
        ("frame", "chargen"),
        ("frame", "daytime"),
        ("frame", "who"),
        ("frame", "time"),
        ("daytime", "time"),
        ("daytime", "who"),
        ("frame", "length-prefix"),
        ("text", "length-prefix"),
        ("daytime", "chargen"),
    ] {
        mistaken(daemon.address(served), protocol, &format!("speaks {served}, not {protocol}"));
    }
    for (protocol, served, names) in [
        ("frame", "echo", "echo or record"),
        ("discard", "record", "echo or record"),
        ("echo", "frame", "frame or frame-2021"),
        ("echo", "frame-2021", "frame or frame-2021"),
        ("length-prefix", "upper", "upper or upper-line"),
        ("frame", "upper-line", "upper or upper-line"),
    ] {
        mistaken(daemon.address(served), protocol, &format!("speaks {names}, not {protocol}"));
    }
}

#[test]
fn server_that_never_replies_is_recognized() {
    let daemon = DaemonBuilder::every_protocol(&[]).start();
    let closing = buggy_servers::for_each_client(drop);
    let silent = buggy_servers::for_each_client(|stream| {
        let _ = (&stream).read_to_end(&mut Vec::new());
        // holds the connection open
        std::mem::forget(stream);
    });
    for protocol in ["frame", "daytime"] {
        mistaken(daemon.address("discard"), protocol, "accepts connections and never replies");
        mistaken(closing, protocol, "closes every connection at once, without a byte");
    }
    mistaken(silent, "frame", "accepts connections and never replies");
}

/// A server that replies after longer than the search for other protocols waits, and within the patience.
#[test]
fn slow_server_is_left_to_the_checks() {
    let address = buggy_servers::for_each_client(|mut stream| {
        let mut request = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut request) {
            thread::sleep(Duration::from_millis(1200));
            let _ = stream.write_all(&request[..length]);
        }
    });
    let judgement = judge(address, &["-P", "echo", "--only", "one-byte", "--patience", "10s"]);
    assert_eq!((judgement.failed(), judgement.code), (vec![], 0), "{:#}", judgement.report);
}

#[test]
fn reports_of_other_protocol_agree() {
    let address = speaking(b"SSH-2.0-OpenSSH_9.2\r\n", b"").to_string();
    let directory = Directory::new();
    let junit = directory.path("report.xml");
    let only = ["check", &address, "--only", "uppercase,half-close-at-once"];
    let hint = "the server speaks SSH, not frame: is this the right address, and the right -P?";
    let text = String::from_utf8(run(&only).stdout).unwrap();
    assert_eq!(text.matches(hint).count(), 1, "{text}");
    assert!(text.contains("Received: SSH-2.0-OpenSSH_9.2\\x0d\\x0a") && !text.contains("uppercase"), "{text}");
    assert!(text.contains("\n0 of 2 checks passed, 2 failed, in "), "{text}");
    let quiet = String::from_utf8(run(&[only.as_slice(), &["--quiet"]].concat()).stdout).unwrap();
    assert_eq!(quiet.lines().count(), 2, "{quiet}");
    let tap = run(&[only.as_slice(), &["--tap", "--junit", junit.to_str().unwrap()]].concat());
    assert_eq!(tap.status.code(), Some(1));
    let tap = String::from_utf8(tap.stdout).unwrap();
    assert!(tap.contains("not ok 1 - uppercase\n") && tap.contains("not ok 2 - half-close-at-once\n"), "{tap}");
    assert_eq!(tap.matches(hint).count(), 2, "{tap}");
    let xml = fs::read_to_string(junit).expect("the JUnit report");
    assert!(xml.contains("tests=\"2\" failures=\"2\"") && xml.matches(hint).count() == 2, "{xml}");
}

#[test]
fn echo_at_the_end_of_input_gets_its_hint() {
    let address = buggy_servers::for_each_client(|mut stream| {
        let mut input = Vec::new();
        let _ = stream.read_to_end(&mut input);
        let _ = stream.write_all(&input);
    });
    for protocol in ["echo", "length-prefix"] {
        let judgement =
            judge(address, &["-P", protocol, "--patience", "200ms", "--only", "one-byte,keep-alive,half-close"]);
        for name in ["one-byte", "keep-alive"] {
            assert!(judgement.hint(name).contains("only at the end of input"), "{:#}", judgement.checks[name]);
        }
        assert_eq!((judgement.failed(), judgement.code), (vec!["keep-alive", "one-byte"], 1));
    }
}

#[test]
fn chargen_may_send_any_pattern() {
    let ring = short_ring();
    for bytes in [ring.as_slice(), b"the data may be anything\r\n", b"x"] {
        let judgement = judge(buggy_servers::flooding(bytes), &["-P", "chargen"]);
        assert_eq!((judgement.failed(), judgement.code), (vec![], 0), "{:#}", judgement.report);
        assert_eq!(judgement.report["notes"], 1);
        let note = judgement.checks["pattern"]["note"].as_str().expect("a note");
        assert!(note.contains("RFC 864 allows any"), "{note}");
    }
}

#[test]
fn chargen_that_waits_for_input_or_ends_is_caught() {
    let waits = buggy_servers::for_each_client(|mut stream| {
        let _ = stream.read(&mut [0; 100]);
        while stream.write_all(&[b'x'; 1 << 14]).is_ok() {}
    });
    let ends = buggy_servers::for_each_client(|mut stream| drop(stream.write_all(&[b'x'; 1 << 14])));
    let stops = buggy_servers::for_each_client(|mut stream| {
        let _ = stream.write_all(b"x");
        let _ = stream.read(&mut [0; 100]);
        let _ = stream.read(&mut [0; 100]);
    });
    for (address, check) in [(waits, "pattern"), (ends, "endless"), (stops, "input-ignored")] {
        let judgement = judge(address, &["-P", "chargen", "--patience", "200ms", "--only", "service"]);
        assert!(judgement.failed().contains(&check), "{check}: {:#}", judgement.report);
        assert_eq!(judgement.code, 1);
    }
}

#[test]
fn text_tap_and_junit_reports_show_failure() {
    let address = buggy_servers::start(Bug::LittleEndian).to_string();
    let only = ["--only", "uppercase,half-close-at-once"];
    let text = run(&[&["check", &address], only.as_slice()].concat());
    let text = String::from_utf8(text.stdout).unwrap();
    for words in [
        "FAIL  uppercase",
        "sent ",
        "expected  \\x00\\x00\\x00\\x16PRETTY",
        "received  \\x16\\x00\\x00\\x00PRETTY",
        "hint ",
        "ok    half-close-at-once",
        "1 of 2 checks passed, 1 failed",
    ] {
        assert!(text.contains(words), "{words:?} is not in:\n{text}");
    }
    let directory = Directory::new();
    let junit = directory.path("report.xml");
    let tap = run(&[&["check", &address, "--tap", "--junit", junit.to_str().unwrap()], only.as_slice()].concat());
    let tap = String::from_utf8(tap.stdout).unwrap();
    assert!(tap.starts_with("TAP version 13\n1..2\nnot ok 1 - uppercase\n  ---\n"), "{tap}");
    assert!(tap.contains("ok 2 - half-close-at-once\n"), "{tap}");
    let xml = std::fs::read_to_string(junit).expect("the JUnit report");
    assert!(
        xml.contains("tests=\"2\" failures=\"1\"") && xml.contains("<failure message=\"the length is little-endian"),
        "{xml}"
    );
}

#[test]
fn impossible_check_exits_2() {
    let nobody = listener().1.to_string();
    for (arguments, words) in [
        (vec!["check", nobody.as_str()], "cannot connect to 127.0.0.1"),
        (vec!["check", "--list", "-P", "ack"], "no checks for protocol ack"),
        (vec!["check", "--list", "-P", "respond"], "and with --only proxy for who"),
        (vec!["check", nobody.as_str(), "--only", "nonsense"], "no check or group has the name 'nonsense'"),
        (vec!["check", nobody.as_str(), "--only", "empty,upercase"], "the name 'upercase'; did you mean uppercase?"),
        (vec!["check", nobody.as_str(), "--only", "pattern"], "frame has no check or group 'pattern', but chargen has"),
        (vec!["check", nobody.as_str(), "--only", "title-case"], "but frame-2021 has: add -P frame-2021"),
        (vec!["check", nobody.as_str(), "--only", ""], "--only has an empty name ('')"),
        (vec!["check", nobody.as_str(), "--only", "empty,,reverse"], "--only has an empty name ('')"),
        (vec!["check", nobody.as_str(), "--only", "largest"], "add --large"),
        (vec!["check", "localhost:http"], "not a port: 'http'"),
    ] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn list_option_shows_checks_of_edition() {
    let list = String::from_utf8(run(&["check", "--list"]).stdout).unwrap();
    for name in ["length-field", "shuffle-uniform", "second-client"] {
        assert!(list.contains(&format!("  {name} ")), "{list}");
    }
    assert!(!list.contains("title-case "));
    let older = String::from_utf8(run(&["check", "--list", "--edition", "2021"]).stdout).unwrap();
    assert!(older.contains("title-case ") && !older.contains("random-statistics"));
}

/// A chargen pattern of 94 characters instead of 95, as xinetd sends it.
fn short_ring() -> Vec<u8> {
    let ring = |start: usize| (0..72).map(move |i| b'!' + ((start + i) % 94) as u8).chain(*b"\r\n");
    (0..94).flat_map(ring).collect()
}

/// Fault 44: a server that never stops sending. The timeout is longer than the test's deadline, so each check must fail
/// as soon as the reply cannot be correct any more.
#[test]
fn endless_server_is_judged_in_bounded_time_and_memory() {
    let endless = "more bytes than all replies";
    let cases: [(&str, &[u8], &str); 11] = [
        ("frame", b"x", endless),
        ("frame", b"\0\0\0\x01x", endless),
        ("frame", b"\0\0\0\x05error", endless),
        ("frame", b"\x07\xff\xff\xff", "decode the text"),
        ("text", b"1 x", endless),
        ("echo", b"x", endless),
        ("length-prefix", b"x", endless),
        ("discard", b"x", endless),
        ("daytime", b"x", "as one line"),
        ("time", b"x", "exactly four bytes"),
        ("qotd", b"x", "at most 512 characters"),
    ];
    let patience = ["--patience", &format!("{}s", 2 * DEADLINE.as_secs()), "-P"];
    let begun = Instant::now();
    let judged = |(protocol, bytes, words): (&str, &[u8], &str)| {
        let directory = Directory::new();
        let file = directory.path("report.xml");
        let more = [protocol, "--junit", file.to_str().unwrap()];
        let judgement = judge(buggy_servers::flooding(bytes), &[patience.as_slice(), &more].concat());
        assert_eq!(judgement.code, 1, "{protocol}");
        let hinted = judgement.failed().into_iter().any(|check| judgement.hint(check).contains(words));
        assert!(hinted, "{protocol}: {:#}", judgement.report);
        let xml = fs::read_to_string(file).expect("the report");
        assert_eq!(xml.matches("<testcase ").count(), judgement.checks.len(), "{protocol}");
        assert!(xml.ends_with("</testsuites>\n"), "{protocol}");
    };
    thread::scope(|scope| cases.into_iter().for_each(|case| drop(scope.spawn(move || judged(case)))));
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
}

/// Starts a check that reports to the file `junit` and prints text, and waits until it has begun.
fn begun(address: SocketAddr, junit: &str, arguments: &[&str]) -> (Child, BufReader<impl Read>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retort"));
    command.args(["check", &address.to_string(), "--junit", junit]).args(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start retort");
    let mut output = BufReader::new(child.stdout.take().expect("its standard output"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    assert!(line.starts_with("frame on 127.0.0.1"), "{line}");
    (child, output)
}

/// Fault 44: a signal while a server is checked, and a report of an earlier run.
#[test]
fn interrupted_check_keeps_old_report() {
    let directory = Directory::new();
    let junit = directory.write("report.xml", "earlier");
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let (mut child, _output) = begun(buggy_servers::start(Bug::Hangs), &junit, &["--patience", "1h"]);
        kill(process_id(&child), signal).expect("interrupt it");
        assert_eq!(child.wait().expect("wait for retort").code(), None);
        assert_eq!(fs::read_to_string(&junit).unwrap(), "earlier");
        assert_eq!(directory.names(), ["report.xml"]);
    }
}

#[test]
fn unwritable_report_exits_2_after_checks() {
    let directory = Directory::new();
    fs::create_dir(directory.path("gone")).unwrap();
    let (listener, address) = listener();
    let (removed, wait) = mpsc::channel::<()>();
    // accepts nothing until the directory has been removed, and then closes every connection
    thread::spawn(move || {
        let held: Vec<_> = listener.incoming().take(2).collect();
        let _ = wait.recv();
        drop(held);
        listener.incoming().for_each(drop);
    });
    let junit = directory.path("gone/report.xml");
    let (child, mut output) = begun(address, junit.to_str().unwrap(), &["--patience", "1m", "--only", "uppercase"]);
    fs::remove_dir(directory.path("gone")).expect("nothing is in it before the end");
    drop(removed);
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert!(text.contains("0 of 1 checks passed, 1 failed"), "{text}");
    let rest = child.wait_with_output().expect("wait for retort");
    assert_eq!(rest.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&rest.stderr).contains("cannot write "), "{rest:?}");
    assert_eq!(directory.names(), Vec::<String>::new());
}

/// Fault 44: standard output is closed. The exit code is right all the same, and a report in a file complete.
#[test]
fn result_is_right_when_stdout_is_closed() {
    let directory = Directory::new();
    let junit = directory.path("report.xml");
    let file = ["--junit", junit.to_str().unwrap()];
    let cases = [(Bug::None, &[][..], 0), (Bug::LittleEndian, &[], 1), (Bug::LittleEndian, &file, 1)];
    for (bug, options, code) in cases {
        let (closed, output) = UnixStream::pair().unwrap();
        drop(closed);
        let address = buggy_servers::start(bug).to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_retort"));
        command.args(["check", &address, "--only", "half-close-at-once,uppercase"]).args(options);
        let ended = command.stdout(OwnedFd::from(output)).output().expect("run retort");
        assert_eq!((ended.status.code(), ended.stderr.len()), (Some(code), 0), "{bug:?} {options:?}: {ended:?}");
    }
    let xml = fs::read_to_string(junit).expect("the report");
    assert!(xml.contains("tests=\"2\" failures=\"1\""), "{xml}");
}

#[test]
fn junit_report_may_go_to_stdout() {
    let address = buggy_servers::start(Bug::None).to_string();
    let output = run(&["check", &address, "--only", "uppercase", "-q", "--junit", "/dev/stdout"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("<testsuites>") && text.contains("1 of 1 checks passed"), "{text}");
}

/// What `retort` prints on a terminal, with these variables.
fn on_a_terminal(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let (terminal, controller) = terminal();
    let mut command = Command::new(env!("CARGO_BIN_EXE_retort"));
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        command.env_remove(variable);
    }
    command.args(arguments).env("TERM", "xterm");
    command.envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(terminal.try_clone().unwrap()).stderr(terminal);
    let mut child = command.spawn().expect("run retort");
    // closes this process's copies of the program's end
    drop(command);
    let shown = shown_on(controller);
    child.wait().expect("wait for retort");
    shown
}

#[test]
fn color_option_and_environment_decide_on_colours() {
    let address = buggy_servers::start(Bug::None).to_string();
    let report = ["check", &address, "--only", "uppercase"];
    for (option, variables, coloured) in [
        ("--color=auto", [].as_slice(), true),
        ("--color=auto", &[("NO_COLOR", "")], true),
        ("--color=auto", &[("NO_COLOR", "1")], false),
        ("--color=auto", &[("TERM", "dumb")], false),
        ("--color=auto", &[("TERM", "dumb"), ("CI", "true")], false),
        ("--color=never", &[], false),
        ("--color=always", &[("NO_COLOR", "1"), ("TERM", "dumb")], true),
    ] {
        for arguments in [report.as_slice(), &["--help"], &["chek"]] {
            let output = on_a_terminal(&[&[option], arguments].concat(), variables);
            assert!(output.contains("1 of 1 checks passed") || output.contains("Usage"), "{output}");
            assert_eq!(output.contains('\x1b'), coloured, "{option} {variables:?}: {output}");
        }
    }
    let piped = |when| run(&[report.as_slice(), &["--color", when]].concat()).stdout.contains(&b'\x1b');
    assert_eq!((piped("auto"), piped("always")), (false, true));
}

#[test]
fn one_check_is_singular() {
    let address = buggy_servers::start(Bug::None).to_string();
    let title = |only| String::from_utf8(run(&["check", &address, "--only", only]).stdout).unwrap();
    assert!(title("uppercase").contains(": 1 check\n") && title("uppercase, reverse").contains(": 2 checks\n"));
}

#[test]
fn seconds_in_json_have_microseconds() {
    let report = judge(buggy_servers::start(Bug::None), &["--only", "actions"]).report;
    let checks = report["checks"].as_array().unwrap();
    for seconds in checks.iter().chain([&report]).map(|part| part["seconds"].to_string()) {
        let digits = seconds.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        assert!(digits <= 6 || seconds.contains("e-"), "{seconds}");
    }
}

/// Standard input, output and error, and one more: enough for one connection, and not for two at once.
#[test]
fn descriptor_limit_of_the_client_exits_2() {
    let address = buggy_servers::start(Bug::None).to_string();
    let limited = |only: &str| {
        let script = "ulimit -n 4; exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_retort"), "check", &address, "--only", only]);
        command.stdin(Stdio::null()).output().expect("run retort")
    };
    let output = limited("second-client");
    let words = format!("cannot connect to {address}: Too many open files; raise the limit (ulimit -n)\n");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*message), (Some(2), &*format!("retort: check second-client: {words}")));
    assert_eq!(limited("uppercase").status.code(), Some(0));
}
