//! Connections that clients end: when many end at once, the clients that are left come first.
//!
//! epoll reports connections in the order in which they became ready. When a process with 12,000 connections ends, all
//! of them are ready, and a request that arrives then would wait until they are closed, for 0.2 s. So a bounded number
//! of them is handled in each iteration of the loop. The others are not watched any more, which is soon done, and their
//! events wait until an iteration finds few further ones.

use std::collections::VecDeque;

use super::Worker;
use super::accept::MAX_ACCEPTS;
use crate::server::poller::Event;

/// Ends of connections handled in one iteration of the loop, at most. Derived: as many as connections are accepted, so
/// that those that end keep up with those that begin. Closing one costs 16 us of CPU (scenario "teardown" of
/// `benches/end_to_end/tails.py`), so these cost one millisecond.
const MAX_ENDS: u32 = MAX_ACCEPTS;
/// The largest number of events for which the queue keeps memory. Chosen: 32 KiB or so.
const KEPT_CAPACITY: usize = 1024;

/// The ends of connections that are still to be handled.
#[derive(Debug, Default)]
pub struct Ended {
    /// Events of connections that are not watched.
    waiting: VecDeque<Event>,
    /// Ends that may still be handled in this iteration.
    left: u32,
    /// Ends that this iteration has added to those that wait.
    postponed: u32,
}

impl Ended {
    /// Begins an iteration of the loop.
    pub fn begin_iteration(&mut self) {
        (self.left, self.postponed) = (MAX_ENDS, 0);
    }

    /// Whether ends wait.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether one more may be handled before those that wait, which counts it.
    #[must_use]
    pub fn take_turn(&mut self) -> bool {
        let has_turn = self.left > 0 && self.waiting.is_empty();
        self.left -= u32::from(has_turn);
        has_turn
    }

    /// Adds an event; false without memory for it.
    fn push(&mut self, event: Event) -> bool {
        let has_room = self.waiting.try_reserve(1).is_ok();
        if has_room {
            self.waiting.push_back(event);
            self.postponed += 1;
        }
        has_room
    }

    /// The event that has waited longest, if one may be handled in this iteration. Otherwise a crowd is ending, and epoll
    /// is to report the rest of it first.
    #[cold]
    pub fn pop(&mut self) -> Option<Event> {
        if self.left == 0 || self.postponed >= MAX_ENDS {
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
    /// Whether too many connections have ended for this iteration: then this event, by which a client has ended one, has
    /// been put off, and the connection is not watched.
    #[cold]
    pub(super) fn postpones(&mut self, event: Event) -> bool {
        if self.ended.take_turn() {
            return false;
        }
        let Some((_, session)) = self.table.find(event.key) else { return false };
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

    /// The slots of the events that may be handled now.
    fn slots(ended: &mut Ended) -> Vec<Source> {
        std::iter::from_fn(|| ended.pop()).map(|event| event.key).collect()
    }

    #[test]
    fn an_iteration_handles_a_bounded_number_of_ends_oldest_first() {
        let mut ended = Ended::default();
        assert!(!ended.take_turn(), "no iteration has begun");
        ended.begin_iteration();
        assert!((0..MAX_ENDS).all(|_| ended.take_turn()));
        assert!(!ended.take_turn() && ended.push(event(0)));
        assert_eq!(ended.pop().map(|event| event.key), None, "no turn is left");
        ended.begin_iteration();
        assert!(!ended.take_turn(), "another has waited longer");
        assert!((1..MAX_ENDS).all(|slot| ended.push(event(slot))));
        assert_eq!(slots(&mut ended).len(), MAX_ENDS as usize);
        assert!(!ended.has_work() && !ended.take_turn());
    }

    #[test]
    fn ends_wait_until_few_others_follow() {
        let mut ended = Ended::default();
        for slot in [0, MAX_ENDS] {
            ended.begin_iteration();
            assert!((slot..slot + MAX_ENDS).all(|slot| ended.push(event(slot))));
            assert_eq!(slots(&mut ended), [], "a crowd is ending");
        }
        // otherwise a few in each iteration would have these wait for ever
        ended.begin_iteration();
        assert!((1..MAX_ENDS).all(|_| ended.push(event(2 * MAX_ENDS))));
        assert_eq!(slots(&mut ended), (0..MAX_ENDS).map(|slot| event(slot).key).collect::<Vec<_>>());
        assert!(ended.has_work());
    }

    #[test]
    fn an_empty_queue_gives_its_memory_back() {
        let mut ended = Ended::default();
        for slot in 0..4096 {
            assert!(ended.push(event(slot)));
        }
        while ended.has_work() {
            ended.begin_iteration();
            slots(&mut ended);
        }
        assert_eq!(ended.waiting.capacity(), 0);
    }
}
