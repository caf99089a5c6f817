//! Tests of all protocols, and of behaviour that several share.

use super::client_side::ConnectionUse;
use super::test_util::{Config, DEFAULT, NOW, run};
use super::*;

/// All splits with which the examples are tried: whole, in two pieces at every place, and byte by byte.
fn splits(send: &[u8], anywhere: bool) -> Vec<Vec<&[u8]>> {
    let mut all = vec![vec![send]];
    if anywhere {
        all.extend((1..send.len()).map(|at| vec![&send[..at], &send[at..]]));
        all.push(send.chunks(1).collect());
    }
    all
}

#[test]
fn examples_hold_however_the_input_is_split() {
    let quotes = ["a quote\n".to_owned()];
    for (info, example) in PROTOCOLS.iter().flat_map(|info| info.examples.iter().map(move |example| (info, example))) {
        for pieces in splits(example.send, example.split_anywhere) {
            for reply_space in [DEFAULT.reply_space, MIN_REPLY_SPACE] {
                let mut replies = run(info.name, &pieces, Config { reply_space, quotes: &quotes, ..DEFAULT }).replies;
                if info.client.connection_use == ConnectionUse::Streaming {
                    replies.truncate(example.reply.form().2.1);
                }
                let lengths: Vec<usize> = pieces.iter().map(|piece| piece.len()).collect();
                assert!(
                    example.reply.matches(&replies),
                    "{}: {}: pieces {lengths:?}: got {}, expected {:?}",
                    info.name,
                    example.about,
                    replies.escape_ascii(),
                    example.reply
                );
            }
        }
    }
}

#[test]
fn a_reply_form_has_beginning_end_and_length() {
    let form = Reply::Form { start: b"ab", end: b"z", lengths: (3, 4) };
    assert!(form.matches(b"abz") && form.matches(b"abcz"));
    assert!(!form.matches(b"ab") && !form.matches(b"abcdz") && !form.matches(b"xbz") && !form.matches(b"abc"));
    assert!(Reply::Bytes(b"ab").matches(b"ab") && !Reply::Bytes(b"ab").matches(b"abc"));
}

/// The client's side agrees with the server's: the reply to a request is the described one.
#[test]
fn client_sides_expect_the_replies_of_their_servers() {
    for info in PROTOCOLS.iter().filter(|info| !info.speaks_first()) {
        let mut actions: Vec<&str> =
            info.client.actions.map_or(vec![], |actions| actions.known.iter().map(|action| action.name()).collect());
        actions.extend(if actions.is_empty() { vec![""] } else { vec!["0", "31"] });
        for action in actions {
            for message in ["hello", " straße \x0b", "Ab"] {
                let mut wire = Vec::new();
                (info.client.write_request)(action, message.as_bytes(), &mut wire).unwrap();
                let replies = run(info.name, &[&wire], DEFAULT).replies;
                let Some(expected) = (info.client.expected)(action, message.as_bytes()) else { continue };
                let start = match (info.client.framing)(message.as_bytes()) {
                    client_side::ReplyFraming::Length32 => 4,
                    client_side::ReplyFraming::DecimalLength => expected.len().to_string().len() + 1,
                    client_side::ReplyFraming::Fixed(length) => replies.len() - length,
                    client_side::ReplyFraming::CloseDelimited => 0,
                };
                let (got, expected) = (replies[start..].escape_ascii(), expected.escape_ascii());
                assert_eq!(got.to_string(), expected.to_string(), "{} {action} {message}", info.name);
            }
        }
    }
}

#[test]
fn a_full_chunk_is_1024_bytes() {
    let bytes = [b'x'; 1024 + 22 + 1500];
    let replies = |name| {
        run(name, &[&bytes], Config { reply_space: MIN_REPLY_SPACE, ..DEFAULT }).replies.escape_ascii().to_string()
    };
    let chunks = |prefix, byte: &str| [1024, 1024, 498].map(|size| format!("{prefix}{}", byte.repeat(size))).concat();
    assert_eq!(replies("echo-prefix"), chunks("Echo: ", "x"));
    assert_eq!(replies("respond"), chunks("Response: ", "X"));
    assert_eq!(replies("upper"), "X".repeat(1024));
    assert_eq!(replies("record"), "x".repeat(bytes.len() - 2 * 22), "two records are not echoed");
}

#[test]
fn a_chunk_waits_for_room_for_its_whole_reply() {
    let bytes = [b'x'; 9000];
    for name in ["echo-prefix", "respond"] {
        let roomy = run(name, &[&bytes], DEFAULT);
        for reply_space in (MIN_REPLY_SPACE..MIN_REPLY_SPACE + 1100).step_by(if cfg!(miri) { 97 } else { 1 }) {
            assert!(
                run(name, &[&bytes], Config { reply_space, ..DEFAULT }) == roomy,
                "{name}, reply_space {reply_space}"
            );
        }
    }
}

