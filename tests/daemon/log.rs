//! The log: its lines at each level, and where they go.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::harness::action::{REVERSE, UNKNOWN, UPPERCASE};
use crate::harness::{Client, Daemon, DaemonBuilder, Directory, frame, has_ipv6, is_time, skip};

const LOCAL: &str = "--listen=frame=127.0.0.1:0";

/// The log of one client that sends bytes that could forge lines, an unknown action, and a long message.
fn log_of_a_talk(verbose: &str) -> (Daemon, String) {
    let daemon = DaemonBuilder::new(&[LOCAL, "--listen=upper=127.0.0.1:0", verbose]).start();
    let mut client = daemon.connect("frame");
    let text = b"line\nretortd: forged\x1b[2J\0\r\x07\xc2\x9b end";
    assert_eq!(client.request(UPPERCASE, text).len(), text.len());
    assert_eq!(client.request(UNKNOWN, b"\xff"), b"error");
    assert_eq!(client.request(REVERSE, &[b'x'; 500]).len(), 500);
    drop(client);
    daemon.wait_for_line(0, "closed: finished");
    let log = daemon.log.text();
    (daemon, log)
}

#[test]
fn v_logs_connections() {
    let (_daemon, log) = log_of_a_talk("-v");
    let lines: Vec<&str> = log.lines().filter(|line| !line.contains(" listening on ")).collect();
    assert_eq!(lines.len(), 2, "{log}");
    for (line, words) in lines.into_iter().zip([": accepted", ": closed: finished after "]) {
        // 2026-11-21T10:00:00.000Z retortd: frame 127.0.0.1:12345: accepted
        // 2026-11-21T10:00:00.100Z retortd: frame 127.0.0.1:12345: closed: finished after 0.100s, 3 requests, …
        let (time, rest) = line.split_once(' ').expect("a time");
        assert!(is_time(time), "{line}");
        assert!(rest.starts_with("retortd: frame 127.0.0.1:") && rest.contains(words), "{line}");
    }
    let closed = log.lines().last().expect("a line");
    // headers of 4 bytes; texts of 33, 1 and 500 bytes, the second of which is replied to by `error`
    assert!(closed.ends_with("s, 3 requests, 546 bytes in, 550 bytes out"), "{closed}");
}

/// Clients of `frame` that close and reset without a byte, and one of `daytime`, which sends nothing either.
fn log_of_probes(verbose: &str) -> Vec<String> {
    let daemon = DaemonBuilder::new(&[LOCAL, "--listen=daytime=127.0.0.1:0", verbose]).start();
    drop(daemon.connect("frame"));
    daemon.connect("frame").reset();
    assert!(!daemon.exchange("daytime", b"").is_empty());
    let statistics = daemon.statistics_when(|statistics| statistics.closed == 3);
    assert_eq!(statistics.accepted, 3);
    daemon.log.all()
}

#[test]
fn probes_are_logged_at_vv_only() {
    for (verbose, expected) in [("-v", 0), ("-vv", 1)] {
        let lines = log_of_probes(verbose);
        let count = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
        let of_probes = [": closed: finished after ", ": closed: reset after "].map(count);
        assert_eq!(of_probes, [expected; 2], "{lines:#?}");
        assert_eq!(count(" frame 127.0.0.1:"), 4 * expected, "{lines:#?}");
        let accepted = lines.iter().filter(|line| line.ends_with(": accepted")).count();
        assert_eq!((accepted, count(": closed: served after ")), (1 + 2 * expected, 1), "{lines:#?}");
    }
}

/// A balancer announces a client that closes or resets without a byte, as the probes of version 1 do.
fn log_of_announced_probes(verbose: &str) -> Vec<String> {
    let daemon = Daemon::serving_behind_proxy("echo", &["--deny=192.0.2.66", verbose]);
    let header = |source: &str| format!("PROXY TCP4 {source} 198.51.100.1 1 443\r\n");
    let probes = [(); 2].map(|()| daemon.connect("echo"));
    for (mut probe, ends_by_reset) in probes.into_iter().zip([false, true]) {
        let before = daemon.statistics_when(|_| true);
        probe.send(header("192.0.2.1").as_bytes());
        daemon.statistics_when(|statistics| statistics.bytes_in > before.bytes_in);
        if ends_by_reset { probe.reset() } else { drop(probe) }
    }
    daemon.statistics_when(|statistics| statistics.closed == 2);
    assert_eq!(daemon.exchange("echo", format!("{}x", header("192.0.2.2")).as_bytes()), b"x");
    let mut late = daemon.connect("echo");
    late.send(header("192.0.2.3").as_bytes());
    late.exchange(b"y");
    daemon.connect("echo").exchange_or_closed(header("192.0.2.66").as_bytes());
    daemon.statistics_when(|statistics| statistics.closed == 5);
    daemon.log.all()
}

