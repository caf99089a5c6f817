//! The connections of one worker that wait for memory.

use std::collections::HashMap;
use std::mem;

use crate::connection::Millis;
use crate::server::memory_queue::{PRIORITY_PERIOD, Place};
use crate::server::poller::Token;

/// The connections that wait for memory, and their places in the queue.
#[derive(Debug, Default)]
pub struct MemoryWaits {
    places: HashMap<Token, Place>,
    /// A connection has begun to wait in this iteration of the loop.
    has_begun: bool,
    /// When to look whether one of them can continue although no memory was given back.
    check_at: Millis,
}

impl MemoryWaits {
    /// A connection begins to wait.
    pub fn insert(&mut self, token: Token, place: Place) {
        self.places.insert(token, place);
        self.has_begun = true;
    }

    /// A connection waits no more; returns its place, if it did wait.
    pub fn remove(&mut self, token: Token) -> Option<Place> {
        // the usual case, without computing the hash of a token
        if self.places.is_empty() { None } else { self.places.remove(&token) }
    }

    /// Frees the memory of the map, when no connection is left.
    pub fn shrink(&mut self) {
        self.places = HashMap::new();
    }

    /// When to call [`MemoryWaits::take_check`]; `None` while no connection waits.
    #[must_use]
    pub fn due(&self) -> Option<Millis> {
        (!self.places.is_empty()).then_some(self.check_at)
    }

    /// Whether memory must be granted although none was given back: what was given back before a connection was in the
    /// queue was granted to no connection; and the period of the one that has waited longest may have begun or ended.
    pub fn take_check(&mut self, now: Millis) -> bool {
        let is_due = self.due().is_some_and(|due| due <= now);
        let must_check = mem::take(&mut self.has_begun) || is_due;
        if must_check {
            self.check_at = now + PRIORITY_PERIOD;
        }
        must_check
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{Budget, Demand};
    use crate::server::memory_queue::{MemoryQueue, Waiter};

    #[test]
    fn the_queue_is_checked_when_a_connection_begins_to_wait_and_once_a_period() {
        let token = Token { slot: 0, sequence: 0 };
        let demand = Demand { shared: 1, reserve: 1 };
        let queue = MemoryQueue::default();
        let (place, _) = queue.push(Waiter { worker: 0, token, demand }, Millis::ZERO);
        let mut waits = MemoryWaits::default();
        assert_eq!((waits.due(), waits.take_check(Millis::ZERO)), (None, false));
        waits.insert(token, place);
        assert_eq!([Millis::new(1), PRIORITY_PERIOD].map(|now| waits.take_check(now)), [true, false]);
        let next = Millis::new(1) + PRIORITY_PERIOD;
        assert_eq!(waits.due(), Some(next));
        assert_eq!([next, next + Millis::new(1)].map(|now| waits.take_check(now)), [true, false]);
        assert_eq!(waits.remove(token), Some(place));
        assert_eq!((waits.due(), waits.take_check(next + next)), (None, false));
        queue.remove(place, &Budget::new(0), Millis::ZERO);
    }
}
