//! The statistics: the counters of all workers, by protocol and in all, and what the server has at the moment.

use std::fmt;
use std::time::Duration;

use super::histogram::HistogramSnapshot;
use crate::connection::{CloseReason, ImpairmentKind, Totals};
use crate::protocol::ProtocolInfo;

/// The statistics at one moment. For each protocol the sums add up exactly, and no counter is ever less than in a
/// snapshot that was made before.
#[derive(Clone, Debug, Default)]
pub struct StatsSnapshot {
    /// The sums over all protocols; the table of counters declares them.
    pub totals: Totals,
    /// Connections that are open: accepted and not closed.
    pub open: u64,
    /// The statistics of each protocol, in the order of [`PROTOCOLS`](crate::protocol::PROTOCOLS).
    pub protocols: Vec<ProtocolStats>,
    /// What the server has at the moment.
    pub gauges: Gauges,
}

/// The statistics of one protocol.
#[derive(Clone, Debug)]
pub struct ProtocolStats {
    /// The protocol.
    pub protocol: &'static ProtocolInfo,
    /// The sums over all its listeners.
    pub totals: Totals,
    /// Connections that are open.
    pub open: u64,
    /// Its listening sockets.
    pub listeners: u64,
}

/// What the server has at the moment.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Workers, as configured.
    pub workers: u64,
    /// The limit on connections, if there is one.
    pub connections_limit: Option<u64>,
    /// Bytes that connections hold beyond the part that is not charged.
    pub buffered: u64,
    /// The limit on these bytes, if there is one.
    pub buffered_limit: Option<u64>,
    /// Connections that wait for memory.
    pub waiting_for_memory: u64,
    /// Requests that wait for a thread of the offload pool.
    pub offload_queue_length: u64,
    /// How long requests have waited for a thread of the offload pool.
    pub offload_wait: HistogramSnapshot,
    /// The longest iteration of the event loop of any worker within the last minute or two.
    pub longest_iteration: Duration,
}

impl StatsSnapshot {
    /// The statistics of `protocols`, and the sums over them.
    #[must_use]
    pub fn new(protocols: Vec<ProtocolStats>, gauges: Gauges) -> Self {
        let mut totals = Totals::default();
        for protocol in &protocols {
            totals.add(&protocol.totals);
        }
        Self { open: totals.open(), totals, protocols, gauges }
    }
}

impl ProtocolStats {
    /// The statistics of a protocol with these totals.
    #[must_use]
    pub fn new(protocol: &'static ProtocolInfo, totals: Totals, listeners: u64) -> Self {
        Self { protocol, open: totals.open(), totals, listeners }
    }
}

/// One line; the number left of each `=` is the sum of those right of it.
impl fmt::Display for StatsSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { totals, open, .. } = self;
        let Totals { accepted, requests, answered, refused, records, bytes_in, bytes_out, .. } = totals;
        write!(f, "accepted {accepted} = closed {} + open {open}; ", Reasons(&totals.closed))?;
        let (abandoned, in_flight) = (Reasons(&totals.abandoned), totals.in_flight());
        write!(f, "requests {requests} = answered {answered} + refused {refused} + abandoned {abandoned}")?;
        write!(f, " + in flight {in_flight}; records {records}; bytes in {bytes_in}, out {bytes_out}; ")?;
        let Totals { accept_lost, accept_paused, accept_over_rate, .. } = totals;
        write!(f, "accept lost {accept_lost}, paused {accept_paused}, over rate {accept_over_rate}")?;
        if totals.impaired.iter().any(|connections| *connections > 0) {
            write!(f, "; impaired {}", Kinds(&totals.impaired))?;
        }
        Ok(())
    }
}

/// Connections on which impairments have acted, by kind. There is no sum, because several may act on one connection.
struct Kinds<'a>(&'a [u64]);

impl fmt::Display for Kinds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&named(self.0, ImpairmentKind::ALL.map(ImpairmentKind::name)))
    }
}

/// A sum, and its parts by reason.
struct Reasons<'a>(&'a [u64]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.iter().sum::<u64>())?;
        let parts = named(self.0, CloseReason::ALL.map(CloseReason::name));
        if parts.is_empty() { Ok(()) } else { write!(f, " ({parts})") }
    }
}

/// The counts that are not 0, with their names.
fn named<const N: usize>(counts: &[u64], names: [&'static str; N]) -> String {
    let named = names.into_iter().zip(counts).filter(|(_, count)| **count > 0);
    named.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Counters;
    use crate::protocol::{PROTOCOLS, RequestCounts};

    #[test]
    fn the_statistics_line_has_sums_and_their_parts() {
        let (one, two) = (Counters::default(), Counters::default());
        one.accepted.add(3);
        two.accepted.add(2);
        one.requests.add(7);
        two.requests.add(4);
        one.sent(RequestCounts { answered: 5, refused: 1, events: 0 });
        one.close(CloseReason::Finished, 0);
        one.close(CloseReason::Reset, 1);
        two.close(CloseReason::Finished, 0);
        let protocols = [(0, &one), (1, &two)]
            .map(|(protocol, counters)| ProtocolStats::new(PROTOCOLS[protocol], Totals::of([counters]), 1));
        let stats = StatsSnapshot::new(protocols.into(), Gauges::default());
        assert_eq!(stats.protocols.iter().map(|protocol| protocol.open).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(
            stats.to_string(),
            "accepted 5 = closed 3 (finished 2, reset 1) + open 2; \
             requests 11 = answered 5 + refused 1 + abandoned 1 (reset 1) + in flight 4; records 0; \
             bytes in 0, out 0; accept lost 0, paused 0, over rate 0"
        );
    }

    #[test]
    fn impairments_that_have_acted_are_at_the_end_of_the_statistics_line() {
        let counters = Counters::default();
        counters.impaired[ImpairmentKind::Latency as usize].add(3);
        counters.impaired[ImpairmentKind::SlowClose as usize].add(1);
        let protocols = vec![ProtocolStats::new(PROTOCOLS[0], Totals::of([&counters]), 1)];
        let line = StatsSnapshot::new(protocols, Gauges::default()).to_string();
        assert!(line.ends_with("over rate 0; impaired latency 3, slow-close 1"), "{line}");
    }
}
