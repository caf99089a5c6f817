//! Rates of new connections: of a listener (`--max-rate`), and of each source that connects to it
//! (`--max-rate-per-source`).
//!
//! Each is a token bucket that holds the connections of one second. A bucket is one number: the moment at which it is
//! full again. A connection moves that moment by the time between two connections at the rate; it is over the rate if
//! that would be further away than an empty bucket needs to fill.
//!
//! Over the rate of a listener, a worker stops accepting from it until a moment that [`RateLimiter::take`] returns.
//! Workers that stop one after the other get different moments, one for each of the next connections: no more than one
//! worker wakes for each.

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

/// A rate of new connections.
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
    /// The last moment that a worker was given to wait for, in nanoseconds.
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

    /// Changes the rates. Who waits may try again at once.
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

    /// Takes a connection to the listener from its bucket.
    ///
    /// # Errors
    /// The listener has as many new connections as allowed: when to try again.
    pub fn take(&self, now: Millis) -> Result<(), Millis> {
        if !self.has_total.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut bucket = lock(&self.total);
        let Some(rate) = bucket.rate else { return Ok(()) };
        match rate.take(bucket.full_at, nanoseconds(now)) {
            Ok(full_at) => {
                bucket.full_at = full_at;
                Ok(())
            }
            Err(possible_at) => {
                bucket.waits_until = possible_at.max(bucket.waits_until.saturating_add(rate.interval()));
                Err(Millis::new(bucket.waits_until.div_ceil(MILLISECOND)))
            }
        }
    }

    /// Gives back what [`RateLimiter::take`] took for a connection that was not accepted.
    pub fn give_back(&self) {
        if self.has_total.load(Ordering::Relaxed) {
            let mut bucket = lock(&self.total);
            bucket.full_at = bucket.full_at.saturating_sub(bucket.rate.map_or(0, Rate::interval));
        }
    }

    /// Whether the rate of each source is limited.
    #[must_use]
    pub fn limits_sources(&self) -> bool {
        self.has_per_source.load(Ordering::Relaxed)
    }

    /// Takes a connection from the bucket of its source; false if that is over its rate.
    #[must_use]
    pub fn take_from_source(&self, source: SourceKey, now: Millis) -> bool {
        let mut sources = lock(&self.sources);
        let Some(rate) = sources.rate else { return true };
        let full_at = sources.full_at.get_or_insert_mut(source, || 0);
        match rate.take(*full_at, nanoseconds(now)) {
            Ok(next) => {
                *full_at = next;
                true
            }
            Err(_) => false,
        }
    }
}

fn nanoseconds(moment: Millis) -> u64 {
    moment.get().saturating_mul(MILLISECOND)
}
