//! Something that goes wrong for a while and that clients can cause as often as they like: logged at a bounded rate.
//!
//! The rules, with times in milliseconds as [`super::shared::Shared::now`] has them:
//!
//! - One line when the condition begins. While it lasts or recurs, one line a minute ([`INTERVAL`]) at most, with the
//!   number of times since the last one.
//! - One line when it has ended: when it was off for [`QUIET`], so that what begins and ends a thousand times a second
//!   is one condition. The line has the number of times and the time from the first to the last.
//! - If it begins again less than a minute after the last line that it is on, no line is written at once. If it occurs
//!   once more after that minute, a line that it is on has the number; if it does not, the line that it has ended has
//!   the number, and is not written before that minute is over.
//!
//! A condition therefore has one line a minute while it flaps faster than [`QUIET`], and two in the worst case. Every
//! occurrence is counted in the line about an end.
//!
//! A condition that has a duration is switched by [`Condition::begin`] and [`Condition::end`]; one that is a row of
//! single failures is reported by [`Condition::occurred`]. Several threads may report one condition. Nothing is logged
//! here: what is returned belongs behind the caller's message. The end is noticed by [`Condition::settle`]; a thread
//! must call it at the time of [`Condition::due`], and sleep no longer than that. An idle daemon has no condition that
//! is due.

use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::connection::NEVER;

/// The time between two lines that say that a condition is on. Chosen: often enough to see that it goes on, and 1,440
/// lines a day.
const INTERVAL: u64 = 60_000;
/// The time without the condition after which it has ended. Chosen: long for a loop that tries again every 100 ms,
/// short for a person who waits for the line.
const QUIET: u64 = 2_000;

/// How often a condition occurred since the last line that said that it is on; belongs behind a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times(u64);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 1 { Ok(()) } else { write!(f, " ({} times since the last such message)", self.0) }
    }
}

/// How often a condition occurred that has ended, and for how long; belongs behind a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    times: u64,
    lasted: u64,
}

impl fmt::Display for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.times == 1 { "" } else { "s" };
        write!(f, " ({} time{plural} in {}.{} s)", self.times, self.lasted / 1000, self.lasted % 1000 / 100)
    }
}

/// Whether the time of [`Condition::due`] is earlier than before: a thread that sleeps until then must be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is earlier.
    Sooner,
    /// It is not.
    Unchanged,
}

/// A condition that several threads may report.
#[derive(Debug)]
pub struct Condition {
    /// Between [`Condition::begin`] and [`Condition::end`]; changed under the lock.
    on: AtomicBool,
    /// When [`Condition::settle`] has to look again, [`NEVER`] without a reason; changed under the lock.
    due: AtomicU64,
    state: Mutex<State>,
}

impl Default for Condition {
    fn default() -> Self {
        Self { on: AtomicBool::new(false), due: AtomicU64::new(NEVER), state: Mutex::default() }
    }
}

impl Condition {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is between its beginning and its end.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::SeqCst)
    }

    /// Something failed, once. A line is due where there is a number of times.
    pub fn occurred(&self, now: u64) -> (Option<Times>, Due) {
        let mut state = self.lock();
        let times = state.occur(now);
        (times, self.bring_forward(&state))
    }

    /// It is on from now on, unless it was already. A line is due where there is a number of times.
    pub fn begin(&self, now: u64) -> Option<Times> {
        let mut state = self.lock();
        if self.on.swap(true, Ordering::SeqCst) {
            return None;
        }
        state.occur(now)
    }

    /// It is off from now on; None if it was not on.
    pub fn end(&self, now: u64) -> Option<Due> {
        let mut state = self.lock();
        if !self.on.swap(false, Ordering::SeqCst) {
            return None;
        }
        state.was_on(now);
        Some(self.bring_forward(&state))
    }

    /// Looks whether it has ended: a line is due then.
    pub fn settle(&self, now: u64) -> Option<Past> {
        if now < self.due() {
            return None;
        }
        let mut state = self.lock();
        if self.is_on() {
            self.due.store(NEVER, Ordering::Relaxed);
            return None;
        }
        let past = state.settle(now);
        self.due.store(state.over_at(), Ordering::Relaxed);
        past
    }

    /// When to call [`Condition::settle`]; [`NEVER`] as long as there is no reason.
    pub fn due(&self) -> u64 {
        self.due.load(Ordering::Relaxed)
    }

    /// Only [`Condition::settle`] puts the time off: a condition that flaps does not wake a thread each time.
    fn bring_forward(&self, state: &State) -> Due {
        let over_at = state.over_at();
        if over_at < self.due.load(Ordering::Relaxed) {
            self.due.store(over_at, Ordering::Relaxed);
            Due::Sooner
        } else {
            Due::Unchanged
        }
    }
}

