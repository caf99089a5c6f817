//! How much memory all connections together may hold.
//!
//! The budget has two halves. From the *shared* half a connection takes as its bytes arrive. When that is used up, a
//! connection that wants more asks the *reserve* for all that its request can still need, at once; if that is not
//! there, the connection waits, and is not read from.
//!
//! Why this cannot lock up: a connection with a grant from the reserve needs nothing more, so its request ends by
//! itself (the client sends the rest, or the deadline passes) and gives everything back. No request may need more than
//! the whole reserve, so when all grants have ended, the next connection that waits gets its own. No connection that
//! waits holds a grant. So that new requests do not take the reserve again and again before a connection that waits, it
//! can be kept for those that wait ([`Budget::keep_reserve`]).
//!
//! What a connection already holds when it turns out to be too much ([`Charge::set_unchecked`]: replies that the client
//! does not take) is charged all the same. The shared half then goes below zero, and [`Budget::is_exhausted`] makes the
//! readers read little at a time, so that each connection exceeds the budget by a constant at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// The memory that all connections share, in bytes.
#[derive(Debug)]
pub struct Budget {
    shared: AtomicI64,
    reserve: AtomicI64,
    /// The size of each half.
    half: AtomicI64,
    /// New requests get nothing from the reserve.
    reserve_is_kept: AtomicBool,
    released: AtomicBool,
}

/// The memory that a connection waits for, in bytes: either of the two lets it continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// From the shared half, for the next step.
    pub shared: usize,
    /// From the reserve, for all that the request can still need.
    pub reserve: usize,
}

impl Budget {
    /// A budget of `bytes`; `u64::MAX` is no limit.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let half = half_of(bytes);
        Self {
            shared: AtomicI64::new(half),
            reserve: AtomicI64::new(half),
            half: AtomicI64::new(half),
            reserve_is_kept: AtomicBool::new(false),
            released: AtomicBool::new(false),
        }
    }

    /// The most bytes that one request and its reply may need: the size of the reserve.
    #[must_use]
    pub fn largest_request(&self) -> usize {
        usize::try_from(self.half.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Changes the size to `bytes`; charges stay.
    pub fn resize(&self, bytes: u64) {
        let half = half_of(bytes);
        let more = half - self.half.swap(half, Ordering::Relaxed);
        self.shared.fetch_add(more, Ordering::Relaxed);
        self.reserve.fetch_add(more, Ordering::Relaxed);
    }

    /// Whether the shared half is used up.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.shared.load(Ordering::Relaxed) <= 0
    }

    /// Whether at most a quarter of the shared half is used.
    #[must_use]
    pub fn has_slack(&self) -> bool {
        let half = self.half.load(Ordering::Relaxed);
        self.shared.load(Ordering::Relaxed) >= half - half / 4
    }

    /// Whether anything was given back since the last call.
    #[must_use]
    pub fn take_released_flag(&self) -> bool {
        self.released.load(Ordering::SeqCst) && self.released.swap(false, Ordering::SeqCst)
    }

    /// Makes the next [`Budget::take_released_flag`] return true, as if something had been given back.
    pub fn set_released_flag(&self) {
        self.released.store(true, Ordering::SeqCst);
    }

    /// While `kept`, the reserve is only for connections that wait for it ([`Budget::grant`]).
    pub fn keep_reserve(&self, kept: bool) {
        if self.reserve_is_kept.swap(kept, Ordering::SeqCst) && !kept {
            // connections that were refused meanwhile get another look
            self.set_released_flag();
        }
    }

    /// Takes what a connection waits for, if it is there. [`Charge::absorb`] adds it to the connection's charge.
    #[must_use]
    pub fn grant(self: &Arc<Self>, demand: Demand) -> Option<Charge> {
        let mut charge = Charge::new(self);
        (charge.take_shared(demand.shared) || charge.take_grant(demand.reserve)).then_some(charge)
    }

    /// The size, in bytes; `None` is no limit.
    #[must_use]
    pub fn limit(&self) -> Option<u64> {
        let half = self.half.load(Ordering::Relaxed);
        if half == UNLIMITED_HALF { None } else { u64::try_from(2 * half).ok() }
    }

    /// Bytes that are charged.
    #[must_use]
    pub fn used(&self) -> i64 {
        let whole = 2 * self.half.load(Ordering::Relaxed);
        whole - self.shared.load(Ordering::Relaxed) - self.reserve.load(Ordering::Relaxed)
    }
}

/// Half of a budget without a limit. Derived: more than any machine has, and far from an overflow of sums.
const UNLIMITED_HALF: i64 = i64::MAX / 4;

