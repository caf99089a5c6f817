//! The requests in flight on one connection, with the times at which they were due.

#![allow(
    clippy::cast_possible_truncation,
    reason = "the requests in flight on a connection are counted in u32, as --depth is"
)]

use std::collections::VecDeque;

/// Requests in flight, the oldest first, in groups of those with one due time.
#[derive(Debug, Default)]
pub struct InFlight {
    groups: VecDeque<RequestGroup>,
    /// The number of requests in all groups.
    count: usize,
}

/// Requests that were due at one time.
#[derive(Debug)]
struct RequestGroup {
    due: u64,
    count: u32,
}

impl InFlight {
    /// The number of requests.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number of requests that were due at `time` or later.
    #[must_use]
    pub fn count_since(&self, time: u64) -> u64 {
        self.groups().filter(|(due, _)| *due >= time).map(|(_, count)| count).sum()
    }

    /// When the oldest request was due.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.groups.front().map(|group| group.due)
    }

    /// When each group was due, and the number of its requests.
    pub fn groups(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.groups.iter().map(|group| (group.due, u64::from(group.count)))
    }

    /// Adds `requests` requests that are due at `due`.
    pub fn push(&mut self, due: u64, requests: usize) {
        self.count += requests;
        match self.groups.back_mut() {
            Some(last) if last.due == due => last.count += requests as u32,
            _ => self.groups.push_back(RequestGroup { due, count: requests as u32 }),
        }
    }

    /// Removes the oldest `requests` requests, of which there are as many; calls `count` with the due time and the size
    /// of each group.
    pub fn remove(&mut self, mut requests: usize, mut count: impl FnMut(u64, u32)) {
        self.count -= requests;
        while requests > 0 {
            let Some(group) = self.groups.front_mut() else { return };
            let taken = requests.min(group.count as usize) as u32;
            count(group.due, taken);
            group.count -= taken;
            requests -= taken as usize;
            if group.count == 0 {
                self.groups.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_requests_are_removed_first() {
        let mut in_flight = InFlight::default();
        for (due, requests) in [(10, 2), (10, 1), (20, 4)] {
            in_flight.push(due, requests);
        }
        assert_eq!((in_flight.count(), in_flight.count_since(11), in_flight.oldest()), (7, 4, Some(10)));
        assert_eq!(in_flight.groups().collect::<Vec<_>>(), [(10, 3), (20, 4)]);
        let mut removed = Vec::new();
        in_flight.remove(5, |due, count| removed.push((due, count)));
        assert_eq!((removed, in_flight.count(), in_flight.oldest()), (vec![(10, 3), (20, 2)], 2, Some(20)));
    }
}
