//! A PROXY header in front of the protocol.

use std::net::SocketAddr;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use retortd::connection::{Budget, CloseReason, Connection, Counter, Grace, Millis, Next};
use retortd::protocol::proxy_header::{MAX_HEADER, ProxyHeader};

use crate::conversations::{io_results, serve, serve_with, setting, stream_conversation};
use crate::scripted::{Driver, IoResult, ScriptedStream, check_sums, context, protocol};
use crate::session::{Session, UPPERCASE, assert_waits, frame_request};
use crate::vectors::headers::{LOCAL, TCP4, TCP4_BINARY};
use crate::vectors::{Outcome, VECTORS};

const UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";
/// The time of the deadline, in milliseconds.
const DEADLINE: u64 = 5000;

/// What [`TCP4`] and [`TCP4_BINARY`] announce.
fn announced() -> ProxyHeader {
    let [source, destination] =
        ["192.0.2.10:56324", "198.51.100.1:8083"].map(|address| address.parse::<SocketAddr>().expect("an address"));
    ProxyHeader::Proxied { source, destination }
}

/// A connection in front of its protocol, at time 0.
fn session(input: &[u8], reads: &[IoResult]) -> Session {
    let connection = Connection::awaiting_header(None, Millis::ZERO, Millis::new(DEADLINE));
    let context = context(1 << 20, &Arc::new(Budget::new(1 << 20)), 1);
    let mut session = Session { connection, stream: ScriptedStream::new(input, reads, &[]), context };
    assert_waits(&session.connection.open(&mut session.stream, &mut session.context));
    assert!(session.connection.interest().read && !session.connection.interest().write);
    session
}

#[track_caller]
fn assert_closed(next: &Next, expected: CloseReason) {
    assert!(matches!(next, Next::Close(reason) if *reason == expected), "{next:?}, not closed for {expected:?}");
}

/// Serves one client whose connection begins with a header; returns its output, and the reason for the close.
fn run(name: &str, stream: ScriptedStream) -> (Vec<u8>, Option<CloseReason>, Option<ProxyHeader>) {
    let mut context = context(1 << 20, &Arc::new(Budget::new(1 << 20)), 1);
    context.counters.accepted.add(1);
    let mut driver = Driver::awaiting_header(name, stream);
    let reason = driver.run(&mut context, 1 << 16);
    if reason.is_some() {
        check_sums(&context);
    }
    (std::mem::take(&mut driver.stream.output), reason, driver.announced)
}

#[test]
fn requests_behind_a_header_are_served_in_any_two_pieces() {
    let requests = [frame_request(UPPERCASE, b"hi"), frame_request(UPPERCASE, b"there")].concat();
    for (header, expected) in
        [(TCP4, announced()), (TCP4_BINARY, announced()), (UNKNOWN, ProxyHeader::Local), (LOCAL, ProxyHeader::Local)]
    {
        let input = [header, &requests].concat();
        for cut in 1..=input.len() {
            let stream = ScriptedStream::new(&input, &[IoResult::AtMost(cut), IoResult::WouldBlock], &[]);
            let (output, reason, header) = run("frame", stream);
            assert_eq!((&output[..], reason), (&b"\0\0\0\x02HI\0\0\0\x05THERE"[..], Some(CloseReason::Finished)));
            assert_eq!(header, Some(expected), "cut behind {cut} bytes");
        }
        let single = vec![IoResult::AtMost(1); input.len()];
        assert_eq!(run("frame", ScriptedStream::new(&input, &single, &[])).0, b"\0\0\0\x02HI\0\0\0\x05THERE");
    }
}

/// Each header is judged alike when it arrives whole with a request behind it, and when each byte arrives alone.
#[test]
fn every_header_has_its_outcome_whole_and_byte_by_byte() {
    let request = frame_request(UPPERCASE, b"hi");
    for (name, header, outcome) in VECTORS {
        let input = [header, &request[..]].concat();
        for reads in [vec![], vec![IoResult::AtMost(1); input.len()]] {
            let (output, reason, announced) = run("frame", ScriptedStream::new(&input, &reads, &[]));
            let (served, closed) = match outcome {
                Outcome::Refused(_) => (&b""[..], CloseReason::ProxyHeader),
                Outcome::Client(_) | Outcome::Local => (&b"\0\0\0\x02HI"[..], CloseReason::Finished),
            };
            assert_eq!((&output[..], reason), (served, Some(closed)), "{name}");
            let client = match announced {
                Some(ProxyHeader::Proxied { source, .. }) => Some(source.to_string()),
                Some(ProxyHeader::Local) | None => None,
            };
            assert_eq!(client.as_deref(), if let Outcome::Client(address) = outcome { Some(*address) } else { None });
        }
    }
}