#[test]
fn announced_probes_are_logged_at_vv_only() {
    for (verbose, expected) in [("-v", 0), ("-vv", 1)] {
        let lines = log_of_announced_probes(verbose);
        let ends = lines.iter().filter(|line| line.contains(" 192.0.2.1:1 via ") && line.contains(": closed: "));
        assert_eq!(ends.count(), 2 * expected, "{lines:#?}");
        for (client, reason) in [("192.0.2.2", "finished"), ("192.0.2.3", "finished"), ("192.0.2.66", "denied")] {
            let of_client = format!(" {client}:1 via ");
            let announced = lines.iter().find(|line| line.contains(&of_client)).expect("an announced client");
            let (_, balancer) = announced.split_once(&of_client).expect("a balancer");
            let balancer = balancer.strip_suffix(": announced").expect("first the line about the header");
            let texts = lines.iter().filter_map(|line| line.split_once(balancer).map(|(_, text)| text));
            let texts: Vec<_> = texts.filter(|text| !text.contains(" answered in ")).collect();
            let [accepted, announced, closed] = texts[..] else { panic!("{lines:#?}") };
            assert_eq!([accepted, announced], [": accepted", ": announced"], "{lines:#?}");
            assert!(closed.starts_with(&format!(": closed: {reason} after ")), "{lines:#?}");
        }
    }
}

/// Clients are named that were accepted while nothing was logged.
#[test]
fn a_reload_that_switches_v_on_names_every_client() {
    let directory = Directory::new();
    let file = directory.write("settings", "");
    let arguments = [LOCAL, "--listen=echo=127.0.0.1:0,proxy", "--settings", &file];
    let daemon = DaemonBuilder::new(&arguments).start();
    let [mut talker, silent] = [(); 2].map(|()| daemon.connect("frame"));
    let [mut announced, awaited] = [(); 2].map(|()| daemon.connect("echo"));
    announced.send(b"PROXY TCP4 192.0.2.10 198.51.100.1 1 443\r\nx");
    assert_eq!(announced.receive(1), b"x");
    daemon.statistics_when(|statistics| statistics.accepted == 4);
    directory.write("settings", "RETORTD_VERBOSE=2\n");
    daemon.reload();
    talker.request(UPPERCASE, b"abc");
    let named = |client: &Client| format!(" {}: ", client.address());
    let labels = [
        (format!("frame{}uppercase of 3 bytes answered in ", named(&talker)), 1),
        (format!("frame{}closed: finished after ", named(&talker)), 1),
        (format!("frame{}closed: finished after ", named(&silent)), 1),
        (format!("echo unknown address via{}closed: finished after ", named(&announced)), 1),
        (format!("echo{}closed: finished after ", named(&awaited)), 1),
        ("a client".into(), 0),
    ];
    drop((talker, silent, announced, awaited));
    daemon.statistics_when(|statistics| statistics.closed == 4);
    for (words, count) in labels {
        assert_eq!(daemon.lines_with(&words), count, "{words}: {}", daemon.log.text());
    }
}

#[test]
fn v_logs_every_listener_at_start() {
    if !has_ipv6() {
        return;
    }
    let launch = |more: &[&str]| DaemonBuilder::new(&[&[LOCAL, "--listen=echo=[::1]:0"][..], more].concat()).start();
    let daemon = launch(&["-v"]);
    let (_, last) = daemon.wait_for_line(0, "listening on echo=");
    let lines = daemon.log.all();
    assert_eq!((lines.len(), &lines[1]), (2, &last));
    for (line, (protocol, address)) in lines.iter().zip(daemon.listening()) {
        assert_ne!(address.port(), 0);
        assert!(line.ends_with(&format!("Z retortd: listening on {protocol}={address}")), "{line}");
    }
    let quiet = launch(&[]);
    quiet.statistics_when(|statistics| statistics.accepted == 0);
    assert!(!quiet.log.text().contains("listening"), "{}", quiet.log.text());
}

