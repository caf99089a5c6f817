//! Connections that wait for memory, of all workers, and whose turn it is.
//!
//! A connection that waits is woken only with the memory that it waits for in its hands: the budget is asked first, on
//! its behalf. So freeing memory costs the work of those that can go on, however many wait.
//!
//! Waiting connections are kept by the size of what they ask from the reserve, in classes of a factor of two; of each
//! class the one that has waited longest is next. A connection that needs little does not wait behind one that needs
//! much, and finding the next one looks at one connection of each class.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::poller::Token;
use crate::connection::{Budget, Demand, Lease};

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
    waiting: BTreeMap<Place, Waiter>,
    arrivals: u64,
}

/// Connections that wait for memory.
#[derive(Debug, Default)]
pub struct MemoryQueue {
    queue: Mutex<Queue>,
    length: AtomicUsize,
    /// When the queue last became other than empty, in milliseconds.
    since: AtomicU64,
}

impl MemoryQueue {
    /// Adds a connection at the end; whether it is the only one now.
    pub fn push(&self, waiter: Waiter, now: u64) -> (Place, bool) {
        let mut queue = self.lock();
        let place = Place { class: class_of(waiter.demand), arrival: queue.arrivals };
        queue.arrivals += 1;
        queue.waiting.insert(place, waiter);
        let alone = queue.waiting.len() == 1;
        if alone {
            self.since.store(now, Ordering::SeqCst);
        }
        self.length.fetch_add(1, Ordering::SeqCst);
        (place, alone)
    }

    /// Removes a connection that waits no longer.
    pub fn remove(&self, place: Place) {
        if self.lock().waiting.remove(&place).is_some() {
            self.length.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Whether any connection waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length.load(Ordering::SeqCst) == 0
    }

    /// Since when there has always been a connection that waits, in milliseconds.
    #[must_use]
    pub fn since(&self) -> Option<u64> {
        (!self.is_empty()).then(|| self.since.load(Ordering::SeqCst))
    }

    /// Takes out the connection that has waited longest among those that can have what they wait for, with that memory.
    ///
    /// One that waits for more than a lowered limit will ever give is taken out with an empty lease: it has to be told.
    pub fn pop(&self, budget: &Arc<Budget>) -> Option<(Waiter, Lease)> {
        let mut queue = self.lock();
        let mut heads = queue.heads();
        heads.sort_unstable_by_key(|(place, _)| place.arrival);
        let (place, waiter, lease) = heads.into_iter().find_map(|(place, waiter)| {
            let hopeless = waiter.demand.reserve > budget.largest_request();
            let lease = budget.grant(waiter.demand).or_else(|| hopeless.then(|| Lease::new(budget)))?;
            Some((place, waiter, lease))
        })?;
        queue.waiting.remove(&place);
        self.length.fetch_sub(1, Ordering::SeqCst);
        Some((waiter, lease))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The connection of each class that has waited longest.
    fn heads(&self) -> Vec<(Place, Waiter)> {
        let mut heads = Vec::new();
        let mut next = self.waiting.iter().next();
        while let Some((place, waiter)) = next {
            heads.push((*place, *waiter));
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

    fn pop(queue: &MemoryQueue, budget: &Arc<Budget>) -> Option<(u32, Lease)> {
        queue.pop(budget).map(|(waiter, lease)| (waiter.token.slot, lease))
    }

    /// A budget of 2000 bytes, of which the shared half and `taken` bytes of the reserve are taken.
    fn budget(taken: usize) -> (Arc<Budget>, [Lease; 2]) {
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
        let (first, lease) = pop(&queue, &budget).expect("500 of 600 are there");
        assert_eq!((first, lease.held()), (1, 500));
        let (second, other) = pop(&queue, &budget).expect("100 of 100 are there");
        assert_eq!((second, other.held()), (2, 100));
        assert!(pop(&queue, &budget).is_none(), "nothing is left");
        drop(lease);
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
    fn a_connection_that_has_gone_is_not_served() {
        let (budget, _taken) = budget(1);
        let queue = MemoryQueue::default();
        assert_eq!(queue.since(), None);
        let (place, alone) = queue.push(waiter(0, 10, 10), 7);
        assert!(alone && !queue.push(waiter(1, 10, 10), 8).1);
        assert_eq!(queue.since(), Some(7));
        queue.remove(place);
        queue.remove(place);
        assert_eq!(pop(&queue, &budget).expect("the other").0, 1);
        assert!(pop(&queue, &budget).is_none() && queue.is_empty());
        assert_eq!(budget.taken(), 1001, "what was granted has come back");
    }

    /// Fault 36: a demand that a lowered limit can never meet.
    #[test]
    fn more_than_a_lowered_limit_can_give_is_told_so() {
        let (budget, _taken) = budget(1);
        let queue = MemoryQueue::default();
        queue.push(waiter(0, 10, 900), 0);
        budget.resize(1000);
        let (number, lease) = pop(&queue, &budget).expect("taken out all the same");
        assert_eq!((number, lease.held()), (0, 0));
    }
}
