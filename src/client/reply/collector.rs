//! One whole reply out of bytes as they arrive.
//!
//! Owns the body so far. Memory grows with the bytes that arrive, never with the length that is announced. Does no I/O;
//! an error says how much of the reply had arrived.

use std::fmt;
use std::io;

use super::decoder::{Received, ReplyDecoder, ReplyError, ReplyFormat, ReplyProgress};
use crate::client::failure::{HEADER_QUESTION, reason};
use crate::units::counted;

/// The most bytes that the error about an invalid length shows. Chosen: enough to recognize another protocol.
const SHOWN: usize = 32;

/// Collects the body of one reply.
#[derive(Debug)]
pub struct ReplyCollector {
    decoder: ReplyDecoder,
    body: Vec<u8>,
}

/// Why there is no whole reply.
#[derive(Debug)]
pub enum ReadError {
    /// The server closed the connection.
    Closed(Received),
    /// The server closed the connection, on which it had sent nothing.
    ClosedUnused,
    /// Nothing arrived for the time limit.
    TimedOut(Received),
    /// The bytes arrived more slowly than the time limit allows.
    TooSlow(Received),
    /// No correct reply begins with these bytes, where its length should be.
    InvalidLength(Vec<u8>),
    /// The bytes are not a correct reply for another reason.
    Wrong(ReplyError),
    /// Reading failed.
    Failed(io::Error, Received),
}

impl ReplyCollector {
    /// A collector at the beginning of a reply.
    #[must_use]
    pub fn new(format: ReplyFormat) -> Self {
        Self { decoder: ReplyDecoder::new(format), body: Vec::new() }
    }

    /// Takes bytes up to the end of the reply. `Some` when it is complete: the number of bytes that belong to it.
    ///
    /// An empty input is allowed; it completes a reply of a fixed length of 0.
    ///
    /// # Errors
    /// The bytes are not those of a correct reply.
    pub fn feed(&mut self, input: &[u8]) -> Result<Option<usize>, ReadError> {
        match self.decoder.feed(input, &mut self.body) {
            Ok(ReplyProgress::Reply { consumed, .. }) => Ok(Some(consumed)),
            Ok(ReplyProgress::NeedMore) => Ok(None),
            Err(ReplyError::InvalidLength) => {
                let bytes = self.decoder.length_field().iter().chain(input);
                Err(ReadError::InvalidLength(bytes.take(SHOWN).copied().collect()))
            }
            Err(error) => Err(ReadError::Wrong(error)),
        }
    }

    /// The connection was closed: completes a reply that ends so.
    ///
    /// # Errors
    /// The reply is incomplete.
    pub fn finish(&mut self) -> Result<(), ReadError> {
        let received = self.received();
        match self.decoder.finish(&mut self.body) {
            Ok(_) => Ok(()),
            Err(ReplyError::Truncated) => Err(ReadError::Closed(received)),
            Err(error) => Err(ReadError::Wrong(error)),
        }
    }

    /// How much of the reply has arrived.
    #[must_use]
    pub fn received(&self) -> Received {
        self.decoder.received()
    }

    /// The body.
    #[must_use]
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(received) => write!(f, "the server closed the connection {received}"),
            Self::ClosedUnused => {
                write!(f, "the server closed the connection before the reply began; {HEADER_QUESTION}")
            }
            Self::TimedOut(received) => write!(f, "the read timed out {received}"),
            Self::TooSlow(received) => write!(f, "the reply arrived too slowly: the read timed out {received}"),
            Self::InvalidLength(bytes) => write!(f, "{}: {}", ReplyError::InvalidLength, bytes.escape_ascii()),
            Self::Wrong(error) => error.fmt(f),
            Self::Failed(error, received) => write!(f, "cannot receive {received}: {}", reason(error)),
        }
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.bytes, self.announced) {
            (0, _) => f.write_str("before the reply began"),
            (bytes, Some(announced)) => write!(f, "after {bytes} of the {announced} bytes of the reply"),
            (bytes, None) => write!(f, "after {} of the reply", counted(bytes, "byte")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::client_protocol::ReplyFraming;
    use crate::client::reply::decoder::BodyLength;

    fn collector(framing: ReplyFraming, limit: usize) -> ReplyCollector {
        ReplyCollector::new(ReplyFormat { framing, length: BodyLength::AtMost(limit) })
    }

    #[test]
    fn truncated_reply_error_counts_bytes() {
        for (wire, words) in [
            (b"\0\0\0\x05abc".as_slice(), "the server closed the connection after 7 of the 9 bytes of the reply"),
            (b"\0\0", "the server closed the connection after 2 bytes of the reply"),
            (b"", "the server closed the connection before the reply began"),
        ] {
            let mut cut = collector(ReplyFraming::Length32, 9);
            assert_eq!(cut.feed(wire).unwrap(), None);
            assert_eq!(cut.finish().unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn invalid_length_error_shows_the_bytes() {
        for wire in ["abc", " 3", "3x", "12345678901 "] {
            let mut whole = collector(ReplyFraming::DecimalLength, 9);
            let mut cut = collector(ReplyFraming::DecimalLength, 9);
            let in_pieces = wire.as_bytes().chunks(1).find_map(|byte| cut.feed(byte).err());
            for error in [whole.feed(wire.as_bytes()).unwrap_err(), in_pieces.unwrap()] {
                let ReadError::InvalidLength(shown) = &error else { panic!("{wire}: {error}") };
                assert!(wire.as_bytes().starts_with(shown) && !shown.is_empty(), "{wire}: {error}");
            }
        }
        let error = collector(ReplyFraming::DecimalLength, 9).feed(b"HTTP/1.1 400").unwrap_err();
        assert_eq!(error.to_string(), "the reply does not begin with a length: HTTP/1.1 400");
    }

    #[test]
    fn close_delimited_reply_ends_with_the_connection() {
        let mut quote = collector(ReplyFraming::CloseDelimited, 7);
        assert_eq!(quote.feed(b"a quote").unwrap(), None);
        quote.finish().unwrap();
        assert_eq!(quote.into_body(), b"a quote");
    }

    #[test]
    fn too_long_reply_is_not_read() {
        for (framing, wire, words) in [
            (ReplyFraming::Length32, b"\0\0\0\x04".as_slice(), "the server announced 4 bytes, although"),
            (ReplyFraming::DecimalLength, b"4 ", "no correct reply has more than 3"),
            (ReplyFraming::CloseDelimited, b"abcd", "the server sent more than 3 bytes, although"),
        ] {
            let error = collector(framing, 3).feed(wire).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let mut text = collector(ReplyFraming::DecimalLength, 3);
        assert_eq!(text.feed(b"3 abc").unwrap(), Some(5));
        assert_eq!(text.into_body(), b"abc");
    }
}