/// Of what arrives with a header, no byte is lost, whatever its length.
#[test]
fn requests_behind_a_header_may_be_longer_than_the_first_read() {
    for length in [MAX_HEADER - TCP4.len() - 1, MAX_HEADER - TCP4.len(), MAX_HEADER, 100_000] {
        let text = vec![b'x'; length];
        let (output, _, _) = run("echo", ScriptedStream::new(&[TCP4, &text].concat(), &[], &[]));
        assert!(output == text, "{} of {length} bytes", output.len());
    }
}

#[test]
fn second_header_is_input() {
    for header in [TCP4, TCP4_BINARY] {
        let (output, _, _) = run("echo", ScriptedStream::new(&[header, header, b"abc"].concat(), &[], &[]));
        assert_eq!(output, [header, b"abc"].concat());
    }
}

#[test]
fn protocol_that_speaks_first_speaks_behind_the_header() {
    for (name, start) in [("daytime", &b""[..]), ("time", b""), ("chargen", b" !\"#$%&'()"), ("who", b"{\"host\"")] {
        for behind in [&b""[..], b"input"] {
            let mut session = session(&TCP4[..20], &[]);
            assert_waits(&session.readable());
            assert_waits(&session.writable());
            assert_eq!(session.stream.output, b"", "{name}: sent before the header was complete");
            session.stream.send(&[&TCP4[20..], behind].concat());
            assert!(matches!(session.readable(), Next::Announced(_)));
            assert_eq!(session.stream.output, b"", "{name}: sent before the client was admitted");
            let next = session.connection.admit(protocol(name), &mut session.stream, &mut session.context);
            assert_waits(&next);
            let output = &session.stream.output;
            assert!(output.starts_with(start) && !output.is_empty(), "{name}: {output:?}");
        }
    }
}

#[test]
fn header_has_a_fixed_deadline() {
    let mut session = session(&TCP4[..1], &[IoResult::AtMost(1), IoResult::WouldBlock]);
    for (now, byte) in [(1000, TCP4[1]), (4999, TCP4[2])] {
        assert_waits(&session.readable());
        assert_eq!(session.deadline(), DEADLINE);
        assert_waits(&session.expire_at(now));
        session.stream.send(&[byte]);
    }
    assert_closed(&session.expire_at(DEADLINE), CloseReason::ProxyTimeout);
    assert_eq!((&session.stream.output[..], session.connection.unanswered()), (&b""[..], 0));
}

#[test]
fn idle_timeout_begins_when_the_client_is_admitted() {
    let mut session = session(TCP4, &[IoResult::AtMost(TCP4.len()), IoResult::WouldBlock]);
    session.context.limits.idle = Some(Millis::new(10_000));
    session.set_time(3000);
    assert!(matches!(session.readable(), Next::Announced(_)));
    assert_waits(&session.connection.admit(protocol("echo"), &mut session.stream, &mut session.context));
    assert_eq!(session.deadline(), 13_000);
}

#[test]
fn invalid_header_closes_at_once_and_sends_nothing() {
    for input in [&frame_request(UPPERCASE, b"hi")[..], b"PROXY TCP4 192.0.2.256 ", b"GET / HTTP/1.1\r\n", b"\0"] {
        for reads in [&[][..], &vec![IoResult::AtMost(1); input.len()][..]] {
            let (output, reason, announced) = run("daytime", ScriptedStream::new(input, reads, &[]));
            assert_eq!((&output[..], reason, announced), (&b""[..], Some(CloseReason::ProxyHeader), None));
        }
    }
}

#[test]
fn end_of_input_before_the_header_is_a_probe_and_inside_it_a_fault() {
    for (length, reason) in [(0, CloseReason::Finished), (1, CloseReason::ProxyHeader), (40, CloseReason::ProxyHeader)]
    {
        let (output, closed, _) = run("daytime", ScriptedStream::new(&TCP4[..length], &[], &[]));
        assert_eq!((&output[..], closed), (&b""[..], Some(reason)), "after {length} bytes");
    }
    assert_eq!(run("frame", ScriptedStream::new(LOCAL, &[], &[])).1, Some(CloseReason::Finished));
}

