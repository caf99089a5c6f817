//! How much memory all connections together may hold.
//!
//! The budget has two halves. From the *shared* half a connection takes as its bytes arrive. When that is used up, a
//! connection that wants more asks the *reserve* for all that its request can still need, at once; if that is not
//! there, it is not read from until something is given back.
//!
//! Why this cannot lock up: whoever has a grant from the reserve needs nothing more, so it ends by itself (its client
//! sends the rest, or its deadline passes) and gives everything back. No request may need more than the whole
//! reserve, so when all grants have ended the next one that waits gets its own. Nobody who waits holds a grant. So that
//! new grants do not come before it without end, the reserve can be kept for those that wait ([`Budget::keep_reserve`]).
//!
//! What a connection already holds when it turns out to be over ([`Lease::set_unchecked`]: answers that the client does not
//! take) is charged all the same; the shared half then goes below zero, and [`Budget::is_exhausted`] tells the readers to
//! take small bites, so that each connection goes over by a constant at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// The memory that all connections share, in bytes.
#[derive(Debug)]
pub struct Budget {
    shared: AtomicI64,
    reserve: AtomicI64,
    whole_reserve: AtomicI64,
    reserve_is_kept: AtomicBool,
    released: AtomicBool,
}

/// The memory that a connection waits for, in bytes: either of the two lets it go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// From the shared half, for its next step.
    pub shared: usize,
    /// From the reserve, for all that its request can still need.
    pub reserve: usize,
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let half = half_of(bytes);
        Self {
            shared: AtomicI64::new(half),
            reserve: AtomicI64::new(half),
            whole_reserve: AtomicI64::new(half),
            reserve_is_kept: AtomicBool::new(false),
            released: AtomicBool::new(false),
        }
    }

    /// The most that one request may need, in bytes: the reserve.
    #[must_use]
    pub fn largest_request(&self) -> usize {
        usize::try_from(self.whole_reserve.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Makes it a budget of so many bytes from now on; what is taken stays taken.
    pub fn resize(&self, bytes: u64) {
        let half = half_of(bytes);
        let more = half - self.whole_reserve.swap(half, Ordering::Relaxed);
        self.shared.fetch_add(more, Ordering::Relaxed);
        self.reserve.fetch_add(more, Ordering::Relaxed);
    }

    /// Whether the shared half is used up: read small bites only.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.shared.load(Ordering::Relaxed) <= 0
    }

    /// Whether no more than a quarter of the shared half is taken.
    #[must_use]
    pub fn has_slack(&self) -> bool {
        let whole = self.whole_reserve.load(Ordering::Relaxed);
        self.shared.load(Ordering::Relaxed) >= whole - whole / 4
    }

    /// Whether anything was given back since the last call.
    #[must_use]
    pub fn take_released(&self) -> bool {
        self.released.load(Ordering::SeqCst) && self.released.swap(false, Ordering::SeqCst)
    }

    /// As if something had been given back: there is more to look for.
    pub fn mark_released(&self) {
        self.released.store(true, Ordering::SeqCst);
    }

    /// From now on gives the reserve only to connections that wait for it ([`Budget::grant`]), or to any.
    pub fn keep_reserve(&self, kept: bool) {
        if self.reserve_is_kept.swap(kept, Ordering::SeqCst) && !kept {
            // those that were not served meanwhile are looked at again
            self.mark_released();
        }
    }

    /// Takes what a connection waits for, if it is there; [`Lease::absorb`] makes it a part of the connection's lease.
    #[must_use]
    pub fn grant(self: &Arc<Self>, demand: Demand) -> Option<Lease> {
        let mut lease = Lease::new(self);
        (lease.take_shared(demand.shared) || lease.take_grant(demand.reserve)).then_some(lease)
    }

    /// How many bytes are taken.
    #[must_use]
    pub fn used(&self) -> i64 {
        let whole = 2 * self.whole_reserve.load(Ordering::Relaxed);
        whole - self.shared.load(Ordering::Relaxed) - self.reserve.load(Ordering::Relaxed)
    }
}

/// Half of the budget; without a limit, more than there can be.
fn half_of(bytes: u64) -> i64 {
    i64::try_from(bytes / 2).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

fn take(from: &AtomicI64, bytes: usize) -> bool {
    let bytes = signed(bytes);
    from.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| (left >= bytes).then(|| left - bytes)).is_ok()
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX / 4)
}

/// One connection's part of the budget; given back when dropped.
#[derive(Debug)]
pub struct Lease {
    budget: Arc<Budget>,
    shared: usize,
    granted: usize,
}

