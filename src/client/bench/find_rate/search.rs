//! The search for the highest rate that keeps the bounds.
//!
//! Three phases: the rate doubles until a run misses a bound; the interval between the last rate that kept them and the
//! first that did not is halved, on a logarithmic scale; the rate that remains is confirmed by a longer run, and lowered
//! if it is not. A rate is rejected only by two runs. Knows neither servers nor time: it says which rate to try, and
//! learns what came of it.

use crate::client::options::RateRange;

/// The factor between the rates of the growth phase. Chosen: an overload that ends the phase is at most twofold, and
/// leaves little behind.
const GROWTH: f64 = 2.0;

/// How often the interval is halved. Derived: the rest of a factor of 2 is the 32nd root of 2, which is 2%; less is
/// within the differences between two runs.
const BISECTIONS: u32 = 5;

/// The parts of the rate found that are confirmed, one after another, until one is. Chosen: a bound that is missed in the
/// longer run is mostly missed by little.
const CONFIRMATIONS: [f64; 4] = [1.0, 0.95, 0.85, 0.7];

/// A confirming run is longer by this factor. Chosen: a rate that is kept only for a moment is found out, at a cost that
/// is bearable.
pub const CONFIRMATION_FACTOR: u32 = 3;

/// The phase of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchPhase {
    /// The rate doubles.
    Growth,
    /// The interval is halved.
    Bisection,
    /// A longer run decides.
    Confirmation,
}

impl SearchPhase {
    /// The duration of its runs, in those of a short one.
    #[must_use]
    pub fn duration_factor(self) -> u32 {
        match self {
            Self::Growth | Self::Bisection => 1,
            Self::Confirmation => CONFIRMATION_FACTOR,
        }
    }
}

/// A run to make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchStep {
    /// Why.
    pub phase: SearchPhase,
    /// Requests per second.
    pub rate: f64,
    /// The first run at this rate missed a bound.
    pub repeated: bool,
}

impl SearchStep {
    fn first(phase: SearchPhase, rate: f64) -> Self {
        Self { phase, rate, repeated: false }
    }
}

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All bounds were kept.
    Kept,
    /// A bound was missed.
    Missed {
        /// Only because the load generator was late.
        by_sender: bool,
    },
}

/// The reason why no higher rate was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The server.
    Server,
    /// The load generator.
    Sender,
    /// The end of the range.
    Range,
}

/// The result of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// This rate is confirmed.
    Found(f64),
    /// Not even the lowest rate keeps the bounds.
    TooFast,
    /// Rates kept the bounds in short runs, and none in a longer one.
    Unconfirmed,
    /// The search was not completed.
    Interrupted,
}

/// A search. Rates are in requests per second.
#[derive(Debug)]
pub struct RateSearch {
    range: RateRange,
    /// The highest rate that kept the bounds.
    kept: Option<f64>,
    /// The lowest rate above it that did not, and whether because of the load generator.
    missed: Option<(f64, bool)>,
    /// The first run at the current rate missed a bound only because of the load generator.
    first_was_late: bool,
    bisections: u32,
    /// The number of rates that were not confirmed.
    unconfirmed: usize,
    /// The next run; `None` at the end.
    next: Option<SearchStep>,
    outcome: Outcome,
}

impl RateSearch {
    /// A search in this range.
    #[must_use]
    pub fn new(range: RateRange) -> Self {
        Self {
            range,
            kept: None,
            missed: None,
            first_was_late: false,
            bisections: 0,
            unconfirmed: 0,
            next: Some(SearchStep::first(SearchPhase::Growth, range.low)),
            outcome: Outcome::Interrupted,
        }
    }

    /// The next run, until the search ends.
    #[must_use]
    pub fn next_step(&self) -> Option<SearchStep> {
        self.next
    }

    /// The result so far.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The highest rate that has kept the bounds, confirmed or not.
    #[must_use]
    pub fn kept(&self) -> Option<f64> {
        match self.outcome {
            Outcome::Found(rate) => Some(rate),
            _ => self.kept,
        }
    }

    /// The reason why no higher rate than [`kept`](Self::kept) was found.
    #[must_use]
    pub fn limit(&self) -> Limit {
        match self.missed {
            None => Limit::Range,
            Some((_, true)) => Limit::Sender,
            Some((_, false)) => Limit::Server,
        }
    }