#[test]
fn lines_begin_with_time_at_every_level() {
    for arguments in [&[LOCAL][..], &[LOCAL, "-v"], &[LOCAL, "-vvv"]] {
        let daemon = DaemonBuilder::new(arguments).start();
        daemon.statistics_when(|statistics| statistics.accepted == 0);
        for line in daemon.log.all() {
            let (time, rest) = line.split_once(' ').expect("a time");
            assert!(is_time(time) && rest.starts_with("retortd: "), "{arguments:?}: {line}");
        }
    }
    // also the error of a start that fails; the first two errors are found before the log level is known
    for argument in ["--settings=/nonexistent/settings", "--settings=/", "--listen=frame=192.0.2.1:8083"] {
        let mut daemon = DaemonBuilder::new(&[argument]).spawn();
        let (_, line) = daemon.wait_for_line(0, " retortd: cannot ");
        assert!(line.split(' ').next().is_some_and(is_time), "{line}");
        daemon.wait_exit();
    }
}

#[test]
fn vv_logs_requests() {
    let (_daemon, log) = log_of_a_talk("-vv");
    for words in
        ["uppercase of 33 bytes answered in ", "unknown of 1 bytes refused in ", "reverse of 500 bytes answered in "]
    {
        assert!(
            log.lines().any(|line| line.contains("retortd: frame 127.0.0.1:") && line.contains(words)),
            "{words}: {log}"
        );
    }
    assert!(!log.contains("forged") && !log.contains("xxx"), "{log}");
}

#[test]
fn vv_names_reason_of_refusal() {
    let arguments = ["-vv", "--max-message=450K", "--max-buffered=1M", "--max-line=10"];
    let daemon = DaemonBuilder::every_protocol(&arguments).start();
    let too_long = frame(REVERSE, &vec![b'x'; 460_801]);
    let grows = frame(UPPERCASE, "ΐ".repeat(200 << 10).as_bytes());
    for (protocol, request, words) in [
        ("frame", &frame(UNKNOWN, b"x")[..], "unknown of 1 bytes refused in: action 31 does not exist"),
        ("frame", &frame(REVERSE, b"\xff"), "reverse of 1 bytes refused in: the message is not UTF-8"),
        (
            "frame",
            &too_long,
            "reverse of 460801 bytes refused in: the message is longer than the limit (--max-message)",
        ),
        (
            "frame",
            &grows,
            "uppercase of 409600 bytes refused in: request and reply may need more memory than one request gets \
             (--max-buffered)",
        ),
        (
            "frame",
            &frame(REVERSE, b"abc")[..6],
            "truncated of 6 bytes refused in: the client half-closed inside the request",
        ),
        ("text", b"scream 1 x", "unknown of 1 bytes refused in: no action has that name"),
        ("text", b"reverse x ", "reverse of 0 bytes refused in: ACTION LENGTH MESSAGE was expected"),
        ("text", b"scream x ", "unknown of 0 bytes refused in: ACTION LENGTH MESSAGE was expected"),
        (
            "text",
            b"reverse 134217728 ",
            "reverse of 0 bytes refused in: the message is longer than retortd allows in any protocol (134217727 bytes)",
        ),
        ("respond", b"\xff", "respond of 1 bytes refused in: the message is not UTF-8"),
        // these close the connection
        ("length-prefix", b"\x01\0\0\0", "the message is longer than the limit (--max-message)"),
        ("upper-line", b"longer than ten\n", "the line is longer than the limit (--max-line)"),
    ] {
        let before = daemon.log.len();
        daemon.exchange(protocol, request);
        let prefix = format!(" retortd: {protocol} ");
        let wanted = |line: &String| {
            let text = line.split_once(&prefix).and_then(|(_, rest)| rest.split_once(": ")).map(|(_peer, text)| text);
            text.is_some_and(|text| without_duration(text) == words)
        };
        assert!(daemon.log.wait_for(before, wanted).is_some(), "{words}: {:?}", &daemon.log.all()[before..]);
    }
}