/// Half of the budget.
fn half_of(bytes: u64) -> i64 {
    i64::try_from(bytes / 2).unwrap_or(i64::MAX).min(UNLIMITED_HALF)
}

fn take(from: &AtomicI64, bytes: usize) -> bool {
    let bytes = signed(bytes);
    from.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| (left >= bytes).then(|| left - bytes)).is_ok()
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX / 4)
}

/// The part of the budget that one connection uses; given back when dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    shared: usize,
    granted: usize,
}

impl Charge {
    /// A charge of nothing.
    #[must_use]
    pub fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), shared: 0, granted: 0 }
    }

    /// Bytes that are charged.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared + self.granted
    }

    /// Raises the charge to `bytes`, of a request that needs at most `whole` bytes in all. False if the budget has too
    /// little.
    pub fn try_grow(&mut self, bytes: usize, whole: usize) -> bool {
        self.bytes() >= bytes || self.take_shared(bytes) || self.may_take_grant() && self.take_grant(whole.max(bytes))
    }

    /// Raises the charge to `bytes` from the shared half alone. False if that has too little.
    pub fn try_grow_shared(&mut self, bytes: usize) -> bool {
        self.bytes() >= bytes || self.take_shared(bytes)
    }

    /// A connection that has a grant does not wait for more, so that grants end.
    fn may_take_grant(&self) -> bool {
        self.granted > 0 || !self.budget.reserve_is_kept.load(Ordering::SeqCst)
    }

    fn take_shared(&mut self, bytes: usize) -> bool {
        let more = bytes - self.bytes();
        let is_taken = take(&self.budget.shared, more);
        self.shared += if is_taken { more } else { 0 };
        is_taken
    }

    fn take_grant(&mut self, whole: usize) -> bool {
        let more = whole - self.bytes();
        let is_taken = take(&self.budget.reserve, more);
        self.granted += if is_taken { more } else { 0 };
        is_taken
    }

    /// What is missing for a charge of `bytes`, of a request that needs at most `whole` bytes in all.
    #[must_use]
    pub fn demand(&self, bytes: usize, whole: usize) -> Demand {
        let missing = |bytes: usize| bytes.saturating_sub(self.bytes());
        Demand { shared: missing(bytes), reserve: missing(whole.max(bytes)) }
    }

    /// Adds another charge of the same budget.
    pub fn absorb(&mut self, mut other: Charge) {
        self.shared += std::mem::take(&mut other.shared);
        self.granted += std::mem::take(&mut other.granted);
    }

    /// Splits off a charge of `bytes`, or of all there is where that is less.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Charge {
        let granted = bytes.min(self.granted);
        let shared = (bytes - granted).min(self.shared);
        self.granted -= granted;
        self.shared -= shared;
        Charge { budget: Arc::clone(&self.budget), shared, granted }
    }

    /// Sets the charge to `bytes`, which are held already, also beyond the budget.
    pub fn set_unchecked(&mut self, bytes: usize) {
        if bytes <= self.bytes() {
            self.give_back(self.bytes() - bytes);
        } else {
            let more = bytes - self.bytes();
            self.budget.shared.fetch_sub(signed(more), Ordering::SeqCst);
            self.shared += more;
        }
    }

    /// Raises the charge to at least `bytes`, which are held already, also beyond the budget.
    pub fn raise_unchecked(&mut self, bytes: usize) {
        if bytes > self.bytes() {
            self.set_unchecked(bytes);
        }
    }

    /// Gives back what was taken for bytes that did not arrive. A grant is kept, for what is still to arrive.
    pub fn shrink_to(&mut self, bytes: usize) {
        if self.granted == 0 && bytes < self.shared {
            self.give_back(self.shared - bytes);
        }
    }

    /// Gives back `bytes`, those of a grant first: other connections wait for it.
    fn give_back(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let granted = bytes.min(self.granted);
        let shared = bytes - granted;
        self.granted -= granted;
        self.shared -= shared;
        self.budget.reserve.fetch_add(signed(granted), Ordering::SeqCst);
        self.budget.shared.fetch_add(signed(shared), Ordering::SeqCst);
        self.budget.set_released_flag();
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.give_back(self.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(budget: &Arc<Budget>) -> Charge {
        Charge::new(budget)
    }

    #[test]
    fn shared_half_is_used_first_then_the_reserve_for_all_that_is_missing() {
        let budget = Arc::new(Budget::new(200));
        let (mut a, mut b, mut c) = (charge(&budget), charge(&budget), charge(&budget));
        assert!(a.try_grow(60, 100) && b.try_grow(40, 100));
        assert!(budget.is_exhausted());
        assert!(a.try_grow(61, 100), "40 of the reserve cover all that a still needs");
        assert_eq!(a.bytes(), 100);
        assert!(!c.try_grow(1, 80), "60 are left");
        assert!(b.try_grow(41, 100), "b needs just these 60");
        drop(a);
        assert!(c.try_grow(1, 80));
        drop((b, c));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn unchecked_charge_exceeds_the_budget_and_is_given_back() {
        let budget = Arc::new(Budget::new(20));
        let mut held = charge(&budget);
        held.set_unchecked(50);
        assert!(budget.is_exhausted());
        held.set_unchecked(70);
        assert_eq!((held.bytes(), budget.used()), (70, 70));
        held.set_unchecked(5);
        assert!(!budget.is_exhausted());
        assert_eq!(budget.used(), 5);
        for (bytes, covered) in [(4, 5), (5, 5), (8, 8)] {
            held.raise_unchecked(bytes);
            assert_eq!((held.bytes(), budget.used()), (covered, i64::try_from(covered).unwrap()));
        }
    }

    #[test]
    fn shrinking_gives_back_the_shared_part_but_not_a_grant() {
        let budget = Arc::new(Budget::new(200));
        let (mut a, mut b) = (charge(&budget), charge(&budget));
        assert!(a.try_grow(90, 100));
        a.shrink_to(20);
        assert_eq!((a.bytes(), budget.used()), (20, 20));
        assert!(b.try_grow(90, 100), "the grant");
        b.shrink_to(20);
        assert_eq!((b.bytes(), budget.used()), (100, 120));
    }

    #[test]
    fn grant_comes_from_either_half_and_is_absorbed() {
        let budget = Arc::new(Budget::new(200));
        let (mut waiter, mut other) = (charge(&budget), charge(&budget));
        assert!(waiter.try_grow(60, 60) && other.try_grow(70, 90));
        let demand = waiter.demand(110, 130);
        assert_eq!(demand, Demand { shared: 50, reserve: 70 });
        assert!(budget.grant(demand).is_none(), "the shared half has 40 left, and the reserve 10");
        drop(other);
        assert!(budget.take_released_flag() && !budget.take_released_flag());
        let grant = budget.grant(demand).expect("all of the reserve is left");
        waiter.absorb(grant);
        assert_eq!((waiter.bytes(), budget.used()), (130, 130));
        let part = waiter.split(80);
        assert_eq!((part.bytes(), waiter.bytes(), budget.used()), (80, 50, 130));
        drop((part, waiter));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn slack_is_at_most_a_quarter_of_the_shared_half() {
        let budget = Arc::new(Budget::new(2000));
        let mut held = charge(&budget);
        for (bytes, ample) in [(250, true), (251, false), (0, true)] {
            held.set_unchecked(bytes);
            assert_eq!(budget.has_slack(), ample, "{bytes} of 1000");
        }
    }

    #[test]
    fn kept_reserve_is_only_for_waiting_connections() {
        let budget = Arc::new(Budget::new(200));
        let (mut holder, mut other) = (charge(&budget), charge(&budget));
        assert!(holder.try_grow(90, 100) && holder.try_grow(101, 110), "the shared half, then a part of the reserve");
        budget.keep_reserve(true);
        assert!(other.try_grow(10, 10) && !other.try_grow(20, 20), "the shared half is for anybody");
        assert!(holder.try_grow(111, 130), "what has begun goes on");
        assert!(budget.grant(Demand { shared: 50, reserve: 50 }).is_some());
        let _ = budget.take_released_flag();
        budget.keep_reserve(false);
        assert!(budget.take_released_flag() && other.try_grow(20, 20));
        budget.keep_reserve(false);
        assert!(!budget.take_released_flag(), "nothing has changed");
    }

    #[test]
    fn resizing_keeps_what_is_taken() {
        let budget = Arc::new(Budget::new(100));
        let mut held = charge(&budget);
        assert!(held.try_grow(30, 50));
        budget.resize(40);
        assert!(budget.is_exhausted());
        assert_eq!((budget.largest_request(), budget.used()), (20, 30));
        drop(held);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn unlimited_budget_is_never_exhausted() {
        let budget = Arc::new(Budget::new(u64::MAX));
        assert!(charge(&budget).try_grow(1 << 40, 1 << 40));
        assert!(!budget.is_exhausted());
        assert_eq!(budget.limit(), None);
        budget.resize(1 << 20);
        assert_eq!(budget.limit(), Some(1 << 20));
    }
}
