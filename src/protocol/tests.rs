//! Tests of all protocols, and of behaviour that several share.

use super::test_util::{Config, DEFAULT, NOW, run};
use super::*;

#[path = "../../tests/tables/mod.rs"]
mod tables;

fn examples() -> impl Iterator<Item = &'static tables::Example> {
    tables::EXAMPLES.iter()
}

/// All ways of cutting that the tables are replayed with.
fn cuts(send: &[u8], anywhere: bool) -> Vec<Vec<&[u8]>> {
    let mut all = vec![vec![send]];
    if anywhere {
        all.extend((1..send.len()).map(|at| vec![&send[..at], &send[at..]]));
        all.push(send.chunks(1).collect());
    }
    all
}

#[test]
fn every_table_however_it_is_cut() {
    for exchange in examples() {
        for pieces in cuts(exchange.send, exchange.cut_anywhere) {
            for reply_space in [DEFAULT.reply_space, MIN_REPLY_SPACE] {
                let outcome = run(exchange.protocol, &pieces, Config { reply_space, ..DEFAULT });
                let (got, expect) = (outcome.replies.escape_ascii(), exchange.expect.escape_ascii());
                let lengths: Vec<usize> = pieces.iter().map(|piece| piece.len()).collect();
                assert!(
                    outcome.replies == exchange.expect,
                    "{}: {}: pieces {lengths:?}: got {got}, expected {expect}",
                    exchange.protocol,
                    exchange.what
                );
            }
        }
    }
}

#[test]
fn every_protocol_has_a_table_or_speaks_first() {
    let speaks_first = ["qotd", "daytime", "time", "chargen"];
    for ProtocolInfo { name, .. } in PROTOCOLS {
        let told = examples().any(|exchange| exchange.protocol == *name);
        assert!(told || speaks_first.contains(name), "{name}");
    }
}

#[test]
fn a_full_chunk_is_1024_bytes() {
    let bytes = [b'x'; 1024 + 22 + 1500];
    let answers = |name| {
        run(name, &[&bytes], Config { reply_space: MIN_REPLY_SPACE, ..DEFAULT }).replies.escape_ascii().to_string()
    };
    let chunks = |prefix, byte: &str| [1024, 1024, 498].map(|size| format!("{prefix}{}", byte.repeat(size))).concat();
    assert_eq!(answers("echo-prefix"), chunks("Echo: ", "x"));
    assert_eq!(answers("respond"), chunks("Response: ", "X"));
    assert_eq!(answers("upper"), "X".repeat(1024));
    assert_eq!(answers("record"), "x".repeat(bytes.len() - 2 * 22), "two records are not echoed");
}

#[test]
fn a_chunk_waits_for_room_for_its_whole_answer() {
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
fn services_that_speak_first_close_at_once() {
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
fn every_quote_has_its_turn() {
    let quotes = ["one", "two", "three"].map(str::to_owned);
    let replies: Vec<_> =
        (0..100).map(|seed| run("qotd", &[], Config { seed, quotes: &quotes, ..DEFAULT }).replies).collect();
    assert!(quotes.iter().all(|quote| replies.iter().any(|reply| reply == quote.as_bytes())));
}

#[test]
fn a_record_in_pieces_is_one_line_of_words() {
    let record = [
        &7u32.to_be_bytes()[..],
        b"a\n",
        &u64::MAX.to_be_bytes(),
        &(-2i16).to_be_bytes(),
        &3i16.to_be_bytes(),
        &f32::NAN.to_be_bytes(),
    ]
    .concat();
    let mut other = record.clone();
    other[18..].copy_from_slice(&f32::NEG_INFINITY.to_be_bytes());
    let (head, tail) = record.split_at(9);
    let outcome = run("record", &[b"x", head, tail, b"hello", &other, b"y", &other[..21]], DEFAULT);
    assert_eq!(outcome.replies, b"xhelloy");
    assert_eq!(outcome.counts, RequestCounts { answered: 3, refused: 0, events: 2 });
    let words: Vec<&str> = outcome
        .log_events
        .iter()
        .filter_map(|note| if let LogEvent::Protocol(words) = note { Some(&words[..]) } else { None })
        .collect();
    let fields = r#"record u32=7 bytes="a\n" u64=18446744073709551615 i16=-2 i16=3"#;
    assert_eq!(words, [format!("{fields} f32=NaN"), format!("{fields} f32=-inf")]);
}

#[test]
fn what_breaks_a_protocol_closes_with_a_reason() {
    let limits = RequestLimits { message: 5, memory: 100, line: 5 };
    for (name, pieces, answers, reason) in [
        ("upper-line", &[&b"abcdef\n"[..]][..], &b""[..], Some("line too long")),
        ("upper-line", &[b"abc", b"def"], b"", Some("line too long")),
        ("upper-line", &[b"abc", b"de\n"], b"ABCDE", None),
        ("upper-line", &[b"abc", b"de"], b"ABCDE", None),
        ("length-prefix", &[b"\0\0\0\x05abcde\0\0\0\x06"], b"\0\0\0\x05abcde", Some("message longer than the limit")),
        (
            "text",
            &[b"reverse 5 abcdereverse 6 "],
            b"5 edcba5 error",
            Some("no header: ACTION LENGTH MESSAGE was expected"),
        ),
    ] {
        let outcome = run(name, pieces, Config { limits, ..DEFAULT });
        assert_eq!(outcome.replies, answers, "{name}");
        let violation = match outcome.close_cause {
            Some(CloseCause::ProtocolError(reason)) => Some(reason),
            _ => None,
        };
        assert_eq!(violation, reason, "{name}");
    }
}
