//! What a benchmark counts: requests, bytes, errors by kind, latencies.

use std::io::{self, ErrorKind};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::verifier::Mismatch;

/// What can go wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No connection: nobody listens.
    Refused,
    /// The connection was reset.
    Reset,
    /// No connection, or no answer, in time.
    Timeout,
    /// The answer had wrong bytes.
    WrongContent,
    /// The answer had the wrong length.
    WrongLength,
    /// The server closed before it had answered.
    ClosedEarly,
    /// Anything else that the system reported.
    Other,
}

impl Trouble {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::Refused,
        Self::Reset,
        Self::Timeout,
        Self::WrongContent,
        Self::WrongLength,
        Self::ClosedEarly,
        Self::Other,
    ];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "connect refused",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::WrongContent => "wrong content",
            Self::WrongLength => "wrong length",
            Self::ClosedEarly => "closed early",
            Self::Other => "other",
        }
    }
}

impl From<&io::Error> for Trouble {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Self::Reset,
            ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Other,
        }
    }
}

impl From<Mismatch> for Trouble {
    fn from(wrong: Mismatch) -> Self {
        match wrong {
            Mismatch::Length => Self::WrongLength,
            Mismatch::Content => Self::WrongContent,
        }
    }
}

/// Latencies, kept in a histogram: three significant digits, from a nanosecond to an hour.
#[derive(Debug)]
pub struct Latencies(Histogram<u64>);

const LONGEST: u64 = 3_600_000_000_000;

impl Latencies {
    /// None yet.
    ///
    /// # Panics
    /// Never: the bounds are constants that the histogram accepts.
    #[must_use]
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, 3).expect("these bounds are valid"))
    }

    /// Adds so many requests that all took so long.
    pub fn record(&mut self, nanoseconds: u64, requests: u64) {
        self.0.saturating_record_n(nanoseconds.max(1), requests);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that this share of the requests did not exceed.
    #[must_use]
    pub fn at(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(share))
    }

    /// The shortest.
    #[must_use]
    pub fn min(&self) -> Duration {
        Duration::from_nanos(if self.0.is_empty() { 0 } else { self.0.min() })
    }

    /// The mean.
    #[must_use]
    #[allow(clippy::cast_sign_loss, reason = "a mean of unsigned numbers")]
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.0.mean() as u64)
    }
}

/// All that was counted.
#[derive(Debug)]
pub struct Tally {
    /// Requests that were answered rightly.
    pub requests: u64,
    /// Bytes of requests sent and of answers received, in all, warm-up included.
    pub received: u64,
    /// Requests that were not, by kind.
    troubles: [u64; Trouble::ALL.len()],
    /// The first other error that the system reported.
    pub example: Option<String>,
    /// How long the right answers took.
    pub latencies: Latencies,
    /// How long it was measured.
    pub elapsed: Duration,
    /// The server's CPU time in that, if it was asked for.
    pub server_cpu: Option<Duration>,
}

impl Tally {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            requests: 0,
            received: 0,
            troubles: [0; Trouble::ALL.len()],
            example: None,
            latencies: Latencies::new(),
            elapsed: Duration::ZERO,
            server_cpu: None,
        }
    }

    /// So many right answers, each after so long.
    pub fn answered(&mut self, nanoseconds: u64, requests: u64) {
        self.requests += requests;
        self.latencies.record(nanoseconds, requests);
    }

    /// So many requests came to nothing.
    pub fn failed(&mut self, trouble: Trouble, requests: u64) {
        self.troubles[trouble as usize] += requests;
    }

    /// How many requests came to nothing in this way.
    #[must_use]
    pub fn troubles(&self, trouble: Trouble) -> u64 {
        self.troubles[trouble as usize]
    }

    /// How many requests came to nothing.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.troubles.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_kept_to_three_digits() {
        let mut latencies = Latencies::new();
        latencies.record(1_000_000, 99);
        latencies.record(5_000_000, 1);
        assert_eq!(latencies.count(), 100);
        assert!(latencies.at(0.5).as_nanos().abs_diff(1_000_000) < 1_000);
        assert!(latencies.at(1.0).as_nanos().abs_diff(5_000_000) < 5_000);
        assert!(latencies.mean().as_nanos().abs_diff(1_040_000) < 1_100);
    }

    #[test]
    fn troubles_are_counted_by_kind() {
        let mut tally = Tally::new();
        for trouble in Trouble::ALL {
            tally.failed(trouble, 2);
        }
        assert_eq!((tally.errors(), tally.troubles(Trouble::Other)), (14, 2));
    }
}
