//! Whole replies from a blocking stream.
//!
//! Owns the bytes that were read beyond the current reply. Memory grows with the bytes that arrive, never with the
//! length that is announced. Guarantees: an error says how much of the reply had arrived; with a time limit per reply,
//! a server that sends a byte now and then is not waited for without end.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

use super::decoder::{BodyLength, Received, ReplyDecoder, ReplyError, ReplyFormat, ReplyProgress};
use crate::client::client_protocol::ReplyFraming;

/// Bytes to read at once, at most. Chosen without tuning: about what a socket's receive buffer holds on loopback.
const READ_SIZE: usize = 256 << 10;

/// The rate, in bytes per second, at which a reply that takes longer than its time limit must arrive. Chosen: the rate
/// at which retortd extends the deadline of a request (`--request-timeout`).
const MIN_RATE: usize = 16 << 10;

/// The most bytes that the error about an invalid length shows. Chosen: enough to recognize another protocol.
const SHOWN: usize = 32;

/// Reads replies one after another.
#[derive(Debug)]
pub struct ReplyReader<R> {
    stream: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    time_limit: Option<Duration>,
    /// Start of the wait for the current reply.
    started: Instant,
}

/// Why there is no whole reply.
#[derive(Debug)]
pub enum ReadError {
    /// The server closed the connection.
    Closed(Received),
    /// A read timed out (`SO_RCVTIMEO`, see socket(7)).
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

impl<R: Read> ReplyReader<R> {
    /// Reads from `stream`.
    pub fn new(stream: R) -> Self {
        Self::with_buffer(stream, READ_SIZE)
    }

    /// Reads from `stream`, at most `size` bytes at once.
    pub fn with_buffer(stream: R, size: usize) -> Self {
        Self { stream, buffer: vec![0; size], start: 0, end: 0, time_limit: None, started: Instant::now() }
    }

    /// Sets the time that a reply may take: `time`, and a second more for each 16 KiB of it that have arrived.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Self { time_limit: Some(time), ..self }
    }

    /// The stream.
    pub fn stream(&mut self) -> &mut R {
        &mut self.stream
    }

