//! Connections that clients end: when many end at once, the clients that are left come first.
//!
//! epoll reports connections in the order in which they became ready. When a process with 12,000 connections ends, all
//! of them are ready, and a request that arrives then would wait until they are closed, for 0.2 s. So a bounded number
//! of them is handled in each iteration of the loop. The others are not watched until an iteration has turns left: then
//! epoll reports them again.

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
    /// Ends that may still be handled in this iteration.
    left: u32,
}

impl Ended {
    /// Begins an iteration of the loop.
    pub fn begin_iteration(&mut self) {
        self.left = MAX_ENDS;
    }

    /// Whether connections wait.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether one more may be handled in this iteration, which counts it.
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
        }
        has_room
    }

    /// The connection that has waited longest, if there is a turn for it.
    fn pop(&mut self) -> Option<Source> {
        if self.waiting.is_empty() || !self.take_turn() {
            return None;
        }
        let connection = self.waiting.pop_front();
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_CAPACITY {
            self.waiting = VecDeque::new();
        }
        connection
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

    /// Has connections watched again that have waited, as many as this iteration has turns left.
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
        for slot in 0..2 * MAX_ENDS {
            assert!(ended.push(connection(slot)));
        }
        ended.begin_iteration();
        assert!(ended.take_turn());
        let popped: Vec<Source> = std::iter::from_fn(|| ended.pop()).collect();
        assert_eq!(popped, (0..MAX_ENDS - 1).map(connection).collect::<Vec<_>>());
        assert!(!ended.take_turn() && ended.has_work());
        ended.begin_iteration();
        assert_eq!(ended.pop(), Some(connection(MAX_ENDS - 1)));
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
        }
        assert_eq!(ended.waiting.capacity(), 0);
    }
}
