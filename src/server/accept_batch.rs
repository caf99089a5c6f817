//! How many connections a worker accepts from one listener in one iteration of the event loop.
//!
//! An accept(2) that finds an empty queue costs about as much as sending a short reply. So a lone client is accepted
//! alone, and where clients come in every iteration the batch grows only as often as that has paid.

/// Connections accepted in one iteration of the loop from one listener, at most. Derived: a connection with one request
/// costs 14 us of CPU (churn in `docs/performance.md`), so these cost half a millisecond.
pub const MAX_BATCH: u32 = 32;
/// The most iterations with clients in a row before a larger batch is tried. Chosen: then an attempt that fails costs
/// less than a hundredth of what the connections cost.
const MAX_PATIENCE: u32 = 16;

/// The size of a batch, which follows the length of the accept queue.
#[derive(Debug)]
pub struct AcceptBatch {
    size: u32,
    /// Iterations with clients in a row since the size has changed.
    iterations: u32,
    /// How many of them it takes before the size is doubled.
    patience: u32,
    last_iteration: u64,
}

impl AcceptBatch {
    /// A batch of one.
    pub fn new() -> Self {
        Self { size: 1, iterations: 0, patience: 1, last_iteration: 0 }
    }

    /// The number of connections to accept in this iteration of the event loop, in which the listener is ready.
    pub fn next(&mut self, iteration: u64) -> u32 {
        let is_consecutive = iteration == self.last_iteration + 1;
        self.last_iteration = iteration;
        if !is_consecutive {
            (self.size, self.iterations) = (1, 0);
            return self.size;
        }
        if self.size > 1 {
            // a larger batch was filled
            self.patience = 1;
        }
        self.iterations += 1;
        if self.iterations >= self.patience {
            (self.size, self.iterations) = ((self.size * 2).min(MAX_BATCH), 0);
        }
        self.size
    }

    /// The queue was empty before the batch was filled.
    pub fn found_empty(&mut self) {
        if self.size > 1 {
            self.patience = (self.patience * 2).min(MAX_PATIENCE);
        }
        (self.size, self.iterations) = (1, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of batches in these iterations, while `waiting` clients are in the queue at each of them.
    fn sizes(batch: &mut AcceptBatch, iterations: impl IntoIterator<Item = u64>, waiting: u32) -> Vec<u32> {
        let size = |iteration| {
            let size = batch.next(iteration);
            if waiting < size {
                batch.found_empty();
            }
            size
        };
        iterations.into_iter().map(size).collect()
    }

    #[test]
    fn batches_are_doubled_while_they_are_filled() {
        let mut batch = AcceptBatch::new();
        assert_eq!(sizes(&mut batch, 1..=8, u32::MAX), [2, 4, 8, 16, 32, 32, 32, 32]);
        assert_eq!(sizes(&mut batch, [10, 11], u32::MAX), [1, 2], "an iteration without a client");
    }

    #[test]
    fn batches_that_are_not_filled_become_rare() {
        let mut batch = AcceptBatch::new();
        let sizes_of_100 = sizes(&mut batch, 1..=100, 1);
        assert_eq!(sizes_of_100[..9], [2, 1, 2, 1, 1, 1, 2, 1, 1]);
        let tried = |sizes: &[u32]| sizes.iter().filter(|size| **size > 1).count();
        assert_eq!(tried(&sizes_of_100), 9);
        assert_eq!(tried(&sizes(&mut batch, 101..=100 + 10 * u64::from(MAX_PATIENCE), 1)), 10);
    }

    #[test]
    fn a_crowd_ends_the_patience() {
        let mut batch = AcceptBatch::new();
        sizes(&mut batch, 1..=100, 1);
        let crowd = sizes(&mut batch, 101..=120, u32::MAX);
        assert!(crowd.ends_with(&[1, 2, 4, 8, 16, 32, 32, 32, 32, 32, 32]), "{crowd:?}");
    }
}
