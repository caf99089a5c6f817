//! Whether answers are right, at the speed at which they come.
//!
//! Where every answer is the same, the stream of answers is known in advance: what was read is compared with it in
//! one piece, without looking for where answers begin. Where chance decides, each answer is taken apart. Both count
//! answers that are whole and right; a wrong byte ends the connection, because what follows cannot be understood, and so
//! does the byte that makes an answer longer than any right one. An answer whose length is not known is not kept.

use crate::client::client_protocol::ReplyFraming;

/// How many bytes are read at once, at most.
pub const READ: usize = 256 << 10;

/// What was wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Its length.
    Length,
    /// Its bytes.
    Content,
}

/// Judges the answers to one request, on any number of connections.
#[derive(Debug)]
pub enum Judge {
    /// The answer and its repetition.
    Pattern(Pattern),
    /// Each answer by itself.
    Each {
        /// Where it ends.
        framing: ReplyFraming,
        /// How long it must be.
        length: Length,
        /// What it must be.
        content: Content,
    },
}

/// How many bytes an answer must have, without those that tell the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// This number.
    Exactly(usize),
    /// This number or less.
    AtMost(usize),
}

/// An endless repetition of one answer.
#[derive(Debug)]
pub struct Pattern {
    /// The answer, repeated for as long as one read can be beyond the end of the first.
    stream: Vec<u8>,
    period: usize,
    header: usize,
}

/// What an answer must be.
#[derive(Debug)]
pub enum Content {
    /// Whatever it likes.
    Anything,
    /// These bytes.
    Exactly(Vec<u8>),
    /// So many of each byte.
    Permutation(Box<[usize; 256]>),
    /// Some of these bytes, any number of times.
    Selection(Box<[usize; 256]>),
}

/// How far one connection's answers have come.
#[derive(Debug, Default)]
pub struct Track {
    /// Pattern: bytes of the current answer.
    phase: usize,
    /// Each: the current answer's header, while it is incomplete.
    header: Vec<u8>,
    /// Each: bytes of the current answer that are still to come; known when the header is complete.
    left: Option<usize>,
    /// Each: what has come of it.
    body: Vec<u8>,
}

impl Judge {
    /// Every answer is this one, of which the first `header` bytes tell the length.
    #[must_use]
    pub fn of_pattern(answer: &[u8], header: usize) -> Self {
        let stream = answer.iter().copied().cycle().take(answer.len() + READ).collect();
        Self::Pattern(Pattern { stream, period: answer.len(), header })
    }

    /// Answers are known only by their length and something about their content.
    #[must_use]
    pub fn of_each(framing: ReplyFraming, length: Length, content: Content) -> Self {
        Self::Each { framing, length, content }
    }

    /// Where an answer ends, where each is taken by itself.
    #[must_use]
    pub fn framing(&self) -> Option<ReplyFraming> {
        match self {
            Self::Pattern(_) => None,
            Self::Each { framing, .. } => Some(*framing),
        }
    }

    /// Takes what was read, at most [`READ`] bytes, and returns how many answers it completes.
    pub fn take(&self, track: &mut Track, bytes: &[u8]) -> Result<usize, Wrong> {
        match self {
            Self::Pattern(pattern) => pattern.take(track, bytes),
            Self::Each { framing, length, content } => take_each(track, bytes, *framing, *length, content),
        }
    }

    /// The connection has ended: returns how many answers that completes.
    pub fn end(&self, track: &mut Track) -> Result<usize, Wrong> {
        match self {
            Self::Each { framing: ReplyFraming::CloseDelimited, length, content } => {
                let body = std::mem::take(&mut track.body);
                if body.is_empty() || !length.allows(body.len()) {
                    return Err(Wrong::Length);
                }
                content.judge(&body).map(|()| 1)
            }
            _ => Ok(0),
        }
    }
}

impl Length {
    fn allows(self, bytes: usize) -> bool {
        match self {
            Self::Exactly(length) => bytes == length,
            Self::AtMost(most) => bytes <= most,
        }
    }

    fn most(self) -> usize {
        match self {
            Self::Exactly(most) | Self::AtMost(most) => most,
        }
    }
}

impl Pattern {
    fn take(&self, track: &mut Track, bytes: &[u8]) -> Result<usize, Wrong> {
        let expected = &self.stream[track.phase..][..bytes.len()];
        if bytes != expected {
            let same = bytes.iter().zip(expected).take_while(|(came, expected)| came == expected).count();
            let place = (track.phase + same) % self.period;
            return Err(if place < self.header { Wrong::Length } else { Wrong::Content });
        }
        let end = track.phase + bytes.len();
        track.phase = end % self.period;
        Ok(end / self.period)
    }
}

