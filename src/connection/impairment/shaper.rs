//! A line of a rate: how many bytes may pass by a moment.

use std::num::NonZero;

use serde::{Deserialize, Serialize};

use crate::connection::millis::Millis;

/// Credit is counted in bytes times this number: at a rate in bytes a second, each millisecond is worth the rate.
const UNIT: u64 = 1000;
/// What a line may carry at once after it was idle, in milliseconds of its rate. Derived: what a busy line waits for. With
/// less, a line would lose credit whenever it finds no input for a moment, as between two windows of the client.
const BURST: u64 = QUANTUM;
/// The time that a line catches up on when its timer was late, in milliseconds. Chosen: much longer than an iteration of
/// the event loop.
const CATCH_UP: u64 = 1000;
/// What a busy line waits for before it carries more, in milliseconds of its rate. Chosen: a hundred wake-ups a second,
/// so that a slow line does not carry each byte alone.
const QUANTUM: u64 = 10;

/// A line of a rate in one direction. While it is busy it carries exactly its rate; while it is idle it saves up credit
/// for a small burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shaper {
    /// Bytes a second.
    rate: NonZero<u64>,
    /// Bytes that may pass, times [`UNIT`].
    credit: u64,
    /// The time at which that was computed.
    updated: Millis,
}

impl Shaper {
    /// An idle line.
    pub(super) fn new(rate: NonZero<u64>, now: Millis) -> Self {
        let mut line = Self { rate, credit: 0, updated: now };
        line.credit = line.worth(BURST);
        line
    }

    /// Credit for this number of milliseconds, for one byte at least.
    fn worth(&self, milliseconds: u64) -> u64 {
        self.rate.get().saturating_mul(milliseconds).max(UNIT)
    }

    /// The most credit: a byte more than it catches up on, so that a slow line loses no fractions.
    fn most(&self) -> u64 {
        self.worth(CATCH_UP).saturating_add(UNIT)
    }

    /// Computes the credit at `now`, of a line that is busy since `busy`, or will be then.
    pub(super) fn advance(&mut self, now: Millis, busy: Millis) {
        let busy = busy.max(self.updated).min(now);
        let grown = |credit: u64, time: Millis| credit.saturating_add(self.rate.get().saturating_mul(time.get()));
        let idle = grown(self.credit, busy - self.updated).min(self.credit.max(self.worth(BURST)));
        self.credit = grown(idle, now - busy).min(self.most());
        self.updated = self.updated.max(now);
    }

    /// The line is idle from now on: what it has not carried is lost, but for a burst.
    pub(super) fn rest(&mut self) {
        self.credit = self.credit.min(self.worth(BURST));
    }

    /// Bytes that may pass.
    pub(super) fn available(&self) -> usize {
        usize::try_from(self.credit / UNIT).unwrap_or(usize::MAX)
    }

    /// Bytes have passed: at most those that may.
    pub(super) fn take(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_sub((bytes as u64).saturating_mul(UNIT));
    }

    /// The number of bytes that a busy line waits for, of which `waiting` are known.
    pub(super) fn step(&self, waiting: usize) -> usize {
        usize::try_from(self.worth(QUANTUM) / UNIT).unwrap_or(usize::MAX).min(waiting)
    }

    /// When this number of bytes may pass, if the line is busy until then.
    pub(super) fn due(&self, bytes: usize) -> Millis {
        let missing = (bytes as u64).saturating_mul(UNIT).saturating_sub(self.credit);
        self.updated + Millis::new(missing.div_ceil(self.rate.get()))
    }

    /// Whether a line of this rate can have come to this.
    pub(super) fn is_possible(&self, rate: NonZero<u64>) -> bool {
        self.rate == rate && self.credit <= self.most()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(rate: u64) -> Shaper {
        Shaper::new(NonZero::new(rate).expect("a rate"), Millis::ZERO)
    }

    /// The bytes that a busy line carries until `end`, if it is looked at every `interval` milliseconds.
    fn carried(rate: u64, interval: u64, end: u64) -> u64 {
        let mut line = line(rate);
        let mut sum = 0;
        for now in (0..=end).step_by(usize::try_from(interval).expect("small")) {
            line.advance(Millis::new(now), Millis::ZERO);
            let bytes = line.available();
            line.take(bytes);
            sum += bytes as u64;
        }
        sum
    }

    #[test]
    fn a_busy_line_carries_exactly_its_rate() {
        for rate in [1, 7, 999, 1000, 1001, 10_000, 10_000_000, 3_333_333_333] {
            for interval in [1, 3, 10, 100, 900] {
                let end = 600_000 / interval * interval;
                let (sum, exact) = (carried(rate, interval, end), rate * end / 1000);
                let burst = (rate * BURST / 1000).max(1);
                assert!((exact..=exact + burst + 1).contains(&sum), "{sum} bytes at {rate} every {interval} ms");
            }
        }
    }

    #[test]
    fn an_idle_line_saves_up_for_a_small_burst_only() {
        let mut line = line(100_000);
        line.take(line.available());
        line.advance(Millis::new(60_000), Millis::NEVER);
        assert_eq!(line.available(), 1_000);
        line.advance(Millis::new(61_000), Millis::new(60_500));
        assert_eq!(line.available(), 51_000, "busy for half a second");
        line.rest();
        assert_eq!(line.available(), 1_000);
    }

    #[test]
    fn bytes_are_due_when_they_may_pass() {
        let mut line = line(300);
        line.take(line.available());
        for bytes in 1..10 {
            let due = line.due(bytes);
            let at = |now| {
                let mut line = line;
                line.advance(now, Millis::ZERO);
                line.available()
            };
            assert!(at(due) >= bytes && at(due - Millis::new(1)) < bytes, "{bytes} bytes at {due:?}");
        }
        assert_eq!([line.step(1), line.step(100)], [1, 3]);
    }

    #[test]
    fn sums_of_huge_rates_saturate() {
        let mut line = line(u64::MAX);
        line.advance(Millis::NEVER, Millis::ZERO);
        line.take(usize::MAX);
        assert!(line.due(usize::MAX) <= Millis::NEVER);
    }
}
