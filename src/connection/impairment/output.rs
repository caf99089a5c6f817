//! What the output of an impaired connection has come to, and when it goes on.

use std::io::{self, ErrorKind, IoSlice};
use std::num::NonZero;

use super::kind::{Fault, ImpairmentKind};
use super::queue::MAX_PARTS;
use super::state::{End, Impairment};
use crate::connection::context::MAX_WRITE;
use crate::connection::millis::Millis;
use crate::connection::stream::Stream;

/// The most sends in one call. Chosen: together they take about as long as one send of [`MAX_WRITE`] bytes, for which
/// other connections wait, too.
const MAX_SENDS: u32 = 32;

impl Impairment {
    /// A call begins: bounds what it sends.
    pub(super) fn begin_call(&mut self, now: Millis, max_delayed: usize) {
        self.now = self.now.max(now);
        self.last_held = self.last_held();
        self.max_delayed = max_delayed;
        (self.sends_left, self.bytes_left) = (MAX_SENDS, MAX_WRITE);
    }

    /// Sends what is due, as far as this call may; then the end of the output.
    ///
    /// # Errors
    /// When the client has gone.
    pub(super) fn flush<S: Stream>(&mut self, stream: &mut S) -> io::Result<()> {
        self.is_blocked = false;
        loop {
            self.meet_fault(stream);
            let most = if self.has_met_fault { 0 } else { self.sendable() };
            if most == 0 || self.sends_left == 0 {
                break;
            }
            self.sends_left -= 1;
            let mut parts = [IoSlice::new(&[]); MAX_PARTS];
            let count = self.queue.front(most, &mut parts);
            match stream.write_vectored(&parts[..count]) {
                Ok(sent) => self.on_sent(sent),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        self.flush_end(stream)
    }

    /// Bytes that the next send may have.
    fn sendable(&mut self) -> usize {
        let slice = self.settings.slice.map_or(usize::MAX, NonZero::get);
        let most = self.bytes_left.min(slice);
        let ready = self.queue.ready(self.now, most);
        if ready == 0 || self.now < self.next_slice {
            return 0;
        }
        let due = self.queue.due().unwrap_or(self.now).max(self.next_slice);
        let Some(line) = &mut self.send_line else { return ready };
        line.advance(self.now, due);
        let available = line.available();
        if available < line.step(ready) {
            self.acted.add(ImpairmentKind::Rate);
            return 0;
        }
        ready.min(available)
    }

    /// The kernel has taken bytes.
    fn on_sent(&mut self, sent: usize) {
        let before = self.queue.len();
        self.queue.advance(sent);
        let uncounted = sent.min(self.uncounted);
        self.uncounted -= uncounted;
        self.sent += (sent - uncounted) as u64;
        self.bytes_left -= sent.min(self.bytes_left);
        if self.settings.slice.is_some_and(|slice| slice.get() < before) {
            self.acted.add(ImpairmentKind::Slice);
        }
        if self.settings.slice_gap > Millis::ZERO {
            self.next_slice = self.now + self.settings.slice_gap;
        }
        if let Some(line) = &mut self.send_line {
            line.take(sent);
            if self.queue.is_empty() {
                line.rest();
            }
        }
    }

    /// The number of bytes has been sent after which the fault is due.
    pub(super) fn is_fault_due(&self) -> bool {
        let fault = self.settings.fault.filter(|_| !self.has_met_fault && self.uncounted == 0);
        fault.is_some_and(|fault| self.sent >= fault.after)
    }

    /// Does what happens after a number of bytes, if they are sent.
    fn meet_fault<S: Stream>(&mut self, stream: &mut S) {
        let Some(fault) = self.settings.fault.filter(|_| self.is_fault_due()) else { return };
        self.has_met_fault = true;
        self.acted.add(fault.fault.kind());
        if fault.fault == Fault::Cut && self.end != End::Sent {
            self.end = End::Sent;
            // a client that has gone is noticed by the next read
            let _ = stream.shutdown_write();
        }
    }

    /// Half-closes, if that is due and everything is sent.
    fn flush_end<S: Stream>(&mut self, stream: &mut S) -> io::Result<()> {
        if !self.queue.is_empty() || self.has_met_fault {
            return Ok(());
        }
        if let End::Delayed(due) = self.end {
            if due > self.now {
                return Ok(());
            }
            self.end = End::Slow(self.now + self.settings.slow_close);
            if self.settings.slow_close > Millis::ZERO {
                self.acted.add(ImpairmentKind::SlowClose);
            }
        }
        if matches!(self.end, End::Slow(due) if due <= self.now) {
            self.end = End::Sent;
            return stream.shutdown_write();
        }
        Ok(())
    }

    /// Whether the output waits for this server: for a time, or for ever.
    pub(super) fn holds_back(&self) -> bool {
        match self.fault_met() {
            Some(Fault::Stall) => true,
            Some(Fault::Cut | Fault::Reset) => false,
            None => self.has_output() && !self.is_blocked,
        }
    }

    /// Whether bytes, or the end of the output, are left.
    pub(super) fn has_output(&self) -> bool {
        !self.queue.is_empty() || matches!(self.end, End::Delayed(_) | End::Slow(_))
    }

    /// The fault that has been met.
    pub(super) fn fault_met(&self) -> Option<Fault> {
        self.settings.fault.filter(|_| self.has_met_fault).map(|fault| fault.fault)
    }

    /// When the next byte, or the end of the output, is to be sent; never if that waits for room in the kernel.
    pub(super) fn next_send(&self) -> Millis {
        if self.has_met_fault || self.is_blocked {
            return Millis::NEVER;
        }
        if self.is_fault_due() {
            return self.now;
        }
        let Some(due) = self.queue.due() else {
            return match self.end {
                End::Delayed(due) | End::Slow(due) => due,
                End::Open | End::Sent => Millis::NEVER,
            };
        };
        let due = due.max(self.next_slice);
        match &self.send_line {
            Some(line) if due <= self.now => due.max(line.due(line.step(self.waiting()))),
            _ => due,
        }
    }

    /// Bytes that could be sent now, but for the rate.
    fn waiting(&self) -> usize {
        let slice = self.settings.slice.map_or(usize::MAX, NonZero::get);
        self.queue.ready(self.now, slice.min(MAX_WRITE))
    }
}
