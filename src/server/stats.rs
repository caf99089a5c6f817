//! The sum of all workers' counters, for the status line and the log.

use std::fmt;

use crate::connection::{CloseReason, Totals};

/// The sums of all workers' counters, and the connections that are open. The numbers are read one after another: while
/// workers run, they may be a few events apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsSnapshot {
    /// The sums; the table of counters declares them.
    pub totals: Totals,
    /// Connections that are open.
    pub open: u64,
}

impl StatsSnapshot {
    /// Requests that were read, and that are neither answered nor abandoned yet.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        let Totals { requests, answered, refused, abandoned, .. } = &self.totals;
        requests.saturating_sub(answered + refused + abandoned.iter().sum::<u64>())
    }
}

/// One line; the number left of each `=` is the sum of those right of it.
impl fmt::Display for StatsSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { totals, open } = self;
        let Totals { accepted, requests, answered, refused, records, bytes_in, bytes_out, .. } = totals;
        write!(f, "accepted {accepted} = closed {} + open {open}; ", Reasons(&totals.closed))?;
        let (abandoned, in_flight) = (Reasons(&totals.abandoned), self.in_flight());
        write!(f, "requests {requests} = answered {answered} + refused {refused} + abandoned {abandoned}")?;
        write!(f, " + in flight {in_flight}; records {records}; bytes in {bytes_in}, out {bytes_out}; ")?;
        let Totals { accept_lost, accept_paused, accept_over_rate, .. } = totals;
        write!(f, "accept lost {accept_lost}, paused {accept_paused}, over rate {accept_over_rate}")
    }
}

/// A sum, and its parts by reason.
struct Reasons<'a>(&'a [u64]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.iter().sum::<u64>())?;
        let parts: Vec<String> = CloseReason::ALL
            .into_iter()
            .zip(self.0)
            .filter(|(_, count)| **count > 0)
            .map(|(reason, count)| format!("{} {count}", reason.name()))
            .collect();
        if parts.is_empty() { Ok(()) } else { write!(f, " ({})", parts.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Counters;
    use crate::protocol::RequestCounts;

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
        let stats = StatsSnapshot { totals: Totals::of([&one, &two]), open: 2 };
        assert_eq!(
            stats.to_string(),
            "accepted 5 = closed 3 (finished 2, reset 1) + open 2; \
             requests 11 = answered 5 + refused 1 + abandoned 1 (reset 1) + in flight 4; records 0; \
             bytes in 0, out 0; accept lost 0, paused 0, over rate 0"
        );
    }
}
