//! The state of one impaired connection: what is delayed, and what it reads and takes.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use fastrand::Rng;

use super::corruption::Corruption;
use super::kind::{Fault, ImpairmentKind, Kinds};
use super::queue::{DelayQueue, UNCHARGED};
use super::random::{Purpose, generator};
use super::settings::Impairments;
use super::shaper::Shaper;
use crate::connection::memory::Budget;
use crate::connection::millis::Millis;

/// The state of one impaired connection.
#[derive(Debug)]
pub struct Impairment {
    pub(super) settings: Arc<Impairments>,
    pub(super) budget: Arc<Budget>,
    pub(super) queue: DelayQueue,
    /// Bytes at the front of `queue` that were taken under other settings: they do not count for a fault.
    pub(super) uncounted: usize,
    /// Bytes that were taken from the connection, without those.
    pub(super) taken: u64,
    /// Bytes that the kernel has taken, without those.
    pub(super) sent: u64,
    pub(super) jitter: Rng,
    pub(super) corruption: Option<Corruption>,
    pub(super) send_line: Option<Shaper>,
    pub(super) read_line: Option<Shaper>,
    /// When the next slice may be sent.
    pub(super) next_slice: Millis,
    pub(super) end: End,
    pub(super) has_met_fault: bool,
    /// The kernel has no room.
    pub(super) is_blocked: bool,
    /// The last read got as much as the rate allowed.
    pub(super) is_reading: bool,
    /// When to read again after that.
    pub(super) next_read: Millis,
    /// The last moment, before that of the call, at which something waited for this server.
    pub(super) last_held: Millis,
    /// What has acted.
    pub(super) acted: Kinds,
    /// What of that the caller knows.
    pub(super) reported: Kinds,
    /// The time of the call.
    pub(super) now: Millis,
    /// The most bytes that the call may leave delayed.
    pub(super) max_delayed: usize,
    /// Sends, and bytes, that are left to the call.
    pub(super) sends_left: u32,
    pub(super) bytes_left: usize,
}

/// The end of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum End {
    /// The connection may send more.
    Open,
    /// It follows the last byte, at this moment at the earliest.
    Delayed(Millis),
    /// Every byte is sent: it follows at this moment.
    Slow(Millis),
    /// The server has half-closed.
    Sent,
}

impl Impairment {
    /// That of the listener's connection with this number, which begins, or is impaired from, `now`.
    #[must_use]
    pub fn new(settings: Arc<Impairments>, seed: u64, number: u64, budget: &Arc<Budget>, now: Millis) -> Self {
        let line = settings.rate.map(|rate| Shaper::new(rate, now));
        Self {
            corruption: Corruption::new(settings.corrupt, seed, number),
            jitter: generator(seed, number, Purpose::Jitter),
            settings,
            budget: Arc::clone(budget),
            queue: DelayQueue::default(),
            uncounted: 0,
            taken: 0,
            sent: 0,
            send_line: line,
            read_line: line,
            next_slice: Millis::ZERO,
            end: End::Open,
            has_met_fault: false,
            is_blocked: false,
            is_reading: false,
            next_read: Millis::ZERO,
            last_held: Millis::ZERO,
            acted: Kinds::default(),
            reported: Kinds::default(),
            now,
            max_delayed: UNCHARGED,
            sends_left: 0,
            bytes_left: 0,
        }
    }

    /// One that impairs nothing: it sends what another has delayed.
    pub(super) fn unimpaired(budget: &Arc<Budget>, now: Millis) -> Self {
        Self::new(Arc::default(), 0, 0, budget, now)
    }

    /// Continues in place of `old`: what that has delayed is due now.
    pub(super) fn take_over(&mut self, mut old: Self) {
        self.now = old.now;
        old.queue.hurry(old.now);
        self.uncounted = old.queue.len();
        self.queue = old.queue;
        self.end = match old.end {
            End::Delayed(_) | End::Slow(_) => End::Slow(old.now),
            end => end,
        };
        self.is_blocked = old.is_blocked;
        self.last_held = old.last_held.max(self.last_held);
        // what acts from now on counts anew; what the caller does not know yet stays
        self.acted = old.acted.without(old.reported);
        (self.max_delayed, self.sends_left, self.bytes_left) = (old.max_delayed, old.sends_left, old.bytes_left);
    }

    /// Whether it has nothing left to do for a connection that is not impaired any more.
    pub(super) fn is_over(&self) -> bool {
        self.settings.is_none() && !self.has_output() && self.acted == self.reported
    }

