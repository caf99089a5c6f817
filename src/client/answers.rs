//! Answers, one after another, out of a stream of bytes.
//!
//! Owns what was read beyond the current answer. Memory grows with the bytes that have come, never with the length
//! that was announced, and an answer that is longer than the caller allows is not read. Guarantees: an error tells how
//! much of the answer had come; with a time for each answer, a server that sends a byte now and then is not waited for
//! without end.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

use super::client_protocol::ReplyFraming;
use super::measure::{Measure, measure};

const BUFFER: usize = 256 << 10;

/// Reads whole answers.
#[derive(Debug)]
pub struct Answers<R> {
    stream: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The time that an answer may take, if that is limited here.
    time: Option<Duration>,
    /// When the current answer was begun to be waited for.
    begun: Instant,
}

/// How fast an answer must come that takes more than its time, in bytes a second. Chosen: the rate that retortd asks of
/// the requests that it is sent (`--request-timeout`).
const SLOWEST: usize = 16 << 10;

/// Why there is no whole answer.
#[derive(Debug)]
pub enum Broken {
    /// The server closed.
    Closed(Part),
    /// Nothing more came in time.
    TimedOut(Part),
    /// The bytes came too slowly.
    TooSlow(Part),
    /// The length that it announces is larger than that of any right answer.
    TooLong {
        /// The length that is announced.
        announced: usize,
        /// The length of the longest right answer.
        most: usize,
    },
    /// More bytes came than the longest right answer has, without an end.
    Endless {
        /// The length of the longest right answer.
        most: usize,
    },
    /// The bytes where the length should be are not a length.
    NoLength(Vec<u8>),
    /// Reading failed.
    Failed(io::Error, Part),
}

/// How much of an answer there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Bytes that came, with those of the length.
    pub came: usize,
    /// Bytes that were to come, if that was known.
    pub announced: Option<usize>,
}

impl<R: Read> Answers<R> {
    /// Reads from here.
    pub fn new(stream: R) -> Self {
        Self::with_buffer(stream, BUFFER)
    }

    /// Reads from here, at most so many bytes at once.
    pub fn with_buffer(stream: R, size: usize) -> Self {
        Self { stream, buffer: vec![0; size], start: 0, end: 0, time: None, begun: Instant::now() }
    }

