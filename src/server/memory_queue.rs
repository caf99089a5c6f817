//! Connections that wait for memory, of all workers, and whose turn it is.
//!
//! A connection that waits is woken only with the memory that it waits for in its hands: the budget is asked first, on
//! its behalf. So freeing memory costs the work of those that can go on, however many wait.
//!
//! Waiting connections are kept by the size of what they ask from the reserve, in classes of a factor of two; of each
//! class the one that has waited longest is next. A connection that needs little does not wait behind one that needs
//! much, and finding the next one looks at one connection of each class. For as long as the one that has waited longest
//! waits, every other period of [`PATIENCE`] is its own: nobody else gets a part of the reserve then, so that small requests do
//! not pass a large one for ever. In between the others are served, because the reserve may be held by a client that sends
//! slowly, and nobody is to wait for that.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::poller::Token;
use crate::connection::{Budget, Charge, Demand};

/// How long a connection is passed by those that need less, in milliseconds. Chosen: a small part of the 30 seconds that
/// clients usually wait for a reply.
pub const PATIENCE: u64 = 2_000;
/// How soon after the last connection has given up waiting another one is taken for a client that tries again, in
/// milliseconds. Chosen: more than the pause that clients make between two tries.
const RETRY: u64 = 10_000;

/// A connection that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// The worker that serves it.
    pub worker: usize,
    /// Its token there.
    pub token: Token,
    /// What it waits for.
    pub demand: Demand,
}

/// A place in the queue: first by size class, then by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    class: u32,
    arrival: u64,
}

#[derive(Debug, Default)]
struct Queue {
    /// With the time since when each waits, in milliseconds.
    waiting: BTreeMap<Place, (Waiter, u64)>,
    arrivals: u64,
    /// When the last connection that waited gave up, in milliseconds; none if it was served.
    gave_up: Option<u64>,
}

/// Connections that wait for memory.
#[derive(Debug, Default)]
pub struct MemoryQueue {
    queue: Mutex<Queue>,
    length: AtomicUsize,
    /// Since when memory has been short, in milliseconds.
    since: AtomicU64,
}

impl MemoryQueue {
    /// Adds a connection at the end; whether it is the only one now.
    pub fn push(&self, waiter: Waiter, now: u64) -> (Place, bool) {
        let mut queue = self.lock();
        let place = Place { class: class_of(waiter.demand), arrival: queue.arrivals };
        queue.arrivals += 1;
        queue.waiting.insert(place, (waiter, now));
        let alone = queue.waiting.len() == 1;
        let goes_on = queue.gave_up.take().is_some_and(|gave_up| now.saturating_sub(gave_up) < RETRY);
        if alone && !goes_on {
            self.since.store(now, Ordering::SeqCst);
        }
        self.length.fetch_add(1, Ordering::SeqCst);
        (place, alone)
    }

    /// Removes a connection that has given up.
    pub fn remove(&self, place: Place, budget: &Budget, now: u64) {
        let mut queue = self.lock();
        if queue.waiting.remove(&place).is_some() {
            queue.gave_up = queue.waiting.is_empty().then_some(now);
            self.length.fetch_sub(1, Ordering::SeqCst);
            budget.keep_reserve(false);
        }
    }

