//! Something to be done again and again, at equal distances.

use std::time::{Duration, Instant};

/// The shortest distance. Chosen: a hundred wake-ups a second cost next to nothing, and a setting such as
/// `WATCHDOG_USEC=1` cannot keep a processor busy.
pub const SHORTEST: Duration = Duration::from_millis(10);

/// A timer; one that is off is never due.
#[derive(Debug)]
pub struct Timer {
    every: Option<Duration>,
    next: Instant,
}

impl Timer {
    /// Due after `every`, or after [`SHORTEST`] where that is less, and again and again; `None` is off.
    #[must_use]
    pub fn new(every: Option<Duration>) -> Self {
        let every = every.map(|every| every.max(SHORTEST));
        Self { every, next: Instant::now() + every.unwrap_or_default() }
    }

    /// Switches it on (`Some`) or off (`None`). One that is on already keeps its interval and its time.
    pub fn switch(&mut self, every: Option<Duration>) {
        if every.is_some() != self.every.is_some() {
            *self = Self::new(every);
        }
    }

    /// How long until it is due.
    #[must_use]
    pub fn left(&self, now: Instant) -> Option<Duration> {
        self.every.map(|_| self.next.saturating_duration_since(now))
    }

    /// Whether it is due; then it is due again later.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let Some(every) = self.every.filter(|_| self.next <= now) else { return false };
        self.next = now + every;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_at_equal_distances() {
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
    fn off_it_wakes_nobody() {
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
    fn never_too_often() {
        for every in [Duration::ZERO, Duration::from_nanos(250)] {
            let timer = Timer::new(Some(every));
            assert_eq!(timer.every, Some(SHORTEST));
        }
    }
}
