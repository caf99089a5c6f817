//! Rates of new connections: of a listener (`--max-rate`), and of each source that connects to it
//! (`--max-rate-per-source`).
//!
//! Each is a token bucket that holds the connections of one second. A bucket is one number: the moment at which it is
//! full again. A connection moves that moment by the time between two connections at the rate; it is over the rate if
//! that would be further away than an empty bucket needs to fill.
//!
//! Over the rate of a listener, a worker stops accepting from it until the moment that [`RateLimiter::next_attempt`]
//! returns. Workers that stop one after the other get different moments, one for each of the next connections: no more
//! than one worker wakes for each.
//!
//! The rate is that of connections that are served: one that is rejected gives back what it took, so that clients who
//! are turned away do not keep out others. Workers that wait then try again at once, all of them.

use std::mem;
use std::num::NonZero;
use std::sync::atomic::Ordering;

use lru::LruCache;

use super::peer::SourceKey;
use super::sync::{AtomicBool, Mutex, lock};
use crate::connection::Millis;

/// The sources whose rate a listener remembers, at most; beyond that it forgets the one that was seen longest ago.
/// Chosen: at about 100 bytes each this is 6.5 MB. A source is not needed any more after a second without a connection,
/// in which its bucket has become full.
const MAX_SOURCES: NonZero<usize> = NonZero::new(65_536).expect("not zero");
/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;
/// Nanoseconds in a millisecond.
const MILLISECOND: u64 = 1_000_000;

/// A rate of new connections, in connections per second: 1 to 2^32 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(NonZero<u32>);

impl Rate {
    /// This number of connections per second.
    #[must_use]
    pub fn per_second(connections: NonZero<u32>) -> Self {
        Self(connections)
    }

    /// The time between two connections, in nanoseconds; rounded up, so that the rate is not exceeded.
    fn interval(self) -> u64 {
        SECOND.div_ceil(self.0.get().into())
    }

    /// The time in which an empty bucket becomes full, in nanoseconds.
    fn fill_time(self) -> u64 {
        self.interval() * u64::from(self.0.get())
    }

    /// Takes a connection from a bucket that is full at `full_at`; returns when it is full then. All times are in
    /// nanoseconds.
    ///
    /// # Errors
    /// The bucket is empty: the moment at which the next connection can be taken.
    fn take(self, full_at: u64, now: u64) -> Result<u64, u64> {
        let full_at = full_at.max(now).saturating_add(self.interval());
        let possible_at = full_at.saturating_sub(self.fill_time());
        if possible_at <= now { Ok(full_at) } else { Err(possible_at) }
    }
}

/// The rates of a listener; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// New connections to the listener.
    pub total: Option<Rate>,
    /// New connections to the listener from one source.
    pub per_source: Option<Rate>,
}

/// The buckets of one listener, shared by all workers. A listener without rates takes no lock here.
#[derive(Debug)]
pub struct RateLimiter {
    has_total: AtomicBool,
    has_per_source: AtomicBool,
    total: Mutex<Total>,
    sources: Mutex<Sources>,
}

/// The bucket of a listener.
#[derive(Debug, Default)]
struct Total {
    rate: Option<Rate>,
    /// When the bucket is full, in nanoseconds.
    full_at: u64,
    /// The last moment for which a worker waits, in nanoseconds.
    waits_until: u64,
}

/// The buckets of the sources of a listener: when each is full, in nanoseconds.
#[derive(Debug)]
struct Sources {
    rate: Option<Rate>,
    full_at: LruCache<SourceKey, u64>,
}

impl RateLimiter {
    /// Full buckets with these rates.
    #[must_use]
    pub fn new(rates: Rates) -> Self {
        let sources = Sources { rate: None, full_at: LruCache::sparse(MAX_SOURCES) };
        let limiter = Self {
            has_total: AtomicBool::new(false),
            has_per_source: AtomicBool::new(false),
            total: Mutex::default(),
            sources: Mutex::new(sources),
        };
        limiter.set_rates(rates);
        limiter
    }

