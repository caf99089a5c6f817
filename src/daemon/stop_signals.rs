//! The phase of the server that a SIGTERM or SIGINT begins.
//!
//! The first signal begins the drain, and a second one aborts it. Programs may send several signals at once: timeout(1)
//! signals its child and then the process group of the child. A signal within [`MIN_SIGNAL_DISTANCE`] of the one before
//! that had an effect is therefore ignored.

use std::time::Duration;

use crate::server::Phase;

/// Signals closer together than this count as one. Chosen: far longer than the distance of signals that a program sends
/// at once, and shorter than the patience of somebody who wants the drain to end.
pub const MIN_SIGNAL_DISTANCE: Duration = Duration::from_secs(1);

/// The last signal that was not ignored.
#[derive(Debug, Default)]
pub struct StopSignals {
    /// When it came, by the monotonic clock.
    last: Option<Duration>,
}

impl StopSignals {
    /// The phase that a signal at `at`, by the monotonic clock, begins in `phase`; `None` if it begins none.
    pub fn next_phase(&mut self, at: Duration, phase: Phase) -> Option<Phase> {
        if self.last.is_some_and(|last| at.saturating_sub(last) < MIN_SIGNAL_DISTANCE) {
            return None;
        }
        let is_first = self.last.replace(at).is_none();
        match phase {
            Phase::Running => Some(Phase::Draining),
            // the drain has begun already, without a signal
            Phase::Draining if is_first => None,
            Phase::Draining => Some(Phase::Stopping),
            Phase::Stopping | Phase::Stopped => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    /// The phases that signals begin at these times, in milliseconds after [`START`], in a server that is in `phase`.
    fn phases(mut phase: Phase, signals: &[u64]) -> Vec<Option<Phase>> {
        let mut stop_signals = StopSignals::default();
        let next = |after: &u64| {
            let next = stop_signals.next_phase(START + Duration::from_millis(*after), phase);
            phase = next.unwrap_or(phase);
            next
        };
        signals.iter().map(next).collect()
    }

    #[test]
    fn signals_at_once_count_as_one() {
        assert_eq!(phases(Phase::Running, &[0, 0, 1, 999]), [Some(Phase::Draining), None, None, None]);
    }

    #[test]
    fn second_signal_aborts_the_drain() {
        let began = phases(Phase::Running, &[0, 600, 1000, 1001, 1999, 2000, 9000]);
        let expected = [Some(Phase::Draining), None, Some(Phase::Stopping), None, None, None, None];
        assert_eq!(began, expected);
    }

    #[test]
    fn signals_in_reverse_order_count_as_one() {
        assert_eq!(phases(Phase::Running, &[5, 3]), [Some(Phase::Draining), None]);
    }

    #[test]
    fn first_signal_does_not_abort_a_drain_that_no_signal_began() {
        assert_eq!(phases(Phase::Draining, &[0, 500, 1000]), [None, None, Some(Phase::Stopping)]);
    }

    #[test]
    fn signals_after_the_end_begin_nothing() {
        assert_eq!(phases(Phase::Stopped, &[0, 1000]), [None, None]);
    }
}
