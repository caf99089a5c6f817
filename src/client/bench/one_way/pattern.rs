//! The pattern of `chargen` (RFC 864): lines of 72 characters, each of which begins one character later in printable
//! ASCII than the line before.

use crate::client::bench::verifier::READ_SIZE;

/// The first printable character, and the number of them.
const FIRST: u8 = b' ';
const CHARACTERS: usize = 95;

/// Characters of a line, and its length with its end.
const COLUMNS: usize = 72;
const LINE: usize = COLUMNS + 2;

/// Length after which the pattern repeats.
const PERIOD: usize = CHARACTERS * LINE;

/// The pattern, repeated so that what one read returns can be compared in one piece, wherever it begins.
#[derive(Debug)]
pub struct Pattern(Vec<u8>);

/// The position of a connection in the pattern; `None` until its first byte: RFC 864 does not say which line is the
/// first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position(Option<usize>);

impl Pattern {
    /// The pattern.
    #[must_use]
    pub fn new() -> Self {
        let character = |index: usize| (FIRST..).nth(index % CHARACTERS).unwrap_or(FIRST);
        let line = |line: usize| (0..COLUMNS).map(move |column| character(line + column)).chain(*b"\r\n");
        let period: Vec<u8> = (0..CHARACTERS).flat_map(line).collect();
        Self(period.iter().copied().cycle().take(PERIOD + READ_SIZE).collect())
    }

    /// Whether `received`, at most [`READ_SIZE`] bytes, continues the pattern at `position`, which it moves.
    pub fn continues(&self, position: &mut Position, received: &[u8]) -> bool {
        let Some(&first) = received.first() else { return true };
        let begin = position.0.unwrap_or_else(|| usize::from(first.saturating_sub(FIRST)) % CHARACTERS * LINE);
        position.0 = Some((begin + received.len()) % PERIOD);
        self.0.get(begin..begin + received.len()) == Some(received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_is_that_of_the_rfc() {
        let pattern = Pattern::new();
        let lines: Vec<&[u8]> = pattern.0.chunks(LINE).take(CHARACTERS + 1).collect();
        assert_eq!(lines[0], b" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n");
        assert_eq!(&lines[94][..3], b"~ !");
        assert_eq!(lines[95], lines[0]);
    }

    #[test]
    fn it_may_begin_with_any_line_and_arrive_in_any_pieces() {
        let pattern = Pattern::new();
        for line in [0, 1, 50, 94] {
            let stream = &pattern.0[line * LINE..];
            for piece in [1, 73, 7030, READ_SIZE] {
                let mut position = Position::default();
                let mut pieces = stream[..READ_SIZE].chunks(piece);
                assert!(pieces.all(|piece| pattern.continues(&mut position, piece)), "{line} {piece}");
            }
        }
    }

    #[test]
    fn another_byte_and_a_missing_one_are_noticed() {
        let pattern = Pattern::new();
        let mut position = Position::default();
        assert!(pattern.continues(&mut position, &pattern.0[..100]));
        let mut late = position;
        assert!(!pattern.continues(&mut late, &pattern.0[101..200]));
        assert!(!pattern.continues(&mut position, b"x"));
        assert!(!pattern.continues(&mut Position::default(), b"\r\n"));
    }
}