/// Once: at `-vv` with the request, at `-v` alone.
#[test]
fn violation_of_text_is_logged_once() {
    for (level, words) in [("-v", ": ACTION LENGTH MESSAGE was expected"), ("-vv", "reverse of 0 bytes refused in ")] {
        let mut daemon = Daemon::serving("text", &[level]);
        assert_eq!(daemon.exchange("text", b"reverse x "), b"5 error");
        assert_eq!(daemon.stop(), 0);
        let lines = daemon.log.all();
        let reasons: Vec<_> = lines.iter().filter(|line| line.contains("ACTION LENGTH MESSAGE")).collect();
        assert!(matches!(reasons[..], [line] if line.contains(words)), "{level}: {lines:?}");
    }
}

/// `x refused in 12.3us: y` as `x refused in: y`.
fn without_duration(text: &str) -> String {
    match text.split_once(" in ").and_then(|(start, rest)| Some((start, rest.split_once(": ")?.1))) {
        Some((start, reason)) => format!("{start} in: {reason}"),
        None => text.into(),
    }
}

#[test]
fn vvv_logs_escaped_and_truncated_bytes() {
    let (daemon, log) = log_of_a_talk("-vvv");
    let received = r"received 37 bytes: \x08\x00\x00!line\nretortd: forged\x1b[2J\x00\r\x07\xc2\x9b end";
    let answered = r"answered 37 bytes: \x00\x00\x00!LINE\nRETORTD: FORGED\x1b[2J\x00\r\x07\xc2\x9b END";
    assert!(log.contains(received) && log.contains(answered), "{log}");
    assert!(log.contains(&format!(r"answered 504 bytes: \x00\x00\x01\xf4{}...", "x".repeat(60))), "{log}");
    let controls = log.chars().filter(|character| character.is_control() && *character != '\n').count();
    assert_eq!(controls, 0, "{log:?}");
    assert!(log.lines().all(|line| line.contains(" retortd: ")), "a line was forged: {log}");
    drop(daemon);
}

/// Standard error is the journal, whose socket is missing.
#[test]
fn journal_lines_on_standard_error_have_priority_and_no_timestamp() {
    if fs::exists("/run/systemd/journal/socket").unwrap_or(true) {
        return skip("there is a journal here");
    }
    let directory = Directory::new();
    let path = directory.path("journal");
    let file = fs::File::create(&path).expect("create");
    let metadata = file.metadata().expect("metadata");
    let stream = format!("{}:{}", metadata.dev(), metadata.ino());
    let launch = DaemonBuilder::new(&[LOCAL, "-vv"]).stderr(file).env("JOURNAL_STREAM", stream);
    let mut daemon = launch.start();
    assert_eq!(daemon.connect("frame").exchange(&frame(UPPERCASE, b"x")), b"\0\0\0\x01X");
    assert_eq!(daemon.stop(), 0);
    let log = fs::read_to_string(&path).expect("read");
    assert!(log.contains("\n<6>listening on frame=127.0.0.1:") && log.contains("\n<6>frame 127.0.0.1:"), "{log}");
    assert!(log.lines().all(|line| line.starts_with("<6>") || line.starts_with("<7>")), "{log}");
}

#[test]
fn journal_stream_of_other_file_is_ignored() {
    let daemon = DaemonBuilder::new(&[LOCAL, "-v"]).env("JOURNAL_STREAM", "1:1").start();
    daemon.connect("frame").request(UPPERCASE, b"hi");
    let (_, line) = daemon.wait_for_line(0, "accepted");
    assert!(line.contains(" retortd: "), "{line}");
}

#[test]
fn missing_system_log_and_journal_fall_back_to_stderr() {
    for (target, socket) in [("syslog", "/dev/log"), ("journal", "/run/systemd/journal/socket")] {
        if fs::exists(socket).unwrap_or(true) {
            skip(&format!("there is {socket} here"));
            continue;
        }
        let daemon = DaemonBuilder::new(&[LOCAL, "-v", "--log", target]).start();
        assert_eq!(daemon.connect("frame").exchange(&frame(UPPERCASE, b"x")), b"\0\0\0\x01X");
        let (_, line) = daemon.wait_for_line(0, "closed: finished");
        assert!(line.contains(" retortd: frame 127.0.0.1:"), "{line}");
    }
}
