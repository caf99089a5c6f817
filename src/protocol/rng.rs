//! The random numbers of a worker.
//!
//! Every request that draws random numbers gets a generator with a seed of its own, so that the request can start
//! again, here or on another thread, and draw the same numbers ([`RequestRng::replay`]). A fixed seed is the seed of
//! all requests.

use super::cancel::Cancel;
use crate::transform::RandomSource;

/// Makes the generator of each request.
#[derive(Clone, Debug)]
pub struct RequestRng {
    seeds: fastrand::Rng,
    fixed: Option<u64>,
    replay: Option<u64>,
    seed: u64,
    request: Draws,
}

/// The numbers of one request.
#[derive(Clone, Debug)]
struct Draws {
    numbers: fastrand::Rng,
    /// Set when the client is gone; only offloaded requests have one.
    cancel: Option<Cancel>,
}

impl RequestRng {
    /// Seeds each request from the system, or each one with `seed`.
    #[must_use]
    pub fn new(seed: Option<u64>) -> Self {
        let first = seed.unwrap_or_else(|| fastrand::u64(..));
        let request = Draws { numbers: fastrand::Rng::with_seed(first), cancel: None };
        Self { seeds: fastrand::Rng::new(), fixed: seed, replay: None, seed: first, request }
    }

    /// The generator of a new request.
    pub fn next_request(&mut self) -> &mut impl RandomSource {
        self.seed = self.replay.take().or(self.fixed).unwrap_or_else(|| self.seeds.u64(..));
        self.request.numbers = fastrand::Rng::with_seed(self.seed);
        &mut self.request
    }

    /// The generator of the last request, in its current state.
    pub fn current_request(&mut self) -> &mut impl RandomSource {
        &mut self.request
    }

    /// The seed of the last request.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The next request draws the numbers of the one that had this [`RequestRng::seed`]: it is that request, started
    /// again.
    pub fn replay(&mut self, seed: u64) {
        self.replay = Some(seed);
    }

    /// Requests from now on stop when this flag is set.
    pub fn watch(&mut self, cancel: Cancel) {
        self.request.cancel = Some(cancel);
    }
}

impl RandomSource for Draws {
    fn is_wanted(&self) -> bool {
        !self.cancel.as_ref().is_some_and(Cancel::is_set)
    }

    #[inline]
    fn below(&mut self, bound: usize) -> usize {
        self.numbers.usize(..bound)
    }

    #[inline]
    fn unit(&mut self) -> f64 {
        self.numbers.f64()
    }
}

#[cfg(test)]
impl RandomSource for fastrand::Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.usize(..bound)
    }

    fn unit(&mut self) -> f64 {
        self.f64()
    }
}

#[cfg(test)]
mod tests {
    use super::{RandomSource, RequestRng};

    fn draw(source: &mut impl RandomSource) -> [usize; 8] {
        std::array::from_fn(|_| source.below(1 << 30))
    }

    #[test]
    fn a_fixed_seed_repeats_for_every_request() {
        let mut random = RequestRng::new(Some(7));
        let first = draw(random.next_request());
        assert_eq!(draw(random.next_request()), first);
        assert_eq!(draw(RequestRng::new(Some(7)).next_request()), first);
    }

    #[test]
    fn a_replayed_request_draws_the_same_numbers() {
        let (mut here, mut there) = (RequestRng::new(None), RequestRng::new(None));
        for _ in 0..10 {
            let drawn = draw(here.next_request());
            there.replay(here.seed());
            assert_eq!(draw(there.next_request()), drawn);
            assert_ne!(draw(there.next_request()), drawn);
            assert_ne!(draw(here.next_request()), drawn);
        }
    }
}