    /// Changes the rates. Listeners that wait may try again at once.
    pub fn set_rates(&self, Rates { total, per_source }: Rates) {
        let mut bucket = lock(&self.total);
        bucket.rate = total;
        bucket.waits_until = 0;
        self.has_total.store(total.is_some(), Ordering::Relaxed);
        let mut sources = lock(&self.sources);
        sources.rate = per_source;
        if per_source.is_none() {
            sources.full_at = LruCache::sparse(MAX_SOURCES);
        }
        self.has_per_source.store(per_source.is_some(), Ordering::Relaxed);
    }

    /// Takes a connection to the listener from its bucket; false if that is over its rate.
    #[must_use]
    pub fn take(&self, now: Millis) -> bool {
        if !self.has_total.load(Ordering::Relaxed) {
            return true;
        }
        let mut bucket = lock(&self.total);
        let Some(rate) = bucket.rate else { return true };
        if bucket.full_at <= nanoseconds(now) {
            // the bucket is full: the moments for which workers wait are those of an earlier burst
            bucket.waits_until = 0;
        }
        take(rate, &mut bucket.full_at, now)
    }

    /// When a worker that [`RateLimiter::take`] has refused is to try again; the next one gets a later moment.
    pub fn next_attempt(&self, now: Millis) -> Millis {
        let mut bucket = lock(&self.total);
        let Some(rate) = bucket.rate else { return now };
        let possible_at = rate.take(bucket.full_at, nanoseconds(now)).err().unwrap_or_default();
        bucket.waits_until = possible_at.max(bucket.waits_until.saturating_add(rate.interval()));
        Millis::new(bucket.waits_until.div_ceil(MILLISECOND))
    }

    /// Gives back what [`RateLimiter::take`] took for a connection that is not served. Returns whether a worker waits,
    /// which may try again at once.
    #[must_use]
    pub fn give_back(&self, now: Millis) -> bool {
        if !self.has_total.load(Ordering::Relaxed) {
            return false;
        }
        let mut bucket = lock(&self.total);
        bucket.full_at = bucket.full_at.saturating_sub(bucket.rate.map_or(0, Rate::interval));
        mem::take(&mut bucket.waits_until) > nanoseconds(now)
    }

    /// Whether a worker waits until it can accept a client.
    #[must_use]
    pub fn has_waiting(&self, now: Millis) -> bool {
        self.has_total.load(Ordering::Relaxed) && lock(&self.total).waits_until > nanoseconds(now)
    }

    /// Whether the rate of each source is limited.
    #[must_use]
    pub fn limits_sources(&self) -> bool {
        self.has_per_source.load(Ordering::Relaxed)
    }

    /// Takes a connection from the bucket of its source; false if that is over its rate.
    #[must_use]
    pub fn take_from_source(&self, source: SourceKey, now: Millis) -> bool {
        if !self.limits_sources() {
            return true;
        }
        let mut sources = lock(&self.sources);
        let Some(rate) = sources.rate else { return true };
        take(rate, sources.full_at.get_or_insert_mut(source, || 0), now)
    }
}

/// Takes a connection from a bucket, which is full at `full_at`; false if it is empty.
fn take(rate: Rate, full_at: &mut u64, now: Millis) -> bool {
    let taken = rate.take(*full_at, nanoseconds(now));
    if let Ok(next) = taken {
        *full_at = next;
    }
    taken.is_ok()
}