    /// Allows each answer this time, and a second more for each 16 KiB of it that have come.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Self { time: Some(time), ..self }
    }

    /// What is read from.
    pub fn stream(&mut self) -> &mut R {
        &mut self.stream
    }

    /// The bytes that have been read and belong to no answer yet.
    #[must_use]
    pub fn ahead(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The next answer, without what marks its length; one of more than `most` bytes is not read. `patient` is asked,
    /// when the answer does not come in time, whether to go on waiting.
    pub fn next(
        &mut self,
        framing: ReplyFraming,
        most: usize,
        patient: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<u8>, Broken> {
        self.begun = Instant::now();
        let (announced, before) = match framing {
            ReplyFraming::Fixed(length) => return self.exactly(length, 0, patient),
            ReplyFraming::CloseDelimited => return self.until_close(most, patient),
            ReplyFraming::Length32 => {
                let header = self.exactly(4, 0, patient).map_err(|broken| broken.with_announced(None))?;
                (header.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), 4)
            }
            ReplyFraming::DecimalLength => self.decimal(patient)?,
        };
        if announced > most {
            return Err(Broken::TooLong { announced, most });
        }
        self.exactly(announced, before, patient)
    }

    fn exactly(&mut self, length: usize, before: usize, patient: &mut dyn FnMut() -> bool) -> Result<Vec<u8>, Broken> {
        let mut answer = Vec::with_capacity(length.min(BUFFER));
        loop {
            let n = self.ahead().len().min(length - answer.len());
            answer.extend_from_slice(&self.ahead()[..n]);
            self.start += n;
            if answer.len() == length {
                return Ok(answer);
            }
            let part = Part { came: before + answer.len(), announced: Some(before + length) };
            self.more(part, patient)?;
        }
    }

    /// The length that the answer announces, and how many bytes announce it.
    fn decimal(&mut self, patient: &mut dyn FnMut() -> bool) -> Result<(usize, usize), Broken> {
        loop {
            let ahead = self.ahead();
            match measure(ahead, ReplyFraming::DecimalLength) {
                Measure::Known { start, length } => {
                    self.start += start;
                    return Ok((length, start));
                }
                Measure::Nonsense => return Err(Broken::NoLength(ahead[..ahead.len().min(32)].to_vec())),
                Measure::Unknown => {
                    let part = Part { came: ahead.len(), announced: None };
                    self.more_behind(part, patient)?;
                }
            }
        }
    }

    fn until_close(&mut self, most: usize, patient: &mut dyn FnMut() -> bool) -> Result<Vec<u8>, Broken> {
        let mut answer = Vec::new();
        loop {
            if self.ahead().len() > most - answer.len() {
                return Err(Broken::Endless { most });
            }
            answer.extend_from_slice(self.ahead());
            self.start = self.end;
            match self.more(Part { came: answer.len(), announced: None }, patient) {
                Ok(()) => {}
                Err(Broken::Closed(_)) => return Ok(answer),
                Err(broken) => return Err(broken),
            }
        }
    }

    /// Whatever comes next, in any portion; empty when the server has closed.
    pub fn portion(&mut self) -> io::Result<&[u8]> {
        if self.ahead().is_empty() {
            self.start = 0;
            self.end = read(&mut self.stream, &mut self.buffer)?;
        }
        let portion = self.start..self.end;
        self.start = self.end;
        Ok(&self.buffer[portion])
    }

    /// Fills the empty buffer.
    fn more(&mut self, part: Part, patient: &mut dyn FnMut() -> bool) -> Result<(), Broken> {
        debug_assert!(self.ahead().is_empty());
        (self.start, self.end) = (0, 0);
        self.more_behind(part, patient)
    }

    fn more_behind(&mut self, part: Part, patient: &mut dyn FnMut() -> bool) -> Result<(), Broken> {
        if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        loop {
            if self.is_late(part.came) && !self.goes_on(patient) {
                return Err(Broken::TooSlow(part));
            }
            match read(&mut self.stream, &mut self.buffer[self.end..]) {
                Ok(0) => return Err(Broken::Closed(part)),
                Ok(n) => {
                    self.end += n;
                    return Ok(());
                }
                Err(error) if timed_out(&error) => {
                    if !self.goes_on(patient) {
                        return Err(Broken::TimedOut(part));
                    }
                }
                Err(error) => return Err(Broken::Failed(error, part)),
            }
        }
    }

    /// Whether to wait longer; then the time of the answer begins anew.
    fn goes_on(&mut self, patient: &mut dyn FnMut() -> bool) -> bool {
        let patient = patient();
        if patient {
            self.begun = Instant::now();
        }
        patient
    }

    fn is_late(&self, came: usize) -> bool {
        self.time.is_some_and(|time| self.begun.elapsed() > allowed(time, came))
    }
}

/// How long the first `came` bytes of an answer may take, where it may take `time` to begin.
fn allowed(time: Duration, came: usize) -> Duration {
    time.saturating_add(Duration::from_secs((came / SLOWEST) as u64))
}

