//! Connections that clients end: when many end at once, the clients that are left come first.
//!
//! epoll reports connections in the order in which they became ready. When a process with 12,000 connections ends, all
//! of them are ready, and a request that arrives then would wait until they are closed, for 0.2 s. So a bounded number
//! of them is handled in each iteration of the loop; the others are not watched meanwhile and wait here.

use std::collections::VecDeque;
use std::time::Instant;

use super::Worker;
use super::accept::MAX_ACCEPTS;
use super::steps::MAX_STEP_TIME;
use crate::server::poller::Event;

/// Ends of connections handled in one iteration of the loop, at most. Derived: as many as connections are accepted, so
/// that those that end keep up with those that begin. Closing one costs 16 us of CPU (scenario "teardown" of
/// `benches/end_to_end/tails.py`), so these cost one millisecond.
const MAX_ENDS: u32 = MAX_ACCEPTS;
/// The largest number of events for which the queue keeps memory. Chosen: 16 KiB or so.
const KEPT_CAPACITY: usize = 1024;

/// The ends of connections that are still to be handled.
#[derive(Debug, Default)]
pub struct Ended {
    /// Events of connections that are not watched.
    waiting: VecDeque<Event>,
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

    /// Whether one more may be handled in this iteration before those that wait, which counts it.
    #[must_use]
    pub fn take_turn(&mut self) -> bool {
        let has_turn = self.left > 0 && self.waiting.is_empty();
        self.left -= u32::from(has_turn);
        has_turn
    }

    /// Adds an event of a connection that is not watched; false without memory for it.
    fn push(&mut self, event: Event) -> bool {
        let has_room = self.waiting.try_reserve(1).is_ok();
        if has_room {
            self.waiting.push_back(event);
        }
        has_room
    }

    /// The event that has waited longest, if one may be handled in this iteration.
    fn pop(&mut self) -> Option<Event> {
        if self.left == 0 {
            return None;
        }
        let event = self.waiting.pop_front()?;
        self.left -= 1;
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_CAPACITY {
            self.waiting = VecDeque::new();
        }
        Some(event)
    }
}

impl Worker {
    /// Handles an event of a connection that its client has ended, unless too many have ended for this iteration: then
    /// the connection is not watched until its turn comes.
    pub(super) fn on_end(&mut self, event: Event) {
        if self.ended.take_turn() || !self.postpone(event) {
            self.on_connection_event(event);
        }
    }

    /// Handles the ends of connections that have waited.
    pub(super) fn handle_ended(&mut self) {
        if !self.ended.has_work() {
            return;
        }
        let begun = Instant::now();
        while let Some(event) = self.ended.pop() {
            // otherwise it has closed, or a call has had it watched again: then epoll reports its end again
            if self.table.find(event.key).is_some_and(|(_, session)| session.interest.is_none()) {
                self.on_connection_event(event);
            }
            if begun.elapsed() >= MAX_STEP_TIME {
                return;
            }
        }
    }

    /// Stops watching the connection of an event, and has it wait; false where that is impossible.
    fn postpone(&mut self, event: Event) -> bool {
        let Some((_, session)) = self.table.find(event.key) else { return true };
        if !self.ended.push(event) {
            return false;
        }
        // epoll reports the end of one that is still watched again
        if self.driver.poller.remove(session.stream.get_ref()).is_ok() {
            session.interest = None;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::poller::Source;

    fn event(slot: u32) -> Event {
        Event { key: Source::Connection(slot, 0), readable: true, writable: false, hung_up: false, ended: true }
    }

    #[test]
    fn an_iteration_handles_a_bounded_number_of_ends_oldest_first() {
        let mut ended = Ended::default();
        assert!(!ended.take_turn(), "no iteration has begun");
        ended.begin_iteration();
        assert!(ended.take_turn());
        for slot in 0..2 * MAX_ENDS {
            assert!(ended.push(event(slot)));
        }
        assert!(!ended.take_turn(), "others wait");
        let slots: Vec<Source> = std::iter::from_fn(|| ended.pop()).map(|event| event.key).collect();
        assert_eq!(slots, (0..MAX_ENDS - 1).map(|slot| event(slot).key).collect::<Vec<_>>());
        assert!(ended.has_work());
        ended.begin_iteration();
        assert_eq!(ended.pop().map(|event| event.key), Some(event(MAX_ENDS - 1).key));
    }

    #[test]
    fn an_empty_queue_gives_its_memory_back() {
        let mut ended = Ended::default();
        for slot in 0..4096 {
            assert!(ended.push(event(slot)));
        }
        while ended.has_work() {
            ended.begin_iteration();
            while ended.pop().is_some() {}
        }
        assert_eq!(ended.waiting.capacity(), 0);
    }
}