fn nanoseconds(moment: Millis) -> u64 {
    moment.get().saturating_mul(MILLISECOND)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(connections: u32) -> Option<Rate> {
        NonZero::new(connections).map(Rate::per_second)
    }

    fn limiter(total: u32, per_source: u32) -> RateLimiter {
        RateLimiter::new(Rates { total: rate(total), per_source: rate(per_source) })
    }

    fn source(number: u32) -> SourceKey {
        SourceKey::Uid(number)
    }

    /// The number of `tries` at this time that are within the rate.
    fn taken(limiter: &RateLimiter, now: u64, tries: usize) -> usize {
        (0..tries).filter(|_| limiter.take(Millis::new(now))).count()
    }

    #[test]
    fn without_rates_every_connection_is_within_them() {
        let limiter = limiter(0, 0);
        assert_eq!(taken(&limiter, 0, 5000), 5000);
        assert!(!limiter.give_back(Millis::ZERO));
        assert!(!limiter.limits_sources() && limiter.take_from_source(source(1), Millis::ZERO));
        assert_eq!(lock(&limiter.sources).full_at.len(), 0, "no source is remembered");
    }

    #[test]
    fn a_bucket_holds_the_connections_of_a_second() {
        for rate in [1, 3, 7, 10, 999, 1000, 999_983] {
            let limiter = limiter(rate, 0);
            let expected = rate as usize;
            assert_eq!(taken(&limiter, 500, expected + 1), expected, "{rate}");
            assert_eq!(taken(&limiter, 500 + 60_000, expected + 1), expected, "{rate}: and no more after a long time");
        }
    }

    #[test]
    fn a_bucket_is_refilled_at_the_rate() {
        let limiter = limiter(10, 0);
        assert_eq!(taken(&limiter, 0, 11), 10);
        assert_eq!([99, 100, 199, 200].map(|now| taken(&limiter, now, 5)), [0, 1, 0, 1]);
        assert_eq!(taken(&limiter, 500, 5), 3);
        assert!(!limiter.give_back(Millis::new(500)), "no worker waits");
        assert_eq!(taken(&limiter, 500, 5), 1, "what was given back");
    }

    #[test]
    fn what_is_given_back_ends_the_wait_of_workers() {
        let limiter = limiter(10, 0);
        assert_eq!(taken(&limiter, 0, 11), 10);
        let attempt = || limiter.next_attempt(Millis::ZERO).get();
        assert_eq!([attempt(), attempt()], [100, 200]);
        let waiting = |now| limiter.has_waiting(Millis::new(now));
        assert_eq!([waiting(0), waiting(199), waiting(200)], [true, true, false]);
        assert_eq!([(); 2].map(|()| limiter.give_back(Millis::ZERO)), [true, false], "they wait no more");
        assert!(!waiting(0));
        assert_eq!((taken(&limiter, 0, 5), attempt()), (2, 100));
    }

    #[test]
    fn workers_wait_for_one_connection_each() {
        let limiter = limiter(10, 0);
        assert_eq!(taken(&limiter, 0, 11), 10);
        let attempt = |now| limiter.next_attempt(Millis::new(now)).get();
        assert_eq!([attempt(0), attempt(1), attempt(2)], [100, 200, 300]);
        // the first one has its connection, and waits for the one behind those of the others
        assert_eq!((taken(&limiter, 100, 2), attempt(100)), (1, 400));
        assert_eq!((taken(&limiter, 200, 2), attempt(200)), (1, 500));
        // after a time without clients nobody waits any more
        assert_eq!((taken(&limiter, 10_000, 11), attempt(10_000)), (10, 10_100));
    }

    #[test]
    fn a_bucket_that_was_full_begins_new_moments() {
        let limiter = limiter(10, 0);
        assert_eq!(taken(&limiter, 0, 11), 10);
        let attempt = |now| limiter.next_attempt(Millis::new(now)).get();
        assert_eq!([(); 11].map(|()| attempt(0))[10], 1100);
        // the clients have gone meanwhile
        assert_eq!((taken(&limiter, 1050, 11), attempt(1050), attempt(1050)), (10, 1150, 1250));
    }

    #[test]
    fn a_changed_rate_applies_at_once() {
        let limiter = limiter(1, 0);
        assert_eq!(taken(&limiter, 0, 2), 1);
        assert_eq!(
            [limiter.next_attempt(Millis::ZERO), limiter.next_attempt(Millis::ZERO)].map(Millis::get),
            [1000, 2000]
        );
        limiter.set_rates(Rates { total: rate(10), per_source: None });
        assert_eq!(taken(&limiter, 0, 1), 0, "the connection of the old rate counts");
        assert_eq!(limiter.next_attempt(Millis::ZERO), Millis::new(100));
        limiter.set_rates(Rates::default());
        assert_eq!(taken(&limiter, 0, 100), 100);
    }

    #[test]
    fn each_source_has_a_bucket() {
        let limiter = limiter(0, 2);
        let taken = |number, now| limiter.take_from_source(source(number), Millis::new(now));
        assert!(limiter.limits_sources());
        assert_eq!([taken(1, 0), taken(1, 0), taken(1, 0), taken(2, 0)], [true, true, false, true]);
        assert_eq!([taken(1, 499), taken(1, 500), taken(1, 500)], [false, true, false]);
        limiter.set_rates(Rates::default());
        assert!(!limiter.limits_sources() && taken(1, 500));
        assert_eq!(lock(&limiter.sources).full_at.len(), 0, "the sources are forgotten");
    }

    #[test]
    fn the_number_of_sources_is_bounded_and_the_oldest_is_forgotten() {
        let limiter = limiter(0, 1);
        let taken = |number| limiter.take_from_source(source(number), Millis::ZERO);
        assert!((0..65_536).all(taken));
        assert!(!taken(0), "the first one is remembered, and the youngest now");
        assert!(taken(65_536));
        assert_eq!(lock(&limiter.sources).full_at.len(), 65_536);
        assert!(!taken(0) && !taken(2) && taken(1), "the oldest one was the second");
    }

    /// Connections that arrive after these times, in milliseconds, and whether each is within the rate.
    fn simulate(connections: u32, gaps: &[u64]) -> Vec<(u64, bool)> {
        let limiter = limiter(connections, 0);
        let mut now = 0;
        let arrive = |gap: &u64| {
            now += gap;
            (now, limiter.take(Millis::new(now)))
        };
        gaps.iter().map(arrive).collect()
    }

    proptest! {
        #[test]
        fn no_period_has_more_connections_than_its_rate_and_the_burst(
            connections in 1..50_u32,
            gaps in prop::collection::vec(prop_oneof![Just(0), 0..100_u64, 0..3000_u64], 1..300),
        ) {
            let taken: Vec<u64> =
                simulate(connections, &gaps).into_iter().filter_map(|(at, within)| within.then_some(at)).collect();
            for (number, first) in taken.iter().enumerate() {
                for (count, last) in taken[number..].iter().enumerate() {
                    let most = u64::from(connections) * (last - first + 1000);
                    prop_assert!((count as u64 + 1) * 1000 <= most, "{} in {} ms", count + 1, last - first);
                }
            }
        }

        #[test]
        fn nobody_who_keeps_to_the_rate_is_refused(
            connections in 1..50_u32,
            gaps in prop::collection::vec(0..100_u64, 1..300),
        ) {
            // rounded up, as the time between two connections is
            let gaps: Vec<u64> = gaps.iter().map(|gap| gap + 1000_u64.div_ceil(connections.into())).collect();
            prop_assert!(simulate(connections, &gaps).iter().all(|(_, within)| *within));
        }

        /// However the clients arrive, the workers get a connection through at the rate while clients wait.
        #[test]
        fn workers_that_wait_are_never_starved(
            connections in 1..200_u32,
            workers in 1..9_usize,
            clients in prop::collection::vec((0..5000_u64, 1..100_u32), 1..20),
        ) {
            let limiter = limiter(connections, 0);
            let mut arrivals = clients;
            arrivals.sort_unstable();
            let (mut waiting, mut attempts) = (0, vec![Some(0); workers]);
            let interval = 1000_u64.div_ceil(connections.into());
            let mut last = 0;
            for now in 0..8000 {
                waiting += arrivals.iter().filter(|(at, _)| *at == now).map(|(_, count)| *count).sum::<u32>();
                if waiting == 0 {
                    last = now;
                }
                for attempt in &mut attempts {
                    if attempt.is_some_and(|at| at > now) {
                        continue;
                    }
                    *attempt = None;
                    while waiting > 0 && limiter.take(Millis::new(now)) {
                        waiting -= 1;
                        last = now;
                    }
                    if waiting > 0 {
                        *attempt = Some(limiter.next_attempt(Millis::new(now)).get());
                    }
                }
                prop_assert!(now - last <= interval + 1, "nobody was accepted from {} to {}", last, now);
            }
        }
    }
}
