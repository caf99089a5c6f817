//! The loop that drives all connections from one thread.
//!
//! Owns the poller, the slots and the clock of a run: warm-up, measurement, and then waiting for what is still under
//! way. Guarantees: each ready connection is read until it has no more, within bounds, and sent to once a turn,
//! so that the loop costs little beside the system calls; the open loop makes requests when they are due and not before; the run
//! ends, at the latest when the read timeout has passed after the measurement.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::connect::start_connect;
use super::judge::READ;
use super::server_cpu;
use super::slot::{Arrival, Loss, Slot};
use super::tally::{Tally, Trouble};
use super::workload::Workload;
use crate::client::client_protocol::ReplyFraming;
use crate::client::options::BenchOptions;
use crate::sys::{Interest, Poller, TimerFd};

/// How requests follow one another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// So many under way on each connection, always.
    Closed {
        /// How many.
        depth: usize,
    },
    /// Connect, ask, close, again.
    Reconnect,
    /// When they are due.
    Open {
        /// Requests a second.
        rate: f64,
        /// On a connection each.
        reconnect: bool,
    },
}

impl Pace {
    fn reconnects(self) -> bool {
        matches!(self, Self::Reconnect | Self::Open { reconnect: true, .. })
    }

    /// How many requests may be sent with one call.
    fn batch(self) -> usize {
        match self {
            Self::Closed { depth } => depth,
            Self::Reconnect => 1,
            Self::Open { .. } => 64,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    WarmUp,
    Measuring,
    Draining,
}

/// A benchmark under way. Times are nanoseconds since it began.
#[derive(Debug)]
pub struct Load<'a> {
    workload: &'a Workload,
    batch: Vec<u8>,
    address: SocketAddr,
    pace: Pace,
    server_pid: Option<u32>,
    patience: u64,
    began: Instant,
    stage: Stage,
    measured_from: u64,
    measured_until: u64,
    next_sweep: u64,
    next_request: u64,
    alarm_at: u64,
    last_answer: u64,
    opened: u64,
    cpu_before: Option<Duration>,
    poller: Poller<u64, EVENTS>,
    alarm: TimerFd,
    slots: Vec<Slot>,
    /// Slots without a connection that are to get one later.
    resting: Vec<usize>,
    buffer: Vec<u8>,
    tally: Tally,
}

/// How often slots are looked at for requests that wait too long.
const SWEEP: u64 = 250_000_000;

/// How long a slot rests after a failure.
const REST: u64 = 10_000_000;

/// An alarm closer than this would come too late: the loop turns without waiting instead.
const TOO_CLOSE: u64 = 20_000;

/// How many times a ready connection is read in one turn. Chosen: 4 MiB, which is a thousandth of a second; a server that
/// sends without end must not keep the loop from the other connections and from the clock.
const READS: usize = 16;

/// Events taken at one wake-up. Chosen without tuning: more than the connections of most benchmarks.
const EVENTS: usize = 1024;

/// The number of the alarm among the poller's; slots have theirs.
const ALARM: u64 = u64::MAX;

impl<'a> Load<'a> {
    /// A load as the options say, on this address.
    pub fn new(options: &BenchOptions, workload: &'a Workload, address: SocketAddr, pace: Pace) -> io::Result<Self> {
        let (poller, alarm) = (Poller::new()?, TimerFd::new()?);
        if matches!(pace, Pace::Open { .. }) {
            poller.add(&alarm, ALARM, Interest { read: true, write: false })?;
        }
        let measured_from = nanoseconds(options.warm_up);
        Ok(Self {
            workload,
            batch: workload.request.repeat(copies(pace.batch(), workload.request.len())),
            address,
            pace,
            server_pid: options.server_pid,
            patience: nanoseconds(options.patience.read_timeout),
            began: Instant::now(),
            stage: Stage::WarmUp,
            measured_from,
            measured_until: measured_from + nanoseconds(options.duration),
            next_sweep: SWEEP,
            next_request: 0,
            alarm_at: 0,
            last_answer: 0,
            opened: 0,
            cpu_before: None,
            poller,
            alarm,
            slots: (0..options.connections).map(|_| Slot::default()).collect(),
            resting: Vec::new(),
            buffer: vec![0; READ],
            tally: Tally::new(),
        })
    }

