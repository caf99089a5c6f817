//! The loop that drives all connections of a measurement of throughput: warm-up, and measurement.

#![allow(clippy::cast_possible_truncation, reason = "indices of connections, of which there are far fewer than 2^32")]

use std::io;
use std::time::Duration;

use super::connection::{OneWayConnection, Work};
use super::console::Console;
use super::direction::Direction;
use super::pattern::Pattern;
use super::result::{Carried, ConnectionResult, OneWayInterval, OneWayResult};
use crate::client::bench::connect::SourceAddresses;
use crate::client::bench::connection::{ConnectionError, WaitLimits};
use crate::client::bench::measurement::ErrorClass;
use crate::client::bench::poller::BenchPoller;
use crate::client::bench::server_cpu;
use crate::client::bench::text;
use crate::client::bench::timeline::{BenchPhase, Timeline, nanoseconds};
use crate::client::bench::verifier::READ_SIZE;
use crate::client::options::{BenchOptions, Verify};
use crate::client::target::Target;
use crate::sys::{Interest, Interrupts, SocketAddress};

/// Interval of the search for connections that wait for too long, and of the progress bar, in nanoseconds. Chosen as
/// that of the load generator.
const SWEEP_INTERVAL: u64 = 250_000_000;

/// The poller's token for a signal. Derived: the token of a connection is its index, which is smaller.
const SIGNAL: u64 = u64::MAX;

/// A measurement of throughput that runs. Times are nanoseconds since the start of the run.
#[derive(Debug)]
pub struct Transfer<'a> {
    direction: Direction,
    timeline: Timeline,
    limits: WaitLimits,
    interval: u64,
    /// The number of intervals that have ended.
    intervals: u64,
    next_sweep: u64,
    poller: BenchPoller,
    connections: Vec<OneWayConnection>,
    /// The number of connections to make.
    count: usize,
    block: Vec<u8>,
    buffer: Vec<u8>,
    pattern: Option<Pattern>,
    server_pid: Option<u32>,
    cpu_before: Option<Duration>,
    interrupted: bool,
    interrupts: &'a Interrupts,
    console: &'a Console,
}

impl<'a> Transfer<'a> {
    /// The transfer that the options describe.
    pub fn new(
        options: &BenchOptions,
        direction: Direction,
        interrupts: &'a Interrupts,
        console: &'a Console,
    ) -> io::Result<Self> {
        let poller = BenchPoller::new()?;
        poller.add(interrupts, SIGNAL, Interest::READ)?;
        let is_verified = direction == Direction::Receive && options.verify == Verify::Content;
        Ok(Self {
            direction,
            timeline: Timeline::new(options.warm_up, options.time_limit(), options.timeouts.read_timeout),
            limits: WaitLimits::new(&options.timeouts),
            interval: nanoseconds(options.series_interval()),
            intervals: 0,
            next_sweep: SWEEP_INTERVAL,
            poller,
            connections: Vec::with_capacity(options.connections),
            count: options.connections,
            block: text::of_size(options.text, options.size),
            buffer: vec![0; READ_SIZE],
            pattern: is_verified.then(Pattern::new),
            server_pid: options.server_pid,
            cpu_before: None,
            interrupted: false,
            interrupts,
            console,
        })
    }

    /// Runs it to its end; returns `None` if a signal has ended it before the measurement began.
    pub fn run(
        mut self,
        target: &Target,
        address: &SocketAddress,
        sources: &SourceAddresses,
    ) -> io::Result<Option<OneWayResult>> {
        self.timeline.restart();
        self.open(target, address, sources)?;
        loop {
            let now = self.timeline.now();
            self.advance(now);
            if self.timeline.phase == BenchPhase::Draining {
                return Ok(Some(self.finish()));
            }
            self.sweep(now);
            let next = self.timeline.phase_end().min(self.next_sweep).min(self.next_interval());
            let ready = self.poller.wait(Some(Duration::from_nanos(next.saturating_sub(now))))?;
            for event in 0..ready {
                let event = self.poller.event(event);
                match event.key {
                    SIGNAL => self.interrupted = self.interrupts.take()?,
                    index => self.on_event(index as usize, event.readable || event.hung_up),
                }
            }
            if self.interrupted && self.timeline.phase == BenchPhase::WarmUp {
                return Ok(None);
            }
        }
    }

