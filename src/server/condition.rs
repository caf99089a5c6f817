//! A condition (a failure that may last or recur, and that clients can cause as often as they like), logged at a
//! bounded rate.
//!
//! The rules:
//!
//! - One line when the condition begins. While it lasts or recurs, at most one line a minute ([`INTERVAL`]), with the
//!   number of occurrences since the last one.
//! - One line when it has ended, that is, when it was off for [`QUIET`]: a condition that begins and ends a thousand
//!   times a second is one condition. The line has the number of occurrences and the time from the first to the last.
//! - If it begins again less than a minute after the last line that reported it on, no line is written at once. If it
//!   occurs once more after that minute, the next line that reports it on has the number; otherwise the line that
//!   reports its end has the number, and is not written before that minute has passed.
//!
//! A condition therefore has one line a minute while it flaps faster than [`QUIET`], and two in the worst case. Every
//! occurrence is counted in the line about an end.
//!
//! A condition whose end is of no interest is never checked: its lines appear at most once a minute.
//!
//! A condition that has a duration is switched by [`Condition::begin`] and [`Condition::end`]; one that is a series of
//! single failures is reported by [`Condition::occurred`]. Several threads may report one condition. Nothing is logged
//! here: the caller appends the returned value to its message. [`Condition::check_ended`] detects the end; a thread
//! must call it at the time of [`Condition::due`], and sleep no longer than that. An idle daemon has no condition that
//! is due.

use std::fmt;
use std::mem;
use std::sync::atomic::Ordering;

use super::sync::{AtomicBool, AtomicU64, Mutex, lock};
use crate::connection::Millis;

/// The minimum time between two lines that report a condition on. Chosen: often enough to see that it persists, and
/// 1,440 lines a day.
const INTERVAL: Millis = Millis::new(60_000);
/// The time without the condition after which it has ended. Chosen: long for a loop that retries every 100 ms, short
/// for a person who waits for the line.
const QUIET: Millis = Millis::new(2_000);

/// The number of occurrences since the last line that reported the condition on; to be appended to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times(u64);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 1 { Ok(()) } else { write!(f, " ({} times since the last such message)", self.0) }
    }
}

/// The number of occurrences of a condition that has ended, and its duration; to be appended to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    times: u64,
    lasted: Millis,
}

impl fmt::Display for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.times == 1 { "" } else { "s" };
        let lasted = self.lasted.get();
        write!(f, " ({} time{plural} in {}.{} s)", self.times, lasted / 1000, lasted % 1000 / 100)
    }
}

/// Whether [`Condition::due`] is earlier than before: the thread that sleeps until then must be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is earlier: wake the thread.
    Sooner,
    /// It is not earlier.
    Unchanged,
}

/// A condition that several threads may report.
#[derive(Debug)]
pub struct Condition {
    /// True from [`Condition::begin`] to [`Condition::end`]; changed under the lock.
    on: AtomicBool,
    /// When to call [`Condition::check_ended`], in milliseconds; changed under the lock.
    due: AtomicU64,
    state: Mutex<State>,
}

impl Default for Condition {
    fn default() -> Self {
        Self { on: AtomicBool::new(false), due: AtomicU64::new(Millis::NEVER.get()), state: Mutex::default() }
    }
}