/// What was reported, and what was not yet.
#[derive(Debug, Default)]
struct State {
    /// It has occurred, and there was no line about its end.
    open: bool,
    /// Since it is open, there was no line that it is on.
    silent: bool,
    /// When it occurred first since it is open.
    since: u64,
    /// When it was on for the last time.
    last: u64,
    /// How often it has occurred since it is open.
    times: u64,
    /// How many of these came after the last line.
    unreported: u64,
    /// When the last line was logged that it is on.
    announced: Option<u64>,
}

impl State {
    fn occur(&mut self, now: u64) -> Option<Times> {
        if !self.open {
            let announced = self.announced;
            *self = Self { open: true, silent: true, since: now, last: now, announced, ..Self::default() };
        }
        self.was_on(now);
        self.times += 1;
        self.unreported += 1;
        if self.announced.is_some_and(|announced| now < announced + INTERVAL) {
            return None;
        }
        self.announced = Some(now);
        self.silent = false;
        Some(Times(mem::take(&mut self.unreported)))
    }

    /// Threads look at the clock before they take the lock: their times may come in another order.
    fn was_on(&mut self, now: u64) {
        self.last = self.last.max(now);
    }

    /// When it is to be called ended, if it does not occur before.
    fn over_at(&self) -> u64 {
        let quiet = self.last + QUIET;
        match self.announced {
            _ if !self.open => NEVER,
            Some(announced) if self.silent => quiet.max(announced + INTERVAL),
            _ => quiet,
        }
    }