    /// The most runs that a search in `range` makes: short ones, and longer ones.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most 34 doublings fit into the range"
    )]
    pub fn max_runs(range: RateRange) -> (u32, u32) {
        let rates = (range.high / range.low).log(GROWTH).ceil() as u32 + 1;
        (2 * (rates + BISECTIONS), 2 * CONFIRMATIONS.len() as u32)
    }

    /// The run that [`next_step`](Self::next_step) returned has been made.
    pub fn record(&mut self, verdict: Verdict) {
        let Some(step) = self.next else { return };
        // A rate is missed because of the generator if both runs were: it does not excuse a server that missed by itself.
        let missed = |by_sender| Some((step.rate, by_sender && self.first_was_late));
        match (step.phase, verdict) {
            (_, Verdict::Missed { by_sender }) if !step.repeated => {
                self.first_was_late = by_sender;
                self.next = Some(SearchStep { repeated: true, ..step });
                return;
            }
            (SearchPhase::Confirmation, Verdict::Kept) => return self.end(Outcome::Found(step.rate)),
            (SearchPhase::Confirmation, Verdict::Missed { by_sender }) => {
                self.missed = missed(by_sender);
                self.unconfirmed += 1;
            }
            (_, Verdict::Kept) => self.kept = Some(step.rate),
            (_, Verdict::Missed { by_sender }) => self.missed = missed(by_sender),
        }
        self.next = self.following(step);
        if self.next.is_none() {
            self.end(if self.kept.is_some() { Outcome::Unconfirmed } else { Outcome::TooFast });
        }
    }

    fn end(&mut self, outcome: Outcome) {
        (self.next, self.outcome) = (None, outcome);
    }

    /// The step after `step`, which is decided.
    fn following(&mut self, step: SearchStep) -> Option<SearchStep> {
        let kept = self.kept?;
        let run = |phase, rate| Some(SearchStep::first(phase, rate));
        match (step.phase, self.missed) {
            (SearchPhase::Growth, None) if step.rate < self.range.high => {
                run(SearchPhase::Growth, (kept * GROWTH).min(self.range.high))
            }
            (SearchPhase::Growth | SearchPhase::Bisection, Some((missed, _))) if self.bisections < BISECTIONS => {
                self.bisections += 1;
                let middle = three_digits((kept * missed).sqrt());
                if kept < middle && middle < missed {
                    run(SearchPhase::Bisection, middle)
                } else {
                    self.bisections = BISECTIONS;
                    self.confirmation(kept)
                }
            }
            _ => self.confirmation(kept),
        }
    }

    /// The next rate to confirm; `None` if there is none, or no lower one in the range.
    fn confirmation(&self, kept: f64) -> Option<SearchStep> {
        let rate = |part: &f64| three_digits(kept * part).max(self.range.low);
        let before = self.unconfirmed.checked_sub(1).and_then(|index| CONFIRMATIONS.get(index)).map(rate);
        // The rate itself has been tried as it is; only lower ones are rounded.
        let next = if self.unconfirmed == 0 { Some(kept) } else { CONFIRMATIONS.get(self.unconfirmed).map(rate) };
        let next = next.filter(|next| before.is_none_or(|before| *next < before));
        next.map(|rate| SearchStep::first(SearchPhase::Confirmation, rate))
    }
}