    /// Whether any connection waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length.load(Ordering::SeqCst) == 0
    }

    /// If any connection waits: since when memory has been short, in milliseconds. That does not begin anew when clients give
    /// up and try again.
    #[must_use]
    pub fn since(&self) -> Option<u64> {
        (!self.is_empty()).then(|| self.since.load(Ordering::SeqCst))
    }

    /// Takes out the connection that has waited longest among those that can have what they wait for, with that memory; in
    /// every other period of [`PATIENCE`] only the one that has waited longest of all. `now` is in milliseconds.
    ///
    /// One that waits for more than a lowered limit will ever give is taken out with an empty charge: it has to be told.
    pub fn pop(&self, budget: &Arc<Budget>, now: u64) -> Option<(Waiter, Charge)> {
        let mut queue = self.lock();
        let mut heads = queue.heads();
        heads.sort_unstable_by_key(|(place, ..)| place.arrival);
        let is_urgent = heads.first().is_some_and(|(.., since)| now.saturating_sub(*since) / PATIENCE % 2 == 1);
        heads.truncate(if is_urgent { 1 } else { heads.len() });
        budget.keep_reserve(is_urgent);
        let (place, waiter, charge) = heads.into_iter().find_map(|(place, waiter, _)| {
            let hopeless = waiter.demand.reserve > budget.largest_request();
            let charge = budget.grant(waiter.demand).or_else(|| hopeless.then(|| Charge::new(budget)))?;
            Some((place, waiter, charge))
        })?;
        queue.waiting.remove(&place);
        budget.keep_reserve(false);
        self.length.fetch_sub(1, Ordering::SeqCst);
        Some((waiter, charge))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The connection of each class that has waited longest.
    fn heads(&self) -> Vec<(Place, Waiter, u64)> {
        let mut heads = Vec::new();
        let mut next = self.waiting.iter().next();
        while let Some((place, (waiter, since))) = next {
            heads.push((*place, *waiter, *since));
            next = self.waiting.range(Place { class: place.class + 1, arrival: 0 }..).next();
        }
        heads
    }
}