#[test]
fn services_that_speak_first_close_after_their_reply() {
    let quotes = ["one\n".to_owned(), "two\n".to_owned()];
    let opened = |name, quotes| run(name, &[b"ignored"], Config { quotes, ..DEFAULT });
    for (name, quotes, expect) in [
        ("daytime", &[][..], &b"Saturday, November 21, 2026 00:18:24-UTC\r\n"[..]),
        ("time", &[], &(NOW as u32 + 2_208_988_800).to_be_bytes()),
        ("qotd", &quotes[..1], b"one\n"),
    ] {
        let outcome = opened(name, quotes);
        assert_eq!((&outcome.replies[..], outcome.close_cause), (expect, Some(CloseCause::Complete)), "{name}");
        assert_eq!(outcome.counts.answered, 1);
    }
    let none = opened("qotd", &[]);
    assert_eq!((none.replies, none.close_cause, none.counts.answered), (Vec::new(), Some(CloseCause::Complete), 0));
}

#[test]
fn protocol_errors_close_with_a_reason() {
    let limits = RequestLimits { message: 5, memory: 100, line: Some(5) };
    for (name, pieces, replies, reason) in [
        ("upper-line", &[&b"abcdef\n"[..]][..], &b""[..], Some(Refusal::LineTooLong)),
        ("upper-line", &[b"abc", b"def"], b"", Some(Refusal::LineTooLong)),
        ("upper-line", &[b"abc", b"de\n"], b"ABCDE", None),
        ("length-prefix", &[b"\x08\0\0\0"], b"", Some(Refusal::LongerThanProtocol)),
        ("upper-line", &[b"abc", b"de"], b"ABCDE", None),
        ("length-prefix", &[b"\0\0\0\x05abcde\0\0\0\x06"], b"\0\0\0\x05abcde", Some(Refusal::MessageTooLong)),
        ("text", &[b"reverse 5 abcdereverse 6 "], b"5 edcba5 error", Some(Refusal::MessageTooLong)),
        ("text", &[b"reverse 5 abcdereverse -1 "], b"5 edcba5 error", Some(Refusal::NoHeader)),
    ] {
        let outcome = run(name, pieces, Config { limits, ..DEFAULT });
        assert_eq!(outcome.replies, replies, "{name}");
        let violation = match outcome.close_cause {
            Some(CloseCause::ProtocolError(reason)) => Some(reason),
            _ => None,
        };
        assert_eq!(violation, reason, "{name}");
    }
}

#[test]
fn every_refused_request_has_its_reason() {
    use Refusal::{
        LongerThanProtocol, MessageTooLong, NoHeader, NotUtf8, TooMuchMemory, Truncated, UnknownCode, UnknownName,
    };
    let two_byte_letters = [&b"\x08\0\0\x28"[..], "é".repeat(20).as_bytes()].concat();
    for (name, input, reason) in [
        ("frame", &b"\x30\0\0\x01x"[..], UnknownCode(6)),
        ("frame", b"\x08\0\0\x03a\xffb", NotUtf8),
        ("frame", b"\x80\0\0\x03a\xffb", NotUtf8),
        ("frame", b"\x08\0\0\x65", MessageTooLong),
        // the request alone, and the request with the longest reply that it may get
        ("frame", b"\x08\0\0\x64", TooMuchMemory),
        ("frame", &two_byte_letters, TooMuchMemory),
        ("frame", b"\x08\0", Truncated),
        ("frame-2021", b"\x28\0\0\0", UnknownCode(5)),
        ("text", b"scream 1 x", UnknownName),
        ("text", b"reverse 2 \xc3(", NotUtf8),
        ("text", b"reverse 101 ", MessageTooLong),
        ("text", b"reverse 134217728 ", LongerThanProtocol),
        ("text", b"reverse 100 ", TooMuchMemory),
        ("text", b"reverse -1 ", NoHeader),
        ("text", b"reverse 2", Truncated),
        ("respond", b"a\xffb", NotUtf8),
        ("respond", b"\xe2\x82", Truncated),
    ] {
        let limits = RequestLimits { message: 100, memory: 110, line: Some(100) };
        let outcome = run(name, &[input], Config { limits, ..DEFAULT });
        let reasons = outcome.log_events.iter().map(|event| match event {
            LogEvent::Request(request) => request.refusal,
            LogEvent::Protocol(_) => None,
        });
        assert_eq!(reasons.collect::<Vec<_>>(), [Some(reason)], "{name} {}", input.escape_ascii());
        assert_eq!((outcome.counts.answered, outcome.counts.refused), (0, 1), "{name} {}", input.escape_ascii());
    }
}

#[test]
fn a_line_that_is_too_long_has_the_limit_that_decides() {
    use Refusal::{LineTooLong, LongerThanProtocol, MessageTooLong, TooMuchMemory};
    let reason = |message, memory, line, length: usize| {
        let limits = RequestLimits { message, memory, line };
        let line = vec![b'x'; length];
        run("upper-line", &[&line], Config { limits, ..DEFAULT }).close_cause
    };
    for (message, memory, line, expected) in [
        (100, 1000, Some(10), LineTooLong),
        (10, 1000, None, MessageTooLong),
        (100, 10, Some(50), TooMuchMemory),
        (100, 10, None, TooMuchMemory),
    ] {
        assert_eq!(reason(message, memory, line, 10), None);
        assert_eq!(reason(message, memory, line, 11), Some(CloseCause::ProtocolError(expected)));
    }
    let limits = RequestLimits { message: contract::MAX_MESSAGE, memory: usize::MAX, line: None };
    assert_eq!(limits.check_line(contract::MAX_MESSAGE + 1), Err(LongerThanProtocol));
}

/// A hot path carries it.
#[test]
fn a_reason_takes_two_bytes() {
    assert_eq!(size_of::<Option<Refusal>>(), 2);
}
