//! The statistics that a successor begins with: those of its predecessor, in which every connection that is not served
//! any more has closed.

use std::collections::{BTreeMap, HashMap};

use log::warn;

use crate::connection::{CloseReason, Totals};
use crate::protocol;

/// A number that no counter reaches: 2^62.
const ABSURD: u64 = 1 << 62;

/// The connections of one protocol that were restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    connections: u64,
    /// Their requests that are not answered yet.
    unanswered: u64,
}

impl Restored {
    /// Adds a connection with this number of requests that are not answered yet.
    pub fn add(&mut self, unanswered: u32) {
        self.connections += 1;
        self.unanswered += u64::from(unanswered);
    }
}

/// The statistics of each protocol, and the number of connections that have closed because they were not restored.
#[must_use]
pub fn continued_totals(
    saved: BTreeMap<String, Totals>,
    restored: &HashMap<String, Restored>,
) -> (HashMap<&'static str, Totals>, u64) {
    let mut saved = saved;
    for name in restored.keys() {
        saved.entry(name.clone()).or_default();
    }
    let (mut totals, mut failed) = (HashMap::new(), 0);
    for (name, saved) in saved {
        let (continued, missing) = continue_one(saved, restored.get(&name).copied().unwrap_or_default());
        failed += missing;
        match protocol::by_name(&name) {
            Some(protocol) => drop(totals.insert(protocol.name, continued)),
            None => warn!("the predecessor had the protocol {name:?}: its statistics end"),
        }
    }
    (totals, failed)
}

/// The statistics of a protocol, and the number of connections that were not restored.
fn continue_one(saved: Totals, restored: Restored) -> (Totals, u64) {
    let Restored { connections, unanswered } = restored;
    let Some([open, in_flight]) = open_and_in_flight(&saved) else {
        warn!("the statistics of the predecessor do not add up: they begin anew");
        return (Totals { accepted: connections, requests: unanswered, ..Totals::default() }, 0);
    };
    let missing = open.saturating_sub(connections);
    let mut totals = saved;
    totals.closed[CloseReason::HandoverFailed as usize] += missing;
    totals.accepted += connections.saturating_sub(open);
    totals.abandoned[CloseReason::HandoverFailed as usize] += in_flight.saturating_sub(unanswered);
    totals.requests += unanswered.saturating_sub(in_flight);
    (totals, missing)
}

/// The connections that are open and the requests in flight, if the numbers are possible.
fn open_and_in_flight(totals: &Totals) -> Option<[u64; 2]> {
    let less = |whole: u64, parts: &[u64]| {
        let sum = parts.iter().try_fold(0, |sum: u64, part| sum.checked_add(*part))?;
        whole.checked_sub(sum).filter(|_| whole < ABSURD)
    };
    let open = less(totals.accepted, &totals.closed)?;
    let unanswered = less(totals.requests, &totals.abandoned)?;
    Some([open, less(unanswered, &[totals.answered, totals.refused])?])
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: usize = CloseReason::HandoverFailed as usize;

    /// Statistics with 5 connections open and 3 requests in flight.
    fn saved() -> Totals {
        let mut totals = Totals { accepted: 9, requests: 20, answered: 14, refused: 2, ..Totals::default() };
        totals.closed[0] = 4;
        totals.abandoned[1] = 1;
        totals
    }

    fn restored(requests: &[u32]) -> Restored {
        let mut restored = Restored::default();
        for unanswered in requests {
            restored.add(*unanswered);
        }
        restored
    }

    #[test]
    fn connections_that_were_not_restored_have_closed_with_their_requests() {
        let (totals, failed) = continue_one(saved(), restored(&[0, 2, 0]));
        assert_eq!((failed, totals.closed[FAILED], totals.abandoned[FAILED]), (2, 2, 1));
        assert_eq!((totals.open(), totals.in_flight(), totals.accepted, totals.requests), (3, 2, 9, 20));
        let (totals, failed) = continue_one(saved(), restored(&[0, 1, 0, 1, 1]));
        assert_eq!((totals, failed), (saved(), 0), "nothing is missing");
    }

    #[test]
    fn a_connection_that_the_statistics_do_not_have_counts_as_accepted() {
        let (totals, failed) = continue_one(saved(), restored(&[1, 1, 1, 1, 1, 1]));
        assert_eq!((failed, totals.open(), totals.in_flight(), totals.accepted), (0, 6, 6, 10));
        let (totals, failed) = continued_totals(BTreeMap::new(), &HashMap::from([("echo".into(), restored(&[0]))]));
        assert_eq!((totals["echo"].open(), failed), (1, 0));
    }

    #[test]
    fn statistics_that_do_not_add_up_begin_anew() {
        let mut overflowing = saved();
        overflowing.closed[..2].fill(u64::MAX);
        let absurd = Totals { accepted: u64::MAX, ..saved() };
        for impossible in [Totals { accepted: 3, ..saved() }, Totals { answered: 30, ..saved() }, overflowing, absurd] {
            let (totals, failed) = continue_one(impossible, restored(&[2]));
            assert_eq!((failed, totals.open(), totals.in_flight(), totals.accepted), (0, 1, 2, 1));
        }
    }

    #[test]
    fn the_statistics_of_an_unknown_protocol_end() {
        let saved = BTreeMap::from([("echo".to_string(), saved()), ("gopher".to_string(), saved())]);
        let (totals, failed) = continued_totals(saved, &HashMap::new());
        assert_eq!((totals.len(), totals["echo"].open(), failed), (1, 0, 10));
    }
}
