//! Connections that clients end: when many end at once, the clients that are left come first.
//!
//! epoll reports connections in the order in which they became ready. When a process with 12,000 connections ends, all
//! of them are ready, and a request that arrives then would wait until they are closed, for 0.2 s. So a bounded number
//! of them is handled in each iteration of the loop. The others are not watched until an iteration finds no further
//! ones: then a part of them is watched again, and has its turns when epoll reports it.

use std::collections::VecDeque;

use super::Worker;
use super::accept::MAX_ACCEPTS;
use crate::connection::Next;
use crate::server::poller::{Event, Source};

/// Ends of connections handled in one iteration of the loop, at most. Derived: as many as connections are accepted, so
/// that those that end keep up with those that begin. Closing one costs 16 us of CPU (scenario "teardown" of
/// `benches/end_to_end/tails.py`), so these cost one millisecond.
const MAX_ENDS: u32 = MAX_ACCEPTS;
/// The largest number of connections for which the queue keeps memory. Chosen: 16 KiB or so.
const KEPT_CAPACITY: usize = 1024;

/// The ends of connections that are still to be handled.
#[derive(Debug, Default)]
pub struct Ended {
    /// Connections that are not watched.
    waiting: VecDeque<Source>,
    /// Ends that may still be handled; while connections wait, only as many as were watched again.
    left: u32,
    /// This iteration has had connections wait.
    has_postponed: bool,
}

impl Ended {
    /// Begins an iteration of the loop.
    pub fn begin_iteration(&mut self) {
        if self.waiting.is_empty() {
            self.left = MAX_ENDS;
        }
        self.has_postponed = false;
    }

    /// Whether connections wait.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether one more may be handled, which counts it.
    #[must_use]
    pub fn take_turn(&mut self) -> bool {
        let has_turn = self.left > 0;
        self.left -= u32::from(has_turn);
        has_turn
    }

    /// Adds a connection; false without memory for it.
    fn push(&mut self, connection: Source) -> bool {
        let has_room = self.waiting.try_reserve(1).is_ok();
        if has_room {
            self.waiting.push_back(connection);
            self.has_postponed = true;
        }
        has_room
    }

    /// The connection that has waited longest, if there is a turn for it in the next iteration.
    fn pop(&mut self) -> Option<Source> {
        if self.has_postponed || self.left == MAX_ENDS {
            return None;
        }
        let connection = self.waiting.pop_front()?;
        self.left += 1;
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_CAPACITY {
            self.waiting = VecDeque::new();
        }
        Some(connection)
    }
}

impl Worker {
    /// Whether too many connections have ended for this iteration: then that of an event, which its client has ended, is
    /// not watched until its turn comes.
    pub(super) fn postpones(&mut self, event: Event) -> bool {
        !self.ended.take_turn() && self.postpone(event.key)
    }

    /// Stops watching a connection, and has it wait; false where that is impossible.
    fn postpone(&mut self, connection: Source) -> bool {
        let Some((_, session)) = self.table.find(connection) else { return true };
        if !self.ended.push(connection) {
            return false;
        }
        // epoll reports the end of one that is still watched again
        if self.driver.poller.remove(session.stream.get_ref()).is_ok() {
            session.interest = None;
        }
        true
    }

    /// Has connections watched again that have waited, as many as the next iteration has turns for.
    pub(super) fn watch_ended(&mut self) {
        while let Some(connection) = self.ended.pop() {
            let Some((token, session)) = self.table.find(connection) else { continue };
            let next = self.driver.watch(token, session, Next::Wait);
            self.take_step(token, next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(slot: u32) -> Source {
        Source::Connection(slot, 0)
    }

    #[test]
    fn an_iteration_handles_a_bounded_number_of_ends_oldest_first() {
        let mut ended = Ended::default();
        assert!(!ended.take_turn(), "no iteration has begun");
        ended.begin_iteration();
        while ended.take_turn() {}
        for slot in 0..2 * MAX_ENDS {
            assert!(ended.push(connection(slot)));
        }
        assert_eq!(ended.pop(), None, "there may be more that end now");
        ended.begin_iteration();
        assert!(!ended.take_turn(), "others have waited longer");
        let popped: Vec<Source> = std::iter::from_fn(|| ended.pop()).collect();
        assert_eq!(popped, (0..MAX_ENDS).map(connection).collect::<Vec<_>>());
        ended.begin_iteration();
        assert!((0..MAX_ENDS).all(|_| ended.take_turn()));
        assert!(!ended.take_turn() && ended.has_work());
    }

    #[test]
    fn an_empty_queue_gives_its_memory_back() {
        let mut ended = Ended::default();
        for slot in 0..4096 {
            assert!(ended.push(connection(slot)));
        }
        while ended.has_work() {
            ended.begin_iteration();
            while ended.pop().is_some() {}
            while ended.take_turn() {}
        }
        assert_eq!(ended.waiting.capacity(), 0);
    }
}
