//! What holds for every input: how it is cut and how much reply_space there is has no influence on the answers.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::services::frame;
use super::test_util::{Config, DEFAULT, Outcome, run};
use super::*;
use crate::transform::Action;

/// Text, and sometimes bytes that are none.
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

fn frame_request() -> impl Strategy<Value = Vec<u8>> {
    (select(vec![1, 2, 4, 8, 16, 1, 2, 4, 8, 16, 0, 3, 31]), message()).prop_map(framed)
}

fn text_request() -> impl Strategy<Value = Vec<u8>> {
    let names: Vec<&str> = Action::ALL.iter().map(|action| action.name()).chain(["scream", ""]).collect();
    (select(names), message())
        .prop_map(|(name, text)| [format!("{name} {} ", text.len()).as_bytes(), &text[..]].concat())
}

fn prefixed_message() -> impl Strategy<Value = Vec<u8>> {
    message().prop_map(|text| [&(text.len() as u32).to_be_bytes(), &text[..]].concat())
}

/// Requests, and now and then something else.
fn conversation(request: impl Strategy<Value = Vec<u8>> + 'static) -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![12 => request.boxed(), 1 => vec(any::<u8>(), 0..9).boxed()], 0..12).prop_map(|parts| parts.concat())
}

/// A protocol whose answers do not depend on chunks, and what might be sent to it.
fn any_stream() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    prop_oneof![
        6 => conversation(frame_request()).prop_map(|bytes| ("frame", bytes)),
        2 => conversation(frame_request()).prop_map(|bytes| ("frame-2021", bytes)),
        4 => conversation(text_request()).prop_map(|bytes| ("text", bytes)),
        2 => conversation(prefixed_message()).prop_map(|bytes| ("length-prefix", bytes)),
        1 => vec(any::<u8>(), 0..200).prop_map(|bytes| ("echo", bytes)),
        1 => "[ a-z]{0,30}\n?[ a-z]{0,30}".prop_map(|line| ("upper-line", line.into_bytes())),
    ]
}

fn cut<'a>(bytes: &'a [u8], places: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    places.push(bytes.len());
    let mut from = 0;
    let piece = |to: usize| &bytes[std::mem::replace(&mut from, to)..to];
    places.into_iter().map(piece).collect()
}

/// What the client and the sums see: not the way in which the work was done.
fn outcome(outcome: Outcome) -> (Vec<u8>, Option<CloseCause>, u32) {
    (outcome.replies, outcome.close_cause, outcome.counts.refused)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn cuts_and_room_change_nothing(
        (name, bytes) in any_stream(),
        places in vec(any::<Index>(), 0..12),
        reply_space in prop_oneof![16usize..80, 80usize..300],
        message in select(vec![20usize, 1 << 20]),
        memory in select(vec![64usize, 400, 1 << 23]),
        seed: u64,
    ) {
        let config = Config { limits: RequestLimits { message, memory, line: message }, seed, ..DEFAULT };
        let whole = run(name, &[&bytes], config);
        let cut = run(name, &cut(&bytes, &places), Config { reply_space, ..config });
        prop_assert_eq!(outcome(cut), outcome(whole));
    }

    #[test]
    fn no_input_breaks_a_protocol(
        name in select(PROTOCOLS.iter().map(|entry| entry.name).collect::<Vec<_>>()),
        bytes in vec(any::<u8>(), 0..9000),
        places in vec(any::<Index>(), 0..6),
    ) {
        let outcome = run(name, &cut(&bytes, &places), Config { reply_space: MIN_REPLY_SPACE, ..DEFAULT });
        if ["discard", "chargen", "echo", "echo-prefix"].contains(&name) {
            prop_assert_eq!(outcome.unconsumed, 0);
        }
    }

    #[test]
    fn frames_are_answered_as_std_has_it(requests in vec((select(vec![1u8, 2, 4]), "[ -~]{0,40}|\\PC{0,20}"), 0..8)) {
        let mut expect = Vec::new();
        for (code, text) in &requests {
            let answer = match code {
                1 => text.to_uppercase(),
                2 => text.to_lowercase(),
                _ => text.chars().rev().collect(),
            };
            expect.extend((answer.len() as u32).to_be_bytes());
            expect.extend(answer.into_bytes());
        }
        let count = requests.len() as u32;
        let bytes: Vec<u8> = requests.into_iter().flat_map(|(code, text)| framed((code, text.into_bytes()))).collect();
        let outcome = run("frame", &[&bytes], DEFAULT);
        prop_assert_eq!(outcome.replies, expect);
        prop_assert_eq!(outcome.counts, RequestCounts { answered: count, ..RequestCounts::default() });
    }

    #[test]
    fn respond_never_splits_a_code_point(text in "[a-zß€😀]{0,2000}", places in vec(any::<Index>(), 0..8)) {
        let outcome = run("respond", &cut(text.as_bytes(), &places), Config { reply_space: MIN_REPLY_SPACE, ..DEFAULT });
        let answers = String::from_utf8(outcome.replies).unwrap();
        prop_assert_eq!(answers.replace("Response: ", ""), text.to_uppercase());
        prop_assert_eq!(outcome.counts.refused, 0);
    }
}
