//! The course of a measurement: what happened in each interval of it.
//!
//! Guarantees: intervals follow one another without gaps, also where nothing happened; at most [`MAX_INTERVALS`] are
//! kept, whatever the duration.

use std::mem;
use std::time::Duration;

use super::latencies::{Latencies, LatencyCounts};

/// The most intervals that are kept; when there are more, pairs become one. Chosen: seconds for an hour; each takes some
/// 10 kB.
pub const MAX_INTERVALS: usize = 3600;

/// The length of the intervals that are kept of a measurement of this duration, each of which takes `length`.
#[must_use]
pub fn kept_length(length: Duration, duration: Duration) -> Duration {
    let mut kept = length;
    while duration.as_nanos() > kept.as_nanos() * MAX_INTERVALS as u128 {
        kept = kept.saturating_mul(2);
    }
    kept
}

/// What happened in one interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval {
    /// Its begin, since the start of the measurement.
    pub from: Duration,
    /// Its end.
    pub until: Duration,
    /// It is shorter than the others, because the measurement ended in it.
    pub partial: bool,
    /// Requests whose correct reply arrived in it.
    pub requests: u64,
    /// Bytes of replies that arrived in it.
    pub received: u64,
    /// Requests that failed in it.
    pub errors: u64,
    /// Latencies of the replies that arrived in it, if their requests were due within the measurement.
    pub latencies: LatencyCounts,
}

impl Interval {
    /// Adds what happened elsewhere in the same interval.
    pub fn absorb(&mut self, other: &Self) {
        self.from = self.from.min(other.from);
        self.until = self.until.max(other.until);
        self.partial &= other.partial;
        self.requests += other.requests;
        self.received += other.received;
        self.errors += other.errors;
        self.latencies.absorb(&other.latencies);
    }
}

/// The intervals of a measurement. Times are nanoseconds since its start, except where they are [`Duration`]s.
#[derive(Debug)]
pub struct Series {
    /// Length of an interval.
    length: u64,
    /// The number of those lengths that each kept interval has.
    merged: usize,
    /// Those that have ended.
    finished: Vec<Interval>,
    /// The number of intervals that have ended.
    ended: u64,
    current: Current,
}

/// The interval that has not ended.
#[derive(Debug)]
struct Current {
    requests: u64,
    received: u64,
    errors: u64,
    latencies: Latencies,
}

impl Series {
    /// Intervals of this length.
    #[must_use]
    pub fn new(length: Duration) -> Self {
        let length = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX).max(1);
        let current = Current { requests: 0, received: 0, errors: 0, latencies: Latencies::new() };
        Self { length, merged: 1, finished: Vec::new(), ended: 0, current }
    }

    /// The intervals that have ended; one that was merged from several counts once.
    #[must_use]
    pub fn intervals(&self) -> &[Interval] {
        &self.finished
    }

    /// When the current interval ends.
    #[must_use]
    pub fn next_end(&self) -> u64 {
        self.length.saturating_mul(self.ended + 1)
    }

    /// Ends the current interval if that is over at `now`, and returns it. To be called until it returns `None`.
    pub fn end_before(&mut self, now: u64) -> Option<Interval> {
        let until = self.next_end();
        (until <= now).then(|| self.end(until, false))
    }

    /// The measurement ends at `until`, within the current interval: returns what happened in that, unless it has no
    /// length.
    pub fn finish(&mut self, until: u64) -> Option<Interval> {
        (until > self.length * self.ended).then(|| self.end(until, true))
    }

    /// Ends the current interval at `until`.
    fn end(&mut self, until: u64, partial: bool) -> Interval {
        let current = &mut self.current;
        let interval = Interval {
            from: Duration::from_nanos(self.length * self.ended),
            until: Duration::from_nanos(until),
            partial,
            requests: mem::take(&mut current.requests),
            received: mem::take(&mut current.received),
            errors: mem::take(&mut current.errors),
            latencies: current.latencies.take_counts(),
        };
        self.keep(interval.clone());
        interval
    }

    /// Appends an interval to those that have ended, or to the last of them.
    fn keep(&mut self, interval: Interval) {
        if self.finished.len() == MAX_INTERVALS && self.ended % self.merged as u64 == 0 {
            self.double();
        }
        let joins = self.ended % self.merged as u64 != 0;
        match self.finished.last_mut().filter(|_| joins) {
            Some(last) => last.extend(&interval),
            None => self.finished.push(interval),
        }
        self.ended += 1;
    }

    /// Doubles the length of the kept intervals, and halves their number.
    fn double(&mut self) {
        self.merged *= 2;
        let mut merged: Vec<Interval> = Vec::with_capacity(MAX_INTERVALS);
        for (index, interval) in self.finished.drain(..).enumerate() {
            match merged.last_mut().filter(|_| index % 2 == 1) {
                Some(last) => last.extend(&interval),
                None => merged.push(interval),
            }
        }
        self.finished = merged;
    }

    /// Counts replies that arrived now.
    pub fn count_requests(&mut self, requests: u64) {
        self.current.requests += requests;
    }

    /// Counts bytes that arrived now.
    pub fn count_received(&mut self, bytes: u64) {
        self.current.received += bytes;
    }

    /// Counts requests that failed now.
    pub fn count_errors(&mut self, requests: u64) {
        self.current.errors += requests;
    }

    /// Counts the latency of replies that arrived now.
    pub fn record_latency(&mut self, nanoseconds: u64, requests: u64) {
        self.current.latencies.record(nanoseconds, requests);
    }

    /// Adds the intervals of another part of the same load, which has intervals of the same length.
    pub fn absorb(&mut self, mut other: Self) {
        // The part that has lasted longer may have merged more of them.
        while self.merged != other.merged {
            if self.merged < other.merged { self.double() } else { other.double() }
        }
        for (index, interval) in other.finished.iter().enumerate() {
            match self.finished.get_mut(index) {
                Some(own) => own.absorb(interval),
                None => self.finished.push(interval.clone()),
            }
        }
    }
}

