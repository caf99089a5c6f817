//! The decoder of replies: a state machine without I/O.
//!
//! Owns the position in the current reply, and the bytes of a length field that has not arrived in full; nothing else
//! is kept. The caller chooses what becomes of the body ([`ReplyBody`]): a `Vec<u8>` collects it,
//! [`DiscardBody`](super::body::DiscardBody) drops it, [`ContentCheck`](super::content::ContentCheck) verifies it.
//! Guarantees: the result does not depend on how the bytes are cut; a reply that is longer than the longest correct one
//! is an error as soon as that is known, and not one byte of the excess reaches the body.

use std::fmt;

use super::body::{ReplyBody, WrongContent};
use super::length::{self, LengthField};
use crate::client::client_protocol::ReplyFraming;
use crate::units::counted;

/// The replies to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyFormat {
    /// How a reply is delimited.
    pub framing: ReplyFraming,
    /// The lengths that a reply may have.
    pub length: BodyLength,
}

/// Length of a body, in bytes, without the length field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// This number of bytes.
    Exactly(usize),
    /// This number of bytes, or fewer.
    AtMost(usize),
}

/// The progress of a reply after the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyProgress {
    /// All bytes were consumed, and the reply is not complete.
    NeedMore,
    /// The reply is complete; the decoder is ready for the next one.
    Reply {
        /// Bytes of the last input that belong to this reply, length field included. The next reply follows them.
        consumed: usize,
        /// Length of the body, in bytes.
        length: usize,
    },
}

/// Why the bytes are not a correct reply. The connection is of no further use: where the next reply begins is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// The reply does not begin with a length. [`ReplyDecoder::length_field`] has the bytes before the last input.
    InvalidLength,
    /// No correct reply has this length, in bytes.
    WrongLength(usize, BodyLength),
    /// A reply that ends with the connection has more bytes than the longest correct one.
    Excess(BodyLength),
    /// The body differs from that of a correct reply.
    WrongContent,
    /// The connection was closed before the reply was complete.
    Truncated,
}

/// How much of a reply has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the reply, length field included.
    pub bytes: usize,
    /// The number of bytes that the whole reply has, length field included, if that is known.
    pub announced: Option<usize>,
}

/// Decodes the replies of one connection, one after another.
#[derive(Clone, Debug)]
pub struct ReplyDecoder {
    format: ReplyFormat,
    field: [u8; length::MAX_SIZE],
    field_size: usize,
    state: DecoderState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DecoderState {
    /// The length field is incomplete.
    Length,
    /// The length is known, or is that of the connection.
    Body { length: Option<usize>, received: usize },
}

/// A length field that is complete.
struct AcceptedLength {
    /// Bytes of the last input that belong to it.
    consumed: usize,
    /// Length of the body; `None` where that ends with the connection.
    length: Option<usize>,
}

impl ReplyDecoder {
    /// A decoder at the beginning of a reply.
    #[must_use]
    pub fn new(format: ReplyFormat) -> Self {
        Self { format, field: [0; length::MAX_SIZE], field_size: 0, state: DecoderState::Length }
    }

    /// Consumes bytes up to the end of the current reply.
    ///
    /// Feed the rest of `input` again after [`ReplyProgress::Reply`]. An empty input is allowed; it completes a reply
    /// of a fixed length of 0. After an error the decoder must not be fed again.
    ///
    /// # Errors
    /// The reply has an invalid or a wrong length, or wrong content.
    pub fn feed(&mut self, input: &[u8], body: &mut impl ReplyBody) -> Result<ReplyProgress, ReplyError> {
        let (field, length, received) = match self.state {
            DecoderState::Body { length, received } => (0, length, received),
            DecoderState::Length => match self.read_length(input)? {
                Some(AcceptedLength { consumed, length }) => (consumed, length, 0),
                None => return Ok(ReplyProgress::NeedMore),
            },
        };
        let rest = &input[field..];
        let limit = length.unwrap_or(self.format.length.max());
        let part = &rest[..rest.len().min(limit - received)];
        if !part.is_empty() {
            body.push(part)?;
        }
        let received = received + part.len();
        self.state = DecoderState::Body { length, received };
        match length {
            Some(length) if length == received => {
                body.finish()?;
                self.begin_next();
                Ok(ReplyProgress::Reply { consumed: field + part.len(), length })
            }
            None if part.len() < rest.len() => Err(ReplyError::Excess(self.format.length)),
            _ => Ok(ReplyProgress::NeedMore),
        }
    }

