//! The time before a drain: the worker accepts and serves as before, and closes quiet connections.
//!
//! Balancers send new clients elsewhere meanwhile, so a client whose connection is closed finds another server when it
//! connects again. If all were closed at once, as by the drain, all would connect again at once. So each slot of the
//! table has a moment at which its connection is closed if it is quiet, and these moments are spread evenly over the
//! time, over all workers. What is not quiet at its moment, or opens later, is left for the drain.

use crate::connection::Millis;

/// The time before a drain, on one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lameduck {
    begun: Millis,
    /// How long it lasts. Above 0.
    delay: Millis,
    /// The number of the worker, and the number of workers.
    worker: usize,
    workers: usize,
    /// The first slot that has not been visited.
    pub position: usize,
}

impl Lameduck {
    /// Begins now, on the worker with this number.
    #[must_use]
    pub fn begin(now: Millis, delay: Millis, worker: usize, workers: usize) -> Self {
        Self { begun: now, delay: delay.max(Millis::new(1)), worker, workers, position: 0 }
    }

    /// When the next connection in a table of `slots` is to be visited; `None` if all have been.
    #[must_use]
    pub fn due(&self, slots: usize) -> Option<Millis> {
        (self.position < slots).then(|| self.moment(self.position, slots))
    }

    /// The moment of a slot, of all `slots`.
    fn moment(&self, slot: usize, slots: usize) -> Millis {
        let place = (slot * self.workers + self.worker + 1) as u128;
        let after = (place * u128::from(self.delay.get())).div_ceil(self.places(slots));
        self.begun + Millis::new(u64::try_from(after).unwrap_or(u64::MAX))
    }

    /// The number of slots whose moments have come, of all `slots`: those below it.
    #[must_use]
    pub fn passed(&self, now: Millis, slots: usize) -> usize {
        let elapsed = u128::from((now - self.begun).get());
        let place = elapsed * self.places(slots) / u128::from(self.delay.get());
        let passed = (place + self.workers as u128 - 1 - self.worker as u128) / self.workers as u128;
        usize::try_from(passed).unwrap_or(usize::MAX).min(slots)
    }

    /// The parts into which the moments of all workers divide the time, if all have this number of slots.
    fn places(&self, slots: usize) -> u128 {
        (slots * self.workers) as u128 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Millis = Millis::new(1000);

    /// The moments of all slots of all workers, in milliseconds, in their order.
    fn moments(delay: Millis, workers: usize, slots: usize) -> Vec<u64> {
        let begin = |worker| Lameduck::begin(Millis::new(50), delay, worker, workers);
        let of_worker = |worker| (0..slots).map(move |slot| begin(worker).moment(slot, slots).get() - 50);
        let mut moments: Vec<u64> = (0..workers).flat_map(of_worker).collect();
        moments.sort_unstable();
        moments
    }

    #[test]
    fn moments_are_spread_evenly_over_slots_and_workers() {
        assert_eq!(moments(DELAY, 1, 1), [500]);
        assert_eq!(moments(DELAY, 1, 4), [200, 400, 600, 800]);
        assert_eq!(moments(DELAY, 4, 1), [200, 400, 600, 800]);
        assert_eq!(moments(DELAY, 3, 3), [100, 200, 300, 400, 500, 600, 700, 800, 900]);
        assert_eq!(moments(Millis::ZERO, 1, 1), [1], "an empty span would divide by 0");
    }

    /// Otherwise the worker would wake up for nothing, again and again.
    #[test]
    fn slots_have_passed_exactly_from_their_moments_on() {
        for (workers, slots) in [(1, 1), (1, 7), (3, 5), (2, 3000)] {
            for worker in 0..workers {
                let lameduck = Lameduck::begin(Millis::new(50), DELAY, worker, workers);
                for slot in 0..slots {
                    let moment = lameduck.moment(slot, slots);
                    assert!(lameduck.passed(moment, slots) > slot, "slot {slot} of {slots}");
                    assert!(lameduck.passed(moment - Millis::new(1), slots) <= slot, "slot {slot} of {slots}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_due_when_all_slots_are_visited() {
        let mut lameduck = Lameduck::begin(Millis::ZERO, DELAY, 0, 1);
        assert_eq!((lameduck.due(0), lameduck.due(1)), (None, Some(Millis::new(500))));
        lameduck.position = 1;
        assert_eq!((lameduck.due(1), lameduck.due(3)), (None, Some(Millis::new(500))), "the table may grow");
        assert_eq!(lameduck.passed(Millis::NEVER, 3), 3);
    }

    #[test]
    fn the_largest_table_and_the_longest_delay_do_not_overflow() {
        let (year, slots) = (Millis::new(366 * 24 * 3600 * 1000), 1 << 24);
        let lameduck = Lameduck::begin(Millis::ZERO, year, 1023, 1024);
        assert!(lameduck.moment(slots - 1, slots) <= year);
        assert_eq!(lameduck.passed(year, slots), slots);
        assert_eq!(lameduck.passed(Millis::NEVER, slots), slots);
    }
}
