//! The result of a check, and what a failure shows: the bytes sent, expected and received.

use crate::client::judge::excerpt::Excerpt;
use crate::client::judge::mismatch::{Mismatch, Observed, first_shown};
use crate::client::judge::outcome::Pass;

/// The result of a check.
pub type CheckResult = Result<Pass, CheckFailure>;

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

    /// Replaces bytes by the text that shows them, so that nothing is concluded from them.
    #[must_use]
    pub fn condensed(self) -> Self {
        let start = first_shown(&self.expected, &self.received);
        let (expected, received) = (self.expected.condensed(start), self.received.condensed(start));
        Self { expected, received, ..self }
    }

    /// The text that a report shows.
    #[must_use]
    pub fn mismatch(&self) -> Mismatch {
        Mismatch {
            sent: (self.sent.total > 0).then(|| self.sent.shown()),
            expected: self.expected_shown(),
            received: self.received_shown(),
            hint: self.hint.to_string(),
        }
    }

    /// The expectation, for people.
    #[must_use]
    pub fn expected_shown(&self) -> String {
        self.expected.shown(first_shown(&self.expected, &self.received))
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
            (false, false) => format!("{}, {end}", self.received.shown(first_shown(&self.expected, &self.received))),
            _ => self.received.shown(first_shown(&self.expected, &self.received)),
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
    fn a_report_shows_the_end_of_the_connection_behind_the_bytes() {
        for (received, shown) in
            [(b"".to_vec(), "more, which was not read"), (b"wrong".to_vec(), "wrong, and more, which was not read")]
        {
            let mut failure = CheckFailure::in_words("", "").with_hint("look");
            failure.expected = Observed::Bytes(vec![b'a'; 20]);
            (failure.received, failure.state) = (Observed::Bytes(received), ConnectionState::Excess);
            let mismatch = failure.mismatch();
            let expected = "a".repeat(20);
            assert_eq!(
                mismatch.parts(),
                [("sent", "nothing"), ("expected", &*expected), ("received", shown), ("hint", "look")]
            );
        }
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