    /// The connection was closed: completes a reply that ends so, and returns the length of its body in bytes.
    ///
    /// # Errors
    /// The reply is incomplete, or it has a wrong length or wrong content.
    pub fn finish(&mut self, body: &mut impl ReplyBody) -> Result<usize, ReplyError> {
        let received = match self.state {
            DecoderState::Body { length: None, received } => received,
            DecoderState::Length if self.format.framing == ReplyFraming::CloseDelimited => 0,
            _ => return Err(ReplyError::Truncated),
        };
        if !self.format.length.allows(received) {
            return Err(ReplyError::WrongLength(received, self.format.length));
        }
        body.finish()?;
        self.begin_next();
        Ok(received)
    }

    /// How much of the current reply has arrived.
    #[must_use]
    pub fn received(&self) -> Received {
        let before = self.field_size;
        match self.state {
            DecoderState::Length => {
                let announced = if let ReplyFraming::Fixed(length) = self.format.framing { Some(length) } else { None };
                Received { bytes: before, announced }
            }
            DecoderState::Body { length, received } => {
                Received { bytes: before + received, announced: length.map(|length| before + length) }
            }
        }
    }

    /// Bytes of the body of the current reply that have arrived.
    #[must_use]
    pub fn body_received(&self) -> usize {
        self.received().bytes - self.field_size
    }

    /// The bytes of an incomplete length field that have arrived.
    #[must_use]
    pub fn length_field(&self) -> &[u8] {
        match self.state {
            DecoderState::Length => &self.field[..self.field_size],
            DecoderState::Body { .. } => &[],
        }
    }

    /// Consumes bytes of the length field; returns their number and the length of the body when the field is complete.
    #[inline]
    fn read_length(&mut self, input: &[u8]) -> Result<Option<AcceptedLength>, ReplyError> {
        if self.field_size == 0 {
            // The usual case: the field arrives in one piece, and need not be copied.
            if let LengthField::Complete { size, body } = length::parse(input, self.format.framing) {
                return self.accept_length(0, size, body).map(Some);
            }
        }
        self.assemble_length(input)
    }

    fn assemble_length(&mut self, input: &[u8]) -> Result<Option<AcceptedLength>, ReplyError> {
        let before = self.field_size;
        let taken = input.len().min(length::MAX_SIZE - before);
        self.field[before..before + taken].copy_from_slice(&input[..taken]);
        match length::parse(&self.field[..before + taken], self.format.framing) {
            LengthField::Complete { size, body } => self.accept_length(before, size, body).map(Some),
            LengthField::Incomplete => {
                self.field_size = before + taken;
                Ok(None)
            }
            LengthField::Invalid => Err(ReplyError::InvalidLength),
        }
    }

    /// Completes a length field of `size` bytes, of which `before` had been consumed.
    #[inline]
    fn accept_length(&mut self, before: usize, size: usize, body: Option<usize>) -> Result<AcceptedLength, ReplyError> {
        self.field_size = size;
        match body {
            Some(length) if !self.format.length.allows(length) => {
                Err(ReplyError::WrongLength(length, self.format.length))
            }
            body => Ok(AcceptedLength { consumed: size - before, length: body }),
        }
    }

    fn begin_next(&mut self) {
        (self.field_size, self.state) = (0, DecoderState::Length);
    }
}

impl BodyLength {
    /// Whether a body may have this length.
    #[must_use]
    pub fn allows(self, length: usize) -> bool {
        match self {
            Self::Exactly(exact) => length == exact,
            Self::AtMost(max) => length <= max,
        }
    }