/// The rate with three significant digits: more mean nothing, and are hard to read.
fn three_digits(rate: f64) -> f64 {
    let unit = 10_f64.powf(rate.log10().floor() - 2.0);
    // Division by a power of ten is exact where multiplication by its inverse is not: 0.07 is 7/100.
    if unit < 1.0 { (rate / unit).round() / (1.0 / unit).round() } else { (rate / unit).round() * unit }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: RateRange = RateRange { low: 100.0, high: 1e6 };
    const MISSED: Verdict = Verdict::Missed { by_sender: false };

    /// Searches with a server that `keeps` the bounds or not; returns the search and the steps.
    fn search(range: RateRange, mut keeps: impl FnMut(SearchStep) -> Verdict) -> (RateSearch, Vec<SearchStep>) {
        let (mut search, mut steps) = (RateSearch::new(range), Vec::new());
        while let Some(step) = search.next_step() {
            steps.push(step);
            search.record(keeps(step));
        }
        let (short, long) = RateSearch::max_runs(range);
        let confirmations = steps.iter().filter(|step| step.phase == SearchPhase::Confirmation).count();
        assert!(confirmations <= long as usize && steps.len() - confirmations <= short as usize, "{steps:?}");
        (search, steps)
    }

    fn up_to(capacity: f64) -> impl FnMut(SearchStep) -> Verdict {
        move |step| if step.rate <= capacity { Verdict::Kept } else { MISSED }
    }

    /// The latency of a queue: it grows without bound towards the capacity.
    fn queue(capacity: f64, service: f64, bound: f64) -> impl FnMut(SearchStep) -> Verdict {
        move |step| {
            let load = step.rate / capacity;
            if load < 1.0 && service / (1.0 - load) <= bound { Verdict::Kept } else { MISSED }
        }
    }

    #[test]
    fn the_highest_rate_is_found_within_three_percent() {
        for capacity in [100.0, 101.0, 150.0, 777.0, 12_345.0, 65_537.0, 999_999.0] {
            let (search, _) = search(RANGE, up_to(capacity));
            let Outcome::Found(rate) = search.outcome() else { panic!("{capacity}: {search:?}") };
            assert!(rate <= capacity && rate > capacity * 0.97, "{rate} of {capacity}");
            assert_eq!((search.limit(), search.kept()), (Limit::Server, Some(rate)));
        }
    }

    /// At a bound of ten service times, nine tenths of the capacity can be used.
    #[test]
    fn a_queue_is_loaded_as_far_as_the_bound_allows() {
        let (search, _) = search(RANGE, queue(50_000.0, 0.0005, 0.005));
        let Outcome::Found(rate) = search.outcome() else { panic!("{search:?}") };
        assert!((43_600.0..=45_000.0).contains(&rate), "{rate}");
    }

    #[test]
    fn phases_follow_one_another() {
        let (_, steps) = search(RateRange { low: 100.0, high: 1000.0 }, up_to(500.0));
        let rates: Vec<f64> = steps.iter().map(|step| step.rate).collect();
        assert_eq!(rates[..8], [100.0, 200.0, 400.0, 800.0, 800.0, 566.0, 566.0, 476.0], "{steps:?}");
        assert!(steps[4].repeated && steps[6].repeated && !steps[7].repeated);
        let last = steps.last().expect("steps");
        assert_eq!((last.phase, last.rate), (SearchPhase::Confirmation, 497.0));
    }

    #[test]
    fn a_server_that_is_too_slow_for_the_lowest_rate_is_tried_twice() {
        let (search, steps) = search(RANGE, up_to(99.0));
        assert_eq!((search.outcome(), search.kept(), steps.len()), (Outcome::TooFast, None, 2));
    }

    #[test]
    fn the_end_of_the_range_is_a_limit() {
        let (search, steps) = search(RateRange { low: 100.0, high: 300.0 }, up_to(1e9));
        assert_eq!((search.outcome(), search.limit()), (Outcome::Found(300.0), Limit::Range));
        assert_eq!(steps.iter().map(|step| step.rate).collect::<Vec<_>>(), [100.0, 200.0, 300.0, 300.0]);
    }

    #[test]
    fn one_hiccup_at_any_run_does_not_decide() {
        let (undisturbed, steps) = search(RANGE, up_to(5000.0));
        for hiccup in 0..steps.len() {
            let mut runs = 0;
            let (disturbed, _) = search(RANGE, |step| {
                runs += 1;
                if runs == hiccup + 1 { MISSED } else { up_to(5000.0)(step) }
            });
            assert_eq!(disturbed.outcome(), undisturbed.outcome(), "a hiccup in run {hiccup}");
        }
    }

    #[test]
    fn every_first_run_may_fail_and_the_number_of_runs_is_bounded() {
        let (search, _) = search(RANGE, |step| if step.repeated { up_to(7e5)(step) } else { MISSED });
        assert!(matches!(search.outcome(), Outcome::Found(_)), "{search:?}");
    }

    #[test]
    fn a_rate_that_is_not_confirmed_is_lowered() {
        let longer = |capacity: f64| {
            move |step: SearchStep| match step.phase {
                SearchPhase::Confirmation => up_to(capacity)(step),
                _ => up_to(1000.0)(step),
            }
        };
        let (lowered, _) = search(RANGE, longer(900.0));
        let Outcome::Found(rate) = lowered.outcome() else { panic!("{lowered:?}") };
        assert!((800.0..=900.0).contains(&rate), "{rate}");
        assert_eq!(lowered.limit(), Limit::Server);
        let (never, _) = search(RANGE, longer(1.0));
        assert_eq!(never.outcome(), Outcome::Unconfirmed);
        let (lowest, steps) = search(RateRange { low: 100.0, high: 101.0 }, longer(1.0));
        assert_eq!(lowest.outcome(), Outcome::Unconfirmed);
        assert!(steps.iter().all(|step| step.rate >= 100.0), "{steps:?}");
    }

    #[test]
    fn the_generator_is_the_limit_if_it_was_late_in_both_runs() {
        let limit = |late: fn(SearchStep) -> bool| {
            let keeps = |step| match up_to(3000.0)(step) {
                Verdict::Kept => Verdict::Kept,
                Verdict::Missed { .. } => Verdict::Missed { by_sender: late(step) },
            };
            search(RANGE, keeps).0.limit()
        };
        assert_eq!(limit(|_| true), Limit::Sender);
        assert_eq!(limit(|step| step.repeated), Limit::Server);
        assert_eq!(limit(|step| !step.repeated), Limit::Server);
    }

    #[test]
    fn rates_have_three_digits() {
        for (rate, rounded) in [(565.685, 566.0), (0.012_345, 0.0123), (123_456.0, 123_000.0), (9.996, 10.0)] {
            assert!((three_digits(rate) - rounded).abs() < 1e-9 * rounded, "{rate}: {}", three_digits(rate));
        }
    }
}
