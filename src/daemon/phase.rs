//! The phases of the daemon's life, and what a SIGTERM or SIGINT means in each of them.
//!
//! An order to stop begins the drain, and a later one ends the drain. Programs send one order as several signals of
//! one moment: timeout(1) signals its child and then the process group of the child. A signal that comes within
//! [`SAME_ORDER`] of the one that began a phase is therefore that order again.

use std::time::Duration;

/// Signals closer together than this are one order. Chosen: far longer than the distance of signals that a program
/// sends as one order, and shorter than the patience of a person who wants the drain to end.
pub const SAME_ORDER: Duration = Duration::from_secs(1);

/// What the daemon does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It accepts connections and answers.
    Serving,
    /// It accepts no more and answers what was asked.
    Draining,
    /// It closes every connection.
    StoppingNow,
}

/// The phase, and since which signal.
#[derive(Debug)]
pub struct Progress {
    phase: Phase,
    /// When the signal came that began the phase, by the monotonic clock; `None` when no signal did.
    ordered: Option<Duration>,
}

impl Progress {
    /// The daemon serves.
    #[must_use]
    pub fn new() -> Self {
        Self { phase: Phase::Serving, ordered: None }
    }

    /// Whether it does anything but serve.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.phase != Phase::Serving
    }

    /// The daemon begins to drain for a reason of its own.
    pub fn drain(&mut self) {
        self.phase = Phase::Draining;
    }

    /// A signal that came at `at` asks to stop: the phase that it begins, if it begins one.
    pub fn order(&mut self, at: Duration) -> Option<Phase> {
        if self.ordered.is_some_and(|began| at.saturating_sub(began) < SAME_ORDER) {
            return None;
        }
        let next = match self.phase {
            Phase::Serving => Phase::Draining,
            // the first order, and what it asks for has begun already
            Phase::Draining if self.ordered.is_none() => Phase::Draining,
            Phase::Draining | Phase::StoppingNow => Phase::StoppingNow,
        };
        self.ordered = Some(at);
        let began = next != self.phase;
        self.phase = next;
        began.then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    /// The phases that signals begin; `signals` are their times in milliseconds after [`START`].
    fn phases(progress: &mut Progress, signals: &[u64]) -> Vec<Option<Phase>> {
        signals.iter().map(|after| progress.order(START + Duration::from_millis(*after))).collect()
    }

    #[test]
    fn signals_of_one_moment_are_one_order() {
        let mut progress = Progress::new();
        assert!(!progress.is_stopping());
        assert_eq!(phases(&mut progress, &[0, 0, 1, 999]), [Some(Phase::Draining), None, None, None]);
        assert!(progress.is_stopping());
    }

    #[test]
    fn a_later_signal_ends_the_drain() {
        let mut progress = Progress::new();
        let began = phases(&mut progress, &[0, 600, 1000, 1001, 1999, 2000, 9000]);
        let expected = [Some(Phase::Draining), None, Some(Phase::StoppingNow), None, None, None, None];
        assert_eq!(began, expected);
    }

    #[test]
    fn times_that_are_read_out_of_order_are_one_moment() {
        let mut progress = Progress::new();
        assert_eq!(phases(&mut progress, &[5, 3]), [Some(Phase::Draining), None]);
    }

    #[test]
    fn the_first_signal_agrees_with_a_drain_that_no_signal_began() {
        let mut progress = Progress::new();
        progress.drain();
        assert!(progress.is_stopping());
        assert_eq!(phases(&mut progress, &[0, 500, 1000]), [None, None, Some(Phase::StoppingNow)]);
    }
}
