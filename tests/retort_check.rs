//! `retort check`: correct servers pass, and each server with a flaw fails the check that is meant for it.

mod flawed;
mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use flawed::Flaw;
use harness::{DEADLINE, Daemon, Directory, Launch, limited, process_id};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

fn retort(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_retort")).args(arguments).output().expect("run retort")
}

/// A report in JSON, and the exit code.
struct Checked {
    code: i32,
    report: Value,
    checks: BTreeMap<String, Value>,
}

/// Memory that the client may allocate for all checks but those of the longest message, in bytes.
const MEMORY: u64 = 64 << 20;

/// The longest message, in bytes. Its check holds the request, the expected reply, the received reply (in a buffer that
/// grows by doubling), and copies while these are made.
const MESSAGE: u64 = 1 << 27;

fn check(address: SocketAddr, arguments: &[&str]) -> Checked {
    let address = address.to_string();
    let large = arguments.contains(&"--large");
    let mut command = limited(env!("CARGO_BIN_EXE_retort"), if large { 8 * MESSAGE } else { MEMORY });
    let output = command.args(["check", &address, "--json"]).args(arguments).output().expect("run retort");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let checks = report["checks"].as_array().expect("an array of checks");
    let checks = checks.iter().map(|check| (check["name"].as_str().unwrap().to_owned(), check.clone())).collect();
    Checked { code: output.status.code().expect("an exit code"), report, checks }
}

impl Checked {
    fn failed(&self) -> Vec<&str> {
        let failed = self.checks.iter().filter(|(_, check)| check["status"] == "failed");
        failed.map(|(name, _)| name.as_str()).collect()
    }

    fn hint(&self, name: &str) -> &str {
        self.checks[name]["hint"].as_str().unwrap_or_default()
    }
}

/// A flaw, the check that is meant for it, words of that check's hint, and checks that pass nevertheless.
type Case = (Flaw, &'static str, &'static str, &'static [&'static str]);

/// Each flaw is found as its case says. The servers are checked at the same time: most of it is waiting for silent ones.
fn assert_found(cases: &[Case]) {
    thread::scope(|scope| cases.iter().for_each(|case| drop(scope.spawn(|| assert_case(case)))));
}

fn assert_case(&(flaw, by, words, passing): &Case) {
    let checked = check(flawed::start(flaw), &[]);
    let failed = checked.failed();
    assert!(failed.contains(&by), "{flaw:?} does not fail {by}, but {failed:?}");
    assert!(checked.hint(by).contains(words), "{flaw:?}: the hint is: {}", checked.hint(by));
    assert_eq!(checked.code, 1, "{flaw:?}");
    for name in passing {
        assert!(!failed.contains(name), "{flaw:?} fails {name}: {:#}", checked.checks[*name]);
    }
}

/// A server with this flaw fails these checks and no other.
fn assert_found_only_by(cases: &[(Flaw, &[&str])]) {
    let run = |flaw, checks: &[&str]| {
        assert_eq!(check(flawed::start(flaw), &[]).failed(), checks, "{flaw:?}");
    };
    thread::scope(|scope| cases.iter().for_each(|&(flaw, checks)| drop(scope.spawn(move || run(flaw, checks)))));
}

