//! The queue of connections, of all workers, that wait for memory.
//!
//! A connection that waits is woken only together with the memory that it waits for: the queue takes it from the budget
//! on the connection's behalf. So the cost of freeing memory depends on the connections that can continue, and not on
//! the number that wait.
//!
//! Waiting connections are ordered by the size of their demand from the reserve, in classes of a factor of two; in each
//! class the one that has waited longest is next. A connection that needs little does not wait behind one that needs
//! much, and finding the next one examines one connection of each class. While the connection that has waited longest
//! waits, every other period of [`PRIORITY_PERIOD`] is reserved for it: no other connection gets a part of the reserve
//! then, so that small requests do not overtake a large one for ever. In the periods between, the others are served,
//! because the reserve may be held by a client that sends slowly, and no connection should wait for that.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard};

use super::poller::Token;
use super::sync::{Mutex, lock};
use crate::connection::{Budget, Charge, Demand, Millis};

/// The time for which connections that need less overtake one that has waited longer. Chosen: a small part of the 30
/// seconds that clients usually wait for a reply.
pub const PRIORITY_PERIOD: Millis = Millis::new(2_000);
/// A connection that begins to wait within this time after the last one gave up is taken for a retry of its client.
/// Chosen: more than the usual pause of clients between two tries.
const RETRY_WINDOW: Millis = Millis::new(10_000);

/// A connection that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// The worker that serves it.
    pub worker: usize,
    /// Its token there.
    pub token: Token,
    /// The memory that it waits for.
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
    /// Each with the time at which it began to wait.
    waiting: BTreeMap<Place, (Waiter, Millis)>,
    arrivals: u64,
    /// When the last connection that waited gave up; `None` if it was served.
    gave_up: Option<Millis>,
}

/// Connections that wait for memory.
#[derive(Debug, Default)]
pub struct MemoryQueue {
    queue: Mutex<Queue>,
    length: AtomicUsize,
    /// When memory became short, in milliseconds.
    since: AtomicU64,
}

impl MemoryQueue {
    /// Adds a connection; returns its place, and whether it is the only one.
    pub fn push(&self, waiter: Waiter, now: Millis) -> (Place, bool) {
        let mut queue = self.lock();
        let place = Place { class: class_of(waiter.demand), arrival: queue.arrivals };
        queue.arrivals += 1;
        queue.waiting.insert(place, (waiter, now));
        let alone = queue.waiting.len() == 1;
        let continues = queue.gave_up.take().is_some_and(|gave_up| now - gave_up < RETRY_WINDOW);
        if alone && !continues {
            self.since.store(now.get(), Ordering::SeqCst);
        }
        self.length.fetch_add(1, Ordering::SeqCst);
        (place, alone)
    }

    /// Removes a connection that has given up.
    pub fn remove(&self, place: Place, budget: &Budget, now: Millis) {
        let mut queue = self.lock();
        if queue.waiting.remove(&place).is_some() {
            queue.gave_up = queue.waiting.is_empty().then_some(now);
            self.length.fetch_sub(1, Ordering::SeqCst);
            budget.keep_reserve(false);
        }
    }

    /// The number of connections that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length.load(Ordering::SeqCst)
    }

    /// Whether any connection waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// If any connection waits: the time at which memory became short. That stays when clients give up and try again.
    #[must_use]
    pub fn since(&self) -> Option<Millis> {
        (!self.is_empty()).then(|| Millis::new(self.since.load(Ordering::SeqCst)))
    }

    /// Removes the connection that has waited longest among those whose demand the budget can meet, and returns it with
    /// that memory; in every other period of [`PRIORITY_PERIOD`] only the one that has waited longest of all.
    ///
    /// A connection whose demand a lowered limit can never meet is returned with an empty charge, so that it can be
    /// closed.
    pub fn pop(&self, budget: &Arc<Budget>, now: Millis) -> Option<(Waiter, Charge)> {
        let mut queue = self.lock();
        let mut heads = queue.heads();
        heads.sort_unstable_by_key(|(place, ..)| place.arrival);
        let periods = |since| (now - since).get() / PRIORITY_PERIOD.get();
        let is_urgent = heads.first().is_some_and(|(.., since)| periods(*since) % 2 == 1);
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
        lock(&self.queue)
    }
}

