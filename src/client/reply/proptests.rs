//! Property tests: the result of decoding does not depend on how the bytes are cut.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::body::ReplyBody;
use super::content::{ContentCheck, ContentState, ExpectedContent};
use super::decoder::{BodyLength, ReplyDecoder, ReplyError, ReplyFormat, ReplyProgress};
use crate::client::client_protocol::ReplyFraming;

const FRAMINGS: [ReplyFraming; 5] = [
    ReplyFraming::Length32,
    ReplyFraming::DecimalLength,
    ReplyFraming::Fixed(4),
    ReplyFraming::Fixed(1),
    ReplyFraming::CloseDelimited,
];

fn format() -> impl Strategy<Value = ReplyFormat> {
    let length = prop_oneof![(0..12_usize).prop_map(BodyLength::AtMost), (0..6_usize).prop_map(BodyLength::Exactly)];
    (select(FRAMINGS.to_vec()), length).prop_map(|(framing, length)| ReplyFormat { framing, length })
}

fn wire(framing: ReplyFraming, body: &[u8]) -> Vec<u8> {
    match framing {
        ReplyFraming::Length32 => [&(body.len() as u32).to_be_bytes(), body].concat(),
        ReplyFraming::DecimalLength => [format!("{} ", body.len()).as_bytes(), body].concat(),
        ReplyFraming::Fixed(_) | ReplyFraming::CloseDelimited => body.to_vec(),
    }
}

/// Replies in this framing, of which one byte may be wrong, and bytes of any kind.
fn stream(framing: ReplyFraming) -> impl Strategy<Value = Vec<u8>> {
    let replies = vec(vec(select(b"abc\xc3\xa9 1".to_vec()), 0..8), 0..6);
    let flip = proptest::option::of((any::<Index>(), any::<u8>()));
    prop_oneof![
        4 => (replies, flip).prop_map(move |(bodies, flip)| {
            let mut bytes: Vec<u8> = bodies.iter().flat_map(|body| wire(framing, body)).collect();
            match flip {
                Some((index, byte)) if !bytes.is_empty() => {
                    let at = index.index(bytes.len());
                    bytes[at] = byte;
                }
                _ => {}
            }
            bytes
        }),
        1 => vec(any::<u8>(), 0..40),
    ]
}

/// The stream of bytes, cut at these places.
fn portions<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.push(bytes.len());
    places.sort_unstable();
    let mut start = 0;
    let mut portion = |end| &bytes[std::mem::replace(&mut start, end)..end];
    places.into_iter().map(&mut portion).collect()
}

/// The lengths of the replies in all portions, and how the stream ends: the length of the last reply, or the error.
fn decode(
    format: ReplyFormat,
    portions: &[&[u8]],
    body: &mut impl ReplyBody,
) -> (Vec<usize>, Result<usize, ReplyError>) {
    let mut decoder = ReplyDecoder::new(format);
    let mut lengths = Vec::new();
    for portion in portions {
        let mut rest = *portion;
        while !rest.is_empty() {
            match decoder.feed(rest, body) {
                Ok(ReplyProgress::NeedMore) => break,
                Ok(ReplyProgress::Reply { consumed, length }) => {
                    lengths.push(length);
                    rest = &rest[consumed..];
                }
                Err(error) => return (lengths, Err(error)),
            }
        }
    }
    (lengths, decoder.finish(body))
}

proptest! {
    #[test]
    fn decoding_does_not_depend_on_the_cuts(
        (format, bytes) in format().prop_flat_map(|format| (Just(format), stream(format.framing))),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let (mut whole, mut cut, mut single) = (Vec::new(), Vec::new(), Vec::new());
        let expected = decode(format, &[&bytes], &mut whole);
        prop_assert_eq!(&decode(format, &portions(&bytes, &cuts), &mut cut), &expected);
        prop_assert_eq!(&decode(format, &bytes.chunks(1).collect::<Vec<_>>(), &mut single), &expected);
        prop_assert_eq!((&cut, &single), (&whole, &whole));
        let bound = expected.0.iter().sum::<usize>() + format.length.max();
        prop_assert!(whole.len() <= bound, "{} bytes kept, {} can be right", whole.len(), bound);
    }

    #[test]
    fn content_does_not_depend_on_the_cuts(
        (format, bytes) in format().prop_flat_map(|format| (Just(format), stream(format.framing))),
        cuts in vec(any::<Index>(), 0..12),
        message in "[abc\u{e9} 1]{0,5}",
    ) {
        for content in [
            ExpectedContent::Anything,
            ExpectedContent::Exactly(message.clone().into_bytes()),
            ExpectedContent::permutation(message.as_bytes()),
            ExpectedContent::selection(message.as_bytes()),
        ] {
            let verify = |portions: &[&[u8]]| {
                let mut state = ContentState::default();
                decode(format, portions, &mut ContentCheck { expected: &content, state: &mut state })
            };
            prop_assert_eq!(verify(&portions(&bytes, &cuts)), verify(&[&bytes]), "{:?}", content);
        }
    }
}