fn take_each(
    track: &mut Track,
    mut bytes: &[u8],
    framing: ReplyFraming,
    length: Length,
    content: &Content,
) -> Result<usize, Wrong> {
    let mut answers = 0;
    loop {
        if track.left.is_none() {
            bytes = track.take_header(bytes, framing)?;
            match track.left {
                // Where only the end tells the length, it is judged at the end.
                Some(announced) if framing != ReplyFraming::CloseDelimited && !length.allows(announced) => {
                    return Err(Wrong::Length);
                }
                Some(_) => {}
                None => return Ok(answers),
            }
        }
        let left = track.left.unwrap_or(0);
        let (now, later) = bytes.split_at(left.min(bytes.len()));
        if !matches!(content, Content::Anything) || framing == ReplyFraming::CloseDelimited {
            track.body.extend_from_slice(now);
        }
        content.judge_begun(&mut track.body)?;
        if framing == ReplyFraming::CloseDelimited && track.body.len() > length.most() {
            return Err(Wrong::Length);
        }
        bytes = later;
        if now.len() < left {
            track.left = Some(left - now.len());
            return Ok(answers);
        }
        content.judge(&track.body)?;
        track.body.clear();
        track.left = None;
        answers += 1;
    }
}

impl Track {
    /// Takes the bytes of a header; what is left of `bytes` belongs to the answer's body if the length is known then.
    fn take_header<'a>(&mut self, mut bytes: &'a [u8], framing: ReplyFraming) -> Result<&'a [u8], Wrong> {
        loop {
            self.left = match framing {
                ReplyFraming::Fixed(length) if !bytes.is_empty() => Some(length),
                ReplyFraming::CloseDelimited => Some(usize::MAX),
                ReplyFraming::Length32 => self.header.first_chunk().map(|&header| u32::from_be_bytes(header) as usize),
                ReplyFraming::DecimalLength => decimal(&self.header)?,
                ReplyFraming::Fixed(_) => None,
            };
            if self.left.is_some() {
                self.header.clear();
                return Ok(bytes);
            }
            let Some((&first, rest)) = bytes.split_first() else { return Ok(bytes) };
            self.header.push(first);
            bytes = rest;
        }
    }
}

/// The number in front of a space, when it is complete.
fn decimal(header: &[u8]) -> Result<Option<usize>, Wrong> {
    match header.split_last() {
        Some((b' ', digits)) if !digits.is_empty() && digits.len() <= 10 => {
            Ok(Some(digits.iter().fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))))
        }
        Some((last, _)) if !last.is_ascii_digit() => Err(Wrong::Length),
        _ => Ok(None),
    }
}

impl Content {
    /// The message's bytes in another order.
    #[must_use]
    pub fn permutation(message: &[u8]) -> Self {
        Self::Permutation(histogram(message))
    }

    /// Characters of the message.
    #[must_use]
    pub fn selection(message: &[u8]) -> Self {
        Self::Selection(histogram(message))
    }

    /// Judges the part of an answer that has come, where that is possible, and drops what is right: a selection may be
    /// as long as the longest message.
    fn judge_begun(&self, part: &mut Vec<u8>) -> Result<(), Wrong> {
        let Self::Selection(message) = self else { return Ok(()) };
        if part.iter().any(|&byte| message[usize::from(byte)] == 0) {
            return Err(Wrong::Content);
        }
        match std::str::from_utf8(part) {
            Ok(_) => part.clear(),
            Err(error) if error.error_len().is_none() => drop(part.drain(..error.valid_up_to())),
            Err(_) => return Err(Wrong::Content),
        }
        Ok(())
    }

    fn judge(&self, answer: &[u8]) -> Result<(), Wrong> {
        let right = match self {
            Self::Anything => true,
            Self::Exactly(bytes) => answer == bytes,
            Self::Permutation(message) => histogram(answer) == *message && std::str::from_utf8(answer).is_ok(),
            // All of it was judged when it came, but for a character that lacks its end.
            Self::Selection(_) => answer.is_empty(),
        };
        if right { Ok(()) } else { Err(Wrong::Content) }
    }
}