impl Interval {
    /// Appends the next interval to this one.
    fn extend(&mut self, next: &Self) {
        self.absorb(next);
        self.partial = next.partial;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(series: &Series) -> Vec<(u128, u128, u64, bool)> {
        let bounds = |interval: &Interval| {
            (interval.from.as_nanos(), interval.until.as_nanos(), interval.requests, interval.partial)
        };
        series.intervals().iter().map(bounds).collect()
    }

    #[test]
    fn intervals_have_no_gaps_and_the_last_is_partial() {
        let mut series = Series::new(Duration::from_nanos(10));
        series.count_requests(2);
        assert!(series.end_before(9).is_none());
        while series.end_before(31).is_some() {}
        series.count_requests(5);
        assert_eq!(series.finish(34).map(|interval| interval.requests), Some(5));
        assert_eq!(bounds(&series), [(0, 10, 2, false), (10, 20, 0, false), (20, 30, 0, false), (30, 34, 5, true)]);
    }

    #[test]
    fn a_measurement_that_ends_with_an_interval_has_no_partial_one() {
        let mut series = Series::new(Duration::from_nanos(10));
        assert!(series.end_before(10).is_some());
        assert!(series.finish(10).is_none());
        assert_eq!(bounds(&series), [(0, 10, 0, false)]);
    }

    #[test]
    fn their_number_is_bounded() {
        let mut series = Series::new(Duration::from_nanos(10));
        for number in 1..=3 * MAX_INTERVALS as u64 {
            series.count_requests(1);
            assert!(series.end_before(number * 10).is_some());
        }
        let kept = bounds(&series);
        assert_eq!(kept.len(), 3 * MAX_INTERVALS / 4);
        assert_eq!(kept[..2], [(0, 40, 4, false), (40, 80, 4, false)]);
        assert!(kept.iter().all(|&(from, until, requests, _)| until - from == 40 && requests == 4), "{kept:?}");
    }

    #[test]
    fn the_length_of_kept_intervals_is_known_before() {
        for duration in [1, 36_000, 36_001, 72_000, 72_001, 108_007] {
            let mut series = Series::new(Duration::from_nanos(10));
            while series.end_before(duration).is_some() {}
            let _ = series.finish(duration);
            let kept = kept_length(Duration::from_nanos(10), Duration::from_nanos(duration)).as_nanos();
            let (from, until, ..) = bounds(&series)[0];
            assert_eq!(until - from, kept.min(duration.into()), "{duration}");
        }
    }

    #[test]
    fn intervals_of_two_parts_are_added() {
        let mut series = [Series::new(Duration::from_nanos(10)), Series::new(Duration::from_nanos(10))];
        for (part, latency) in series.iter_mut().zip([100, 300]) {
            part.count_requests(1);
            part.count_received(64);
            part.count_errors(2);
            part.record_latency(latency, 1);
            assert!(part.end_before(10).is_some());
        }
        let [mut first, mut second] = series;
        second.count_requests(7);
        assert!(second.finish(15).is_some());
        first.absorb(second);
        assert_eq!(bounds(&first), [(0, 10, 2, false), (10, 15, 7, true)]);
        let sum = &first.intervals()[0];
        assert_eq!((sum.received, sum.errors, sum.latencies.count()), (128, 4, 2));
        assert_eq!((sum.latencies.at(0.5).as_nanos(), sum.latencies.at(1.0).as_nanos()), (100, 300));
    }
}
