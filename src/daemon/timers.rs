//! The timers of the main loop, and their intervals.

use std::time::{Duration, Instant};

/// The minimum interval of a timer. Chosen: a hundred wake-ups per second are hardly any load, and a setting such as
/// `WATCHDOG_USEC=1` cannot keep a processor busy.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// Time between updates of the status. Chosen: `systemctl status` shows figures that are at most this old, and the load
/// is negligible.
const STATUS_INTERVAL: Duration = Duration::from_secs(2);
/// The time that a request for more time asks for while stopping. Chosen: if the daemon hangs, the manager kills it
/// this much later.
pub const EXTEND_BY: Duration = Duration::from_secs(10);
/// Time between requests for more time while stopping. Derived: a fifth of [`EXTEND_BY`], so that four requests in a
/// row may be lost.
const EXTEND_INTERVAL: Duration = Duration::from_secs(EXTEND_BY.as_secs() / 5);
/// Heartbeats in each period of the watchdog. Chosen: one that is late does not get the daemon killed.
const HEARTBEATS_PER_PERIOD: u32 = 4;
/// Time after which a message that the manager did not take is sent again. Chosen: short compared to the timeouts of a
/// manager, which are seconds, and no load.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// Checks for connections in each period of `--exit-idle`. Chosen: the daemon exits at most an eighth of the period
/// late.
const IDLE_CHECKS_PER_TIMEOUT: u32 = 8;
/// Time between checks for connections that the drain waits for, until there is one. Chosen: a user at the terminal reads at
/// once why the daemon goes on, and a few checks are no load.
const WAITING_INTERVAL: Duration = Duration::from_millis(250);

/// The timers of the main loop.
#[derive(Debug)]
pub struct Timers {
    /// A heartbeat is due.
    pub watchdog: Timer,
    /// The status has to be updated.
    pub status: Timer,
    /// More time has to be requested for the stop.
    pub extend: Timer,
    /// The drain delay is over.
    pub delay: Timer,
    /// A check for connections that the drain waits for is due.
    pub waiting: Timer,
    /// Undelivered messages to the service manager have to be sent again.
    pub retry: Timer,
    /// A check for connections is due.
    pub idle_check: Timer,
}

impl Timers {
    /// The timers at start; `has_manager` if there is a service manager, whose watchdog has that period.
    #[must_use]
    pub fn new(has_manager: bool, watchdog_period: Option<Duration>) -> Self {
        Self {
            watchdog: Timer::new(watchdog_period.map(|period| period / HEARTBEATS_PER_PERIOD)),
            status: Timer::new(has_manager.then_some(STATUS_INTERVAL)),
            extend: Timer::new(None),
            delay: Timer::new(None),
            waiting: Timer::new(None),
            retry: Timer::new(None),
            idle_check: Timer::new(None),
        }
    }

    /// Checks for connections during this `--exit-idle`.
    pub fn check_idle(&mut self, exit_idle: Option<Duration>) {
        self.idle_check = Timer::new(exit_idle.map(|timeout| timeout / IDLE_CHECKS_PER_TIMEOUT));
    }

    /// Sends undelivered messages again while there are some.
    pub fn retry(&mut self, has_undelivered: bool) {
        self.retry.switch(has_undelivered.then_some(RETRY_INTERVAL));
    }

    /// Requests more time from the service manager, if there is one.
    pub fn extend(&mut self, has_manager: bool) {
        self.extend = Timer::new(has_manager.then_some(EXTEND_INTERVAL));
    }

    /// Begins to wait for the end of the drain delay, or ends that.
    pub fn delay(&mut self, delay: Option<Duration>) {
        self.delay = Timer::new(delay);
    }

    /// Begins to check for connections that the drain waits for, or ends that.
    pub fn watch_waiting(&mut self, wanted: bool) {
        self.waiting.switch(wanted.then_some(WAITING_INTERVAL));
    }

    /// The time until the next timer is due; `None` if all are off.
    #[must_use]
    pub fn left(&self, now: Instant) -> Option<Duration> {
        let Self { watchdog, status, extend, delay, waiting, retry, idle_check } = self;
        let all = [watchdog, status, extend, delay, waiting, retry, idle_check];
        all.into_iter().filter_map(|timer| timer.left(now)).min()
    }
}

/// A timer that is due again and again. A timer that is off is never due.
#[derive(Debug)]
pub struct Timer {
    interval: Option<Duration>,
    next: Instant,
}

impl Timer {
    /// A timer with this interval, or with [`MIN_INTERVAL`] if that is longer; `None` is off.
    fn new(interval: Option<Duration>) -> Self {
        let interval = interval.map(|interval| interval.max(MIN_INTERVAL));
        Self { interval, next: Instant::now() + interval.unwrap_or_default() }
    }

    /// Switches the timer on (`Some`) or off (`None`). A timer that is on already keeps its interval and its time.
    fn switch(&mut self, interval: Option<Duration>) {
        if interval.is_some() != self.interval.is_some() {
            *self = Self::new(interval);
        }
    }

    /// The time until it is due.
    fn left(&self, now: Instant) -> Option<Duration> {
        self.interval.map(|_| self.next.saturating_duration_since(now))
    }

    /// Whether it is due; if so, it is due again after its interval.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let Some(interval) = self.interval.filter(|_| self.next <= now) else { return false };
        self.next = now + interval;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_are_due_after_each_interval() {
        let mut timer = Timer::new(Some(Duration::from_secs(2)));
        let start = timer.next.checked_sub(Duration::from_secs(2)).expect("a time after the start of the clock");
        assert!(!timer.is_due(start + Duration::from_secs(1)));
        assert_eq!(timer.left(start + Duration::from_millis(500)), Some(Duration::from_millis(1500)));
        let late = start + Duration::from_secs(3);
        assert_eq!(timer.left(late), Some(Duration::ZERO));
        assert!(timer.is_due(late) && !timer.is_due(late));
        assert_eq!(timer.left(late), Some(Duration::from_secs(2)));
    }

    #[test]
    fn timers_that_are_off_are_never_due() {
        let mut timer = Timer::new(None);
        let later = Instant::now() + Duration::from_secs(1000);
        assert_eq!(timer.left(later), None);
        assert!(!timer.is_due(later));
        timer.switch(Some(Duration::from_secs(2)));
        let next = timer.next;
        timer.switch(Some(Duration::from_secs(2)));
        assert_eq!(timer.next, next);
        timer.switch(None);
        assert_eq!(timer.left(later), None);
    }

    #[test]
    fn next_timer_decides_the_wait() {
        let now = Instant::now();
        assert_eq!(Timers::new(false, None).left(now), None);
        let mut timers = Timers::new(true, Some(Duration::from_secs(60)));
        let left = |timers: &Timers| timers.left(now).map(|left| left.as_secs_f64().round());
        assert_eq!(left(&timers), Some(2.0));
        timers.check_idle(Some(Duration::from_secs(8)));
        assert_eq!(left(&timers), Some(1.0));
        timers.delay(Some(Duration::from_millis(600)));
        assert!(timers.left(now).is_some_and(|left| left > Duration::from_millis(500)));
        timers.retry(true);
        assert_eq!(left(&timers), Some(0.0));
    }

    #[test]
    fn intervals_have_a_minimum() {
        for interval in [Duration::ZERO, Duration::from_nanos(250)] {
            let timer = Timer::new(Some(interval));
            assert_eq!(timer.interval, Some(MIN_INTERVAL));
        }
    }
}