#[test]
fn correct_server_passes_in_seconds() {
    let started = Instant::now();
    let checked = check(flawed::start(Flaw::None), &[]);
    assert_eq!((checked.failed(), checked.code), (vec![], 0));
    assert_eq!(checked.report["notes"], 0);
    assert!(checked.checks.len() >= 40);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn serving_one_client_at_a_time_is_a_note() {
    let checked = check(flawed::start(Flaw::OneAtATime), &[]);
    assert_eq!((checked.failed(), checked.code), (vec![], 0));
    assert_eq!(checked.report["notes"], 2);
    let note = checked.checks["second-client"]["note"].as_str().expect("a note");
    assert!(note.contains("one client at a time"), "{note}");
}

#[test]
fn single_recv_is_found() {
    assert_found(&[
        (Flaw::OneRecv, "data-split", "recv was called once", &["uppercase", "header-split", "unknown-action"]),
        (Flaw::OneRecvForTheHeader, "header-split", "whole header", &["uppercase", "data-split", "482164-bytes"]),
    ]);
}

#[test]
fn dropped_pipelined_requests_are_found() {
    assert_found(&[(Flaw::ForgetsPipelined, "two-in-one", "thrown away", &["uppercase", "keep-alive", "data-split"])]);
}

#[test]
fn wrong_reply_headers_are_found() {
    assert_found(&[
        (Flaw::LittleEndian, "length-field", "little-endian", &["half-close-at-once"]),
        (Flaw::EchoesHeader, "length-field", "repeats the request's header", &[]),
        (Flaw::NoHeader, "length-field", "no header", &[]),
        (Flaw::CountsCharacters, "length-in-bytes", "counts characters", &["uppercase", "burst"]),
        (Flaw::Newline, "length-field", "one byte too many", &[]),
        (Flaw::UncountedNewline, "nothing-more", "no newline", &["uppercase", "data-split", "482164-bytes"]),
    ]);
}

#[test]
fn truncated_lengths_are_found() {
    assert_found(&[(
        Flaw::ShortSend,
        "64k-plus-one",
        "sendall",
        &["uppercase", "burst", "data-split", "half-close-at-once"],
    )]);
    assert_found_only_by(&[
        (
            Flaw::ShortLength,
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
        (Flaw::EmptyIsTheEnd, &["burst", "empty", "mixed-sizes", "unknown-action-empty", "unknown-action-kept"]),
    ]);
}

#[test]
fn wrong_character_handling_is_found() {
    assert_found(&[
        (Flaw::Bytes, "reverse-characters", "decode it as UTF-8", &["uppercase", "reverse", "shuffle", "burst"]),
        (Flaw::Bytes, "shuffle-characters", "decode", &[]),
    ]);
    assert_found_only_by(&[
        (Flaw::AsciiCase, &["case-beyond-ascii", "final-sigma", "upper-case-grows"]),
        (Flaw::NoFinalSigma, &["final-sigma"]),
        (Flaw::Strips, &["control-bytes"]),
        (Flaw::DecodesParts, &["code-point-split"]),
    ]);
}

#[test]
fn wrong_error_handling_is_found() {
    assert_found(&[
        (
            Flaw::ClosesOnError,
            "unknown-action-kept",
            "read the next request",
            &["unknown-action", "invalid-utf8", "burst"],
        ),
        (Flaw::DoesNotSkip, "unknown-action-consumed", "LENGTH bytes", &["unknown-action-kept", "burst"]),
        (Flaw::Capital, "unknown-action", "`error`", &["uppercase", "burst"]),
        (Flaw::UnknownPasses, "unknown-action", "`error`", &["invalid-utf8", "burst"]),
    ]);
    assert_found_only_by(&[(Flaw::Replaces, &["invalid-utf8", "invalid-utf8-kept", "utf8-kinds"])]);
}

#[test]
fn wrong_closing_is_found() {
    assert_found(&[(Flaw::OneAnswer, "keep-alive", "stays open", &["uppercase", "one-byte", "482164-bytes"])]);
    assert_found_only_by(&[
        (Flaw::ForgetsAtTheEnd, &["half-close", "truncated-data"]),
        (Flaw::SilentWhenTruncated, &["truncated-data", "truncated-header"]),
    ]);
}

#[test]
fn server_ended_by_a_client_is_found() {
    let checked = check(flawed::start(Flaw::DiesWithItsClient), &["--only", "clients"]);
    // The kernel may still make one more connection before the listener is closed.
    let failed = checked.failed();
    assert!(failed.contains(&"vanish-in-request") && failed.len() <= 2, "{failed:?}");
    assert!(failed.iter().any(|name| checked.hint(name).contains("must not end it")), "{:#}", checked.report);
    assert_eq!(checked.checks["second-client"]["status"], "skipped", "the server is gone");
    assert_eq!(checked.code, 1);
}

#[test]
fn wrong_randomness_is_found() {
    assert_found(&[(Flaw::DrawsTwice, "shuffle", "drawn twice", &["uppercase", "random"])]);
    assert_found_only_by(&[
        (Flaw::Biased, &["shuffle-uniform"]),
        (Flaw::DropsNothing, &["random-statistics"]),
        (Flaw::LeavesNothing, &["random-never-empty"]),
    ]);
}

#[test]
fn hanging_server_costs_seconds() {
    let started = Instant::now();
    let checked = check(flawed::start(Flaw::Hangs), &["--patience", "200ms"]);
    assert!(checked.failed().len() > 40);
    assert!(checked.checks["uppercase"]["came"].as_str().unwrap().contains("nothing in time"));
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn retortd_passes_in_every_protocol() {
    let protocols =
        ["frame", "frame-2021", "text", "echo", "length-prefix", "discard", "daytime", "time", "qotd", "chargen"];
    let listen: Vec<String> = protocols.iter().map(|protocol| format!("--listen={protocol}=127.0.0.1:0")).collect();
    let daemon = Launch::new(&listen.iter().map(String::as_str).collect::<Vec<_>>()).start();
    for protocol in protocols {
        let checked = check(daemon.address(protocol), &["-P", protocol]);
        assert_eq!((checked.failed(), checked.code), (vec![], 0), "{protocol}: {:#}", checked.report);
        assert_eq!(checked.report["notes"], 0, "{protocol}");
    }
}

#[test]
fn longest_message_and_edition_2021_are_checked() {
    let daemon = Launch::new(&["--listen=frame-2021=127.0.0.1:0"]).start();
    let checked =
        check(daemon.address("frame-2021"), &["--edition", "2021", "--large", "--only", "largest,title-case"]);
    assert_eq!((checked.failed(), checked.code), (vec![], 0), "{:#}", checked.report);
    assert_eq!(checked.report["passed"], 2);
}

#[test]
fn server_of_another_protocol_fails() {
    let daemon = Daemon::serving("echo", &[]);
    let checked = check(daemon.address("echo"), &["--patience", "300ms", "--only", "actions"]);
    assert_eq!(checked.code, 1);
    assert!(checked.hint("length-field").contains("repeats the request's header"), "{}", checked.report);
}

#[test]
fn text_tap_and_junit_reports_are_printed() {
    let address = flawed::start(Flaw::LittleEndian).to_string();
    let only = ["--only", "uppercase,half-close-at-once"];
    let text = retort(&[&["check", &address], only.as_slice()].concat());
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
    let tap = retort(&[&["check", &address, "--tap", "--junit", junit.to_str().unwrap()], only.as_slice()].concat());
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
fn unusable_arguments_exit_2() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (arguments, words) in [
        (vec!["check", nobody.as_str()], "cannot connect to 127.0.0.1"),
        (vec!["check", "--list", "-P", "ack"], "no checks for protocol ack"),
        (vec!["check", nobody.as_str(), "--only", "nonsense"], "no check or group has the name nonsense"),
        (vec!["check", "localhost:http"], "not a port"),
    ] {
        let output = retort(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn list_shows_the_checks_of_the_edition() {
    let list = String::from_utf8(retort(&["check", "--list"]).stdout).unwrap();
    for name in ["length-field", "shuffle-uniform", "second-client"] {
        assert!(list.contains(&format!("  {name} ")), "{list}");
    }
    assert!(!list.contains("title-case "));
    let older = String::from_utf8(retort(&["check", "--list", "--edition", "2021"]).stdout).unwrap();
    assert!(older.contains("title-case ") && !older.contains("random-statistics"));
}

/// A ring of 94 characters instead of 95, as in xinetd: wrong, and endless.
fn short_ring() -> Vec<u8> {
    let ring = |start: usize| (0..72).map(move |i| b'!' + ((start + i) % 94) as u8).chain(*b"\r\n");
    (0..94).flat_map(ring).collect()
}

/// Fault 44: a server that never stops sending. The patience is longer than the test may take: each check fails as soon as
/// the reply cannot be correct any more, whatever else the server sends.
#[test]
fn endless_sender_is_checked_in_bounded_time_and_memory() {
    let ring = short_ring();
    let endless = "more bytes than all replies";
    let cases: [(&str, &[u8], &str); 12] = [
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
        ("chargen", &ring, "the next begins one character later"),
    ];
    let patience = ["--patience", &format!("{}s", 2 * DEADLINE.as_secs()), "-P"];
    let started = Instant::now();
    let run = |(protocol, bytes, words): (&str, &[u8], &str)| {
        let directory = Directory::new();
        let file = directory.path("report.xml");
        let more = [protocol, "--junit", file.to_str().unwrap()];
        let checked = check(flawed::flooding(bytes), &[patience.as_slice(), &more].concat());
        assert_eq!(checked.code, 1, "{protocol}");
        let hinted = checked.failed().into_iter().any(|check| checked.hint(check).contains(words));
        assert!(hinted, "{protocol}: {:#}", checked.report);
        let xml = fs::read_to_string(file).expect("the report");
        assert_eq!(xml.matches("<testcase ").count(), checked.checks.len(), "{protocol}");
        assert!(xml.ends_with("</testsuites>\n"), "{protocol}");
    };
    thread::scope(|scope| cases.into_iter().for_each(|case| drop(scope.spawn(move || run(case)))));
    assert!(started.elapsed() < DEADLINE, "{:?}", started.elapsed());
}

/// Starts a check that reports to this file and prints text, and waits until it has begun.
fn start(address: SocketAddr, junit: &str, arguments: &[&str]) -> (Child, BufReader<impl Read>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retort"));
    command.args(["check", &address.to_string(), "--junit", junit]).args(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start retort");
    let mut output = BufReader::new(child.stdout.take().expect("its standard output"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    assert!(line.starts_with("frame on 127.0.0.1"), "{line}");
    (child, output)
}

/// Fault 44: a signal during a check, and a report of an earlier run.
#[test]
fn earlier_report_is_kept_when_a_check_is_interrupted() {
    let directory = Directory::new();
    let junit = directory.write("report.xml", "earlier");
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let (mut child, _output) = start(flawed::start(Flaw::Hangs), &junit, &["--patience", "1h"]);
        kill(process_id(&child), signal).expect("interrupt it");
        assert_eq!(child.wait().expect("wait for retort").code(), None);
        assert_eq!(fs::read_to_string(&junit).unwrap(), "earlier");
        assert_eq!(directory.names(), ["report.xml"]);
    }
}

#[test]
fn unwritable_report_exits_2_after_the_results() {
    let directory = Directory::new();
    fs::create_dir(directory.path("gone")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (removed, wait) = mpsc::channel::<()>();
    // Sends no reply until the directory has been removed, and closes every connection then.
    thread::spawn(move || {
        let held: Vec<_> = listener.incoming().take(2).collect();
        let _ = wait.recv();
        drop(held);
        listener.incoming().for_each(drop);
    });
    let junit = directory.path("gone/report.xml");
    let (child, mut output) = start(address, junit.to_str().unwrap(), &["--patience", "1m", "--only", "uppercase"]);
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

/// Fault 44: closed standard output, and a report in a file.
#[test]
fn report_is_complete_although_standard_output_is_closed() {
    let directory = Directory::new();
    let junit = directory.path("report.xml");
    let (closed, output) = UnixStream::pair().unwrap();
    drop(closed);
    let address = flawed::start(Flaw::LittleEndian).to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_retort"));
    command.args(["check", &address, "--only", "uppercase,half-close-at-once", "--junit"]).arg(&junit);
    let ended = command.stdout(OwnedFd::from(output)).output().expect("run retort");
    assert_eq!((ended.status.code(), ended.stderr.len()), (Some(1), 0), "{ended:?}");
    let xml = fs::read_to_string(junit).expect("the report");
    assert!(xml.contains("tests=\"2\" failures=\"1\""), "{xml}");
}

#[test]
fn report_may_be_written_to_standard_output() {
    let address = flawed::start(Flaw::None).to_string();
    let output = retort(&["check", &address, "--only", "uppercase", "-q", "--junit", "/dev/stdout"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("<testsuites>") && text.contains("1 of 1 checks passed"), "{text}");
}
