//! The loop that drives all connections of a measurement of throughput: warm-up, and measurement.

#![allow(clippy::cast_possible_truncation, reason = "indices of connections, of which there are far fewer than 2^32")]

use std::io;
use std::time::Duration;

use super::connection::{OneWayConnection, Work};
use super::console::Console;
use super::direction::Direction;
use super::intervals::Intervals;
use super::pattern::Pattern;
use super::result::{OneWayInterval, OneWayResult};
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
use crate::sys::{Interrupts, SocketAddress};

/// Interval of the search for connections that wait for too long, and of the progress bar, in nanoseconds. Chosen as
/// that of the load generator.
const SWEEP_INTERVAL: u64 = 250_000_000;

/// The longest time, in nanoseconds, after which the loop looks for a signal and for the next phase, also between two
/// connections. Chosen: nobody notices that an interrupt is so late, and the system call costs a ten-thousandth of it.
const LOOK_INTERVAL: u64 = 10_000_000;

/// A measurement of throughput that runs. Times are nanoseconds since the start of the run.
#[derive(Debug)]
pub struct Transfer<'a> {
    direction: Direction,
    timeline: Timeline,
    limits: WaitLimits,
    /// Connections are made: the warm-up begins when each has succeeded or failed.
    connecting: bool,
    intervals: Intervals,
    next_sweep: u64,
    /// When to [look](Self::look_if_due) again.
    next_look: u64,
    poller: BenchPoller,
    connections: Vec<OneWayConnection>,
    /// The number of connections to make.
    count: usize,
    block: Vec<u8>,
    buffer: Vec<u8>,
    pattern: Option<Pattern>,
    server_pid: Option<u32>,
    cpu_before: Option<Duration>,
    cpu_after: Option<Duration>,
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
        let is_verified = direction == Direction::Receive && options.verify == Verify::Content;
        Ok(Self {
            direction,
            timeline: Timeline::new(options.warm_up, options.time_limit(), options.timeouts.read_timeout),
            limits: WaitLimits::new(&options.timeouts),
            connecting: true,
            intervals: Intervals::new(nanoseconds(options.series_interval())),
            next_sweep: SWEEP_INTERVAL,
            next_look: 0,
            poller: BenchPoller::new()?,
            connections: Vec::with_capacity(options.connections),
            count: options.connections,
            block: text::of_size(options.text, options.size),
            buffer: vec![0; READ_SIZE],
            pattern: is_verified.then(Pattern::new),
            server_pid: options.server_pid,
            cpu_before: None,
            cpu_after: None,
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
            self.look_if_due()?;
            if self.is_over() {
                return Ok((self.timeline.phase == BenchPhase::Draining).then(|| self.finish()));
            }
            let timeout = self.next_look.saturating_sub(self.timeline.now());
            let ready = self.poller.wait(Some(Duration::from_nanos(timeout)))?;
            self.serve(ready)?;
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

    /// Lets each of the ready connections carry bytes in turn, unless the run ends before: if there are thousands, it
    /// takes seconds until each has carried what it can.
    fn serve(&mut self, ready: usize) -> io::Result<()> {
        for event in 0..ready {
            self.look_if_due()?;
            if self.is_over() {
                break;
            }
            let event = self.poller.event(event);
            self.on_event(event.key as usize, event.readable || event.hung_up);
        }
        Ok(())
    }

    /// Whether the measurement has ended, or cannot begin.
    fn is_over(&self) -> bool {
        match self.timeline.phase {
            BenchPhase::WarmUp => self.interrupted,
            BenchPhase::Measuring => false,
            BenchPhase::Draining => true,
        }
    }

    /// Looks for a signal, fails connections, and ends phases and intervals, when it is time.
    fn look_if_due(&mut self) -> io::Result<()> {
        let now = self.timeline.now();
        if now < self.next_look || self.is_over() {
            return Ok(());
        }
        self.interrupted |= self.interrupts.take()?;
        self.sweep(now);
        self.begin_warm_up(now)?;
        self.advance(now);
        let next = match self.timeline.phase {
            _ if self.connecting => u64::MAX,
            BenchPhase::Measuring => self.timeline.measured_until.min(self.interval_end()),
            _ => self.timeline.phase_end(),
        };
        self.next_look = next.min(self.next_sweep).min(now + LOOK_INTERVAL);
        Ok(())
    }

    /// Begins the warm-up if it has not begun, and each connection was made or has failed.
    fn begin_warm_up(&mut self, now: u64) -> io::Result<()> {
        if !self.connecting || self.connections.iter().any(OneWayConnection::is_connecting) {
            return Ok(());
        }
        self.connecting = false;
        self.timeline.begin_warm_up(now);
        for (index, connection) in self.connections.iter_mut().enumerate() {
            connection.begin(now);
            if let Some(stream) = connection.stream() {
                self.poller.change(stream, index as u64, connection.interest(self.direction))?;
            }
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
        match self.timeline.phase {
            _ if self.connecting => {}
            BenchPhase::WarmUp if now >= self.timeline.measured_from => self.begin_measurement(),
            BenchPhase::Measuring if now >= self.timeline.measured_until || self.interrupted || all_failed => {
                self.end_measurement();
            }
            BenchPhase::Measuring if now >= self.interval_end() => {
                let until = self.read_states();
                self.end_interval(until);
            }
            _ => {}
        }
    }

    /// The measurement begins, and ends, after all states were read, which takes one to two microseconds for each
    /// connection (measured): as they are always read in the same order, it has the same length for each.
    fn begin_measurement(&mut self) {
        self.cpu_before = self.server_pid.and_then(server_cpu::of);
        let from = self.read_states();
        self.connections.iter_mut().for_each(OneWayConnection::begin_measurement);
        self.timeline.advance(from);
    }

    fn end_measurement(&mut self) {
        self.cpu_after = self.server_pid.and_then(server_cpu::of);
        let until = self.read_states();
        self.timeline.stop(until);
        self.end_interval(until);
    }

    /// Reads the states of all connections; returns the time at which they have been read.
    fn read_states(&mut self) -> u64 {
        for connection in &mut self.connections {
            connection.read_state(self.direction);
        }
        self.timeline.now()
    }

    /// When the current interval is to end; `u64::MAX` if intervals are not shown.
    fn interval_end(&self) -> u64 {
        let shown = self.console.shows_intervals();
        if shown { self.timeline.measured_from.saturating_add(self.intervals.end()) } else { u64::MAX }
    }

    /// Ends the current interval at `until`, at which the states were read.
    fn end_interval(&mut self, until: u64) {
        let until = until - self.timeline.measured_from;
        let (from, partial) = self.intervals.finish(until);
        if !self.console.shows_intervals() {
            return;
        }
        let carried = self.connections.iter_mut().map(OneWayConnection::end_interval).collect();
        let (from, until) = (Duration::from_nanos(from), Duration::from_nanos(until));
        if self.console.interval(&OneWayInterval { from, until, partial, carried }).is_break() {
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

    fn finish(self) -> OneWayResult {
        OneWayResult {
            elapsed: Duration::from_nanos(self.timeline.measured_until - self.timeline.measured_from),
            connections: self.connections.into_iter().map(OneWayConnection::result).collect(),
            interrupted: self.interrupted,
            server_cpu: self.cpu_after.zip(self.cpu_before).map(|(after, before)| after.saturating_sub(before)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use clap::Parser;

    use super::*;
    use crate::client::options::{Command, Options};

    /// Passes the transfer of `retort bench ADDRESS -P discard -c 3`, with these further words, and connections to a
    /// server that takes nothing, to `check`.
    fn with_transfer(words: &str, check: impl FnOnce(Transfer<'_>)) {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("listen");
        let address = listener.local_addr().expect("an address");
        let words = format!("retort bench {address} -P discard -c 3 -s 1 {words}");
        let Command::Bench(options) = Options::parse_from(words.split(' ')).command else { panic!("not a benchmark") };
        let target = Target::resolve(&options.host, options.protocol, options.family).expect("an address");
        let interrupts = Interrupts::watch().expect("watch for signals");
        let console = Console::new(&options, Direction::Send);
        let mut transfer = Transfer::new(&options, Direction::Send, &interrupts, &console).expect("a transfer");
        let address = SocketAddress::Internet(address);
        transfer.open(&target, &address, &SourceAddresses::for_server(&address)).expect("connect");
        check(transfer);
    }

    /// Waits until each connection is ready, and serves them.
    fn serve(transfer: &mut Transfer<'_>) {
        let ready = loop {
            let ready = transfer.poller.wait(None).expect("ready connections");
            if ready == transfer.connections.len() {
                break ready;
            }
        };
        transfer.serve(ready).expect("none fails");
    }

    /// The numbers of bytes that the sockets have taken.
    fn moved(transfer: &Transfer<'_>) -> Vec<u64> {
        transfer.connections.iter().map(|connection| connection.moved).collect()
    }

    #[test]
    fn the_warm_up_begins_when_all_are_connected() {
        with_transfer("--warm-up 1h", |mut transfer| {
            transfer.look_if_due().expect("no signal");
            assert!(transfer.connecting && transfer.timeline.measured_from == nanoseconds(Duration::from_secs(3600)));
            transfer.next_look = u64::MAX;
            serve(&mut transfer);
            transfer.next_look = 0;
            transfer.look_if_due().expect("no signal");
            assert!(!transfer.connecting && transfer.timeline.measured_from > nanoseconds(Duration::from_secs(3600)));
            assert_eq!(moved(&transfer), [0; 3]);
            serve(&mut transfer);
            assert!(moved(&transfer).iter().all(|&bytes| bytes > 0), "{transfer:?}");
        });
    }

    /// It is over before the first of the ready connections has its turn.
    #[test]
    fn the_measurement_ends_within_a_pass_over_the_connections() {
        with_transfer("--warm-up 0 -t 1ns", |mut transfer| {
            serve(&mut transfer);
            transfer.next_look = 0;
            transfer.look_if_due().expect("no signal");
            assert_eq!(transfer.timeline.phase, BenchPhase::Measuring);
            serve(&mut transfer);
            assert_eq!((transfer.timeline.phase, moved(&transfer)), (BenchPhase::Draining, vec![0; 3]));
            let result = transfer.finish();
            assert!(result.elapsed > Duration::ZERO && result.bytes() == 0, "{result:?}");
        });
    }
}
