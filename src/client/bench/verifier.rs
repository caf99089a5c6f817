//! Verifies replies at the speed at which they arrive.
//!
//! Where every reply has the same bytes, the stream of replies is known in advance: what was read is compared with it
//! in one piece, without looking for where replies begin. Where they differ (random actions, close-delimited replies,
//! `--verify length`), each reply goes through the [`ReplyDecoder`]. Both count replies that are complete and correct,
//! and keep none. After a mismatch the connection is of no further use, because where the next reply begins is unknown.

use crate::client::client_protocol::ReplyFraming;
use crate::client::reply::content::{ContentCheck, ContentState, ExpectedContent};
use crate::client::reply::decoder::{ReplyDecoder, ReplyError, ReplyFormat, ReplyProgress};

/// Bytes to read at once, at most. Chosen without tuning: a socket's receive buffer on loopback holds about as many.
pub const READ_SIZE: usize = 256 << 10;

/// The error of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Its length.
    Length,
    /// Its content.
    Content,
}

/// Verifies the replies to one request, on any number of connections.
#[derive(Debug)]
pub enum Verifier {
    /// All replies have the same bytes.
    Repeated(RepeatedReply),
    /// Each reply is decoded.
    Each {
        /// How replies are delimited, and how long they may be.
        format: ReplyFormat,
        /// The expected content.
        content: ExpectedContent,
    },
}

/// The stream of replies that are all alike.
#[derive(Debug)]
pub struct RepeatedReply {
    /// The reply, repeated up to [`READ_SIZE`] bytes beyond the end of the first.
    stream: Vec<u8>,
    /// Length of one reply, in bytes.
    period: usize,
    /// Length of its length field, in bytes.
    length_field: usize,
}

/// How far one connection's replies have been verified.
#[derive(Debug, Default)]
pub struct VerifierState {
    /// [`Verifier::Repeated`]: bytes of the current reply.
    position: usize,
    /// [`Verifier::Each`]: made at the first read.
    decoder: Option<ReplyDecoder>,
    content: ContentState,
}

impl Verifier {
    /// For replies that are all `reply`, of which the first `length_field` bytes are its length.
    #[must_use]
    pub fn repeated(reply: &[u8], length_field: usize) -> Self {
        let stream = reply.iter().copied().cycle().take(reply.len() + READ_SIZE).collect();
        Self::Repeated(RepeatedReply { stream, period: reply.len(), length_field })
    }

    /// Whether a reply ends with its connection.
    #[must_use]
    pub fn is_close_delimited(&self) -> bool {
        matches!(self, Self::Each { format: ReplyFormat { framing: ReplyFraming::CloseDelimited, .. }, .. })
    }

    /// Takes the bytes of one read, at most [`READ_SIZE`], and returns the number of replies that they complete.
    pub fn feed(&self, state: &mut VerifierState, bytes: &[u8]) -> Result<usize, Mismatch> {
        match self {
            Self::Repeated(repeated) => repeated.feed(&mut state.position, bytes),
            Self::Each { format, content } => Ok(feed_each(*format, content, state, bytes)?),
        }
    }

    /// Whether a part of a reply has arrived, and its end has not.
    #[must_use]
    pub fn is_within_reply(&self, state: &VerifierState) -> bool {
        match self {
            Self::Repeated(_) => state.position > 0,
            Self::Each { .. } => state.decoder.as_ref().is_some_and(|decoder| decoder.received().bytes > 0),
        }
    }

    /// The connection was closed: returns the number of replies that this completes.
    pub fn finish(&self, state: &mut VerifierState) -> Result<usize, Mismatch> {
        match self {
            Self::Each { format, content } if format.framing == ReplyFraming::CloseDelimited => {
                let decoder = state.decoder.get_or_insert_with(|| ReplyDecoder::new(*format));
                match decoder.finish(&mut ContentCheck { expected: content, state: &mut state.content })? {
                    // An empty reply is a connection that was closed without a reply.
                    0 => Err(Mismatch::Length),
                    _ => Ok(1),
                }
            }
            _ => Ok(0),
        }
    }
}

impl RepeatedReply {
    fn feed(&self, position: &mut usize, bytes: &[u8]) -> Result<usize, Mismatch> {
        let expected = &self.stream[*position..][..bytes.len()];
        if bytes != expected {
            let equal = bytes.iter().zip(expected).take_while(|(received, expected)| received == expected).count();
            let place = (*position + equal) % self.period;
            return Err(if place < self.length_field { Mismatch::Length } else { Mismatch::Content });
        }
        let end = *position + bytes.len();
        *position = end % self.period;
        Ok(end / self.period)
    }
}

fn feed_each(
    format: ReplyFormat,
    content: &ExpectedContent,
    state: &mut VerifierState,
    bytes: &[u8],
) -> Result<usize, ReplyError> {
    let decoder = state.decoder.get_or_insert_with(|| ReplyDecoder::new(format));
    let mut body = ContentCheck { expected: content, state: &mut state.content };
    let (mut replies, mut rest) = (0, bytes);
    while !rest.is_empty() {
        let ReplyProgress::Reply { consumed, .. } = decoder.feed(rest, &mut body)? else { break };
        replies += 1;
        rest = &rest[consumed..];
    }
    Ok(replies)
}