impl Lease {
    /// A lease of nothing.
    #[must_use]
    pub fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), shared: 0, granted: 0 }
    }

    /// How many bytes it covers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared + self.granted
    }

    /// Makes it cover `bytes` now, of a request that takes at most `whole` in all. False: there is no room now.
    pub fn try_grow(&mut self, bytes: usize, whole: usize) -> bool {
        self.bytes() >= bytes || self.take_shared(bytes) || self.may_take_grant() && self.take_grant(whole.max(bytes))
    }

    /// Whether the reserve is for anybody; a connection that has a grant does not wait for more, so that grants end.
    fn may_take_grant(&self) -> bool {
        self.granted > 0 || !self.budget.reserve_is_kept.load(Ordering::SeqCst)
    }

    fn take_shared(&mut self, bytes: usize) -> bool {
        let more = bytes - self.bytes();
        let taken = take(&self.budget.shared, more);
        self.shared += if taken { more } else { 0 };
        taken
    }

    fn take_grant(&mut self, whole: usize) -> bool {
        let more = whole - self.bytes();
        let taken = take(&self.budget.reserve, more);
        self.granted += if taken { more } else { 0 };
        taken
    }

    /// What it lacks to cover `bytes` now, of a request that takes at most `whole` in all.
    #[must_use]
    pub fn demand(&self, bytes: usize, whole: usize) -> Demand {
        let lacks = |bytes: usize| bytes.saturating_sub(self.bytes());
        Demand { shared: lacks(bytes), reserve: lacks(whole.max(bytes)) }
    }

    /// Adds what another lease of the same budget covers.
    pub fn absorb(&mut self, mut other: Lease) {
        self.shared += std::mem::take(&mut other.shared);
        self.granted += std::mem::take(&mut other.granted);
    }

    /// Takes out a lease for `bytes` of what it covers, or for all of it where that is less.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Lease {
        let granted = bytes.min(self.granted);
        let shared = (bytes - granted).min(self.shared);
        self.granted -= granted;
        self.shared -= shared;
        Lease { budget: Arc::clone(&self.budget), shared, granted }
    }

    /// Makes it cover exactly `bytes`, which are held already, whether there is room or not.
    pub fn set_unchecked(&mut self, bytes: usize) {
        if bytes <= self.bytes() {
            self.give_back(self.bytes() - bytes);
        } else {
            let more = bytes - self.bytes();
            self.budget.shared.fetch_sub(signed(more), Ordering::SeqCst);
            self.shared += more;
        }
    }

    /// Makes it cover at least `bytes`, which are held already.
    pub fn raise_unchecked(&mut self, bytes: usize) {
        if bytes > self.bytes() {
            self.set_unchecked(bytes);
        }
    }

    /// Gives back what was taken for bytes that did not come; a grant is kept, for what is still to come.
    pub fn shrink_to(&mut self, bytes: usize) {
        if self.granted == 0 && bytes < self.shared {
            self.give_back(self.shared - bytes);
        }
    }

    /// The grant goes back first: it is what others wait for.
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
        self.budget.released.store(true, Ordering::SeqCst);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back(self.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(budget: &Arc<Budget>) -> Lease {
        Lease::new(budget)
    }

    #[test]
    fn shared_first_then_the_whole_rest_from_the_reserve() {
        let budget = Arc::new(Budget::new(200));
        let (mut a, mut b, mut c) = (lease(&budget), lease(&budget), lease(&budget));
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
    fn what_is_held_anyway_is_charged_and_comes_back() {
        let budget = Arc::new(Budget::new(20));
        let mut held = lease(&budget);
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
    fn what_did_not_come_is_given_back_but_not_a_grant() {
        let budget = Arc::new(Budget::new(200));
        let (mut a, mut b) = (lease(&budget), lease(&budget));
        assert!(a.try_grow(90, 100));
        a.shrink_to(20);
        assert_eq!((a.bytes(), budget.used()), (20, 20));
        assert!(b.try_grow(90, 100), "the grant");
        b.shrink_to(20);
        assert_eq!((b.bytes(), budget.used()), (100, 120));
    }

    #[test]
    fn a_grant_is_taken_from_either_half_and_becomes_part_of_a_lease() {
        let budget = Arc::new(Budget::new(200));
        let (mut waiter, mut other) = (lease(&budget), lease(&budget));
        assert!(waiter.try_grow(60, 60) && other.try_grow(70, 90));
        let demand = waiter.demand(110, 130);
        assert_eq!(demand, Demand { shared: 50, reserve: 70 });
        assert!(budget.grant(demand).is_none(), "the shared half has 40 left, and the reserve 10");
        drop(other);
        assert!(budget.take_released() && !budget.take_released());
        let grant = budget.grant(demand).expect("all of the reserve is left");
        waiter.absorb(grant);
        assert_eq!((waiter.bytes(), budget.used()), (130, 130));
        let part = waiter.split(80);
        assert_eq!((part.bytes(), waiter.bytes(), budget.used()), (80, 50, 130));
        drop((part, waiter));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn ample_is_a_quarter_of_the_shared_half_and_no_more() {
        let budget = Arc::new(Budget::new(2000));
        let mut held = lease(&budget);
        for (bytes, ample) in [(250, true), (251, false), (0, true)] {
            held.set_unchecked(bytes);
            assert_eq!(budget.has_slack(), ample, "{bytes} of 1000");
        }
    }

    #[test]
    fn a_reserve_that_is_kept_is_for_those_that_wait() {
        let budget = Arc::new(Budget::new(200));
        let (mut holder, mut other) = (lease(&budget), lease(&budget));
        assert!(holder.try_grow(90, 100) && holder.try_grow(101, 110), "the shared half, then a part of the reserve");
        budget.keep_reserve(true);
        assert!(other.try_grow(10, 10) && !other.try_grow(20, 20), "the shared half is for anybody");
        assert!(holder.try_grow(111, 130), "what has begun goes on");
        assert!(budget.grant(Demand { shared: 50, reserve: 50 }).is_some());
        let _ = budget.take_released();
        budget.keep_reserve(false);
        assert!(budget.take_released() && other.try_grow(20, 20));
        budget.keep_reserve(false);
        assert!(!budget.take_released(), "nothing has changed");
    }

    #[test]
    fn resizing_keeps_what_is_taken() {
        let budget = Arc::new(Budget::new(100));
        let mut held = lease(&budget);
        assert!(held.try_grow(30, 50));
        budget.resize(40);
        assert!(budget.is_exhausted());
        assert_eq!((budget.largest_request(), budget.used()), (20, 30));
        drop(held);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn no_limit_is_never_tight() {
        let budget = Arc::new(Budget::new(u64::MAX));
        assert!(lease(&budget).try_grow(1 << 40, 1 << 40));
        assert!(!budget.is_exhausted());
    }
}