/// The size class: the binary logarithm of what is asked from the reserve.
fn class_of(demand: Demand) -> u32 {
    demand.reserve.checked_ilog2().map_or(0, |log| log + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(number: u32, shared: usize, reserve: usize) -> Waiter {
        let token = Token { slot: number, sequence: 0 };
        Waiter { worker: 0, token, demand: Demand { shared, reserve } }
    }

    fn pop(queue: &MemoryQueue, budget: &Arc<Budget>) -> Option<(u32, Charge)> {
        pop_at(queue, budget, 0)
    }

    fn pop_at(queue: &MemoryQueue, budget: &Arc<Budget>, now: u64) -> Option<(u32, Charge)> {
        queue.pop(budget, now).map(|(waiter, charge)| (waiter.token.slot, charge))
    }

    /// A budget of 2000 bytes, of which the shared half and `taken` bytes of the reserve are taken.
    fn budget(taken: usize) -> (Arc<Budget>, [Charge; 2]) {
        let budget = Arc::new(Budget::new(2000));
        let shared = budget.grant(Demand { shared: 1000, reserve: 1000 }).expect("all of the shared half");
        let reserve = budget.grant(Demand { shared: 1, reserve: taken }).expect("a part of the reserve");
        (budget, [shared, reserve])
    }

    /// Fault 36: a small demand does not wait behind a large one.
    #[test]
    fn the_first_that_fits_is_next_and_has_its_memory() {
        let (budget, _taken) = budget(400);
        let queue = MemoryQueue::default();
        for (number, reserve) in [(0, 900), (1, 500), (2, 100), (3, 110)] {
            queue.push(waiter(number, 50, reserve), 0);
        }
        let (first, charge) = pop(&queue, &budget).expect("500 of 600 are there");
        assert_eq!((first, charge.bytes()), (1, 500));
        let (second, other) = pop(&queue, &budget).expect("100 of 100 are there");
        assert_eq!((second, other.bytes()), (2, 100));
        assert!(pop(&queue, &budget).is_none(), "nothing is left");
        drop(charge);
        assert_eq!(pop(&queue, &budget).expect("500 are there").0, 3, "900 are not there");
        assert!(!queue.is_empty());
    }

    /// Fault 36: demands of similar size are met in the order of their arrival.
    #[test]
    fn in_a_class_the_order_is_that_of_arrival() {
        let (budget, _taken) = budget(1);
        let queue = MemoryQueue::default();
        for number in 0..3 {
            queue.push(waiter(number, 50, 100 + number as usize), 0);
        }
        let order: Vec<u32> = std::iter::from_fn(|| pop(&queue, &budget).map(|(number, _)| number)).collect();
        assert_eq!(order, [0, 1, 2]);
        assert!(queue.is_empty());
    }

    /// Fault 36: a connection that has gone gets no memory.
    #[test]
    fn a_connection_that_needs_much_is_passed_for_a_bounded_time() {
        let (budget, _taken) = budget(400);
        let queue = MemoryQueue::default();
        let (place, _) = queue.push(waiter(0, 900, 900), 1);
        for number in 1..=4 {
            queue.push(waiter(number, 100, 100), 1);
        }
        let (passing, charge) = pop_at(&queue, &budget, PATIENCE).expect("600 are left");
        assert_eq!(passing, 1);
        drop(charge);
        let mut other = Charge::new(&budget);
        for now in [PATIENCE + 1, 3 * PATIENCE + 1] {
            assert!(pop_at(&queue, &budget, now).is_none(), "now only the one that has waited longest is served");
            assert!(!other.try_grow(100, 100), "and nobody else gets a part of the reserve");
        }
        // in between the others go on
        let (second, second_lease) = pop_at(&queue, &budget, 4 * PATIENCE + 1).expect("600 are left");
        assert_eq!(second, 2);
        assert!(pop_at(&queue, &budget, 5 * PATIENCE + 1).is_none());
        // and when it has gone
        drop(second_lease);
        assert!(budget.take_released_flag());
        queue.remove(place, &budget, 5 * PATIENCE + 2);
        assert!(budget.take_released_flag(), "the others are to be looked at");
        assert_eq!(pop_at(&queue, &budget, PATIENCE).expect("600 are left").0, 3);
        assert!(other.try_grow(100, 100));
    }

    #[test]
    fn clients_that_give_up_and_try_again_do_not_begin_anew() {
        let (budget, _taken) = budget(1);
        let queue = MemoryQueue::default();
        let wait = |now| queue.push(waiter(0, 10, 10), now).0;
        queue.remove(wait(100), &budget, 3_000);
        assert_eq!(queue.since(), None);
        let second = wait(3_000 + RETRY - 1);
        assert_eq!(queue.since(), Some(100), "somebody has waited since then, but for a pause");
        queue.remove(second, &budget, 20_000);
        queue.remove(wait(20_000 + RETRY), &budget, 40_000);
        wait(40_001);
        assert_eq!(queue.since(), Some(20_000 + RETRY));
        assert!(pop(&queue, &budget).is_some());
        wait(40_002);
        assert_eq!(queue.since(), Some(40_002), "who waited was served");
    }

    #[test]
    fn a_connection_that_needs_much_is_served_in_the_end() {
        let (budget, taken) = budget(400);
        let queue = MemoryQueue::default();
        queue.push(waiter(0, 900, 900), 0);
        queue.push(waiter(1, 100, 100), 0);
        assert!(pop_at(&queue, &budget, PATIENCE).is_none());
        let [shared, reserve] = taken;
        drop(reserve);
        let (first, charge) = pop_at(&queue, &budget, PATIENCE).expect("all of the reserve is left");
        assert_eq!((first, charge.bytes()), (0, 900));
        assert_eq!(pop_at(&queue, &budget, PATIENCE).expect("100 are left").0, 1);
        drop(shared);
    }

    #[test]
    fn a_connection_that_has_gone_is_not_served() {
        let (budget, _taken) = budget(1);
        let queue = MemoryQueue::default();
        assert_eq!(queue.since(), None);
        let (place, alone) = queue.push(waiter(0, 10, 10), 7);
        assert!(alone && !queue.push(waiter(1, 10, 10), 8).1);
        assert_eq!(queue.since(), Some(7));
        queue.remove(place, &budget, 9);
        queue.remove(place, &budget, 9);
        assert_eq!(pop(&queue, &budget).expect("the other").0, 1);
        assert!(pop(&queue, &budget).is_none() && queue.is_empty());
        assert_eq!(budget.used(), 1001, "what was granted has come back");
    }

    /// Fault 36: a demand that a lowered limit can never meet.
    #[test]
    fn more_than_a_lowered_limit_can_give_is_told_so() {
        let (budget, _taken) = budget(1);
        let queue = MemoryQueue::default();
        queue.push(waiter(0, 10, 900), 0);
        budget.resize(1800);
        assert!(pop(&queue, &budget).is_none(), "900 are what it can give");
        budget.resize(1000);
        let (number, charge) = pop(&queue, &budget).expect("taken out all the same");
        assert_eq!((number, charge.bytes()), (0, 0));
    }
}