    fn settle(&mut self, now: u64) -> Option<Past> {
        if now < self.over_at() {
            return None;
        }
        self.open = false;
        if self.silent {
            // its only line, in place of the one that it is on
            self.announced = Some(now);
        }
        Some(Past { times: self.times, lasted: self.last - self.since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines about a condition that occurs at these times, with somebody who looks whenever it is due.
    fn lines(occurrences: &[u64]) -> Vec<(u64, String)> {
        let condition = Condition::default();
        let mut lines = Vec::new();
        for now in occurrences.iter().chain([&(NEVER - 1)]) {
            while condition.due() <= *now {
                let due = condition.due();
                lines.extend(condition.settle(due).map(|past| (due, format!("off{past}"))));
            }
            if *now < NEVER - 1 {
                lines.extend(condition.occurred(*now).0.map(|times| (*now, format!("on{times}"))));
            }
        }
        lines
    }

    fn assert_lines(occurrences: &[u64], expected: &[(u64, &str)]) {
        let lines = lines(occurrences);
        assert_eq!(lines.iter().map(|(at, line)| (*at, line.as_str())).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn one_line_when_it_begins_and_one_when_it_has_ended() {
        assert_lines(&[500], &[(500, "on"), (2500, "off (1 time in 0.0 s)")]);
        assert_lines(&[500, 1000, 2900], &[(500, "on"), (4900, "off (3 times in 2.4 s)")]);
    }

    #[test]
    fn a_line_a_minute_while_it_goes_on() {
        let every_second: Vec<u64> = (0..150).map(|second| second * 1000).collect();
        let expected = [
            (0, "on"),
            (60_000, "on (60 times since the last such message)"),
            (120_000, "on (60 times since the last such message)"),
            (151_000, "off (150 times in 149.0 s)"),
        ];
        assert_lines(&every_second, &expected);
    }

    #[test]
    fn a_condition_that_recurs_within_a_minute_is_counted_in_the_next_line() {
        let first = [(0, "on"), (2000, "off (1 time in 0.0 s)")];
        let still = [(60_500, "on (3 times since the last such message)"), (62_500, "off (3 times in 20.5 s)")];
        assert_lines(&[0, 40_000, 59_000, 60_500], &[first, still].concat());
        // over by then: the minute of the next beginning counts from this line
        let over = [(60_000, "off (2 times in 10.0 s)"), (120_000, "off (1 time in 0.0 s)")];
        assert_lines(&[0, 40_000, 50_000, 70_000], &[first, over].concat());
    }

    #[test]
    fn a_condition_with_a_duration_has_not_ended_before_it_is_off() {
        let condition = Condition::default();
        assert_eq!(condition.begin(1000), Some(Times(1)));
        assert_eq!((condition.begin(1001), condition.is_on()), (None, true));
        assert_eq!(condition.due(), NEVER, "nothing wakes a thread while it lasts");
        assert_eq!(condition.end(500_000), Some(Due::Sooner));
        assert_eq!((condition.end(500_001), condition.is_on()), (None, false));
        assert_eq!(condition.due(), 502_000);
        assert_eq!(condition.settle(501_999), None);
        // on again at that moment
        assert_eq!(condition.begin(502_000), Some(Times(1)));
        assert_eq!((condition.settle(502_000), condition.due()), (None, NEVER));
        assert_eq!(condition.end(502_500), Some(Due::Sooner));
        assert_eq!(condition.settle(504_500), Some(Past { times: 2, lasted: 501_500 }));
        assert_eq!(condition.due(), NEVER);
    }

    #[test]
    fn a_condition_that_flaps_has_one_line_a_minute_and_wakes_nobody_each_time() {
        let condition = Condition::default();
        let (mut lines, mut woken) = (0, 0);
        for now in 0..180_000 {
            lines += u64::from(condition.begin(now).is_some());
            woken += u64::from(condition.end(now) == Some(Due::Sooner));
            lines += u64::from(condition.settle(now).is_some());
        }
        assert_eq!((lines, woken), (3, 1));
        assert_eq!(condition.settle(condition.due()), None);
        assert_eq!(condition.settle(condition.due()), Some(Past { times: 180_000, lasted: 179_999 }));
    }

    #[test]
    fn threads_that_report_at_the_same_time_make_one_line() {
        let condition = Condition::default();
        let lines: usize = std::thread::scope(|scope| {
            let report = || (0..1000).filter(|now| condition.occurred(*now).0.is_some()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(report)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(lines, 1);
        assert_eq!(condition.settle(NEVER - 1).map(|past| past.times), Some(4000));
    }

    proptest! {
        #[test]
        fn lines_are_few_and_count_everything(gaps in prop::collection::vec(0..90_000_u64, 1..200)) {
            let mut now = 0;
            let occurrences: Vec<u64> = gaps.iter().map(|gap| { now += gap; now }).collect();
            let lines = lines(&occurrences);
            let minutes = now / INTERVAL + 2;
            prop_assert!(lines.len() as u64 <= 2 * minutes, "{lines:?}");
            let on: Vec<u64> = lines.iter().filter(|(_, line)| line.starts_with("on")).map(|(at, _)| *at).collect();
            prop_assert!(on.windows(2).all(|pair| pair[1] - pair[0] >= INTERVAL), "{lines:?}");
            let off = lines.iter().filter_map(|(_, line)| line.strip_prefix("off (")?.split(' ').next());
            let counted: usize = off.map(|times| times.parse::<usize>().expect("a number")).sum();
            prop_assert_eq!(counted, occurrences.len(), "{:?}", lines);
        }
    }
}
