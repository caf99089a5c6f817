//! What a failed check tells: what was sent, what was expected, what came.
//!
//! Guarantees: never more than a screenful; bytes are shown escaped, and cut.

use std::fmt::Write as _;

/// How a check went that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// As it should.
    Passed,
    /// Allowed, but worth knowing.
    Note(String),
    /// Not run, for this reason.
    Skipped(String),
}

/// How the conversation stood when the check gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The connection is open, and more may have come later.
    Open,
    /// Nothing came for as long as the check would wait.
    Silent,
    /// Bytes still came when the check's time was up.
    Late,
    /// More bytes came than any correct answer has; the rest was not read.
    Excess,
    /// The server closed its side.
    Closed,
    /// The server reset the connection.
    Reset,
    /// There was no connection.
    Refused,
}

/// Why a check failed.
#[derive(Clone, Debug)]
pub struct Flaw {
    /// What was sent on this connection, or its beginning.
    pub sent: Excerpt,
    /// What should have come.
    pub expected: Seen,
    /// What came instead.
    pub came: Seen,
    /// How the connection stood.
    pub state: State,
    /// What is probably wrong; the check's own hint if empty.
    pub hint: &'static str,
}

/// What came or should have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What bytes alone would not show.
    Words(String),
}

/// The beginning of a long series of bytes, and how many there were.
#[derive(Clone, Debug, Default)]
pub struct Excerpt {
    /// The first bytes.
    pub head: Vec<u8>,
    /// All bytes.
    pub total: usize,
}

/// How many bytes an excerpt keeps.
const KEPT: usize = 4096;

/// How many bytes are shown.
const SHOWN: usize = 40;

impl Excerpt {
    /// Adds bytes to the end.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.total += bytes.len();
    }

    /// As it is shown to people.
    #[must_use]
    pub fn shown(&self) -> String {
        shown(&self.head, self.total, 0)
    }
}

impl Flaw {
    /// A flaw that is not about bytes.
    pub fn in_words(expected: impl Into<String>, finding: impl Into<String>) -> Self {
        Self {
            sent: Excerpt::default(),
            expected: Seen::Words(expected.into()),
            came: Seen::Words(finding.into()),
            state: State::Open,
            hint: "",
        }
    }

    /// The same, with a hint that fits better than the check's own.
    #[must_use]
    pub fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = hint;
        self
    }

    /// With the bytes in the form in which they are shown, because a report keeps every flaw to its end.
    #[must_use]
    pub fn condensed(self) -> Self {
        let window = self.window();
        let (expected, came) = (self.expected.condensed(window), self.came.condensed(window));
        Self { expected, came, ..self }
    }

    /// What was expected, for people.
    #[must_use]
    pub fn expected_shown(&self) -> String {
        self.expected.shown(self.window())
    }

    /// What came, for people.
    #[must_use]
    pub fn came_shown(&self) -> String {
        let end = match self.state {
            State::Open => "",
            State::Silent => "nothing more in time",
            State::Late => "and bytes still came when the time of the check was up",
            State::Excess => "and more came, which was not read",
            State::Closed => "then the server closed the connection",
            State::Reset => "then the server reset the connection",
            State::Refused => "no connection",
        };
        match (self.came.is_empty(), end.is_empty()) {
            (true, false) => {
                end.trim_start_matches("and ").replace("then the", "the").replace("nothing more", "nothing")
            }
            (false, false) => format!("{}, {end}", self.came.shown(self.window())),
            _ => self.came.shown(self.window()),
        }
    }

    /// The bytes that should have come and those that did, where it is about bytes.
    #[must_use]
    pub fn bytes(&self) -> Option<(&[u8], &[u8])> {
        match (&self.expected, &self.came) {
            (Seen::Bytes(expected), Seen::Bytes(came)) => Some((expected, came)),
            _ => None,
        }
    }

    /// Where to begin to show bytes, so that the first difference is among them.
    fn window(&self) -> usize {
        let (expected, came) = self.bytes().unwrap_or_default();
        let same = expected.iter().zip(came).take_while(|(expected, came)| expected == came).count();
        if same < SHOWN { 0 } else { same - SHOWN / 4 }
    }
}

impl Seen {
    fn is_empty(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Words(words) => words.is_empty(),
        }
    }

    fn condensed(&self, start: usize) -> Self {
        match self {
            Self::Bytes(bytes) if !bytes.is_empty() => Self::Words(shown(bytes, bytes.len(), start)),
            _ => self.clone(),
        }
    }

    fn shown(&self, start: usize) -> String {
        match self {
            Self::Bytes(bytes) => shown(bytes, bytes.len(), start),
            Self::Words(words) => words.clone(),
        }
    }
}

/// Bytes as people can read them: escaped, from `start` on, cut, with how many there are in all.
fn shown(bytes: &[u8], total: usize, start: usize) -> String {
    let end = bytes.len().min(start + SHOWN);
    let mut text = String::new();
    if start > 0 {
        let _ = write!(text, "... from byte {start}: ");
    }
    for (index, byte) in bytes[start.min(end)..end].iter().enumerate() {
        match byte {
            // The first byte is often a header's, and a space in front would not be seen.
            b' ' if index == 0 => text.push_str("\\x20"),
            b' '..=b'~' if *byte != b'\\' => text.push(char::from(*byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    if end < total || start > 0 {
        let _ = write!(text, "... ({total} bytes)");
    }
    if total == 0 { String::from("nothing") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_escaped_and_cut() {
        assert_eq!(shown(b"\0\x1b[2J\\a\n", 8, 0), "\\x00\\x1b[2J\\x5ca\\x0a");
        assert_eq!(shown(b" \0\0\x03a b", 7, 0), "\\x20\\x00\\x00\\x03a b");
        let long = vec![b'a'; 100];
        assert_eq!(shown(&long, 5000, 0), format!("{}... (5000 bytes)", "a".repeat(SHOWN)));
        assert_eq!(shown(b"", 0, 0), "nothing");
    }

    #[test]
    fn the_first_difference_is_shown() {
        let mut flaw = Flaw::in_words("", "");
        flaw.expected = Seen::Bytes([vec![b'a'; 200], b"right".to_vec()].concat());
        flaw.came = Seen::Bytes([vec![b'a'; 200], b"wrong".to_vec()].concat());
        assert!(flaw.came_shown().contains("wrong"), "{}", flaw.came_shown());
        assert!(flaw.expected_shown().contains("right"), "{}", flaw.expected_shown());
    }

    #[test]
    fn a_condensed_flaw_shows_what_it_showed_before() {
        for came in [b"".to_vec(), b"wrong".to_vec(), vec![b'a'; 5000]] {
            let mut flaw = Flaw::in_words("", "");
            (flaw.expected, flaw.came, flaw.state) = (Seen::Bytes(vec![b'a'; 200]), Seen::Bytes(came), State::Excess);
            let shown = (flaw.expected_shown(), flaw.came_shown());
            let condensed = flaw.condensed();
            assert_eq!((condensed.expected_shown(), condensed.came_shown()), shown);
            assert_eq!(condensed.bytes(), None);
        }
    }

    #[test]
    fn an_excerpt_keeps_its_head_and_counts_the_rest() {
        let mut excerpt = Excerpt::default();
        for _ in 0..3 {
            excerpt.push(&[b'x'; 3000]);
        }
        assert_eq!((excerpt.head.len(), excerpt.total), (KEPT, 9000));
    }
}