impl Condition {
    /// Whether it has begun and not ended.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::SeqCst)
    }

    /// Reports a single failure. If the number of times is returned, a line must be logged.
    pub fn occurred(&self, now: Millis) -> (Option<Times>, Due) {
        let mut state = lock(&self.state);
        let times = state.occur(now);
        (times, self.bring_forward(&state))
    }

    /// Switches it on, unless it is on already. If the number of times is returned, a line must be logged.
    pub fn begin(&self, now: Millis) -> Option<Times> {
        let mut state = lock(&self.state);
        if self.on.swap(true, Ordering::SeqCst) {
            return None;
        }
        state.occur(now)
    }

    /// Switches it off; `None` if it was not on.
    pub fn end(&self, now: Millis) -> Option<Due> {
        let mut state = lock(&self.state);
        if !self.on.swap(false, Ordering::SeqCst) {
            return None;
        }
        state.was_on(now);
        Some(self.bring_forward(&state))
    }

    /// Detects that it has ended: then a line must be logged.
    pub fn check_ended(&self, now: Millis) -> Option<Past> {
        if now < self.due() {
            return None;
        }
        let mut state = lock(&self.state);
        if self.is_on() {
            self.due.store(Millis::NEVER.get(), Ordering::Relaxed);
            return None;
        }
        let past = state.check_ended(now);
        self.due.store(state.ends_at().get(), Ordering::Relaxed);
        past
    }

    /// When to call [`Condition::check_ended`]; [`Millis::NEVER`] while there is no reason.
    pub fn due(&self) -> Millis {
        Millis::new(self.due.load(Ordering::Relaxed))
    }

    /// Only [`Condition::check_ended`] defers the time: a condition that flaps does not wake a thread each time.
    fn bring_forward(&self, state: &State) -> Due {
        let ends_at = state.ends_at();
        if ends_at < self.due() {
            self.due.store(ends_at.get(), Ordering::Relaxed);
            Due::Sooner
        } else {
            Due::Unchanged
        }
    }
}

/// The occurrences, and the lines about them.
#[derive(Debug, Default)]
struct State {
    /// It has occurred, and no line has reported its end yet.
    open: bool,
    /// No line has reported it on since it was opened.
    silent: bool,
    /// The first occurrence since it was opened.
    since: Millis,
    /// The last time at which it was on.
    last: Millis,
    /// Occurrences since it was opened.
    times: u64,
    /// Those of them that came after the last line.
    unreported: u64,
    /// When a line last reported it on.
    announced: Option<Millis>,
}

