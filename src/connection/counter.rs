//! A number that is counted, and what counters have in common.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread increases and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only one thread may call it: a load and a store are cheaper than an atomic addition.
    pub fn add(&self, n: u64) {
        // a thread that reads this value also sees what was counted before it
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Release);
    }

    /// The current value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// What can be added to a sum: a counter, several counters, or a sum itself.
pub trait Summand {
    /// The sum.
    type Sum;

    /// Adds the current value.
    fn add_to(&self, sum: &mut Self::Sum);
}

impl Summand for Counter {
    type Sum = u64;

    fn add_to(&self, sum: &mut u64) {
        self.get().add_to(sum);
    }
}

impl Summand for u64 {
    type Sum = u64;

    fn add_to(&self, sum: &mut u64) {
        // a sum that a predecessor has saved may have any value
        *sum = sum.saturating_add(*self);
    }
}

impl<S: Summand, const N: usize> Summand for [S; N] {
    type Sum = [S::Sum; N];

    fn add_to(&self, sums: &mut Self::Sum) {
        self.iter().zip(sums).for_each(|(one, sum)| one.add_to(sum));
    }
}
