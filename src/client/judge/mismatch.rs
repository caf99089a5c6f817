//! Why something failed: what was sent, expected and received.

use super::excerpt::{Excerpt, SHOWN, escaped};

/// A reply or event, expected or actual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A description, where bytes would not show it.
    Words(String),
}

/// What a report shows of a failure: text, because a report keeps every failure to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What was sent to the program that is judged; none if nothing was.
    pub sent: Option<String>,
    /// What was expected of it.
    pub expected: String,
    /// What it did.
    pub received: String,
    /// The probable cause: a sentence without a period, to the author of the program.
    pub hint: String,
}

impl Mismatch {
    /// A mismatch in words, before which nothing was sent.
    pub fn in_words(expected: impl Into<String>, received: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { sent: None, expected: expected.into(), received: received.into(), hint: hint.into() }
    }

    /// The mismatch of these, which are cut so that the first difference is shown.
    #[must_use]
    pub fn between(sent: &Excerpt, expected: &Observed, received: &Observed, hint: &str) -> Self {
        let start = first_shown(expected, received);
        Self {
            sent: (sent.total > 0).then(|| sent.shown()),
            expected: expected.shown(start),
            received: received.shown(start),
            hint: hint.to_owned(),
        }
    }

    /// What was sent, for people.
    #[must_use]
    pub fn sent_shown(&self) -> &str {
        self.sent.as_deref().unwrap_or("nothing")
    }

    /// The names of its parts, and what each has.
    #[must_use]
    pub fn parts(&self) -> [(&'static str, &str); 4] {
        [("sent", self.sent_shown()), ("expected", &self.expected), ("received", &self.received), ("hint", &self.hint)]
    }
}

impl Observed {
    /// Whether there are no bytes or no words.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Words(words) => words.is_empty(),
        }
    }

    /// The text that shows the bytes from `start` on.
    #[must_use]
    pub fn condensed(&self, start: usize) -> Self {
        match self {
            Self::Bytes(bytes) if !bytes.is_empty() => Self::Words(escaped(bytes, bytes.len(), start)),
            _ => self.clone(),
        }
    }

    /// It, for people, from the byte `start` on.
    #[must_use]
    pub fn shown(&self, start: usize) -> String {
        match self {
            Self::Bytes(bytes) => escaped(bytes, bytes.len(), start),
            Self::Words(words) => words.clone(),
        }
    }
}

/// The index of the first byte to show, so that the first difference is among those shown; 0 if either is in words.
#[must_use]
pub fn first_shown(expected: &Observed, received: &Observed) -> usize {
    let (Observed::Bytes(expected), Observed::Bytes(received)) = (expected, received) else { return 0 };
    let equal = expected.iter().zip(received).take_while(|(expected, received)| expected == received).count();
    if equal < SHOWN { 0 } else { equal - SHOWN / 4 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_difference_is_shown() {
        let bytes = |end: &[u8]| Observed::Bytes([&[b'a'; 200], end].concat());
        let mut sent = Excerpt::default();
        let mismatch = Mismatch::between(&sent, &bytes(b"right"), &bytes(b"wrong"), "look");
        assert!(mismatch.expected.ends_with("right... (205 bytes)"), "{mismatch:?}");
        assert!(mismatch.received.ends_with("wrong... (205 bytes)"), "{mismatch:?}");
        assert_eq!((mismatch.sent_shown(), &*mismatch.hint), ("nothing", "look"));
        sent.push(b"abc");
        let mismatch = Mismatch::between(&sent, &bytes(b"right"), &Observed::Words("silence".into()), "");
        assert_eq!((mismatch.sent_shown(), &*mismatch.received), ("abc", "silence"));
    }
}