impl State {
    fn occur(&mut self, now: Millis) -> Option<Times> {
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

    /// Threads read the clock before they take the lock: their times may arrive out of order.
    fn was_on(&mut self, now: Millis) {
        self.last = self.last.max(now);
    }

    /// When it has ended, if it does not occur before.
    fn ends_at(&self) -> Millis {
        let quiet = self.last + QUIET;
        match self.announced {
            _ if !self.open => Millis::NEVER,
            Some(announced) if self.silent => quiet.max(announced + INTERVAL),
            _ => quiet,
        }
    }

    fn check_ended(&mut self, now: Millis) -> Option<Past> {
        if now < self.ends_at() {
            return None;
        }
        self.open = false;
        if self.silent {
            // its only line: it counts as one that reports it on
            self.announced = Some(now);
        }
        Some(Past { times: self.times, lasted: self.last - self.since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines, each with its time in milliseconds, about a condition that occurs at these times, and that is checked
    /// whenever it is due.
    fn lines(occurrences: &[u64]) -> Vec<(u64, String)> {
        let condition = Condition::default();
        let mut lines = Vec::new();
        for now in occurrences.iter().copied().map(Some).chain([None]) {
            while condition.due() < now.map_or(Millis::NEVER, |now| Millis::new(now + 1)) {
                let due = condition.due();
                lines.extend(condition.check_ended(due).map(|past| (due.get(), format!("off{past}"))));
            }
            let times = now.and_then(|now| Some((now, condition.occurred(Millis::new(now)).0?)));
            lines.extend(times.map(|(now, times)| (now, format!("on{times}"))));
        }
        lines
    }

    fn assert_lines(occurrences: &[u64], expected: &[(u64, &str)]) {
        let lines = lines(occurrences);
        assert_eq!(lines.iter().map(|(at, line)| (*at, line.as_str())).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_condition_has_one_line_when_it_begins_and_one_when_it_has_ended() {
        assert_lines(&[500], &[(500, "on"), (2500, "off (1 time in 0.0 s)")]);
        assert_lines(&[500, 1000, 2900], &[(500, "on"), (4900, "off (3 times in 2.4 s)")]);
    }

    #[test]
    fn a_condition_that_lasts_has_one_line_a_minute() {
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
        // ended by then: the minute of the next beginning counts from this line
        let over = [(60_000, "off (2 times in 10.0 s)"), (120_000, "off (1 time in 0.0 s)")];
        assert_lines(&[0, 40_000, 50_000, 70_000], &[first, over].concat());
    }

    #[test]
    fn a_condition_with_a_duration_ends_only_after_it_is_off() {
        let condition = Condition::default();
        assert_eq!(condition.begin(Millis::new(1000)), Some(Times(1)));
        assert_eq!((condition.begin(Millis::new(1001)), condition.is_on()), (None, true));
        assert_eq!(condition.due(), Millis::NEVER, "nothing wakes a thread while it lasts");
        assert_eq!(condition.end(Millis::new(500_000)), Some(Due::Sooner));
        assert_eq!((condition.end(Millis::new(500_001)), condition.is_on()), (None, false));
        assert_eq!(condition.due(), Millis::new(502_000));
        assert_eq!(condition.check_ended(Millis::new(501_999)), None);
        // on again at that moment
        assert_eq!(condition.begin(Millis::new(502_000)), Some(Times(1)));
        assert_eq!((condition.check_ended(Millis::new(502_000)), condition.due()), (None, Millis::NEVER));
        assert_eq!(condition.end(Millis::new(502_500)), Some(Due::Sooner));
        assert_eq!(condition.check_ended(Millis::new(504_500)), Some(Past { times: 2, lasted: Millis::new(501_500) }));
        assert_eq!(condition.due(), Millis::NEVER);
    }

    #[test]
    fn a_condition_that_flaps_has_one_line_a_minute_and_wakes_the_thread_once() {
        let condition = Condition::default();
        let (mut lines, mut woken) = (0, 0);
        for now in (0..180_000).map(Millis::new) {
            lines += u64::from(condition.begin(now).is_some());
            woken += u64::from(condition.end(now) == Some(Due::Sooner));
            lines += u64::from(condition.check_ended(now).is_some());
        }
        assert_eq!((lines, woken), (3, 1));
        assert_eq!(condition.check_ended(condition.due()), None);
        assert_eq!(condition.check_ended(condition.due()), Some(Past { times: 180_000, lasted: Millis::new(179_999) }));
    }

    #[test]
    fn concurrent_reports_make_one_line() {
        let condition = Condition::default();
        let lines: usize = std::thread::scope(|scope| {
            let report = || (0..1000).filter(|now| condition.occurred(Millis::new(*now)).0.is_some()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(report)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(lines, 1);
        assert_eq!(condition.check_ended(Millis::NEVER - Millis::new(1)).map(|past| past.times), Some(4000));
    }

    proptest! {
        #[test]
        fn lines_are_few_and_count_every_occurrence(gaps in prop::collection::vec(0..90_000_u64, 1..200)) {
            let mut now = 0;
            let occurrences: Vec<u64> = gaps.iter().map(|gap| { now += gap; now }).collect();
            let lines = lines(&occurrences);
            let minutes = now / INTERVAL.get() + 2;
            prop_assert!(lines.len() as u64 <= 2 * minutes, "{lines:?}");
            let on: Vec<u64> = lines.iter().filter(|(_, line)| line.starts_with("on")).map(|(at, _)| *at).collect();
            prop_assert!(on.windows(2).all(|pair| pair[1] - pair[0] >= INTERVAL.get()), "{lines:?}");
            let off = lines.iter().filter_map(|(_, line)| line.strip_prefix("off (")?.split(' ').next());
            let counted: usize = off.map(|times| times.parse::<usize>().expect("a number")).sum();
            prop_assert_eq!(counted, occurrences.len(), "{:?}", lines);
        }
    }
}
