//! The effect of a SIGTERM or SIGINT.
//!
//! The first signal begins the stop, and each later one ends the phase of the stop that is in progress: the drain delay,
//! if there is one, and then the drain. Programs may send several signals at once: timeout(1) signals its child and then
//! the process group of the child. A signal within [`MIN_SIGNAL_DISTANCE`] of the one before that had an effect is
//! therefore ignored.

use std::time::Duration;

use crate::server::Phase;

/// Signals closer together than this count as one. Chosen: far longer than the distance of signals that a program sends
/// at once, and shorter than the patience of somebody who wants the drain to end.
const MIN_SIGNAL_DISTANCE: Duration = Duration::from_secs(1);

/// The effect of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Begins the stop: with the drain delay, if there is one.
    Stop,
    /// Ends the drain delay: begins the drain.
    Drain,
    /// Ends the drain, and the server with it.
    Abort,
    /// Nothing: it came within [`MIN_SIGNAL_DISTANCE`] of the one before. A later one ends the phase.
    TooEarly,
    /// Nothing.
    None,
}

/// The last signal that was not ignored.
#[derive(Debug, Default)]
pub struct StopSignals {
    /// When it came, by the monotonic clock.
    last: Option<Duration>,
}

impl StopSignals {
    /// The effect of a signal at `at`, by the monotonic clock, in `phase`.
    pub fn effect(&mut self, at: Duration, phase: Phase) -> Effect {
        if self.last.is_some_and(|last| at.saturating_sub(last) < MIN_SIGNAL_DISTANCE) {
            let has_next = matches!(phase, Phase::Lameduck | Phase::Draining);
            return if has_next { Effect::TooEarly } else { Effect::None };
        }
        let is_first = self.last.replace(at).is_none();
        match phase {
            Phase::Running => Effect::Stop,
            Phase::Lameduck => Effect::Drain,
            // the drain has begun already, without a signal
            Phase::Draining if is_first => Effect::None,
            Phase::Draining => Effect::Abort,
            Phase::Stopping | Phase::Stopped => Effect::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    /// The effects of signals at these times, in milliseconds after [`START`], in a server that is in `phase`, without a
    /// drain delay.
    fn effects(phase: Phase, signals: &[u64]) -> Vec<Effect> {
        effects_before(Phase::Draining, phase, signals)
    }

    /// The same for a server whose stop begins with the phase `first`.
    fn effects_before(first: Phase, mut phase: Phase, signals: &[u64]) -> Vec<Effect> {
        let mut stop_signals = StopSignals::default();
        let next = |after: &u64| {
            let effect = stop_signals.effect(START + Duration::from_millis(*after), phase);
            phase = match effect {
                Effect::Stop => first,
                Effect::Drain => Phase::Draining,
                Effect::Abort => Phase::Stopping,
                Effect::TooEarly | Effect::None => phase,
            };
            effect
        };
        signals.iter().map(next).collect()
    }

    #[test]
    fn signals_at_once_count_as_one() {
        let expected = [Effect::Stop, Effect::TooEarly, Effect::TooEarly, Effect::TooEarly];
        assert_eq!(effects(Phase::Running, &[0, 0, 1, 999]), expected);
        assert_eq!(effects_before(Phase::Lameduck, Phase::Running, &[0, 0, 1, 999]), expected);
    }

    #[test]
    fn second_signal_aborts_the_drain() {
        let effects = effects(Phase::Running, &[0, 600, 1000, 1001, 1999, 2000, 9000]);
        assert_eq!(effects[..3], [Effect::Stop, Effect::TooEarly, Effect::Abort]);
        assert_eq!(effects[3..], [Effect::None; 4]);
    }

    #[test]
    fn each_signal_ends_one_phase_of_a_stop_with_a_delay() {
        let effects = effects_before(Phase::Lameduck, Phase::Running, &[0, 999, 1000, 1999, 2000, 3000]);
        assert_eq!(effects[..3], [Effect::Stop, Effect::TooEarly, Effect::Drain]);
        assert_eq!(effects[3..], [Effect::TooEarly, Effect::Abort, Effect::None]);
    }

    #[test]
    fn signals_in_reverse_order_count_as_one() {
        assert_eq!(effects(Phase::Running, &[5, 3]), [Effect::Stop, Effect::TooEarly]);
    }

    #[test]
    fn first_signal_does_not_abort_a_drain_that_no_signal_began() {
        assert_eq!(effects(Phase::Draining, &[0, 500, 1000]), [Effect::None, Effect::TooEarly, Effect::Abort]);
    }

    #[test]
    fn signals_after_the_end_begin_nothing() {
        assert_eq!(effects(Phase::Stopped, &[0, 1000]), [Effect::None; 2]);
    }
}
