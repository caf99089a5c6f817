//! When the intervals of a measurement of throughput end.

/// The intervals of a measurement. Times are nanoseconds since its start.
#[derive(Debug)]
pub struct Intervals {
    length: u64,
    /// The start of the current one.
    from: u64,
    /// When the current one is to end: a multiple of the length.
    end: u64,
}

impl Intervals {
    /// Intervals of this length.
    #[must_use]
    pub fn new(length: u64) -> Self {
        Self { length, from: 0, end: length }
    }

    /// When the current one is to end.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Ends the current one at `until`; returns its start, and whether it was to end later.
    ///
    /// After an end that is late, the next one is at least half a length away: a shorter interval would say little, and
    /// reading the state of many connections for it would take much of its time.
    pub fn finish(&mut self, until: u64) -> (u64, bool) {
        let ended = (self.from, until < self.end);
        self.from = until;
        let multiples = until.saturating_add(self.length / 2) / self.length + 1;
        self.end = self.length.saturating_mul(multiples);
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_ends_when_that_is_noticed_and_the_next_one_begins_there() {
        let mut intervals = Intervals::new(100);
        for (until, ended, next) in [
            (100, (0, false), 200),
            (203, (100, false), 300),
            (349, (203, false), 400),
            (450, (349, false), 600),
            (1930, (450, false), 2000),
            (1990, (1930, true), 2100),
        ] {
            assert_eq!((intervals.finish(until), intervals.end()), (ended, next), "at {until}");
        }
    }

    #[test]
    fn the_longest_interval_has_no_end() {
        let mut intervals = Intervals::new(u64::MAX / 4);
        for until in [1, u64::MAX / 2, u64::MAX - 1] {
            intervals.finish(until);
            assert!(intervals.end() > until, "after {until}");
        }
    }
}