impl Queue {
    /// The connection of each class that has waited longest.
    fn heads(&self) -> Vec<(Place, Waiter, Millis)> {
        let mut heads = Vec::new();
        let mut next = self.waiting.iter().next();
        while let Some((place, (waiter, since))) = next {
            heads.push((*place, *waiter, *since));
            next = self.waiting.range(Place { class: place.class + 1, arrival: 0 }..).next();
        }
        heads
    }
}

/// The size class: the binary logarithm of the demand from the reserve.
fn class_of(demand: Demand) -> u32 {
    demand.reserve.checked_ilog2().map_or(0, |log| log + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The period and the window, in milliseconds.
    const PERIOD: u64 = PRIORITY_PERIOD.get();
    const WINDOW: u64 = RETRY_WINDOW.get();

    fn waiter(number: u32, shared: usize, reserve: usize) -> Waiter {
        let token = Token { slot: number, sequence: 0 };
        Waiter { worker: 0, token, demand: Demand { shared, reserve } }
    }

    fn pop(queue: &MemoryQueue, budget: &Arc<Budget>) -> Option<(u32, Charge)> {
        pop_at(queue, budget, 0)
    }

    fn pop_at(queue: &MemoryQueue, budget: &Arc<Budget>, now: u64) -> Option<(u32, Charge)> {
        queue.pop(budget, Millis::new(now)).map(|(waiter, charge)| (waiter.token.slot, charge))
    }

    /// A budget of 2000 bytes, of which the shared half and `taken` bytes of the reserve are taken.
    fn budget(taken: usize) -> (Arc<Budget>, [Charge; 2]) {
        let budget = Arc::new(Budget::new(2000));
        let shared = budget.grant(Demand { shared: 1000, reserve: 1000 }).expect("all of the shared half");
        let reserve = budget.grant(Demand { shared: 1, reserve: taken }).expect("a part of the reserve");
        (budget, [shared, reserve])
    }

    #[test]
    fn a_small_demand_does_not_wait_behind_a_large_one() {
        let (budget, _taken) = budget(400);
        let queue = MemoryQueue::default();
        for (number, reserve) in [(0, 900), (1, 500), (2, 100), (3, 110)] {
            queue.push(waiter(number, 50, reserve), Millis::ZERO);
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

    #[test]
    fn demands_of_one_size_class_are_met_in_order_of_arrival() {
        let (budget, _taken) = budget(1);
        let queue = MemoryQueue::default();
        for number in 0..3 {
            queue.push(waiter(number, 50, 100 + number as usize), Millis::ZERO);
        }
        let order: Vec<u32> = std::iter::from_fn(|| pop(&queue, &budget).map(|(number, _)| number)).collect();
        assert_eq!(order, [0, 1, 2]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_large_demand_is_overtaken_for_a_bounded_time() {
        let (budget, _taken) = budget(400);
        let queue = MemoryQueue::default();
        let (place, _) = queue.push(waiter(0, 900, 900), Millis::new(1));
        for number in 1..=4 {
            queue.push(waiter(number, 100, 100), Millis::new(1));
        }
        let (overtaking, charge) = pop_at(&queue, &budget, PERIOD).expect("600 are left");
        assert_eq!(overtaking, 1);
        drop(charge);
        let mut other = Charge::new(&budget);
        for now in [PERIOD + 1, 3 * PERIOD + 1] {
            assert!(pop_at(&queue, &budget, now).is_none(), "only the one that has waited longest is served now");
            assert!(!other.try_grow(100, 100), "and no other connection gets a part of the reserve");
        }
        // in the periods between, the others continue
        let (second, second_lease) = pop_at(&queue, &budget, 4 * PERIOD + 1).expect("600 are left");
        assert_eq!(second, 2);
        assert!(pop_at(&queue, &budget, 5 * PERIOD + 1).is_none());
        // and when it has closed
        drop(second_lease);
        assert!(budget.take_released_flag());
        queue.remove(place, &budget, Millis::new(5 * PERIOD + 2));
        assert!(budget.take_released_flag(), "the others must be examined again");
        assert_eq!(pop_at(&queue, &budget, PERIOD).expect("600 are left").0, 3);
        assert!(other.try_grow(100, 100));
    }

    #[test]
    fn a_client_that_gives_up_and_retries_does_not_restart_the_time_of_contention() {
        let (budget, _taken) = budget(1);
        let queue = MemoryQueue::default();
        let wait = |now| queue.push(waiter(0, 10, 10), Millis::new(now)).0;
        queue.remove(wait(100), &budget, Millis::new(3_000));
        assert_eq!(queue.since(), None);
        let second = wait(3_000 + WINDOW - 1);
        assert_eq!(queue.since(), Some(Millis::new(100)), "a client has waited since then, but for a pause");
        queue.remove(second, &budget, Millis::new(20_000));
        queue.remove(wait(20_000 + WINDOW), &budget, Millis::new(40_000));
        wait(40_001);
        assert_eq!(queue.since(), Some(Millis::new(20_000 + WINDOW)));
        assert!(pop(&queue, &budget).is_some());
        wait(40_002);
        assert_eq!(queue.since(), Some(Millis::new(40_002)), "the one that waited was served");
    }

    #[test]
    fn a_large_demand_is_met_when_the_reserve_is_free() {
        let (budget, taken) = budget(400);
        let queue = MemoryQueue::default();
        queue.push(waiter(0, 900, 900), Millis::ZERO);
        queue.push(waiter(1, 100, 100), Millis::ZERO);
        assert!(pop_at(&queue, &budget, PERIOD).is_none());
        let [shared, reserve] = taken;
        drop(reserve);
        let (first, charge) = pop_at(&queue, &budget, PERIOD).expect("all of the reserve is left");
        assert_eq!((first, charge.bytes()), (0, 900));
        assert_eq!(pop_at(&queue, &budget, PERIOD).expect("100 are left").0, 1);
        drop(shared);
    }

    #[test]
    fn a_connection_that_has_closed_gets_no_memory() {
        let (budget, _taken) = budget(1);
        let queue = MemoryQueue::default();
        assert_eq!(queue.since(), None);
        let (place, alone) = queue.push(waiter(0, 10, 10), Millis::new(7));
        assert!(alone && !queue.push(waiter(1, 10, 10), Millis::new(8)).1);
        assert_eq!(queue.since(), Some(Millis::new(7)));
        queue.remove(place, &budget, Millis::new(9));
        queue.remove(place, &budget, Millis::new(9));
        assert_eq!(pop(&queue, &budget).expect("the other").0, 1);
        assert!(pop(&queue, &budget).is_none() && queue.is_empty());
        assert_eq!(budget.used(), 1001, "the memory that was granted was given back");
    }

    #[test]
    fn a_demand_that_a_lowered_limit_can_never_meet_is_returned_without_memory() {
        let (budget, _taken) = budget(1);
        let queue = MemoryQueue::default();
        queue.push(waiter(0, 10, 900), Millis::ZERO);
        budget.resize(1800);
        assert!(pop(&queue, &budget).is_none(), "the reserve has 900, and they are taken");
        budget.resize(1000);
        let (number, charge) = pop(&queue, &budget).expect("returned although there is no memory");
        assert_eq!((number, charge.bytes()), (0, 0));
    }
}
