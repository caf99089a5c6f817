//! The result of a check, and what a failure shows: the bytes sent, expected and received.

use super::excerpt::{Excerpt, SHOWN, escaped};

/// The result of a check.
pub type CheckResult = Result<Pass, CheckFailure>;

/// The result of a check that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pass {
    /// The server did what it should.
    Clean,
    /// The server did something that is allowed and worth knowing.
    WithNote(String),
    /// The check was not run, for this reason.
    Skipped(String),
}

/// The state of the connection when a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It is open, and more may arrive.
    Open,
    /// Nothing arrived for as long as the check waits.
    Silent,
    /// Bytes still arrived at the deadline of the check.
    OutOfTime,
    /// More bytes arrived than a correct reply has; the rest was not read.
    Excess,
    /// The server closed or half-closed it.
    Closed,
    /// The server reset it.
    Reset,
    /// It was not made.
    Refused,
    /// It was not made, because this client can open no more descriptors.
    NoDescriptor,
}

/// Why a check failed.
#[derive(Clone, Debug)]
pub struct CheckFailure {
    /// The bytes sent on this connection.
    pub sent: Excerpt,
    /// The expected reply or event.
    pub expected: Observed,
    /// The actual reply or event.
    pub received: Observed,
    /// The state of the connection.
    pub state: ConnectionState,
    /// The probable cause; if empty, the check's own hint.
    pub hint: Box<str>,
}

/// A reply or event, expected or actual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A description, where bytes would not show it.
    Words(String),
}

impl CheckFailure {
    /// A failure that is described in words.
    pub fn in_words(expected: impl Into<String>, received: impl Into<String>) -> Self {
        Self {
            sent: Excerpt::default(),
            expected: Observed::Words(expected.into()),
            received: Observed::Words(received.into()),
            state: ConnectionState::Open,
            hint: Box::default(),
        }
    }

    /// Sets a hint that fits better than the check's own.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Box<str>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Replaces bytes by the text that shows them, because a report keeps every failure to its end.
    #[must_use]
    pub fn condensed(self) -> Self {
        let start = self.first_shown();
        let (expected, received) = (self.expected.condensed(start), self.received.condensed(start));
        Self { expected, received, ..self }
    }

    /// The expectation, for people.
    #[must_use]
    pub fn expected_shown(&self) -> String {
        self.expected.shown(self.first_shown())
    }

    /// The received bytes or event, for people.
    #[must_use]
    pub fn received_shown(&self) -> String {
        let end = match self.state {
            ConnectionState::Open => "",
            ConnectionState::Silent => "nothing more in time",
            ConnectionState::OutOfTime => "and bytes still arrived when the time of the check was up",
            ConnectionState::Excess => "and more, which was not read",
            ConnectionState::Closed => "then the server closed the connection",
            ConnectionState::Reset => "then the server reset the connection",
            ConnectionState::Refused | ConnectionState::NoDescriptor => "no connection",
        };
        match (self.received.is_empty(), end.is_empty()) {
            (true, false) => {
                end.trim_start_matches("and ").replace("then the", "the").replace("nothing more", "nothing")
            }
            (false, false) => format!("{}, {end}", self.received.shown(self.first_shown())),
            _ => self.received.shown(self.first_shown()),
        }
    }

    /// The bytes expected and received, if it is about bytes.
    #[must_use]
    pub fn bytes(&self) -> Option<(&[u8], &[u8])> {
        match (&self.expected, &self.received) {
            (Observed::Bytes(expected), Observed::Bytes(received)) => Some((expected, received)),
            _ => None,
        }
    }

    /// The index of the first byte to show, so that the first difference is among those shown.
    fn first_shown(&self) -> usize {
        let (expected, received) = self.bytes().unwrap_or_default();
        let equal = expected.iter().zip(received).take_while(|(expected, received)| expected == received).count();
        if equal < SHOWN { 0 } else { equal - SHOWN / 4 }
    }
}

impl Observed {
    fn is_empty(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Words(words) => words.is_empty(),
        }
    }

    fn condensed(&self, start: usize) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_difference_is_shown() {
        let mut failure = CheckFailure::in_words("", "");
        failure.expected = Observed::Bytes([vec![b'a'; 200], b"right".to_vec()].concat());
        failure.received = Observed::Bytes([vec![b'a'; 200], b"wrong".to_vec()].concat());
        assert!(failure.received_shown().contains("wrong"), "{}", failure.received_shown());
        assert!(failure.expected_shown().contains("right"), "{}", failure.expected_shown());
    }

    #[test]
    fn condensed_failure_shows_what_it_showed_before() {
        for received in [b"".to_vec(), b"wrong".to_vec(), vec![b'a'; 5000]] {
            let mut failure = CheckFailure::in_words("", "");
            failure.expected = Observed::Bytes(vec![b'a'; 200]);
            (failure.received, failure.state) = (Observed::Bytes(received), ConnectionState::Excess);
            let shown = (failure.expected_shown(), failure.received_shown());
            let condensed = failure.condensed();
            assert_eq!((condensed.expected_shown(), condensed.received_shown()), shown);
            assert_eq!(condensed.bytes(), None);
        }
    }
}
