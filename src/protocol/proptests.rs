//! Properties of every input: neither its splits nor the reply space influence the replies.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::services::frame;
use super::test_util::{Config, DEFAULT, Outcome, run};
use super::*;

/// Text, and sometimes bytes that are not UTF-8.
fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "[ -~]{0,60}".prop_map(String::into_bytes),
        4 => "\\PC{0,40}".prop_map(String::into_bytes),
        3 => "[aßΣσΐﬃ€😀 ]{0,30}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..60),
    ]
}

fn framed((code, text): (u8, Vec<u8>)) -> Vec<u8> {
    [&frame::header(code, text.len()), &text[..]].concat()
}

/// The words for actions that a request can name, and some that it cannot.
fn action_words(info: &ProtocolInfo) -> Vec<&'static str> {
    let Some(actions) = info.client.actions else { return vec![""] };
    let unknown: &[&str] = if actions.have_codes { &["0", "3", "31"] } else { &["scream"] };
    actions.known.iter().map(|action| action.name()).chain(unknown.iter().copied()).collect()
}

/// Requests as the protocol's client side writes them, with other bytes now and then.
fn conversation(info: &'static ProtocolInfo) -> impl Strategy<Value = Vec<u8>> {
    let request = (select(action_words(info)), message()).prop_map(|(action, message)| {
        let mut wire = Vec::new();
        (info.client.write_request)(action, &message, &mut wire).unwrap();
        wire
    });
    vec(prop_oneof![12 => request.boxed(), 1 => vec(any::<u8>(), 0..9).boxed()], 0..12).prop_map(|parts| parts.concat())
}

/// A protocol whose replies do not depend on how the input is split, and an input; frame is the most frequent.
fn any_stream() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let streams: Vec<_> = PROTOCOLS.iter().copied().filter(|info| info.input == Input::Stream).collect();
    let info = prop_oneof![1 => Just(&frame::INFO), 2 => select(streams)];
    info.prop_flat_map(|info| conversation(info).prop_map(move |bytes| (info.name, bytes)))
}

fn split<'a>(bytes: &'a [u8], places: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    places.push(bytes.len());
    let mut from = 0;
    let piece = |to: usize| &bytes[std::mem::replace(&mut from, to)..to];
    places.into_iter().map(piece).collect()
}

/// The part of the outcome that must not depend on splits and reply space.
fn visible(outcome: Outcome) -> (Vec<u8>, Option<CloseCause>, u32) {
    (outcome.replies, outcome.close_cause, outcome.counts.refused)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn splits_and_reply_space_change_no_reply(
        (name, bytes) in any_stream(),
        places in vec(any::<Index>(), 0..12),
        reply_space in prop_oneof![16usize..80, 80usize..300],
        message in select(vec![20usize, 1 << 20]),
        memory in select(vec![64usize, 400, 1 << 23]),
        seed: u64,
    ) {
        let config = Config { limits: RequestLimits { message, memory, line: None }, seed, ..DEFAULT };
        let whole = run(name, &[&bytes], config);
        let split = run(name, &split(&bytes, &places), Config { reply_space, ..config });
        prop_assert_eq!(visible(split), visible(whole));
    }

    #[test]
    fn no_input_breaks_a_protocol(
        name in select(PROTOCOLS.iter().map(|entry| entry.name).collect::<Vec<_>>()),
        bytes in vec(any::<u8>(), 0..9000),
        places in vec(any::<Index>(), 0..6),
    ) {
        let outcome = run(name, &split(&bytes, &places), Config { reply_space: MIN_REPLY_SPACE, ..DEFAULT });
        if ["discard", "chargen", "echo", "echo-prefix"].contains(&name) {
            prop_assert_eq!(outcome.unconsumed, 0);
        }
    }

    #[test]
    fn frame_replies_are_those_of_the_standard_library(requests in vec((select(vec![1u8, 2, 4]), "[ -~]{0,40}|\\PC{0,20}"), 0..8)) {
        let mut expect = Vec::new();
        for (code, text) in &requests {
            let reply = match code {
                1 => text.to_uppercase(),
                2 => text.to_lowercase(),
                _ => text.chars().rev().collect(),
            };
            expect.extend((reply.len() as u32).to_be_bytes());
            expect.extend(reply.into_bytes());
        }
        let count = requests.len() as u32;
        let bytes: Vec<u8> = requests.into_iter().flat_map(|(code, text)| framed((code, text.into_bytes()))).collect();
        let outcome = run("frame", &[&bytes], DEFAULT);
        prop_assert_eq!(outcome.replies, expect);
        prop_assert_eq!(outcome.counts, RequestCounts { answered: count, ..RequestCounts::default() });
    }

    #[test]
    fn respond_never_splits_a_code_point(text in "[a-zß€😀]{0,2000}", places in vec(any::<Index>(), 0..8)) {
        let outcome = run("respond", &split(text.as_bytes(), &places), Config { reply_space: MIN_REPLY_SPACE, ..DEFAULT });
        let replies = String::from_utf8(outcome.replies).unwrap();
        prop_assert_eq!(replies.replace("Response: ", ""), text.to_uppercase());
        prop_assert_eq!(outcome.counts.refused, 0);
    }
}