#[test]
fn reset_ends_a_probe_and_is_a_fault_of_a_client() {
    use IoResult::{AtMost, Reset};
    let begun = [LOCAL, b"\0"].concat();
    for (input, reads, expected) in [
        (TCP4, &[Reset][..], CloseReason::Finished),
        (TCP4, &[AtMost(10), Reset], CloseReason::Reset),
        (TCP4, &[AtMost(TCP4.len()), Reset], CloseReason::Reset),
        (LOCAL, &[AtMost(LOCAL.len()), Reset], CloseReason::Finished),
        (UNKNOWN, &[AtMost(UNKNOWN.len()), Reset], CloseReason::Finished),
        (&begun, &[AtMost(begun.len()), Reset], CloseReason::Reset),
        (&begun, &[AtMost(LOCAL.len()), AtMost(1), Reset], CloseReason::Reset),
    ] {
        let (output, closed, _) = run("frame", ScriptedStream::new(input, reads, &[]));
        assert_eq!((&output[..], closed), (&b""[..], Some(expected)), "{reads:?} of {}", input.escape_ascii());
    }
    for (name, header, expected) in [
        ("daytime", LOCAL, CloseReason::Finished),
        ("chargen", LOCAL, CloseReason::Finished),
        ("daytime", TCP4, CloseReason::Reset),
    ] {
        assert_eq!(run(name, ScriptedStream::new(header, &[], &[Reset])).1, Some(expected), "{name}");
    }
}

#[test]
fn bytes_of_the_header_are_counted_as_input() {
    let mut session = session(TCP4, &[IoResult::AtMost(10), IoResult::WouldBlock]);
    assert_waits(&session.readable());
    assert_eq!(session.context.counters.bytes_in.get(), 10);
    session.readable();
    assert!(matches!(session.readable(), Next::Announced(_)));
    assert_eq!(session.context.counters.bytes_in.get(), TCP4.len() as u64);
    assert_eq!(Counter::get(&session.context.counters.requests), 0);
}

#[test]
fn drain_gives_grace_to_a_client_whose_header_is_not_complete() {
    for grace in [Grace::Given, Grace::Over] {
        for sent in [0, 10] {
            let mut session = session(&TCP4[..sent], &[]);
            session.stream.await_input();
            if sent > 0 {
                assert_waits(&session.readable());
                session.stream.await_input();
            }
            assert!(!session.connection.is_pending(grace));
            match grace {
                Grace::Given => assert_waits(&session.drain(grace)),
                Grace::Over => assert_closed(&session.drain(grace), CloseReason::Stopped),
            }
        }
        let input = [TCP4, &frame_request(UPPERCASE, b"hi")].concat();
        let mut complete = session(&input, &[]);
        assert!(matches!(complete.drain(grace), Next::Announced(_)), "what has arrived is served");
        assert_waits(&complete.connection.admit(protocol("frame"), &mut complete.stream, &mut complete.context));
        assert_eq!(complete.stream.output, b"\0\0\0\x02HI");
        complete.stream.await_input();
        assert_waits(&complete.drain(grace));
        assert!(complete.stream.write_closed, "a client that was served has no grace");
    }
}

/// A connection whose listener expects no header reports one that it finds in its first input, and serves it as input.
#[test]
fn unexpected_header_is_reported_once() {
    for (input, found) in [(TCP4, true), (TCP4_BINARY, true), (UNKNOWN, false), (&b"abc"[..], false)] {
        let mut session = Session::new("echo", ScriptedStream::new(input, &[], &[]), &Arc::new(Budget::new(0)), |_| {});
        assert_waits(&session.readable());
        assert_eq!((session.context.found_proxy_header, &session.stream.output[..]), (found, input));
        session.context.found_proxy_header = false;
        session.stream.send(TCP4);
        assert_waits(&session.readable());
        assert!(!session.context.found_proxy_header, "only the first input counts");
    }
    let mut behind_header = session(&[TCP4, TCP4].concat(), &[]);
    assert!(matches!(behind_header.readable(), Next::Announced(_)));
    let Session { connection, stream, context } = &mut behind_header;
    assert_waits(&connection.admit(protocol("echo"), stream, context));
    assert_eq!((context.found_proxy_header, &stream.output[..]), (false, TCP4));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replies_behind_a_header_are_those_without_it_however_reads_and_writes_are_cut(
        header in select(vec![TCP4, TCP4_BINARY, UNKNOWN, LOCAL]),
        (name, requests) in stream_conversation(),
        reads in io_results(),
        writes in io_results(),
        setting in setting(),
    ) {
        let direct = serve(name, ScriptedStream::new(&requests, &[], &[]), setting);
        let stream = ScriptedStream::new(&[header, &requests].concat(), &reads, &writes);
        let behind = serve_with(Driver::awaiting_header(name, stream), setting);
        prop_assert_eq!(&behind.output, &direct.output);
        prop_assert_eq!((behind.reason, behind.refused), (direct.reason, direct.refused));
    }
}
