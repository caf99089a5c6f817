//! The load generator: the loop that drives all connections from one thread.
//!
//! Owns the poller, the connections and the phases of a run: warm-up, measurement, and then waiting for the requests in
//! flight. Guarantees: a ready connection is read until it has no more, within bounds, and then sent to once, so that
//! the loop costs little beside its system calls; an open model sends requests when they are due and not before; the
//! run ends at the latest when [`GRACE`](super::timeline::GRACE) has passed after the measurement.
//!
//! | file | content |
//! |---|---|
//! | `phases.rs` | the phases, and what is counted at the end of each |
//! | `connections.rs` | the operations on one connection |

#![allow(
    clippy::cast_possible_truncation,
    reason = "indices of connections: they are below the number of connections, a usize"
)]

mod connections;
mod phases;

use std::io;
use std::time::Duration;

use crate::client::bench::connect::SourceAddresses;
use crate::client::bench::connection::{BenchConnection, ConnectionError, WaitLimits};
use crate::client::bench::due_requests::{DueRequest, DueRequests};
use crate::client::bench::load::Load;
use crate::client::bench::measurement::{ErrorClass, Measurement};
use crate::client::bench::model::LoadModel;
use crate::client::bench::monitor::Monitor;
use crate::client::bench::poller::BenchPoller;
use crate::client::bench::stage_counts::StageCounts;
use crate::client::bench::stop::StopRequest;
use crate::client::bench::timeline::{BenchPhase, Timeline};
use crate::client::bench::verifier::READ_SIZE;
use crate::client::bench::workload::Workload;
use crate::client::target::Target;
use crate::sys::{Interest, SocketAddress};

/// A benchmark that runs. Times are nanoseconds since the start of the run.
#[derive(Debug)]
pub struct LoadGenerator<'a> {
    workload: &'a Workload,
    /// Copies of the request, to be sent with one call.
    batch: Vec<u8>,
    target: &'a Target,
    /// The address of the target that accepted the first connection.
    address: SocketAddress,
    sources: SourceAddresses,
    model: LoadModel,
    server_pid: Option<u32>,
    timeline: Timeline,
    limits: WaitLimits,
    /// The number of requests to measure; `u64::MAX` if only time limits it.
    requests: u64,
    /// Requests that may still be made.
    requests_left: u64,
    /// Open models only.
    due_requests: Option<DueRequests>,
    /// The number of requests of an open model that have been released, and have neither a reply nor failed.
    outstanding: u64,
    next_sweep: u64,
    /// When the current interval of the series ends; `u64::MAX` before the measurement.
    interval_end: u64,
    /// When the last reply was complete, or the last connection failed.
    last_end: u64,
    /// The number of the next connection, among those of all threads.
    next_connection: usize,
    /// The number of threads that make this load.
    threads: usize,
    /// The server's CPU time at the start of the measurement.
    cpu_before: Option<Duration>,
    poller: BenchPoller,
    connections: Vec<BenchConnection>,
    /// Indices of the failed connections that are made again at their `retry_at`.
    backing_off: Vec<usize>,
    buffer: Vec<u8>,
    measurement: Measurement,
    /// The first request ends the measurement.
    stop_request: &'a dyn StopRequest,
    monitor: &'a dyn Monitor,
}

/// Interval of the search for connections that wait for too long, in nanoseconds. Chosen: a quarter of a second late is
/// nothing beside any sensible timeout, and the search goes through all connections.
const SWEEP_INTERVAL: u64 = 250_000_000;

/// The most requests that an open model releases in one iteration. Chosen: they are sent in a few milliseconds; at a
/// rate that is too high for this machine, the loop still receives replies, looks at the clock, and takes signals.
const MAX_RELEASES: u64 = 4096;

/// The most requests without a reply in an open model; those that become due meanwhile are lost. Chosen: some 100 MB,
/// and more than a second at any rate that one thread can make.
const MAX_OUTSTANDING: u64 = 1 << 22;

/// The poller's token for the timer of an open model. Derived: the token of a connection is its index, which is
/// smaller.
const TIMER: u64 = u64::MAX;

/// The poller's token for the request to stop. Derived as [`TIMER`].
const STOP: u64 = u64::MAX - 1;

impl<'a> LoadGenerator<'a> {
    /// The generator of `load`.
    pub fn new(load: Load<'a>, stop_request: &'a dyn StopRequest, monitor: &'a dyn Monitor) -> io::Result<Self> {
        let poller = BenchPoller::new()?;
        poller.add(&stop_request.as_fd(), STOP, Interest::READ)?;
        let mut measurement = Measurement::new(load.interval);
        measurement.stages = load.schedule.as_ref().map(StageCounts::of).unwrap_or_default();
        let due_requests = load.schedule.map(|schedule| DueRequests::new(schedule, &poller, TIMER)).transpose()?;
        let request = &load.workload.request;
        Ok(Self {
            workload: load.workload,
            batch: request.repeat(copies(load.model.batch(), request.len())),
            sources: load.sources,
            target: load.target,
            address: load.address,
            model: load.model,
            server_pid: load.server_pid,
            timeline: Timeline::new(load.warm_up, load.duration, load.timeouts.read_timeout),
            limits: WaitLimits::new(load.timeouts),
            requests: load.requests.unwrap_or(u64::MAX),
            requests_left: u64::MAX,
            due_requests,
            outstanding: 0,
            next_sweep: SWEEP_INTERVAL,
            interval_end: u64::MAX,
            last_end: 0,
            next_connection: load.part,
            threads: load.threads,
            cpu_before: None,
            poller,
            connections: (0..load.connections).map(|_| BenchConnection::default()).collect(),
            backing_off: Vec::new(),
            buffer: vec![0; READ_SIZE],
            measurement,
            stop_request,
            monitor,
        })
    }