    /// Runs it to its end.
    pub fn run(mut self) -> io::Result<Tally> {
        self.began = Instant::now();
        // Without a warm-up the first requests count, too.
        self.advance(0);
        for index in 0..self.slots.len() {
            self.open(index);
        }
        loop {
            let now = self.now();
            self.advance(now);
            if self.stage == Stage::Draining && self.is_done(now) {
                return Ok(self.finish(now));
            }
            self.make_due(now);
            self.tend(now);
            let ready = self.wait(now)?;
            for event in 0..ready {
                match self.poller.event(event).key {
                    ALARM => {}
                    slot => self.serve(slot as usize),
                }
            }
        }
    }

    fn now(&self) -> u64 {
        nanoseconds(self.began.elapsed())
    }

    /// From one stage to the next, when it is time.
    fn advance(&mut self, now: u64) {
        if self.stage == Stage::WarmUp && now >= self.measured_from {
            self.stage = Stage::Measuring;
            // Late by a turn of the loop; the measurement keeps its length.
            self.measured_until += now - self.measured_from;
            self.measured_from = now;
            self.tally = Tally::new();
            self.cpu_before = self.server_pid.and_then(server_cpu::of);
        }
        if self.stage == Stage::Measuring && now >= self.measured_until {
            self.stage = Stage::Draining;
        }
    }

    fn is_done(&self, now: u64) -> bool {
        now > self.measured_until + self.patience
            || self.slots.iter().all(|slot| slot.outstanding() == 0 && slot.waiting.is_empty())
    }

    fn finish(mut self, now: u64) -> Tally {
        for slot in &mut self.slots {
            let unanswered = slot.outstanding() + slot.waiting.len();
            self.tally.failed(Trouble::Timeout, unanswered as u64);
        }
        let until = if self.tally.troubles(Trouble::Timeout) > 0 { now } else { self.last_answer };
        let span = until.max(self.measured_until) - self.measured_from;
        self.tally.elapsed = Duration::from_nanos(span);
        let cpu_after = self.server_pid.and_then(server_cpu::of);
        self.tally.server_cpu = cpu_after.zip(self.cpu_before).map(|(after, before)| after.saturating_sub(before));
        self.tally
    }

    /// The open loop: hands every request that is due by now to a slot, in turn.
    fn make_due(&mut self, now: u64) {
        let Pace::Open { rate, reconnect } = self.pace else { return };
        while self.due(rate) <= now.min(self.measured_until - 1) {
            let due = self.due(rate);
            let index = (self.next_request % self.slots.len() as u64) as usize;
            self.next_request += 1;
            self.slots[index].waiting.push_back(due);
            if reconnect {
                self.open(index);
            } else {
                self.dispatch(index, now);
            }
        }
    }

    /// When the next request of the open loop is due.
    #[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "exact up to 2^53 nanoseconds: 104 days")]
    fn due(&self, rate: f64) -> u64 {
        (self.next_request as f64 * 1e9 / rate) as u64
    }

    /// Now and then: connections for slots that have rested, and an end for requests that waited too long.
    fn tend(&mut self, now: u64) {
        if self.resting.iter().any(|&index| self.slots[index].rest_until <= now) {
            for index in std::mem::take(&mut self.resting) {
                if self.slots[index].rest_until <= now { self.open(index) } else { self.resting.push(index) }
            }
        }
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now + SWEEP;
        for index in 0..self.slots.len() {
            if self.slots[index].oldest().is_some_and(|due| due + self.patience < now) {
                self.lose(index, Loss::from(Trouble::Timeout));
            }
        }
    }

