//! What a measurement of throughput counts.

use std::time::Duration;

use crate::client::bench::connection::ConnectionError;
use crate::client::bench::measurement::ErrorClass;
use crate::sys::TcpInfo;

/// The state of a connection at one time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Bytes carried since the connection was made.
    pub bytes: u64,
    /// What the kernel knows, of a TCP connection.
    pub tcp: Option<TcpInfo>,
    /// Segments sent again since the connection was made, of a TCP connection that sends: the peer knows those that are
    /// received.
    pub retransmits: Option<u32>,
}

/// What a connection has carried between two readings.
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    /// Bytes.
    pub bytes: u64,
    /// The state at the end.
    pub tcp: Option<TcpInfo>,
    /// Segments sent again.
    pub retransmits: Option<u64>,
}

impl Carried {
    /// What was carried from `before` until `after`.
    #[must_use]
    pub fn between(before: &Reading, after: &Reading) -> Self {
        let retransmits = after.retransmits.map(|now| now.saturating_sub(before.retransmits.unwrap_or(0)));
        Self {
            bytes: after.bytes.saturating_sub(before.bytes),
            tcp: after.tcp,
            retransmits: retransmits.map(u64::from),
        }
    }
}

/// Segments that were sent again, if the kernel counts them.
pub fn retransmits_of(mut carried: impl Iterator<Item = Carried>) -> Option<u64> {
    carried.try_fold(0, |sum, carried| Some(sum + carried.retransmits?))
}

/// What all connections have carried in one interval.
#[derive(Clone, Debug)]
pub struct OneWayInterval {
    /// Its begin, since the start of the measurement.
    pub from: Duration,
    /// Its end.
    pub until: Duration,
    /// It is shorter than the others, because the measurement ended in it.
    pub partial: bool,
    /// Each connection.
    pub carried: Vec<Carried>,
}

/// A connection at the end of the measurement.
#[derive(Debug)]
pub struct ConnectionResult {
    /// What it has carried.
    pub carried: Carried,
    /// The state at the start of the measurement.
    pub before: Reading,
    /// Why it ended, if it failed.
    pub error: Option<ConnectionError>,
}

impl ConnectionResult {
    /// By how much a time of the kernel has grown.
    #[must_use]
    pub fn grown(&self, time: impl Fn(&TcpInfo) -> Option<Duration>) -> Option<Duration> {
        let before = self.before.tcp.as_ref().and_then(&time).unwrap_or_default();
        self.carried.tcp.as_ref().and_then(time).map(|after| after.saturating_sub(before))
    }
}

/// A finished measurement.
#[derive(Debug)]
pub struct OneWayResult {
    /// Its duration.
    pub elapsed: Duration,
    /// Each connection.
    pub connections: Vec<ConnectionResult>,
    /// A signal has ended it.
    pub interrupted: bool,
    /// The server's CPU time meanwhile.
    pub server_cpu: Option<Duration>,
}

impl OneWayResult {
    /// Bytes that all connections have carried.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.connections.iter().map(|connection| connection.carried.bytes).sum()
    }

    /// The number of connections that failed.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.failures().count()
    }

    /// The number of connections that failed with an error of this class.
    #[must_use]
    pub fn errors_of(&self, class: ErrorClass) -> usize {
        self.failures().filter(|error| error.class == class).count()
    }

    /// The message of the first error that has one which says more than its class.
    #[must_use]
    pub fn example(&self) -> Option<&str> {
        self.failures().find_map(|error| error.message.as_deref().filter(|_| error.class == ErrorClass::Other))
    }

    fn failures(&self) -> impl Iterator<Item = &ConnectionError> {
        self.connections.iter().filter_map(|connection| connection.error.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_between_the_readings() {
        let before = Reading { bytes: 100, tcp: None, retransmits: Some(2) };
        let after = Reading { bytes: 350, tcp: None, retransmits: Some(5) };
        let carried = Carried::between(&before, &after);
        assert_eq!((carried.bytes, carried.retransmits), (250, Some(3)));
        let unix = Carried::between(&Reading::default(), &Reading { bytes: 7, ..Reading::default() });
        assert_eq!((unix.bytes, unix.retransmits), (7, None));
        assert_eq!(retransmits_of([carried, carried].into_iter()), Some(6));
        assert_eq!(retransmits_of([carried, unix].into_iter()), None, "one is unknown");
    }
}