    /// The bytes that have been read and belong to no reply yet.
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Reads the body of the next reply; one of more than `limit` bytes is an error as soon as that is known.
    ///
    /// `on_timeout` is called when the reply is late; if it returns true, the time limit begins again.
    ///
    /// # Errors
    /// The reply is late, incomplete or wrong, or reading fails; see [`ReadError`].
    pub fn next(
        &mut self,
        framing: ReplyFraming,
        limit: usize,
        on_timeout: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<u8>, ReadError> {
        self.started = Instant::now();
        let mut decoder = ReplyDecoder::new(ReplyFormat { framing, length: BodyLength::AtMost(limit) });
        let mut body = Vec::new();
        loop {
            match decoder.feed(self.buffered(), &mut body) {
                Ok(ReplyProgress::Reply { consumed, .. }) => {
                    self.start += consumed;
                    return Ok(body);
                }
                Ok(ReplyProgress::NeedMore) => self.start = self.end,
                Err(ReplyError::InvalidLength) => return Err(self.invalid_length(&decoder)),
                Err(error) => return Err(ReadError::Wrong(error)),
            }
            let received = decoder.received();
            if self.fill(received, on_timeout)? == 0 {
                return match decoder.finish(&mut body) {
                    Ok(_) => Ok(body),
                    Err(ReplyError::Truncated) => Err(ReadError::Closed(received)),
                    Err(error) => Err(ReadError::Wrong(error)),
                };
            }
        }
    }

    /// The bytes that are buffered or arrive next, in any portion; empty when the server has closed the connection.
    ///
    /// # Errors
    /// As recv(2).
    pub fn read_some(&mut self) -> io::Result<&[u8]> {
        if self.buffered().is_empty() {
            self.start = 0;
            self.end = read(&mut self.stream, &mut self.buffer)?;
        }
        let portion = self.start..self.end;
        self.start = self.end;
        Ok(&self.buffer[portion])
    }

    fn invalid_length(&self, decoder: &ReplyDecoder) -> ReadError {
        let bytes = decoder.length_field().iter().chain(self.buffered());
        ReadError::InvalidLength(bytes.take(SHOWN).copied().collect())
    }

    /// Reads into the buffer, all of which has been consumed; returns the number of bytes, 0 at the end of input.
    fn fill(&mut self, received: Received, on_timeout: &mut dyn FnMut() -> bool) -> Result<usize, ReadError> {
        debug_assert!(self.buffered().is_empty());
        loop {
            if self.is_late(received.bytes) && !self.waits_on(on_timeout) {
                return Err(ReadError::TooSlow(received));
            }
            match read(&mut self.stream, &mut self.buffer) {
                Ok(n) => {
                    (self.start, self.end) = (0, n);
                    return Ok(n);
                }
                Err(error) if is_timeout(&error) => {
                    if !self.waits_on(on_timeout) {
                        return Err(ReadError::TimedOut(received));
                    }
                }
                Err(error) => return Err(ReadError::Failed(error, received)),
            }
        }
    }

    /// Whether to wait longer; if so, the time limit begins again.
    fn waits_on(&mut self, on_timeout: &mut dyn FnMut() -> bool) -> bool {
        let waits = on_timeout();
        if waits {
            self.started = Instant::now();
        }
        waits
    }

    fn is_late(&self, received: usize) -> bool {
        self.time_limit.is_some_and(|time| self.started.elapsed() > allowed(time, received))
    }
}

/// The time that the first `received` bytes of a reply may take, where the time limit is `time`.
fn allowed(time: Duration, received: usize) -> Duration {
    time.saturating_add(Duration::from_secs((received / MIN_RATE) as u64))
}

fn read(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Whether this is the error of a read that timed out: `EAGAIN`, see `SO_RCVTIMEO` in socket(7).
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(received) => write!(f, "the server closed the connection {received}"),
            Self::TimedOut(received) => write!(f, "the read timed out {received}"),
            Self::TooSlow(received) => write!(f, "the reply arrived too slowly: the read timed out {received}"),
            Self::InvalidLength(bytes) => write!(f, "{}: {}", ReplyError::InvalidLength, bytes.escape_ascii()),
            Self::Wrong(error) => error.fmt(f),
            Self::Failed(error, received) => write!(f, "cannot receive {received}: {error}"),
        }
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.bytes, self.announced) {
            (0, _) => f.write_str("before the reply began"),
            (bytes, Some(announced)) => write!(f, "after {bytes} of the {announced} bytes of the reply"),
            (bytes, None) => write!(f, "after {bytes} bytes of the reply"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delivers one byte per read.
    struct OneByteReads<'a>(&'a [u8]);

    impl Read for OneByteReads<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(buffer.len()).min(1);
            let (now, later) = self.0.split_at(n);
            buffer[..n].copy_from_slice(now);
            self.0 = later;
            Ok(n)
        }
    }

    fn give_up() -> impl FnMut() -> bool {
        || false
    }

    #[test]
    fn replies_do_not_depend_on_how_they_are_cut() {
        for (framing, wire) in [
            (ReplyFraming::Length32, b"\0\0\0\x03abc\0\0\0\0\0\0\0\x02de".as_slice()),
            (ReplyFraming::DecimalLength, b"3 abc0 2 de"),
        ] {
            let mut whole = ReplyReader::new(wire);
            let mut cut = ReplyReader::new(OneByteReads(wire));
            for expected in [b"abc".as_slice(), b"", b"de"] {
                assert_eq!(whole.next(framing, 9, &mut give_up()).unwrap(), expected);
                assert_eq!(cut.next(framing, 9, &mut give_up()).unwrap(), expected);
            }
            let closed = whole.next(framing, 9, &mut give_up());
            assert!(matches!(closed, Err(ReadError::Closed(Received { bytes: 0, .. }))));
        }
    }

    #[test]
    fn truncated_reply_error_counts_bytes() {
        for (wire, words) in [
            (b"\0\0\0\x05abc".as_slice(), "the server closed the connection after 7 of the 9 bytes of the reply"),
            (b"\0\0", "the server closed the connection after 2 bytes of the reply"),
        ] {
            let error = ReplyReader::new(wire).next(ReplyFraming::Length32, 9, &mut give_up()).unwrap_err();
            assert_eq!(error.to_string(), words);
        }
    }

    #[test]
    fn invalid_length_error_shows_the_bytes() {
        for wire in ["abc", " 3", "3x", "12345678901 "] {
            for stream in [&mut wire.as_bytes() as &mut dyn Read, &mut OneByteReads(wire.as_bytes())] {
                let error = ReplyReader::new(stream).next(ReplyFraming::DecimalLength, 9, &mut give_up()).unwrap_err();
                let ReadError::InvalidLength(shown) = &error else { panic!("{wire}: {error}") };
                assert!(wire.as_bytes().starts_with(shown) && !shown.is_empty(), "{wire}: {error}");
            }
        }
        let error = ReplyReader::new(b"HTTP/1.1 400".as_slice()).next(ReplyFraming::DecimalLength, 9, &mut give_up());
        assert_eq!(error.unwrap_err().to_string(), "the reply does not begin with a length: HTTP/1.1 400");
    }

    #[test]
    fn close_delimited_reply_ends_with_the_connection() {
        let mut replies = ReplyReader::new(OneByteReads(b"a quote"));
        assert_eq!(replies.next(ReplyFraming::CloseDelimited, 7, &mut give_up()).unwrap(), b"a quote");
    }

    #[test]
    fn on_timeout_decides_whether_to_wait_longer() {
        struct Late(u32);
        impl Read for Late {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                if self.0 < 3 {
                    return Err(ErrorKind::WouldBlock.into());
                }
                buffer[0] = b'x';
                Ok(1)
            }
        }
        assert_eq!(ReplyReader::new(Late(0)).next(ReplyFraming::Fixed(1), 1, &mut || true).unwrap(), b"x");
        let error = ReplyReader::new(Late(0)).next(ReplyFraming::Fixed(1), 1, &mut || false);
        assert!(matches!(error, Err(ReadError::TimedOut(_))));
    }

    #[test]
    fn too_long_reply_is_not_read() {
        for (framing, wire, words) in [
            (ReplyFraming::Length32, b"\0\0\0\x04".as_slice(), "the server announced 4 bytes, although"),
            (ReplyFraming::DecimalLength, b"4 ", "no correct reply has more than 3"),
            (ReplyFraming::CloseDelimited, b"abcd", "the server sent more than 3 bytes, although"),
        ] {
            let mut replies = ReplyReader::new(wire.chain(io::repeat(b'x')));
            let error = replies.next(framing, 3, &mut give_up()).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(
            ReplyReader::new(b"abc".as_slice()).next(ReplyFraming::CloseDelimited, 3, &mut give_up()).unwrap(),
            b"abc"
        );
        let mut text = ReplyReader::new(b"3 abc".as_slice());
        assert_eq!(text.next(ReplyFraming::DecimalLength, 3, &mut give_up()).unwrap(), b"abc");
    }

    #[test]
    fn time_limit_grows_with_the_bytes_that_arrive() {
        let (second, ten) = (Duration::from_secs(1), Duration::from_secs(10));
        assert_eq!(allowed(ten, 0), ten);
        assert_eq!(allowed(ten, MIN_RATE - 1), ten);
        assert_eq!(allowed(ten, 5 * MIN_RATE), ten + 5 * second);
        assert_eq!(allowed(Duration::MAX, MIN_RATE), Duration::MAX);
    }

    #[test]
    fn dripping_bytes_do_not_extend_the_time_limit() {
        let dripping = || ReplyReader::new(OneByteReads(b"abc")).within(Duration::ZERO);
        let error = dripping().next(ReplyFraming::Fixed(3), 3, &mut give_up()).unwrap_err();
        assert!(matches!(error, ReadError::TooSlow(Received { bytes: 0, .. })), "{error}");
        assert_eq!(dripping().next(ReplyFraming::Fixed(3), 3, &mut || true).unwrap(), b"abc");
    }
}