    fn wait(&mut self, now: u64) -> io::Result<usize> {
        let boundary = match self.stage {
            Stage::WarmUp => self.measured_from,
            Stage::Measuring => self.measured_until,
            Stage::Draining => self.measured_until + self.patience,
        };
        let rested = self.resting.iter().map(|&index| self.slots[index].rest_until).min();
        let next = boundary.min(self.next_sweep).min(rested.unwrap_or(u64::MAX));
        let mut timeout = Duration::from_nanos(next.saturating_sub(now));
        if let Pace::Open { rate, .. } = self.pace {
            let due = self.due(rate).min(next);
            if due < now + TOO_CLOSE {
                timeout = Duration::ZERO;
            } else if due != self.alarm_at {
                self.alarm_at = due;
                self.alarm.set(Duration::from_nanos(due - now))?;
            }
        }
        self.poller.wait(Some(timeout))
    }

    /// Begins a connection for a slot that has none and needs one, with its first requests.
    fn open(&mut self, index: usize) {
        let now = self.now();
        let slot = &mut self.slots[index];
        let needless = match self.pace {
            Pace::Open { reconnect, .. } => reconnect && slot.waiting.is_empty(),
            Pace::Closed { .. } | Pace::Reconnect => self.stage == Stage::Draining,
        };
        if needless || slot.stream().is_some() {
            return;
        }
        self.opened += 1;
        match start_connect(self.address, self.opened) {
            Ok(stream) => slot.begin(stream),
            Err(error) => return self.lose(index, Loss::from(error)),
        }
        self.ask(index, now);
        if let Err(loss) = self.send(index).and_then(|()| self.watch(index)) {
            self.lose(index, loss);
        }
    }

    /// Makes the requests that the pace allows this slot now.
    fn ask(&mut self, index: usize, now: u64) {
        let (slot, length) = (&mut self.slots[index], self.workload.request.len());
        match self.pace {
            _ if self.stage == Stage::Draining && !matches!(self.pace, Pace::Open { .. }) => {}
            Pace::Closed { depth } if slot.outstanding() < depth => slot.ask(now, depth - slot.outstanding(), length),
            Pace::Reconnect if slot.outstanding() == 0 => slot.ask(now, 1, length),
            Pace::Open { reconnect: true, .. } if slot.outstanding() == 0 => {
                if let Some(due) = slot.waiting.pop_front() {
                    slot.ask(due, 1, length);
                }
            }
            Pace::Open { reconnect: false, .. } => {
                while let Some(due) = slot.waiting.pop_front() {
                    slot.ask(due, 1, length);
                }
            }
            _ => {}
        }
    }

    /// Sends what has become due on an open connection.
    fn dispatch(&mut self, index: usize, now: u64) {
        if self.slots[index].stream().is_none() {
            return;
        }
        self.ask(index, now);
        if let Err(loss) = self.send(index).and_then(|()| self.rewatch(index)) {
            self.lose(index, loss);
        }
    }

    fn send(&mut self, index: usize) -> Result<(), Loss> {
        let ends = self.pace.reconnects() && self.workload.judge.framing() == Some(ReplyFraming::CloseDelimited);
        Ok(self.slots[index].send(&self.batch, self.workload.request.len(), ends)?)
    }

    fn watch(&mut self, index: usize) -> Result<(), Loss> {
        let slot = &mut self.slots[index];
        slot.watched = slot.interest();
        match slot.stream() {
            Some(stream) => Ok(self.poller.add(stream, index as u64, slot.watched)?),
            None => Ok(()),
        }
    }

