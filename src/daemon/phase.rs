//! The phases of the daemon, and what a SIGTERM or SIGINT does in each of them.
//!
//! The first signal begins the drain, and a second one aborts it. Programs may send several signals at once:
//! timeout(1) signals its child and then the process group of the child. A signal within [`MIN_SIGNAL_DISTANCE`] of the
//! one that began a phase is therefore ignored.

use std::time::Duration;

/// Signals closer together than this count as one. Chosen: far longer than the distance of signals that a program sends
/// at once, and shorter than the patience of somebody who wants the drain to end.
const MIN_SIGNAL_DISTANCE: Duration = Duration::from_secs(1);

/// A phase of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It accepts connections.
    Serving,
    /// It accepts no more connections, and replies to the requests that it has read.
    Draining,
    /// It closes every connection at once.
    Aborting,
}

/// The present phase, and the signal that began it.
#[derive(Debug)]
pub struct Progress {
    phase: Phase,
    /// When that signal came, by the monotonic clock; `None` if no signal began the phase.
    signalled: Option<Duration>,
}

impl Progress {
    /// The daemon is serving.
    #[must_use]
    pub fn new() -> Self {
        Self { phase: Phase::Serving, signalled: None }
    }

    /// Whether the daemon is draining or aborting.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.phase != Phase::Serving
    }

    /// Begins the drain without a signal.
    pub fn drain(&mut self) {
        self.phase = Phase::Draining;
    }

    /// The phase that a SIGTERM or SIGINT at `at`, by the monotonic clock, begins; `None` if it begins none.
    pub fn stop_signal(&mut self, at: Duration) -> Option<Phase> {
        if self.signalled.is_some_and(|began| at.saturating_sub(began) < MIN_SIGNAL_DISTANCE) {
            return None;
        }
        let next = match self.phase {
            Phase::Serving => Phase::Draining,
            // the first signal, and the drain has begun already
            Phase::Draining if self.signalled.is_none() => Phase::Draining,
            Phase::Draining | Phase::Aborting => Phase::Aborting,
        };
        self.signalled = Some(at);
        let began = next != self.phase;
        self.phase = next;
        began.then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    /// The phases that signals begin at these times, in milliseconds after [`START`].
    fn phases(progress: &mut Progress, signals: &[u64]) -> Vec<Option<Phase>> {
        signals.iter().map(|after| progress.stop_signal(START + Duration::from_millis(*after))).collect()
    }

    #[test]
    fn signals_at_once_count_as_one() {
        let mut progress = Progress::new();
        assert!(!progress.is_stopping());
        assert_eq!(phases(&mut progress, &[0, 0, 1, 999]), [Some(Phase::Draining), None, None, None]);
        assert!(progress.is_stopping());
    }

    #[test]
    fn second_signal_aborts_the_drain() {
        let mut progress = Progress::new();
        let began = phases(&mut progress, &[0, 600, 1000, 1001, 1999, 2000, 9000]);
        let expected = [Some(Phase::Draining), None, Some(Phase::Aborting), None, None, None, None];
        assert_eq!(began, expected);
    }

    #[test]
    fn signals_in_reverse_order_count_as_one() {
        let mut progress = Progress::new();
        assert_eq!(phases(&mut progress, &[5, 3]), [Some(Phase::Draining), None]);
    }

    #[test]
    fn first_signal_does_not_abort_a_drain_that_no_signal_began() {
        let mut progress = Progress::new();
        progress.drain();
        assert!(progress.is_stopping());
        assert_eq!(phases(&mut progress, &[0, 500, 1000]), [None, None, Some(Phase::Aborting)]);
    }
}