fn read(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Whether this is what a socket timeout looks like: `EAGAIN`, socket(7) on `SO_RCVTIMEO`.
#[must_use]
pub fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

impl Broken {
    fn with_announced(self, announced: Option<usize>) -> Self {
        let changed = |part: Part| Part { announced, ..part };
        match self {
            Self::Closed(part) => Self::Closed(changed(part)),
            Self::TimedOut(part) => Self::TimedOut(changed(part)),
            Self::TooSlow(part) => Self::TooSlow(changed(part)),
            Self::Failed(error, part) => Self::Failed(error, changed(part)),
            Self::NoLength(_) | Self::TooLong { .. } | Self::Endless { .. } => self,
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(part) => write!(f, "the server closed the connection {part}"),
            Self::TimedOut(part) => write!(f, "nothing more came in time {part}"),
            Self::TooSlow(part) => write!(f, "the answer came too slowly: time was up {part}"),
            Self::TooLong { announced, most } => {
                write!(f, "the server announced {announced} bytes, although no right answer has more than {most}")
            }
            Self::Endless { most } => {
                write!(f, "the server sent more than {most} bytes, although no right answer has more")
            }
            Self::NoLength(bytes) => {
                write!(f, "the answer does not begin with a length: {}", bytes.escape_ascii())
            }
            Self::Failed(error, part) => write!(f, "cannot receive {part}: {error}"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.came, self.announced) {
            (0, _) => f.write_str("before its answer began"),
            (came, Some(announced)) => write!(f, "after {came} of the {announced} bytes of its answer"),
            (came, None) => write!(f, "after {came} bytes of its answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delivers one byte a read.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(buffer.len()).min(1);
            let (now, later) = self.0.split_at(n);
            buffer[..n].copy_from_slice(now);
            self.0 = later;
            Ok(n)
        }
    }

    fn never() -> impl FnMut() -> bool {
        || false
    }

    #[test]
    fn answers_come_whole_however_they_are_cut() {
        for (framing, wire) in [
            (ReplyFraming::Length32, b"\0\0\0\x03abc\0\0\0\0\0\0\0\x02de".as_slice()),
            (ReplyFraming::DecimalLength, b"3 abc0 2 de"),
        ] {
            let mut whole = Answers::new(wire);
            let mut dribbled = Answers::new(Dribble(wire));
            for expected in [b"abc".as_slice(), b"", b"de"] {
                assert_eq!(whole.next(framing, 9, &mut never()).unwrap(), expected);
                assert_eq!(dribbled.next(framing, 9, &mut never()).unwrap(), expected);
            }
            assert!(matches!(whole.next(framing, 9, &mut never()), Err(Broken::Closed(Part { came: 0, .. }))));
        }
    }

    #[test]
    fn a_short_answer_tells_how_short() {
        let broken =
            Answers::new(b"\0\0\0\x05abc".as_slice()).next(ReplyFraming::Length32, 9, &mut never()).unwrap_err();
        assert_eq!(broken.to_string(), "the server closed the connection after 7 of the 9 bytes of its answer");
        let broken = Answers::new(b"\0\0".as_slice()).next(ReplyFraming::Length32, 9, &mut never()).unwrap_err();
        assert_eq!(broken.to_string(), "the server closed the connection after 2 bytes of its answer");
    }

    #[test]
    fn what_is_no_decimal_length() {
        for wire in ["abc", " 3", "3x", "12345678901 "] {
            let broken = Answers::new(wire.as_bytes()).next(ReplyFraming::DecimalLength, 9, &mut never());
            assert!(matches!(broken, Err(Broken::NoLength(_))), "{wire}");
        }
    }

    #[test]
    fn an_answer_may_end_with_the_connection() {
        let mut answers = Answers::new(Dribble(b"a quote"));
        assert_eq!(answers.next(ReplyFraming::CloseDelimited, 7, &mut never()).unwrap(), b"a quote");
    }

    #[test]
    fn patience_is_asked_when_time_is_up() {
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
        assert_eq!(Answers::new(Late(0)).next(ReplyFraming::Fixed(1), 1, &mut || true).unwrap(), b"x");
        let broken = Answers::new(Late(0)).next(ReplyFraming::Fixed(1), 1, &mut || false);
        assert!(matches!(broken, Err(Broken::TimedOut(_))));
    }

    #[test]
    fn an_answer_that_is_too_long_is_not_read() {
        for (framing, wire, words) in [
            (ReplyFraming::Length32, b"\0\0\0\x04".as_slice(), "the server announced 4 bytes, although"),
            (ReplyFraming::DecimalLength, b"4 ", "no right answer has more than 3"),
            (ReplyFraming::CloseDelimited, b"abcd", "the server sent more than 3 bytes, although"),
        ] {
            let mut answers = Answers::new(wire.chain(io::repeat(b'x')));
            let broken = answers.next(framing, 3, &mut never()).unwrap_err().to_string();
            assert!(broken.contains(words), "{broken}");
        }
        assert_eq!(
            Answers::new(b"abc".as_slice()).next(ReplyFraming::CloseDelimited, 3, &mut never()).unwrap(),
            b"abc"
        );
        assert_eq!(
            Answers::new(b"3 abc".as_slice()).next(ReplyFraming::DecimalLength, 3, &mut never()).unwrap(),
            b"abc"
        );
    }

    #[test]
    fn time_grows_with_the_bytes_that_have_come() {
        let (second, ten) = (Duration::from_secs(1), Duration::from_secs(10));
        assert_eq!(allowed(ten, 0), ten);
        assert_eq!(allowed(ten, SLOWEST - 1), ten);
        assert_eq!(allowed(ten, 5 * SLOWEST), ten + 5 * second);
        assert_eq!(allowed(Duration::MAX, SLOWEST), Duration::MAX);
    }

    #[test]
    fn bytes_that_drip_do_not_prolong_the_time() {
        let dripped = || Answers::new(Dribble(b"abc")).within(Duration::ZERO);
        let broken = dripped().next(ReplyFraming::Fixed(3), 3, &mut never()).unwrap_err();
        assert!(matches!(broken, Broken::TooSlow(Part { came: 0, .. })), "{broken}");
        assert_eq!(dripped().next(ReplyFraming::Fixed(3), 3, &mut || true).unwrap(), b"abc");
    }
}