    fn rewatch(&mut self, index: usize) -> Result<(), Loss> {
        let slot = &mut self.slots[index];
        let interest = slot.interest();
        match slot.stream() {
            Some(stream) if interest != slot.watched => {
                self.poller.change(stream, index as u64, interest)?;
                slot.watched = interest;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A slot's socket is ready for something.
    fn serve(&mut self, index: usize) {
        match self.exchange(index) {
            Ok(true) => {
                self.slots[index].close();
                self.open(index);
            }
            Ok(false) => {}
            Err(loss) => self.lose(index, loss),
        }
    }

    /// Reads, counts, asks again, sends; true when this connection has done all that it was made for.
    fn exchange(&mut self, index: usize) -> Result<bool, Loss> {
        if self.slots[index].connecting() && !self.slots[index].settle()? {
            return Ok(false);
        }
        let (closed, now) = self.receive(index)?;
        let outstanding = self.slots[index].outstanding();
        if closed && outstanding > 0 {
            return Err(Loss::from(Trouble::ClosedEarly));
        }
        if outstanding == 0 && (closed || self.pace.reconnects()) {
            return Ok(true);
        }
        self.ask(index, now);
        self.send(index)?;
        self.rewatch(index)?;
        Ok(false)
    }

    /// Reads until there is no more, at most [`READS`] times, and counts answers; tells whether the server has closed, and
    /// the time.
    fn receive(&mut self, index: usize) -> Result<(bool, u64), Loss> {
        let mut now = 0;
        for _ in 0..READS {
            let arrival =
                self.slots[index].receive(&mut self.buffer, &self.workload.judge, &mut self.tally.received)?;
            now = self.now();
            match arrival {
                Arrival::Answers(answers, more) => {
                    self.count(index, answers, now);
                    if !more {
                        break;
                    }
                }
                Arrival::Closed(answers) => {
                    self.count(index, answers, now);
                    return Ok((true, now));
                }
            }
        }
        Ok((false, now))
    }

    fn count(&mut self, index: usize, answers: usize, now: u64) {
        if answers == 0 {
            return;
        }
        self.last_answer = now;
        let (tally, from, stage) = (&mut self.tally, self.measured_from, self.stage);
        self.slots[index].answered(answers, |due, count| {
            if stage != Stage::WarmUp && due >= from {
                tally.answered(now - due, u64::from(count));
            }
        });
    }

    /// A connection is of no more use: what was under way on it has failed, and the slot rests.
    fn lose(&mut self, index: usize, loss: Loss) {
        let requests = self.slots[index].close();
        if self.stage != Stage::WarmUp {
            self.tally.failed(loss.trouble, requests.max(1) as u64);
            if loss.trouble == Trouble::Other && self.tally.example.is_none() {
                self.tally.example = loss.words;
            }
        }
        self.slots[index].rest_until = self.now() + REST;
        self.resting.push(index);
    }
}

/// How many bytes of requests are sent with one call, where one request has not more. Chosen: far more than a socket
/// takes at once.
const BATCH: usize = 1 << 20;

/// How many copies of a request of `length` bytes a batch has that is to hold `batch` requests: one more, because the
/// first may have been begun already, and fewer where these are large.
fn copies(batch: usize, length: usize) -> usize {
    (batch + 1).min(2.max(BATCH / length.max(1)))
}

/// The longest time, in nanoseconds: the sum of three is still a number. 146 years.
const LONGEST: u64 = u64::MAX / 4;

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).map_or(LONGEST, |nanoseconds| nanoseconds.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use clap::Parser;

    use super::*;
    use crate::client::options::{Command, Options};

    #[test]
    fn a_batch_is_bounded_however_large_its_requests_are() {
        assert_eq!(copies(32, 64), 33);
        assert_eq!(copies(65_536, 64), 16_384);
        assert_eq!(copies(64, 1 << 24), 2);
        assert_eq!(copies(64, 0), 65);
    }

    #[test]
    fn times_can_be_added() {
        assert_eq!(nanoseconds(Duration::from_millis(1)), 1_000_000);
        let longest = nanoseconds(Duration::MAX);
        assert!(longest.checked_mul(3).is_some(), "warm-up, duration and patience");
        assert!(longest > nanoseconds(Duration::from_secs(100 * 365 * 24 * 3600)), "a hundred years are not cut");
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
        let pace = Pace::Closed { depth: 1 };
        let tally = Load::new(&options, &workload, address, pace).and_then(Load::run).unwrap();
        server.join().unwrap();
        assert_eq!((tally.requests, tally.errors()), (1, 0));
    }
}