    fn open(&mut self, target: &Target, address: &SocketAddress, sources: &SourceAddresses) -> io::Result<()> {
        for index in 0..self.count {
            let started = sources.start_connect(address, index).and_then(|stream| {
                let header = target.proxy_header(&stream, address)?;
                Ok((stream, header))
            });
            let connection = OneWayConnection::new(started, self.timeline.now());
            if let Some(stream) = connection.stream() {
                self.poller.add(stream, index as u64, connection.interest(self.direction))?;
            }
            self.connections.push(connection);
        }
        Ok(())
    }

    /// Enters the next phase when it is time: warm-up and measurement also end with the last connection, and the
    /// measurement with a signal.
    fn advance(&mut self, now: u64) {
        let all_failed = self.connections.iter().all(|connection| connection.stream().is_none());
        if all_failed {
            self.timeline.end_warm_up(now);
        }
        if self.timeline.phase == BenchPhase::WarmUp && now >= self.timeline.measured_from {
            self.cpu_before = self.server_pid.and_then(server_cpu::of);
            for connection in &mut self.connections {
                connection.before = connection.read_state(self.direction);
                connection.interval = connection.before;
            }
            // The readings take time: the measurement begins after them.
            self.timeline.advance(self.timeline.now());
        }
        if self.timeline.phase != BenchPhase::Measuring {
            return;
        }
        let is_over = now >= self.timeline.measured_until || self.interrupted || all_failed;
        let measured = now.min(self.timeline.measured_until);
        while self.next_interval() <= measured {
            self.end_interval(self.next_interval(), false);
        }
        if is_over {
            if measured > self.timeline.measured_from + self.interval * self.intervals {
                self.end_interval(measured, true);
            }
            self.timeline.stop(now);
        }
    }

    /// When the current interval ends.
    fn next_interval(&self) -> u64 {
        match self.timeline.phase {
            BenchPhase::Measuring => self.timeline.measured_from + self.interval.saturating_mul(self.intervals + 1),
            BenchPhase::WarmUp | BenchPhase::Draining => u64::MAX,
        }
    }

    fn end_interval(&mut self, until: u64, partial: bool) {
        let from = self.interval * self.intervals;
        self.intervals += 1;
        if !self.console.shows_intervals() {
            return;
        }
        let carried = self.connections.iter_mut().map(|connection| connection.end_interval(self.direction)).collect();
        let (from, until) = (Duration::from_nanos(from), Duration::from_nanos(until - self.timeline.measured_from));
        let interval = OneWayInterval { from, until, partial, carried };
        if self.console.interval(&interval).is_break() {
            self.interrupted = true;
        }
    }

    fn on_event(&mut self, index: usize, readable: bool) {
        let connection = &mut self.connections[index];
        let was = connection.interest(self.direction);
        let (block, buffer, pattern) = (&self.block, &mut self.buffer, self.pattern.as_ref());
        let driven = connection.drive(&mut Work { direction: self.direction, block, buffer, pattern }, readable);
        let interest = connection.interest(self.direction);
        let changed = driven.and_then(|()| match connection.stream() {
            Some(stream) if interest != was => Ok(self.poller.change(stream, index as u64, interest)?),
            _ => Ok(()),
        });
        if let Err(error) = changed {
            connection.fail(error, self.direction);
        }
    }

    /// Fails the connections that have carried nothing for too long, and draws the progress bar.
    #[allow(clippy::cast_precision_loss, reason = "a share is shown in thousandths")]
    fn sweep(&mut self, now: u64) {
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now + SWEEP_INTERVAL;
        for connection in &mut self.connections {
            if connection.is_overdue(now, self.direction, &self.limits) {
                connection.fail(ConnectionError::from(ErrorClass::Timeout), self.direction);
            }
        }
        let (from, until) = (self.timeline.measured_from, self.timeline.measured_until);
        self.console.progress(now.saturating_sub(from) as f64 / (until - from) as f64);
    }

    fn finish(mut self) -> OneWayResult {
        let cpu = self.server_pid.and_then(server_cpu::of).zip(self.cpu_before);
        let direction = self.direction;
        let connections = self.connections.iter_mut().map(|connection| {
            let after = connection.read_state(direction);
            let carried = Carried::between(&connection.before, &after);
            ConnectionResult { carried, before: connection.before, error: connection.error.take() }
        });
        let connections = connections.collect();
        // What the readings have counted is what was carried until now.
        let elapsed = self.timeline.now() - self.timeline.measured_from;
        OneWayResult {
            elapsed: Duration::from_nanos(elapsed),
            connections,
            interrupted: self.interrupted,
            server_cpu: cpu.map(|(after, before)| after.saturating_sub(before)),
        }
    }
}
