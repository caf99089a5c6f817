//! Invalid, hostile and random input.

use std::thread;

use super::{LeakCheck, REVERSE, UPPERCASE, assert_serves};
use retortd::protocol::PROTOCOLS;

use crate::harness::{Daemon, DaemonBuilder, Directory, frame, length_prefixed};

/// Fault 19: lengths around the limit, and a request that stays incomplete.
#[test]
fn announced_lengths_around_message_limit_are_handled() {
    let daemon = Daemon::serving("frame", &["--max-message=1000"]);
    let leak_check = LeakCheck::begin(&daemon);
    let most = vec![b'x'; 1000];
    let over = vec![b'x'; 1001];
    let requests = [frame(REVERSE, b""), frame(REVERSE, &most), frame(REVERSE, &over), frame(REVERSE, b"ab")].concat();
    let replies =
        [length_prefixed(b""), length_prefixed(&most), length_prefixed(b"error"), length_prefixed(b"ba")].concat();
    assert_eq!(daemon.exchange("frame", &requests), replies);
    assert_eq!(daemon.exchange("frame", &frame(REVERSE, b"truncated")[..8]), length_prefixed(b"error"));
    // a length without a message
    assert_eq!(daemon.exchange("frame", b"\x0f\xff\xff\xff"), length_prefixed(b"error"));
    let statistics = leak_check.end(&daemon);
    assert_eq!((statistics.answered, statistics.refused), (3, 3), "{statistics:?}");
}

/// Fault 20: invalid UTF-8 is rejected, text that grows is transformed, however the input is split.
#[test]
fn invalid_utf8_and_growing_text_are_handled() {
    let daemon = Daemon::serving("frame", &[]);
    let leak_check = LeakCheck::begin(&daemon);
    let grows = "\u{390}".repeat(50_000);
    let reply = grows.to_uppercase();
    let requests = [frame(UPPERCASE, b"a\xffb"), frame(UPPERCASE, grows.as_bytes()), frame(UPPERCASE, b"\xe2\x82")];
    let replies = [length_prefixed(b"error"), length_prefixed(reply.as_bytes()), length_prefixed(b"error")].concat();
    assert!(daemon.exchange("frame", &requests.concat()) == replies, "wrong replies");
    let mut client = daemon.connect("frame");
    for piece in frame(UPPERCASE, "stra\u{df}e \u{1f600}".as_bytes()).chunks(1) {
        client.send(piece);
    }
    assert_eq!(client.receive_frame(), "STRASSE \u{1f600}".as_bytes());
    drop(client);
    assert_eq!(leak_check.end(&daemon).refused, 2);
}

