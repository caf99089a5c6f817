//! The load generator: the loop that drives all connections from one thread.
//!
//! Owns the poller, the connections and the phases of a run: warm-up, measurement, and then waiting for the requests in
//! flight. Guarantees: a ready connection is read until it has no more, within bounds, and then sent to once, so that
//! the loop costs little beside its system calls; an open model sends requests when they are due and not before; the
//! run ends at the latest when the read timeout has passed after the measurement.

#![allow(
    clippy::cast_possible_truncation,
    reason = "indices of connections: they are below the number of connections, a usize"
)]

mod connections;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::client::bench::connection::{BenchConnection, ConnectionError};
use crate::client::bench::due_requests::DueRequests;
use crate::client::bench::measurement::{ErrorClass, Measurement};
use crate::client::bench::model::LoadModel;
use crate::client::bench::poller::BenchPoller;
use crate::client::bench::server_cpu;
use crate::client::bench::timeline::{BenchPhase, Timeline};
use crate::client::bench::verifier::READ_SIZE;
use crate::client::bench::workload::Workload;
use crate::client::options::BenchOptions;

/// A benchmark that runs. Times are nanoseconds since the start of the run.
#[derive(Debug)]
pub struct LoadGenerator<'a> {
    workload: &'a Workload,
    /// Copies of the request, to be sent with one call.
    batch: Vec<u8>,
    address: SocketAddr,
    model: LoadModel,
    server_pid: Option<u32>,
    timeline: Timeline,
    /// Open models only.
    due_requests: Option<DueRequests>,
    next_sweep: u64,
    /// When the last reply was complete.
    last_reply: u64,
    /// The number of connections that have been made.
    opened: u64,
    /// The server's CPU time at the start of the measurement.
    cpu_before: Option<Duration>,
    poller: BenchPoller,
    connections: Vec<BenchConnection>,
    /// Indices of the failed connections that are made again at their `retry_at`.
    backing_off: Vec<usize>,
    buffer: Vec<u8>,
    measurement: Measurement,
}

/// Interval of the search for requests without a reply in time, in nanoseconds. Chosen: a quarter of a second late is
/// nothing beside any sensible timeout, and the search goes through all connections.
const SWEEP_INTERVAL: u64 = 250_000_000;

/// The poller's token for the timer of an open model. Derived: the token of a connection is its index, which is
/// smaller.
const TIMER: u64 = u64::MAX;

impl<'a> LoadGenerator<'a> {
    /// A load as the options describe it, on `address`.
    pub fn new(
        options: &BenchOptions,
        workload: &'a Workload,
        address: SocketAddr,
        model: LoadModel,
    ) -> io::Result<Self> {
        let poller = BenchPoller::new()?;
        let due_requests = match model {
            LoadModel::Open { rate, .. } => Some(DueRequests::new(rate, &poller, TIMER)?),
            LoadModel::Closed { .. } | LoadModel::Reconnect => None,
        };
        Ok(Self {
            workload,
            batch: workload.request.repeat(copies(model.batch(), workload.request.len())),
            address,
            model,
            server_pid: options.server_pid,
            timeline: Timeline::new(options.warm_up, options.duration, options.timeouts.read_timeout),
            due_requests,
            next_sweep: SWEEP_INTERVAL,
            last_reply: 0,
            opened: 0,
            cpu_before: None,
            poller,
            connections: (0..options.connections).map(|_| BenchConnection::default()).collect(),
            backing_off: Vec::new(),
            buffer: vec![0; READ_SIZE],
            measurement: Measurement::new(),
        })
    }

    /// Runs it to its end.
    pub fn run(mut self) -> io::Result<Measurement> {
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
                return Ok(self.finish(now));
            }
            self.release_due(now);
            self.run_timers(now);
            let ready = self.wait(now)?;
            for event in 0..ready {
                match self.poller.event(event).key {
                    TIMER => {}
                    index => self.on_event(index as usize),
                }
            }
        }
    }

    /// Enters the next phase when it is time; the measurement begins with all counts at 0.
    fn advance(&mut self, now: u64) {
        if self.timeline.advance(now) {
            self.measurement = Measurement::new();
            self.cpu_before = self.server_pid.and_then(server_cpu::of);
        }
    }

    fn is_done(&self, now: u64) -> bool {
        now > self.timeline.phase_end()
            || self.connections.iter().all(|connection| connection.in_flight() == 0 && connection.waiting.is_empty())
    }

    fn finish(mut self, now: u64) -> Measurement {
        for connection in &self.connections {
            let lost = connection.in_flight() + connection.waiting.len();
            self.measurement.count_errors(ErrorClass::Timeout, lost as u64);
        }
        let until = if self.measurement.errors_of(ErrorClass::Timeout) > 0 { now } else { self.last_reply };
        let span = until.max(self.timeline.measured_until) - self.timeline.measured_from;
        self.measurement.elapsed = Duration::from_nanos(span);
        let cpu_after = self.server_pid.and_then(server_cpu::of);
        self.measurement.server_cpu =
            cpu_after.zip(self.cpu_before).map(|(after, before)| after.saturating_sub(before));
        self.measurement
    }

    /// Open models: passes every request that is due by now to a connection, in turn.
    fn release_due(&mut self, now: u64) {
        let until = now.min(self.timeline.measured_until - 1);
        while let Some(next) = self.due_requests.as_mut().and_then(|due_requests| due_requests.take(until)) {
            let index = (next.number % self.connections.len() as u64) as usize;
            self.connections[index].waiting.push_back(next.due);
            if self.model.reconnects() {
                self.open(index);
            } else {
                self.send_due(index, now);
            }
        }
    }

    /// Reopens failed connections whose back-off has passed, and fails each connection whose oldest request has timed
    /// out.
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
            let oldest = self.connections[index].oldest_due();
            if oldest.is_some_and(|due| due + self.timeline.read_timeout < now) {
                self.fail(index, ConnectionError::from(ErrorClass::Timeout));
            }
        }
    }

    /// Waits for events until the next timer; returns their number.
    fn wait(&mut self, now: u64) -> io::Result<usize> {
        let retry = self.backing_off.iter().map(|&index| self.connections[index].retry_at).min();
        let next = self.timeline.phase_end().min(self.next_sweep).min(retry.unwrap_or(u64::MAX));
        let mut timeout = Duration::from_nanos(next.saturating_sub(now));
        if let Some(due_requests) = &mut self.due_requests {
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
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use clap::Parser;

    use super::*;
    use crate::client::options::{Command, Options};

    #[test]
    fn batches_of_large_requests_are_bounded() {
        assert_eq!(copies(32, 64), 33);
        assert_eq!(copies(65_536, 64), 16_384);
        assert_eq!(copies(64, 1 << 24), 2);
        assert_eq!(copies(64, 0), 65);
    }

    #[test]
    fn without_a_warm_up_the_first_request_counts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let words = format!("retort bench {address} -P echo --connections 1 --warm-up 0s --duration 1ns");
        let Command::Bench(options) = Options::parse_from(words.split(' ')).command else { panic!("not a benchmark") };
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut message = [0; 64];
            client.read_exact(&mut message).unwrap();
            client.write_all(&message).unwrap();
        });
        let workload = Workload::new(&options).expect("an echo can be measured");
        let model = LoadModel::Closed { depth: 1 };
        let generator = LoadGenerator::new(&options, &workload, address, model).unwrap();
        let measurement = generator.run().unwrap();
        server.join().unwrap();
        assert_eq!((measurement.requests, measurement.errors()), (1, 0));
    }
}