fn histogram(bytes: &[u8]) -> Box<[usize; 256]> {
    let mut counts = Box::new([0; 256]);
    for &byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows the stream to the judge in portions of every size.
    fn judged(judge: &Judge, stream: &[u8]) -> Result<usize, Wrong> {
        let whole = judge.take(&mut Track::default(), stream);
        for size in 1..stream.len() {
            let mut track = Track::default();
            let cut: Result<usize, Wrong> = stream.chunks(size).map(|portion| judge.take(&mut track, portion)).sum();
            assert_eq!(cut, whole, "in portions of {size}");
        }
        whole
    }

    #[test]
    fn a_repeated_answer_is_counted_and_a_wrong_one_named() {
        let judge = Judge::of_pattern(b"\0\0\0\x02ab", 4);
        assert_eq!(judged(&judge, b"\0\0\0\x02ab\0\0\0\x02ab\0\0"), Ok(2));
        assert_eq!(judged(&judge, b"\0\0\0\x02ab\0\0\0\x02aX"), Err(Wrong::Content));
        assert_eq!(judged(&judge, b"\0\0\0\x02ab\0\0\0\x03ab"), Err(Wrong::Length));
    }

    #[test]
    fn answers_of_chance_are_taken_apart() {
        let shuffled = Judge::of_each(ReplyFraming::Length32, Length::Exactly(3), Content::permutation(b"abc"));
        assert_eq!(judged(&shuffled, b"\0\0\0\x03cab\0\0\0\x03bac"), Ok(2));
        assert_eq!(judged(&shuffled, b"\0\0\0\x03cab\0\0\0\x03baa"), Err(Wrong::Content));
        assert_eq!(judged(&shuffled, b"\0\0\0\x04cabc"), Err(Wrong::Length));
        let random = Judge::of_each(ReplyFraming::DecimalLength, Length::AtMost(9), Content::selection(b"abc"));
        assert_eq!(judged(&random, b"1 a4 cccb3 ab"), Ok(2));
        assert_eq!(judged(&random, b"1 x"), Err(Wrong::Content));
        assert_eq!(judged(&random, b"x1 a"), Err(Wrong::Length));
        assert_eq!(judged(&random, b"10 a"), Err(Wrong::Length));
        let characters = "\u{e9}\u{6f22}".as_bytes();
        let random = Judge::of_each(ReplyFraming::Length32, Length::AtMost(9), Content::selection(characters));
        assert_eq!(judged(&random, "\0\0\0\u{7}\u{6f22}\u{e9}\u{e9}\0\0\0\0".as_bytes()), Ok(2));
        assert_eq!(judged(&random, b"\0\0\0\x02\xe6\xbc\0\0\0\0"), Err(Wrong::Content));
        assert_eq!(judged(&random, b"\0\0\0\x03\xa9\xa9\xa9"), Err(Wrong::Content));
    }

    #[test]
    fn what_has_come_of_a_selection_is_not_kept() {
        let random = Judge::of_each(ReplyFraming::Length32, Length::AtMost(usize::MAX), Content::selection(b"a"));
        let mut track = Track::default();
        assert_eq!(random.take(&mut track, b"\x07\xff\xff\xff"), Ok(0));
        for _ in 0..100 {
            assert_eq!(random.take(&mut track, &[b'a'; 1000]), Ok(0));
            assert_eq!(track.body, b"");
        }
    }

    #[test]
    fn empty_answers_count() {
        let judge = Judge::of_each(ReplyFraming::Length32, Length::Exactly(0), Content::Anything);
        assert_eq!(judged(&judge, b"\0\0\0\0\0\0\0\0"), Ok(2));
        assert_eq!(judged(&Judge::of_pattern(b"\0\0\0\0", 4), b"\0\0\0\0\0\0\0\0"), Ok(2));
    }

    #[test]
    fn an_answer_may_end_with_the_connection() {
        let judge =
            Judge::of_each(ReplyFraming::CloseDelimited, Length::Exactly(5), Content::Exactly(b"quote".to_vec()));
        let mut track = Track::default();
        assert_eq!(judge.take(&mut track, b"quo"), Ok(0));
        assert_eq!(judge.take(&mut track, b"te"), Ok(0));
        assert_eq!(judge.end(&mut track), Ok(1));
        assert_eq!(judge.end(&mut Track::default()), Err(Wrong::Length));
        for length in [Length::Exactly(5), Length::AtMost(5)] {
            let judge = Judge::of_each(ReplyFraming::CloseDelimited, length, Content::Anything);
            assert_eq!(judged(&judge, b"quote"), Ok(0));
            assert_eq!(judged(&judge, b"quotes"), Err(Wrong::Length), "before the end");
        }
    }

    #[test]
    fn lengths_alone_can_be_verified_without_a_header() {
        let judge = Judge::of_each(ReplyFraming::Fixed(3), Length::Exactly(3), Content::Anything);
        assert_eq!(judged(&judge, b"abcxyz1"), Ok(2));
    }
}