/// Fault 21: no bytes of a client can look like a line of the log, or control a terminal.
#[test]
fn client_bytes_cannot_forge_log_lines() {
    let hostile = [
        &b"\nretortd: forged\n"[..],
        b"\r\x1b[2J\x1b]0;title\x07\0\x08\x7f\xc2\x9b31m",
        b"\xff\xfe\xc3(\xe2\x80\xae",
        "\u{2028}\u{2029}\u{85}".as_bytes(),
        &[b'\n'; 5000],
    ];
    let directory = Directory::new();
    let settings = directory.write("settings", "");
    let listen = ["--listen=frame=127.0.0.1:0", "--listen=record=127.0.0.1:0", "--listen=text=127.0.0.1:0"];
    let daemon = DaemonBuilder::new(&[&listen[..], &["-vvv", "--settings", &settings]].concat()).start();
    let leak_check = LeakCheck::begin(&daemon);
    for bytes in hostile {
        daemon.exchange("frame", &frame(REVERSE, bytes));
        daemon.exchange("text", bytes);
        // a chunk, then a record of 22 bytes
        let mut client = daemon.connect("record");
        client.send(b"chunk");
        client.receive(5);
        client.send(&bytes.repeat(22)[..22]);
        drop(client);
    }
    leak_check.end(&daemon);
    // the settings file is not trusted either
    directory.write("settings", format!("RETORTD_\u{1b}[2J{}=1\n", "X".repeat(5000)));
    daemon.reload();
    for line in daemon.log.all() {
        let mut words = line.splitn(3, ' ');
        let (stamp, name, message) = (words.next(), words.next(), words.next().unwrap_or_default());
        assert!(stamp.is_some_and(|stamp| stamp.ends_with('Z')) && name == Some("retortd:"), "{line}");
        assert!(!message.starts_with("forged"), "{line}");
        let hostile = |character: char| character.is_control() || "\u{2028}\u{2029}\u{202e}".contains(character);
        assert!(!line.chars().any(hostile), "{}", line.escape_debug());
        assert!(line.len() < 1024, "{} bytes", line.len());
    }
    daemon.wait_for_line(0, r"\nretortd: forged\n");
    daemon.wait_for_line(0, r"\r\x1b[2J\x1b]0;title\x07\x00\x08\x7f\xc2\x9b31m");
    daemon.wait_for_line(0, r#"bytes="J\x1b""#);
    daemon.wait_for_line(0, r"there is no setting RETORTD_\u{1b}[2JXXX");
}

/// Fault 22: input that an attacker with the source code would try.
#[test]
fn hostile_requests_leave_daemon_serving() {
    let hostile: [&[u8]; 10] = [
        b"\xff\xff\xff\xff\xff",
        b"\x0f\xff\xff\xff",
        b"\x80\0\0\0",
        b"uppercase 18446744073709551616 x",
        b"uppercase 134217728 x",
        b"uppercase -1 x",
        b"reverse 000000000000000000000000000000000000001 x",
        b"  ",
        &[b'x'; 5000],
        &[0; 22],
    ];
    let daemon =
        DaemonBuilder::every_protocol(&["--max-message=1000", "--max-line=1000", "--request-timeout=none"]).start();
    let leak_check = LeakCheck::begin(&daemon);
    for protocol in PROTOCOLS.iter().map(|protocol| protocol.name).filter(|name| *name != "chargen") {
        for bytes in hostile {
            let mut client = daemon.connect(protocol);
            client.send(bytes);
            client.half_close();
            client.wait_closed();
        }
        // a header without an end: rejected when it is too long, or truncated
        let mut client = daemon.connect(protocol);
        let _ = std::io::Write::write_all(&mut client.stream, &vec![b'1'; 200_000]);
        let _ = client.stream.shutdown(std::net::Shutdown::Write);
        client.wait_closed();
    }
    // input over the limit is rejected without waiting for the rest
    for protocol in ["text", "upper-line"] {
        let mut client = daemon.connect(protocol);
        client.send(&[b'1'; 2000]);
        client.wait_closed();
    }
    assert_serves(&mut daemon.connect("frame"));
    let statistics = leak_check.end(&daemon);
    assert!(statistics.closed_for("violation") > 0, "{statistics:?}");
    assert!(!statistics.closed_by.contains_key("failed"), "{statistics:?}");
}

/// Fault 22: random bytes to every protocol.
#[test]
fn random_bytes_leave_daemon_serving() {
    let limits = ["--max-message=100000", "--idle-timeout=1s", "--write-timeout=1s"];
    let daemon = DaemonBuilder::every_protocol(&[&["--workers=2"][..], &limits].concat()).start();
    let leak_check = LeakCheck::begin(&daemon);
    thread::scope(|scope| {
        for (number, protocol) in PROTOCOLS.iter().map(|protocol| protocol.name).enumerate() {
            let daemon = &daemon;
            scope.spawn(move || {
                for round in 0..30 {
                    let bytes = random_bytes(number as u64 * 1000 + round);
                    let mut client = daemon.connect(protocol);
                    // the daemon may close before it has read everything
                    let _ = std::io::Write::write_all(&mut client.stream, &bytes);
                    if round % 3 == 0 {
                        client.reset();
                    } else if protocol != "chargen" {
                        let _ = client.stream.shutdown(std::net::Shutdown::Write);
                        client.wait_closed();
                    }
                }
            });
        }
    });
    assert_serves(&mut daemon.connect("frame"));
    let statistics = leak_check.end(&daemon);
    let protocols = PROTOCOLS.len() as u64;
    assert_eq!(statistics.accepted + statistics.accept_lost, protocols + 30 * protocols + 1);
}

/// Up to 20,000 pseudorandom bytes (xorshift64*): a quarter each of any bytes, small numbers, letters, and digits or
/// spaces.
fn random_bytes(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()
    };
    let length = usize::from(u16::from_be_bytes([next()[0], next()[1]])) % 20_000;
    let byte = |[kind, value, ..]: [u8; 8]| match kind % 4 {
        0 => value,
        1 => value % 4,
        2 => b'a' + value % 26,
        _ => b" 0123456789\n"[usize::from(value) % 12],
    };
    (0..length).map(|_| byte(next())).collect()
}
