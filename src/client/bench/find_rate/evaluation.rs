//! Whether a run has kept the bounds.
//!
//! A request without a correct reply counts as one whose latency is beyond every bound.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "numbers of requests are far below 2^52, and shares of them are not negative"
)]

use std::time::Duration;

use super::search::Verdict;
use crate::client::bench::measurement::Measurement;
use crate::client::options::Slo;

/// Judges a run by all bounds. If no bound of the errors is given, no request may fail.
#[must_use]
pub fn verdict(slos: &[Slo], measurement: &Measurement) -> Verdict {
    let default = (!slos.iter().any(|slo| matches!(slo, Slo::Errors(_)))).then_some(Slo::Errors(0.0));
    let missed: Vec<&Slo> = slos.iter().chain(&default).filter(|slo| !is_kept(slo, measurement)).collect();
    if missed.is_empty() {
        return Verdict::Kept;
    }
    Verdict::Missed { by_sender: missed.iter().all(|slo| is_due_to_sender(slo, measurement)) }
}

fn is_kept(slo: &Slo, measurement: &Measurement) -> bool {
    match slo {
        Slo::Latency { share, bound, .. } => latency(*share, measurement).is_some_and(|latency| latency <= *bound),
        Slo::Errors(share) => failed_share(failed(measurement), measurement) <= *share,
    }
}

/// The latency that this share of all requests did not exceed; `None` if it is that of one without a correct reply, or
/// there was no request.
#[must_use]
pub fn latency(share: f64, measurement: &Measurement) -> Option<Duration> {
    let replies = measurement.latencies.count();
    // Rounding must not add a request.
    let rank = (total(measurement) as f64 * share - 1e-6).ceil().max(1.0);
    (rank <= replies as f64).then(|| measurement.latencies.at((rank - 0.5) / replies as f64))
}

/// Whether a bound that was missed may be kept by the same server with a generator that is never late: requests that
/// were not sent, or a lateness of more than half of the bound without which the latency keeps it.
///
/// Where requests were not sent, the generator was late by all the time that replies are waited for, so that it has not
/// waited for those to the last that it sent, either: lost requests do not show that the server is too slow.
fn is_due_to_sender(slo: &Slo, measurement: &Measurement) -> bool {
    match slo {
        Slo::Latency { share, bound, .. } => {
            let lateness = measurement.lateness.at(*share);
            let is_kept_without =
                || latency(*share, measurement).is_some_and(|latency| latency.saturating_sub(lateness) <= *bound);
            measurement.unsent > 0 || (lateness > *bound / 2 && is_kept_without())
        }
        Slo::Errors(share) => {
            let failed = if measurement.unsent > 0 { measurement.errors() } else { failed(measurement) };
            failed_share(failed, measurement) <= *share
        }
    }
}

/// Requests without a correct reply.
#[must_use]
pub fn failed(measurement: &Measurement) -> u64 {
    measurement.errors() + measurement.lost
}

fn total(measurement: &Measurement) -> u64 {
    measurement.latencies.count() + failed(measurement)
}

/// The share of these requests in all; 1 if there are none.
fn failed_share(failed: u64, measurement: &Measurement) -> f64 {
    match total(measurement) {
        0 => 1.0,
        total => failed as f64 / total as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::bench::measurement::ErrorClass;

    const P99: f64 = 0.99;
    const SERVER: Verdict = Verdict::Missed { by_sender: false };
    const SENDER: Verdict = Verdict::Missed { by_sender: true };

    fn p99(milliseconds: u64) -> Slo {
        Slo::Latency { name: "p99".into(), share: P99, bound: Duration::from_millis(milliseconds) }
    }

    /// 990 requests with a latency of 1 ms, and 10 of 9 ms; the generator was 0.1 ms late.
    fn measurement() -> Measurement {
        let mut measurement = Measurement::new(Duration::from_secs(1));
        measurement.record_latency(0, 1_000_000, 990, false);
        measurement.record_latency(0, 9_000_000, 10, false);
        measurement.record_lateness(0, 100_000);
        measurement
    }

    #[test]
    fn every_bound_must_be_kept() {
        assert_eq!(verdict(&[p99(2)], &measurement()), Verdict::Kept);
        assert_eq!(
            verdict(
                &[p99(2), Slo::Latency { name: "max".into(), share: 1.0, bound: Duration::from_millis(5) }],
                &measurement()
            ),
            SERVER
        );
        assert_eq!(verdict(&[], &Measurement::new(Duration::from_secs(1))), SERVER, "nothing was measured");
    }

    #[test]
    fn a_request_without_a_reply_is_slower_than_every_bound() {
        let mut lossy = measurement();
        lossy.lost = 1;
        let allowed = Slo::Errors(0.01);
        assert_eq!(latency(P99, &lossy).map(|latency| latency.as_millis()), Some(9), "the 991st of 1001");
        assert_eq!(verdict(&[p99(2), allowed.clone()], &lossy), SERVER);
        assert_eq!(verdict(&[p99(10), allowed], &lossy), Verdict::Kept);
        assert_eq!(verdict(&[p99(10)], &lossy), SERVER, "no error is allowed");
        lossy.count_errors(ErrorClass::Timeout, 20);
        assert_eq!(latency(P99, &lossy), None);
    }

    #[test]
    fn a_late_generator_is_not_the_servers_fault() {
        let mut late = measurement();
        late.record_latency(0, 9_000_000, 100, false);
        assert_eq!(verdict(&[p99(2)], &late), SERVER);
        for _ in 0..99 {
            late.record_lateness(0, 7_500_000);
        }
        assert_eq!(verdict(&[p99(2)], &late), SENDER);
        assert_eq!(verdict(&[p99(1)], &late), SERVER, "1.5 ms are left for the server");
        late.count_errors(ErrorClass::Reset, 1);
        assert_eq!(verdict(&[p99(2)], &late), SERVER, "it has failed besides");
    }

    #[test]
    fn requests_that_were_not_sent_are_the_generators_fault() {
        let mut unsent = measurement();
        (unsent.lost, unsent.unsent) = (50, 50);
        assert_eq!(verdict(&[p99(2)], &unsent), SENDER);
        unsent.lost += 500;
        assert_eq!(verdict(&[p99(2)], &unsent), SENDER, "they were sent too late to wait for their replies");
        unsent.count_errors(ErrorClass::Reset, 1);
        assert_eq!(verdict(&[p99(2)], &unsent), SERVER, "it has failed besides");
    }
}
