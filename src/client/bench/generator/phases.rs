//! The phases of a run: what begins with each, when it ends, and what is counted then.

use std::ops::ControlFlow;
use std::time::Duration;

use super::LoadGenerator;
use crate::client::bench::connection::BenchConnection;
use crate::client::bench::measurement::{ErrorClass, Measurement};
use crate::client::bench::monitor::RunState;
use crate::client::bench::server_cpu;
use crate::client::bench::timeline::BenchPhase;

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
        let was = self.timeline.phase;
        self.timeline.advance(now);
        if was == BenchPhase::WarmUp && self.timeline.phase == BenchPhase::Measuring {
            let from = self.timeline.measured_from;
            self.due_requests.iter_mut().for_each(|due_requests| due_requests.begin_measurement(from));
            self.interval_end = from.saturating_add(self.measurement.series.next_end());
        }
        self.end_intervals(now);
        if self.requests_left == 0 && self.timeline.phase == BenchPhase::Measuring && self.is_idle() {
            self.stop(self.last_end);
        }
    }

    /// Ends the intervals of the series that are over at `now`, at most until the end of the measurement.
    pub(super) fn end_intervals(&mut self, now: u64) {
        if now < self.interval_end {
            return;
        }
        let from = self.timeline.measured_from;
        let measured = now.min(self.timeline.measured_until) - from;
        while let Some(interval) = self.measurement.end_interval(measured) {
            if self.monitor.interval(&interval) == ControlFlow::Break(()) {
                self.stop(now);
            }
        }
        self.interval_end = from.saturating_add(self.measurement.series.next_end());
    }

    /// When the loop has to wake for the end of an interval; `u64::MAX` if it need not.
    pub(super) fn next_interval(&self) -> u64 {
        match self.timeline.phase {
            BenchPhase::Measuring => self.interval_end,
            BenchPhase::WarmUp | BenchPhase::Draining => u64::MAX,
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
            && self.due_requests.as_ref().is_some_and(|due| due.left(self.timeline.measured_until) > 0)
    }

    fn is_idle(&self) -> bool {
        self.connections.iter().all(BenchConnection::is_idle)
    }

    /// Counts the requests without a reply: as errors if their time is over, else as lost; those that were due and not
    /// released as lost, too.
    pub(super) fn finish(mut self, now: u64) -> Measurement {
        self.end_intervals(now);
        let (from, until, limit) = (self.timeline.measured_from, self.timeline.measured_until, self.limits.read);
        let unsent = self.due_requests.as_ref().map_or(0, |due| due.left(until)).min(self.requests_left);
        self.measurement.unsent += unsent;
        self.measurement.lost += unsent;
        self.count_due();
        let counts_from = self.counts_from();
        for (due, requests) in self.connections.iter().flat_map(BenchConnection::outstanding) {
            if due < counts_from {
                self.measurement.failed_before += requests;
            } else if due + limit < now {
                self.measurement.count_errors(ErrorClass::Timeout, requests);
            } else {
                self.measurement.lost += requests;
            }
        }
        if let Some(interval) = self.measurement.finish(until - from) {
            // There is nothing left to end, should the monitor ask for it.
            let _ = self.monitor.interval(&interval);
        }
        let cpu = self.server_cpu().zip(self.cpu_before);
        self.measurement.server_cpu = cpu.map(|(after, before)| after.saturating_sub(before));
        self.measurement
    }

    /// Counts the requests that were due in each stage, until the end of the measurement.
    fn count_due(&mut self) {
        let (from, until) = (self.timeline.measured_from, self.timeline.measured_until);
        let Some(due_requests) = &self.due_requests else { return };
        for stage in &mut self.measurement.stages {
            stage.due = due_requests.due_between(from + stage.begin, until.min(from + stage.end));
        }
    }

    /// The due time from which on requests are of the measurement. In a closed loop whose requests are not limited, this
    /// is 0: all count that are in flight in it, so that a connection on which the server is stuck since the warm-up is
    /// noticed.
    pub(super) fn counts_from(&self) -> u64 {
        if self.due_requests.is_some() { self.timeline.measured_from } else { self.arrivals_from() }
    }

    /// The due time from which on the replies to requests count for the throughput, if they arrive in the measurement.
    pub(super) fn arrivals_from(&self) -> u64 {
        if self.requests < u64::MAX { self.timeline.measured_from } else { 0 }
    }

    fn server_cpu(&self) -> Option<Duration> {
        self.server_pid.and_then(server_cpu::of)
    }

    /// Tells how far the run is.
    #[allow(clippy::cast_precision_loss, reason = "a share is shown in thousandths")]
    pub(super) fn show_progress(&self, now: u64) {
        let timeline = &self.timeline;
        let share = |done: u64, total: u64| done as f64 / total as f64;
        let time = share(now.saturating_sub(timeline.measured_from), timeline.measured_until - timeline.measured_from);
        let requests = share(self.requests.saturating_sub(self.requests_left), self.requests);
        let done = if timeline.phase == BenchPhase::WarmUp { 0.0 } else { time.max(requests) };
        let (requests, errors) = (self.measurement.requests, self.measurement.errors());
        self.monitor.progress(&RunState { phase: timeline.phase, done, requests, errors });
    }
}
