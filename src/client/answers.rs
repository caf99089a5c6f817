//! Answers, one after another, out of a stream of bytes.
//!
//! Owns what was read beyond the current answer. Memory grows with the bytes that have come, never with the length
//! that was announced. Guarantees: an error tells how much of the answer had come.

use std::fmt;
use std::io::{self, ErrorKind, Read};

use super::dialogue::Ending;

const BUFFER: usize = 256 << 10;

/// The longest decimal length that is believed: more digits are no length of a message.
const MOST_DIGITS: usize = 10;

/// Reads whole answers.
#[derive(Debug)]
pub struct Answers<R> {
    stream: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// Why there is no whole answer.
#[derive(Debug)]
pub enum Broken {
    /// The server closed.
    Closed(Part),
    /// Nothing more came in time.
    TimedOut(Part),
    /// What stands where the length should be, is none.
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
        Self { stream, buffer: vec![0; size], start: 0, end: 0 }
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

    /// The next answer, without what marks its length. `patient` is asked, when nothing comes in time, whether to
    /// go on waiting.
    pub fn next(&mut self, ending: Ending, patient: &mut dyn FnMut() -> bool) -> Result<Vec<u8>, Broken> {
        match ending {
            Ending::Exactly(length) => self.exactly(length, 0, patient),
            Ending::BinaryLength => {
                let header = self.exactly(4, 0, patient).map_err(|broken| broken.with_announced(None))?;
                let length = header.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
                self.exactly(length, 4, patient)
            }
            Ending::DecimalLength => {
                let (length, digits) = self.decimal(patient)?;
                self.exactly(length, digits + 1, patient)
            }
            Ending::Close => self.until_close(patient),
        }
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

    fn decimal(&mut self, patient: &mut dyn FnMut() -> bool) -> Result<(usize, usize), Broken> {
        loop {
            let ahead = self.ahead();
            let digits = ahead.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits > MOST_DIGITS || ahead.get(digits).is_some_and(|&byte| byte != b' ' || digits == 0) {
                return Err(Broken::NoLength(ahead[..ahead.len().min(32)].to_vec()));
            }
            if digits < ahead.len() {
                let length = ahead[..digits].iter().fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
                self.start += digits + 1;
                return Ok((length, digits));
            }
            let part = Part { came: ahead.len(), announced: None };
            self.more_behind(part, patient)?;
        }
    }

    fn until_close(&mut self, patient: &mut dyn FnMut() -> bool) -> Result<Vec<u8>, Broken> {
        let mut answer = Vec::new();
        loop {
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
            match read(&mut self.stream, &mut self.buffer[self.end..]) {
                Ok(0) => return Err(Broken::Closed(part)),
                Ok(n) => {
                    self.end += n;
                    return Ok(());
                }
                Err(error) if timed_out(&error) => {
                    if !patient() {
                        return Err(Broken::TimedOut(part));
                    }
                }
                Err(error) => return Err(Broken::Failed(error, part)),
            }
        }
    }
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
            Self::Failed(error, part) => Self::Failed(error, changed(part)),
            Self::NoLength(bytes) => Self::NoLength(bytes),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(part) => write!(f, "the server closed the connection {part}"),
            Self::TimedOut(part) => write!(f, "nothing more came in time {part}"),
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
        for (ending, wire) in [
            (Ending::BinaryLength, b"\0\0\0\x03abc\0\0\0\0\0\0\0\x02de".as_slice()),
            (Ending::DecimalLength, b"3 abc0 2 de"),
        ] {
            let mut whole = Answers::new(wire);
            let mut dribbled = Answers::new(Dribble(wire));
            for expected in [b"abc".as_slice(), b"", b"de"] {
                assert_eq!(whole.next(ending, &mut never()).unwrap(), expected);
                assert_eq!(dribbled.next(ending, &mut never()).unwrap(), expected);
            }
            assert!(matches!(whole.next(ending, &mut never()), Err(Broken::Closed(Part { came: 0, .. }))));
        }
    }

    #[test]
    fn a_short_answer_tells_how_short() {
        let broken = Answers::new(b"\0\0\0\x05abc".as_slice()).next(Ending::BinaryLength, &mut never()).unwrap_err();
        assert_eq!(broken.to_string(), "the server closed the connection after 7 of the 9 bytes of its answer");
        let broken = Answers::new(b"\0\0".as_slice()).next(Ending::BinaryLength, &mut never()).unwrap_err();
        assert_eq!(broken.to_string(), "the server closed the connection after 2 bytes of its answer");
    }

    #[test]
    fn what_is_no_decimal_length() {
        for wire in ["abc", " 3", "3x", "12345678901 "] {
            let broken = Answers::new(wire.as_bytes()).next(Ending::DecimalLength, &mut never());
            assert!(matches!(broken, Err(Broken::NoLength(_))), "{wire}");
        }
    }

    #[test]
    fn an_answer_may_end_with_the_connection() {
        let mut answers = Answers::new(Dribble(b"a quote"));
        assert_eq!(answers.next(Ending::Close, &mut never()).unwrap(), b"a quote");
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
        assert_eq!(Answers::new(Late(0)).next(Ending::Exactly(1), &mut || true).unwrap(), b"x");
        let broken = Answers::new(Late(0)).next(Ending::Exactly(1), &mut || false);
        assert!(matches!(broken, Err(Broken::TimedOut(_))));
    }
}