    /// The limit of what is delayed.
    fn limit(&self) -> usize {
        self.max_delayed.max(UNCHARGED)
    }

    /// Whether it takes output.
    pub(super) fn takes_output(&self) -> bool {
        let is_before_fault = self.settings.fault.is_none_or(|fault| self.taken < fault.after);
        self.end == End::Open && !self.has_met_fault && is_before_fault && self.queue.has_room(self.limit())
    }

    /// Takes output from the connection.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock) where it takes none now; [`OutOfMemory`](ErrorKind::OutOfMemory).
    pub(super) fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if !self.takes_output() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let left = self.settings.fault.map_or(u64::MAX, |fault| fault.after - self.taken);
        let most = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let (due, limit, chance) = (self.next_due(), self.limit(), self.settings.corrupt);
        let (corruption, acted) = (&mut self.corruption, &mut self.acted);
        let taken = self.queue.push(&bytes[..most], due, limit, &self.budget, |copy| {
            if corruption.as_mut().is_some_and(|corruption| corruption.apply(copy, chance)) {
                acted.add(ImpairmentKind::Corrupt);
            }
        });
        self.taken += taken as u64;
        if taken > 0 && due > self.now && self.settings.latency > Millis::ZERO {
            self.acted.add(ImpairmentKind::Latency);
        }
        match taken {
            // without a charge there is room for a byte: the system has no memory, and nothing will be sent that frees any
            0 if self.queue.is_empty() => Err(ErrorKind::OutOfMemory.into()),
            0 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(taken),
        }
    }

    /// When what is written now is due: not before what was written earlier.
    fn next_due(&mut self) -> Millis {
        let (latency, jitter) = (self.settings.latency, self.settings.jitter);
        let deviation = if jitter == Millis::ZERO { 0 } else { self.jitter.u64(0..=jitter.get().saturating_mul(2)) };
        let due = self.now + (latency - jitter) + Millis::new(deviation);
        due.max(self.queue.last_due().unwrap_or(Millis::ZERO))
    }

    /// The connection has sent its last byte.
    pub(super) fn end_output(&mut self) {
        if self.end == End::Open {
            self.end = End::Delayed(self.next_due());
        }
    }

    /// Whether the end of the output would come later than the connection wants it.
    pub(super) fn delays_end(&self) -> bool {
        match self.fault_met() {
            Some(Fault::Stall) => true,
            Some(Fault::Cut | Fault::Reset) => false,
            None if self.end == End::Sent => false,
            None => {
                let Impairments { latency, slow_close, .. } = *self.settings;
                self.has_output() || latency > Millis::ZERO || slow_close > Millis::ZERO
            }
        }
    }

    /// The last moment at which something waited for this server: now, if it does now.
    pub(super) fn last_held(&self) -> Millis {
        if self.holds_back() {
            return self.now;
        }
        let held_by_rate = if self.is_reading { self.next_read.min(self.now) } else { Millis::ZERO };
        self.last_held.max(held_by_rate)
    }

    /// Whether the rate keeps the connection from reading now.
    pub(super) fn is_throttled(&self) -> bool {
        self.is_reading && self.now < self.next_read
    }

    /// Reads by `read`, which gets the most bytes that the rate allows of `wanted`.
    ///
    /// # Errors
    /// Those of `read`; [`WouldBlock`](ErrorKind::WouldBlock) where the rate allows nothing now.
    pub(super) fn read(&mut self, wanted: usize, read: impl FnOnce(usize) -> io::Result<usize>) -> io::Result<usize> {
        let Some(line) = &mut self.read_line else { return read(wanted) };
        line.advance(self.now, if self.is_reading { Millis::ZERO } else { Millis::NEVER });
        let available = line.available();
        let is_early = self.is_reading && self.now < self.next_read;
        let result = if available == 0 || is_early {
            Err(ErrorKind::WouldBlock.into())
        } else {
            let result = read(wanted.min(available));
            line.take(*result.as_ref().unwrap_or(&0));
            self.is_reading = matches!(result, Ok(length) if length == available);
            if !self.is_reading {
                // there is no more input, or no room for it
                if !matches!(result, Ok(length) if length == wanted) {
                    line.rest();
                }
                return result;
            }
            result
        };
        if !is_early {
            self.is_reading = true;
            self.next_read = line.due(line.step(usize::MAX));
            self.acted.add(ImpairmentKind::Rate);
        }
        result
    }

    /// What has acted since the last call of this.
    pub(super) fn take_acted(&mut self) -> Kinds {
        let new = self.acted.without(self.reported);
        self.reported = self.reported.with(new);
        new
    }
}