impl From<ReplyError> for Mismatch {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::WrongContent => Self::Content,
            ReplyError::InvalidLength | ReplyError::WrongLength(..) | ReplyError::Excess(_) | ReplyError::Truncated => {
                Self::Length
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::reply::decoder::BodyLength;

    fn each(framing: ReplyFraming, length: BodyLength, content: ExpectedContent) -> Verifier {
        Verifier::Each { format: ReplyFormat { framing, length }, content }
    }

    /// Feeds the stream in portions of every size: the result must not depend on it.
    fn verified(verifier: &Verifier, stream: &[u8]) -> Result<usize, Mismatch> {
        let whole = verifier.feed(&mut VerifierState::default(), stream);
        for size in 1..stream.len() {
            let mut state = VerifierState::default();
            let cut: Result<usize, Mismatch> =
                stream.chunks(size).map(|portion| verifier.feed(&mut state, portion)).sum();
            assert_eq!(cut, whole, "in portions of {size}");
        }
        whole
    }

    #[test]
    fn repeated_replies_are_counted_and_mismatches_classified() {
        let verifier = Verifier::repeated(b"\0\0\0\x02ab", 4);
        assert_eq!(verified(&verifier, b"\0\0\0\x02ab\0\0\0\x02ab\0\0"), Ok(2));
        assert_eq!(verified(&verifier, b"\0\0\0\x02ab\0\0\0\x02aX"), Err(Mismatch::Content));
        assert_eq!(verified(&verifier, b"\0\0\0\x02ab\0\0\0\x03ab"), Err(Mismatch::Length));
    }

    #[test]
    fn random_replies_are_decoded_one_by_one() {
        let shuffled = each(ReplyFraming::Length32, BodyLength::Exactly(3), ExpectedContent::permutation(b"abc"));
        assert_eq!(verified(&shuffled, b"\0\0\0\x03cab\0\0\0\x03bac"), Ok(2));
        assert_eq!(verified(&shuffled, b"\0\0\0\x03cab\0\0\0\x03baa"), Err(Mismatch::Content));
        assert_eq!(verified(&shuffled, b"\0\0\0\x04cabc"), Err(Mismatch::Length));
        let random = each(ReplyFraming::DecimalLength, BodyLength::AtMost(9), ExpectedContent::selection(b"abc"));
        assert_eq!(verified(&random, b"1 a4 cccb3 ab"), Ok(2));
        assert_eq!(verified(&random, b"1 x"), Err(Mismatch::Content));
        assert_eq!(verified(&random, b"x1 a"), Err(Mismatch::Length));
        assert_eq!(verified(&random, b"10 a"), Err(Mismatch::Length));
        let characters = "\u{e9}\u{6f22}".as_bytes();
        let random = each(ReplyFraming::Length32, BodyLength::AtMost(9), ExpectedContent::selection(characters));
        assert_eq!(verified(&random, "\0\0\0\u{7}\u{6f22}\u{e9}\u{e9}\0\0\0\0".as_bytes()), Ok(2));
        assert_eq!(verified(&random, b"\0\0\0\x02\xe6\xbc\0\0\0\0"), Err(Mismatch::Content));
        assert_eq!(verified(&random, b"\0\0\0\x03\xa9\xa9\xa9"), Err(Mismatch::Content));
    }

    #[test]
    fn a_reply_may_be_as_long_as_the_longest_message() {
        let any_length = BodyLength::AtMost(usize::MAX);
        let random = each(ReplyFraming::Length32, any_length, ExpectedContent::selection(b"a"));
        let mut state = VerifierState::default();
        assert_eq!(random.feed(&mut state, b"\x07\xff\xff\xff"), Ok(0));
        for _ in 0..100 {
            assert_eq!(random.feed(&mut state, &[b'a'; 1000]), Ok(0));
        }
        assert_eq!(state.decoder.map(|decoder| decoder.body_received()), Some(100_000));
    }

    #[test]
    fn empty_replies_count() {
        let verifier = each(ReplyFraming::Length32, BodyLength::Exactly(0), ExpectedContent::Anything);
        assert_eq!(verified(&verifier, b"\0\0\0\0\0\0\0\0"), Ok(2));
        assert_eq!(verified(&Verifier::repeated(b"\0\0\0\0", 4), b"\0\0\0\0\0\0\0\0"), Ok(2));
    }

    #[test]
    fn close_delimited_replies_count_at_the_end() {
        let quote = ExpectedContent::Exactly(b"quote".to_vec());
        let verifier = each(ReplyFraming::CloseDelimited, BodyLength::Exactly(5), quote);
        assert!(verifier.is_close_delimited());
        let mut state = VerifierState::default();
        assert_eq!(verifier.feed(&mut state, b"quo"), Ok(0));
        assert_eq!(verifier.feed(&mut state, b"te"), Ok(0));
        assert_eq!(verifier.finish(&mut state), Ok(1));
        assert_eq!(verifier.finish(&mut VerifierState::default()), Err(Mismatch::Length));
        for length in [BodyLength::Exactly(5), BodyLength::AtMost(5)] {
            let verifier = each(ReplyFraming::CloseDelimited, length, ExpectedContent::Anything);
            assert_eq!(verifier.finish(&mut VerifierState::default()), Err(Mismatch::Length), "nothing arrived");
            assert_eq!(verified(&verifier, b"quote"), Ok(0));
            assert_eq!(verified(&verifier, b"quotes"), Err(Mismatch::Length), "before the end");
        }
    }

    #[test]
    fn a_wrong_byte_of_a_close_delimited_reply_is_found_before_its_end() {
        let quote = ExpectedContent::Exactly(b"quote".to_vec());
        let verifier = each(ReplyFraming::CloseDelimited, BodyLength::Exactly(5), quote);
        assert_eq!(verified(&verifier, b"quX"), Err(Mismatch::Content));
    }

    #[test]
    fn lengths_alone_can_be_verified_without_a_length_field() {
        let verifier = each(ReplyFraming::Fixed(3), BodyLength::Exactly(3), ExpectedContent::Anything);
        assert_eq!(verified(&verifier, b"abcxyz1"), Ok(2));
    }
}
