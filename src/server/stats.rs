//! The sum of all workers' counters, for the status line and the log.

use std::fmt;

use crate::connection::{CloseReason, Counter, Counters};

/// The sum of all workers' counters. They are read one after another: while workers run, they may be a few events apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsSnapshot {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that are open.
    pub open: u64,
    /// Connections closed, by reason.
    pub closed: Vec<u64>,
    /// Requests read.
    pub requests: u64,
    /// Requests with a reply that the kernel has taken.
    pub answered: u64,
    /// Requests whose reply is an error.
    pub refused: u64,
    /// Requests read and not answered, by the reason for which their connection closed.
    pub abandoned: Vec<u64>,
    /// Records decoded.
    pub records: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Connections that were gone before they were accepted.
    pub accept_lost: u64,
    /// Times that accept(2) failed for want of descriptors or memory, and was suspended.
    pub accept_paused: u64,
}

impl StatsSnapshot {
    /// The sum of `counters`, with `open` connections.
    pub fn of<'a>(counters: &(impl Iterator<Item = &'a Counters> + Clone), open: u64) -> Self {
        let sum = |pick: fn(&Counters) -> &Counter| counters.clone().map(|one| pick(one).get()).sum();
        let by_reason = |pick: fn(&Counters) -> &[Counter]| {
            let of_one = |reason: CloseReason| counters.clone().map(|one| pick(one)[reason as usize].get()).sum();
            CloseReason::ALL.into_iter().map(of_one).collect()
        };
        Self {
            accepted: sum(|one| &one.accepted),
            open,
            closed: by_reason(|one| &one.closed),
            requests: sum(|one| &one.requests),
            answered: sum(|one| &one.answered),
            refused: sum(|one| &one.refused),
            abandoned: by_reason(|one| &one.abandoned),
            records: sum(|one| &one.records),
            bytes_in: sum(|one| &one.bytes_in),
            bytes_out: sum(|one| &one.bytes_out),
            accept_lost: sum(|one| &one.accept_lost),
            accept_paused: sum(|one| &one.accept_paused),
        }
    }

    /// Requests that were read, and that are neither answered nor abandoned yet.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        let ended = self.answered + self.refused + self.abandoned.iter().sum::<u64>();
        self.requests.saturating_sub(ended)
    }
}

/// One line; the number left of each `=` is the sum of those right of it.
impl fmt::Display for StatsSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, open, requests, answered, refused, .. } = self;
        write!(f, "accepted {accepted} = closed {} + open {open}; ", Reasons(&self.closed))?;
        let (abandoned, in_flight) = (Reasons(&self.abandoned), self.in_flight());
        write!(f, "requests {requests} = answered {answered} + refused {refused} + abandoned {abandoned}")?;
        write!(f, " + in flight {in_flight}; records {}; ", self.records)?;
        write!(f, "bytes in {}, out {}; ", self.bytes_in, self.bytes_out)?;
        write!(f, "accept lost {}, paused {}", self.accept_lost, self.accept_paused)
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
        let stats = StatsSnapshot::of(&[&one, &two].into_iter(), 2);
        assert_eq!(
            stats.to_string(),
            "accepted 5 = closed 3 (finished 2, reset 1) + open 2; \
             requests 11 = answered 5 + refused 1 + abandoned 1 (reset 1) + in flight 4; records 0; \
             bytes in 0, out 0; accept lost 0, paused 0"
        );
    }
}