    /// The length of the longest body.
    #[must_use]
    pub fn max(self) -> usize {
        match self {
            Self::Exactly(max) | Self::AtMost(max) => max,
        }
    }
}

impl From<WrongContent> for ReplyError {
    fn from(_: WrongContent) -> Self {
        Self::WrongContent
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidLength => f.write_str("the reply does not begin with a length"),
            Self::WrongLength(length, BodyLength::AtMost(max)) => {
                write!(f, "the server announced {length} bytes, although no correct reply has more than {max}")
            }
            Self::WrongLength(length, BodyLength::Exactly(exact)) => {
                write!(f, "the reply has {}, {exact} were expected", counted(*length, "byte"))
            }
            Self::Excess(length) => {
                write!(f, "the server sent more than {} bytes, although no correct reply has more", length.max())
            }
            Self::WrongContent => f.write_str("the reply has wrong content"),
            Self::Truncated => f.write_str("the server closed the connection before the end of its reply"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::DiscardBody;
    use super::*;

    fn decoder(framing: ReplyFraming, length: BodyLength) -> ReplyDecoder {
        ReplyDecoder::new(ReplyFormat { framing, length })
    }

    #[test]
    fn bytes_behind_a_reply_are_not_consumed() {
        let mut decoder = decoder(ReplyFraming::Length32, BodyLength::AtMost(9));
        let mut body = Vec::new();
        assert_eq!(decoder.feed(b"\0\0\0\x02abcd", &mut body), Ok(ReplyProgress::Reply { consumed: 6, length: 2 }));
        assert_eq!(body, b"ab");
        assert_eq!(decoder.received(), Received { bytes: 0, announced: None });
    }

    #[test]
    fn empty_replies_are_replies() {
        let mut empty = decoder(ReplyFraming::DecimalLength, BodyLength::Exactly(0));
        assert_eq!(empty.feed(b"0 0 ", &mut DiscardBody), Ok(ReplyProgress::Reply { consumed: 2, length: 0 }));
        let mut fixed = decoder(ReplyFraming::Fixed(0), BodyLength::AtMost(9));
        assert_eq!(fixed.feed(b"", &mut DiscardBody), Ok(ReplyProgress::Reply { consumed: 0, length: 0 }));
        assert_eq!(decoder(ReplyFraming::CloseDelimited, BodyLength::AtMost(9)).finish(&mut DiscardBody), Ok(0));
    }

    #[test]
    fn progress_counts_the_length_field() {
        let mut text = decoder(ReplyFraming::DecimalLength, BodyLength::AtMost(99));
        assert_eq!(text.feed(b"1", &mut DiscardBody), Ok(ReplyProgress::NeedMore));
        assert_eq!(text.received(), Received { bytes: 1, announced: None });
        assert_eq!((text.body_received(), text.length_field()), (0, b"1".as_slice()));
        assert_eq!(text.feed(b"2 ab", &mut DiscardBody), Ok(ReplyProgress::NeedMore));
        assert_eq!(text.received(), Received { bytes: 5, announced: Some(15) });
        assert_eq!((text.body_received(), text.length_field()), (2, b"".as_slice()));
        let fixed = decoder(ReplyFraming::Fixed(7), BodyLength::AtMost(9));
        assert_eq!(fixed.received(), Received { bytes: 0, announced: Some(7) });
    }

    #[test]
    fn too_long_a_reply_is_an_error_before_its_body_arrives() {
        let bound = BodyLength::AtMost(3);
        for (framing, bytes) in
            [(ReplyFraming::Length32, b"\0\0\0\x04".as_slice()), (ReplyFraming::DecimalLength, b"4 ")]
        {
            assert_eq!(decoder(framing, bound).feed(bytes, &mut DiscardBody), Err(ReplyError::WrongLength(4, bound)));
        }
        let mut kept = Vec::new();
        let mut endless = decoder(ReplyFraming::CloseDelimited, bound);
        assert_eq!(endless.feed(b"abc", &mut kept), Ok(ReplyProgress::NeedMore));
        assert_eq!(endless.feed(b"d", &mut kept), Err(ReplyError::Excess(bound)));
        assert_eq!(kept, b"abc", "nothing of the excess is kept");
    }

    #[test]
    fn a_closed_connection_completes_only_close_delimited_replies() {
        let exact = BodyLength::Exactly(3);
        let mut quote = decoder(ReplyFraming::CloseDelimited, exact);
        assert_eq!(quote.feed(b"abc", &mut DiscardBody), Ok(ReplyProgress::NeedMore));
        assert_eq!(quote.finish(&mut DiscardBody), Ok(3));
        assert_eq!(quote.feed(b"ab", &mut DiscardBody), Ok(ReplyProgress::NeedMore), "ready for the next reply");
        assert_eq!(quote.finish(&mut DiscardBody), Err(ReplyError::WrongLength(2, exact)));
        for framing in [ReplyFraming::Length32, ReplyFraming::DecimalLength, ReplyFraming::Fixed(3)] {
            assert_eq!(decoder(framing, exact).finish(&mut DiscardBody), Err(ReplyError::Truncated));
        }
    }

    #[test]
    fn an_invalid_length_leaves_the_bytes_before_it() {
        let mut decoder = decoder(ReplyFraming::DecimalLength, BodyLength::AtMost(9));
        assert_eq!(decoder.feed(b"1", &mut DiscardBody), Ok(ReplyProgress::NeedMore));
        assert_eq!(decoder.feed(b"x", &mut DiscardBody), Err(ReplyError::InvalidLength));
        assert_eq!(decoder.length_field(), b"1");
    }
}
