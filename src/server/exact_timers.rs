//! Timers of connections that must not wait for a sweep: one for each connection that has one, in the order of their
//! times, to the millisecond.
//!
//! [`SweepTimer`](super::timers::SweepTimer) is for timeouts, which may be late by 10 ms or more. The pieces that an
//! impaired connection sends may not. A timer takes up to 140 bytes, which belong to the memory of a connection
//! ([`CONNECTION_MEMORY`](super::config::CONNECTION_MEMORY)).

use std::collections::{BTreeMap, HashMap};

use super::poller::Token;
use crate::connection::Millis;

/// When a timer is due, and which one it is of all that were set.
type Place = (Millis, u64);

/// The timers of the connections of one worker.
#[derive(Debug, Default)]
pub struct ExactTimers {
    /// Each timer, earliest first; those of one millisecond in the order in which they were set.
    in_order: BTreeMap<Place, Token>,
    /// The place of the timer of each connection.
    places: HashMap<Token, Place>,
    /// Timers that were set.
    set: u64,
}

impl ExactTimers {
    /// Sets the timer of a connection, in place of the one that it has; [`Millis::NEVER`] is none. A time that has
    /// passed counts as `now`, so that those that have waited longer are first.
    pub fn set(&mut self, token: Token, due: Millis, now: Millis) {
        let due = due.max(now);
        if self.places.get(&token).is_some_and(|place| place.0 == due) {
            return;
        }
        self.remove(token);
        if due != Millis::NEVER {
            self.set += 1;
            self.places.insert(token, (due, self.set));
            self.in_order.insert((due, self.set), token);
        }
    }

    /// Removes the timer of a connection, if it has one.
    pub fn remove(&mut self, token: Token) {
        // most workers have no timer
        if self.places.is_empty() {
            return;
        }
        if let Some(place) = self.places.remove(&token) {
            self.in_order.remove(&place);
        }
    }

    /// When the first timer is due; `None` if there is none.
    #[must_use]
    pub fn due(&self) -> Option<Millis> {
        self.in_order.first_key_value().map(|((due, _), _)| *due)
    }

    /// Removes the first timer, if it is due before or at `now`; returns its connection.
    pub fn take_due(&mut self, now: Millis) -> Option<Token> {
        let first = self.in_order.first_entry().filter(|first| first.key().0 <= now)?;
        let token = first.remove();
        self.places.remove(&token);
        Some(token)
    }

    /// The number of timers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Frees the memory, when no timer is left.
    pub fn shrink(&mut self) {
        if self.places.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    const ZERO: Millis = Millis::ZERO;

    fn token(slot: u32) -> Token {
        Token { slot, sequence: u64::from(slot) << 40 }
    }

    fn take_all(timers: &mut ExactTimers, now: u64) -> Vec<u32> {
        std::iter::from_fn(|| timers.take_due(Millis::new(now))).map(|token| token.slot).collect()
    }

    #[test]
    fn timers_are_due_in_their_order_to_the_millisecond() {
        let mut timers = ExactTimers::default();
        for (slot, due) in [(1, 30), (2, 10), (3, 20), (4, 11)] {
            timers.set(token(slot), Millis::new(due), ZERO);
        }
        assert_eq!(timers.due(), Some(Millis::new(10)));
        let expected: [&[u32]; 3] = [&[], &[2], &[4, 3]];
        assert_eq!([9, 10, 20].map(|now| take_all(&mut timers, now)), expected);
        assert_eq!((timers.len(), timers.due()), (1, Some(Millis::new(30))));
    }

    #[test]
    fn a_connection_has_one_timer() {
        let mut timers = ExactTimers::default();
        timers.set(token(1), Millis::new(30), ZERO);
        timers.set(token(1), Millis::new(10), ZERO);
        timers.set(token(1), Millis::new(40), ZERO);
        assert_eq!(timers.take_due(Millis::new(39)), None);
        assert_eq!(take_all(&mut timers, 40), [1]);
        timers.set(token(1), Millis::new(50), ZERO);
        timers.set(token(1), Millis::NEVER, ZERO);
        timers.set(token(2), Millis::new(50), ZERO);
        timers.remove(token(2));
        timers.remove(token(3));
        assert_eq!((timers.due(), timers.len()), (None, 0));
    }

    #[test]
    fn one_that_is_due_at_once_comes_after_those_that_are_late() {
        let mut timers = ExactTimers::default();
        timers.set(token(3), Millis::new(11), ZERO);
        timers.set(token(2), Millis::new(10), ZERO);
        timers.set(token(1), ZERO, Millis::new(11));
        assert_eq!(timers.take_due(Millis::new(11)), Some(token(2)));
        timers.set(token(2), ZERO, Millis::new(11));
        assert_eq!(take_all(&mut timers, 11), [3, 1, 2]);
    }

    #[test]
    fn a_reused_slot_has_a_timer_of_its_own() {
        let mut timers = ExactTimers::default();
        let (old, new) = (Token { slot: 1, sequence: 1 }, Token { slot: 1, sequence: 2 });
        timers.set(old, Millis::new(10), ZERO);
        timers.set(new, Millis::new(20), ZERO);
        timers.remove(old);
        assert_eq!((timers.take_due(Millis::new(19)), timers.take_due(Millis::new(20))), (None, Some(new)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is set and removed, the timers that are due are those of a list.
        #[test]
        fn timers_are_those_of_a_list(operations in proptest::collection::vec((0..8u32, 0..40u64, 0..4u8), 1..100)) {
            let (mut timers, mut model, mut now) = (ExactTimers::default(), BTreeMap::<u32, u64>::new(), 0);
            for (slot, time, kind) in operations {
                match kind {
                    0 => {
                        timers.remove(token(slot));
                        model.remove(&slot);
                    }
                    1 => {
                        now += 1;
                        let is_due = |(slot, due): (&u32, &u64)| (*due <= now).then_some(*slot);
                        let mut due: Vec<u32> = model.iter().filter_map(is_due).collect();
                        model.retain(|_, due| *due > now);
                        let mut taken = take_all(&mut timers, now);
                        due.sort_unstable();
                        taken.sort_unstable();
                        prop_assert_eq!(taken, due);
                    }
                    _ => {
                        timers.set(token(slot), Millis::new(time), Millis::new(now));
                        model.insert(slot, time.max(now));
                    }
                }
                prop_assert_eq!(timers.len(), model.len());
                prop_assert_eq!(timers.due(), model.values().min().map(|due| Millis::new(*due)));
            }
        }
    }
}
