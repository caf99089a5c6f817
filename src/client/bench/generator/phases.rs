//! The phases of a run: what begins with each, when it ends, and what is counted then.

use std::time::Duration;

use super::LoadGenerator;
use crate::client::bench::connection::BenchConnection;
use crate::client::bench::measurement::{ErrorClass, Measurement};
use crate::client::bench::server_cpu;
use crate::client::bench::timeline::BenchPhase;
use crate::units::counted;

impl LoadGenerator<'_> {
    /// Enters the next phase when it is time.
    ///
    /// Nothing was counted in the warm-up, so that the measurement begins with all counts at 0. To allocate new counts
    /// would take a part of it.
    pub(super) fn advance(&mut self, mut now: u64) {
        if self.timeline.phase == BenchPhase::WarmUp && now >= self.timeline.measured_from {
            self.requests_left = self.requests;
            if self.server_pid.is_some() {
                // Reading the CPU time takes time itself: the measurement begins after it.
                self.cpu_before = self.server_cpu();
                now = self.timeline.now();
            }
        }
        self.timeline.advance(now);
        if self.requests_left == 0 && self.timeline.phase == BenchPhase::Measuring && self.is_idle() {
            self.stop(self.last_end);
        }
    }

    /// Ends the measurement at `time`, before its duration has passed.
    pub(super) fn stop(&mut self, time: u64) {
        if self.timeline.phase == BenchPhase::Measuring {
            self.timeline.stop(time);
        }
    }

    /// Whether the run ends: every reply has arrived, or the rest is not waited for any longer.
    pub(super) fn is_done(&self, now: u64) -> bool {
        now > self.timeline.phase_end() || self.is_idle() && !self.has_due()
    }

    /// Whether there are more requests to release.
    pub(super) fn has_due(&self) -> bool {
        self.requests_left > 0
            && self.due_requests.as_ref().is_some_and(|due| due.left(0, self.timeline.measured_until) > 0)
    }

    fn is_idle(&self) -> bool {
        self.connections.iter().all(BenchConnection::is_idle)
    }

    /// Counts the requests without a reply: as errors if their time is over, else as lost; those that were due and not
    /// released as lost, too.
    pub(super) fn finish(mut self, now: u64) -> Measurement {
        let (from, until, limit) = (self.timeline.measured_from, self.timeline.measured_until, self.limits.read);
        let unreleased = self.due_requests.as_ref().map_or(0, |due| due.left(from, until));
        self.measurement.lost += unreleased.min(self.requests_left);
        let counts_from = self.counts_from();
        let outstanding = self.connections.iter().flat_map(BenchConnection::outstanding);
        for (due, requests) in outstanding.filter(|(due, _)| *due >= counts_from) {
            if due + limit < now {
                self.measurement.count_errors(ErrorClass::Timeout, requests);
            } else {
                self.measurement.lost += requests;
            }
        }
        self.measurement.elapsed = Duration::from_nanos(until - from);
        let cpu = self.server_cpu().zip(self.cpu_before);
        self.measurement.server_cpu = cpu.map(|(after, before)| after.saturating_sub(before));
        self.measurement
    }

    /// The due time from which on requests count. Without `--requests` this is 0: replies and errors count by when they
    /// occur. With it, only requests that are due in the measurement count.
    pub(super) fn counts_from(&self) -> u64 {
        if self.requests < u64::MAX { self.timeline.measured_from } else { 0 }
    }

    fn server_cpu(&self) -> Option<Duration> {
        self.server_pid.and_then(server_cpu::of)
    }

    /// Draws the progress bar: the larger share of the time and of the requests; none in the warm-up.
    #[allow(clippy::cast_precision_loss, reason = "the bar shows thousandths")]
    pub(super) fn show_progress(&self, now: u64) {
        let timeline = &self.timeline;
        let share = |done: u64, total: u64| done as f64 / total as f64;
        let time = share(now.saturating_sub(timeline.measured_from), timeline.measured_until - timeline.measured_from);
        let requests = share(self.requests.saturating_sub(self.requests_left), self.requests);
        let done = if timeline.phase == BenchPhase::WarmUp { 0.0 } else { time.max(requests) };
        self.progress.show(done, || match timeline.phase {
            BenchPhase::WarmUp => "warm-up".into(),
            BenchPhase::Measuring => {
                format!(
                    "{}, {}",
                    counted(self.measurement.requests, "request"),
                    counted(self.measurement.errors(), "error")
                )
            }
            BenchPhase::Draining => "waiting for the last replies".into(),
        });
    }
}