    /// Runs it to its end; returns `None` if it was stopped before the measurement began.
    pub fn run(mut self) -> io::Result<Option<Measurement>> {
        self.timeline.restart();
        // Without a warm-up the first requests count, too.
        self.advance(0);
        for index in 0..self.connections.len() {
            self.open(index);
        }
        loop {
            let now = self.timeline.now();
            self.advance(now);
            if self.timeline.phase == BenchPhase::Draining && self.is_done(now) {
                return Ok(Some(self.finish(now)));
            }
            self.release_due(now);
            self.run_timers(now);
            let ready = self.wait(now)?;
            let mut stopped = false;
            for event in 0..ready {
                match self.poller.event(event).key {
                    TIMER => {}
                    STOP => stopped = self.stop_request.take()?,
                    index => self.on_event(index as usize),
                }
            }
            if stopped && self.timeline.phase == BenchPhase::WarmUp {
                return Ok(None);
            }
            if stopped {
                self.measurement.interrupted = true;
                self.stop(self.timeline.now());
            }
        }
    }

    /// Open models: passes the requests that are due by now to the connections, in turn, and sends them.
    fn release_due(&mut self, now: u64) {
        let until = now.min(self.timeline.measured_until.saturating_sub(1));
        let (mut first, mut released) = (0, 0);
        while self.requests_left > 0 && released < MAX_RELEASES {
            let Some(next) = self.due_requests.as_mut().and_then(|due_requests| due_requests.take(until)) else {
                break;
            };
            if released == 0 {
                first = next.number;
            }
            released += 1;
            self.release(next);
        }
        let connections = self.connections.len() as u64;
        for number in first..first + released.min(connections) {
            let index = (number % connections) as usize;
            // Of `released` requests in turn, each connection has its share; the first ones have one more.
            self.count_lateness(index, (first + released - number).div_ceil(connections));
            if self.model.reconnects() {
                self.open(index);
            } else {
                self.send_due(index, now);
            }
        }
    }

    /// Counts how late the last `released` requests that wait on a connection are passed to its socket.
    fn count_lateness(&mut self, index: usize, released: u64) {
        let (now, from) = (self.timeline.now(), self.timeline.measured_from);
        let waiting = self.connections[index].waiting.iter().rev().take(released as usize);
        for due in waiting.filter(|due| **due >= from) {
            self.measurement.record_lateness(due - from, now.saturating_sub(*due));
        }
    }

    /// Passes a request to its connection, unless there are too many already.
    fn release(&mut self, request: DueRequest) {
        // Those of the warm-up that are released late are not measured.
        let is_measured = request.due >= self.timeline.measured_from;
        self.requests_left -= u64::from(is_measured);
        if self.outstanding == MAX_OUTSTANDING {
            self.measurement.lost += u64::from(is_measured);
            return;
        }
        self.outstanding += 1;
        let index = (request.number % self.connections.len() as u64) as usize;
        self.connections[index].waiting.push_back(request.due);
    }

    /// Reopens failed connections whose back-off has passed. Every [`SWEEP_INTERVAL`], fails the connections that have
    /// waited for too long, and draws the progress bar.
    fn run_timers(&mut self, now: u64) {
        if self.backing_off.iter().any(|&index| self.connections[index].retry_at <= now) {
            for index in std::mem::take(&mut self.backing_off) {
                if self.connections[index].retry_at <= now {
                    self.open(index);
                } else {
                    self.backing_off.push(index);
                }
            }
        }
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now + SWEEP_INTERVAL;
        for index in 0..self.connections.len() {
            if self.connections[index].is_overdue(now, &self.limits) {
                self.fail(index, ConnectionError::from(ErrorClass::Timeout));
            }
        }
        self.show_progress(now);
    }

    /// Waits for events until the next timer; returns their number.
    fn wait(&mut self, now: u64) -> io::Result<usize> {
        let retry = self.backing_off.iter().map(|&index| self.connections[index].retry_at).min();
        let next =
            self.timeline.phase_end().min(self.next_sweep).min(retry.unwrap_or(u64::MAX)).min(self.next_interval());
        let mut timeout = Duration::from_nanos(next.saturating_sub(now));
        let more_are_due = self.has_due();
        if let Some(due_requests) = self.due_requests.as_mut().filter(|_| more_are_due) {
            if !due_requests.set_timer(now, next)? {
                timeout = Duration::ZERO;
            }
        }
        self.poller.wait(Some(timeout))
    }
}

/// The most bytes to send with one call, unless one request has more. Chosen: far more than a socket takes at once.
const BATCH_SIZE: usize = 1 << 20;

/// Copies of a request of `length` bytes in a batch of `requests` requests: one more, because the first may be partly
/// sent, and fewer where requests are large.
fn copies(requests: usize, length: usize) -> usize {
    (requests + 1).min(2.max(BATCH_SIZE / length.max(1)))
}

#[cfg(test)]
mod tests;
