//! What a worker lends to the connection that it calls, and how large it is.

use std::io;
use std::sync::Arc;

use super::counters::WorkerCounters;
use super::limits::Limits;
use super::memory::{Budget, Buffer, Charge, MIN_DEFERRED_FREE, Pool, Retired};
use super::millis::Millis;
use crate::protocol::{RequestCounts, RequestRng};

/// Bytes that TCP sends as one packet to the loopback interface, or to a network card that divides packets: a longer
/// write costs a second packet. Derived: a packet has at most 65,535 bytes, 120 of them for headers; whole KiB.
/// Measured: with writes of 64 KiB, a reply of 1 MiB to a client on the same host costs twice the CPU time.
pub const LARGEST_PACKET: usize = 63 * 1024;
/// Bytes of the worker's read buffer. Derived: the longest read, [`MAX_WRITE`], behind the longest unfinished
/// request that is completed there, [`SMALL_REQUEST`].
pub const READ_BUF_SIZE: usize = MAX_WRITE + SMALL_REQUEST;
/// The most bytes that one read delivers to a protocol that transforms its input, because other connections wait
/// meanwhile. Derived: the replies to them make one packet; they cost about 20 us of CPU (row "bulk", `frame`, of
/// `docs/performance.md`, divided by 16).
pub const FAIR_READ_SIZE: usize = LARGEST_PACKET;
/// Bytes of the worker's reply buffer. Derived: the longest reply to a text that grows and is transformed on the event
/// loop, 64 KiB, takes less than four times that.
pub const REPLY_BUF_SIZE: usize = 256 * 1024;
/// Bytes of the reply buffer that one call may fill while the budget is exhausted: what the client does not take is
/// copied, and held uncharged. Chosen without tuning; a reply to one chunk takes an eighth.
pub const SCARCE_REPLY_BUF_SIZE: usize = 32 * 1024;
/// An unfinished request that is shorter than this is completed in the read buffer; a longer one gets a buffer of its
/// own. Derived: one page, and the most that a protocol may leave unprocessed while it does not know the request's
/// length.
pub const SMALL_REQUEST: usize = 4 * 1024;
/// Bytes that a connection may hold without a charge. Chosen without tuning: many small requests in progress never
/// wait.
pub const UNCHARGED_BYTES: usize = 16 * 1024;
/// The most bytes that a connection sends at one wake-up: all replies that one call makes in the worker's buffers,
/// because what is not sent of them is copied. Measured: with 64 KiB, echo of 1 MiB takes three times the CPU time
/// (`make bench`). Also the most that one read delivers to a protocol that passes its input through
/// ([`Protocol::passthrough`](crate::protocol::Protocol::passthrough)): its replies are sent at once.
pub const MAX_WRITE: usize = 4 * LARGEST_PACKET;
/// The most bytes that a stream sends back at one wake-up ([`Stream::send_back`](super::Stream::send_back)). Measured
/// (`make bench`): [`MAX_WRITE`] costs more, because the pipe and the socket are full more often.
pub const MAX_SEND_BACK: usize = 3 * LARGEST_PACKET;
/// The most bytes that are sent at one wake-up of a reply that has a buffer of its own: nothing is copied, and the
/// other connections come next. Measured beside 4 clients of `frame` that send 1 MiB each: with 63 KiB a small
/// request's p99 is 0.6 ms, with 64 KiB 1.6 ms, with 126 KiB 2.1 ms; 1 MiB costs 357, 703 and 385 us of CPU.
pub const MAX_BUFFERED_WRITE: usize = LARGEST_PACKET;

/// What the connections of one worker share.
#[derive(Debug)]
pub struct Context {
    /// Where input is read to; [`READ_BUF_SIZE`] bytes, all of them filled.
    pub read_buf: Buffer,
    /// Where replies are written that do not fit in place of their request; [`REPLY_BUF_SIZE`] bytes, all of them
    /// filled.
    pub reply_buf: Buffer,
    /// Buffers for large requests, used again and again.
    pub pool: Pool,
    /// The worker's random numbers.
    pub random: RequestRng,
    /// Seconds since 1970-01-01 UTC.
    pub unix_time: fn() -> u64,
    /// Nanoseconds of the monotonic clock.
    pub clock: fn() -> u64,
    /// The limits of each connection.
    pub limits: Limits,
    /// The memory of all connections.
    pub budget: Arc<Budget>,
    /// The worker's counters; those of the connection in hand are selected.
    pub counters: WorkerCounters,
    /// The time of this wake-up. Never goes back.
    pub now: Millis,
    /// The time of this wake-up in nanoseconds, as [`Context::clock`] has it.
    pub woken: u64,
    /// Requests of the listener in hand that were read and replied to at this wake-up.
    pub replied: u64,
    /// The server drains: connections that only wait are closed sooner.
    pub draining: bool,
    /// Since when connections have waited for memory without a break; `None` while none waits. Clients that take their
    /// replies too slowly are closed meanwhile.
    pub contended_since: Option<Millis>,
    /// The first input of a connection whose listener expects no PROXY header begins like one. The caller resets it.
    pub found_proxy_header: bool,
    /// Bytes that the connection may still send in this call.
    pub write_left: usize,
    /// Memory for the caller to free outside of the event loop.
    pub retired: Retired,
}

impl Context {
    /// A connection of the listener with this index is in hand.
    #[inline]
    pub fn select(&mut self, listener: usize) {
        if !self.counters.is_selected(listener) {
            self.select_other(listener);
        }
    }

    #[cold]
    fn select_other(&mut self, listener: usize) {
        if self.replied > 0 {
            self.record_durations((self.clock)());
        }
        self.counters.select(listener);
    }

    /// The kernel has taken the replies to these requests. They were read at this wake-up, or at one that began at
    /// `begun`.
    #[inline]
    pub(super) fn on_replied(&mut self, counts: RequestCounts, begun: Option<u64>) {
        self.counters.sent(counts);
        let requests = u64::from(counts.answered) + u64::from(counts.refused);
        match begun {
            None => self.replied += requests,
            Some(begun) if requests > 0 => {
                self.counters.durations.record(requests, (self.clock)().saturating_sub(begun));
            }
            Some(_) => {}
        }
    }

    /// Records the durations of the requests that this wake-up has read and replied to; `now` is its end. Called once
    /// for all of them, because a reading of the clock for each call of a connection costs about 1 % of a request.
    #[inline]
    pub fn record_durations(&mut self, now: u64) {
        if self.replied > 0 {
            self.counters.durations.record(std::mem::take(&mut self.replied), now.saturating_sub(self.woken));
        }
    }

    /// A buffer that starts with `bytes` and has at least `capacity` bytes in all.
    ///
    /// A recycled buffer is resident in full and is charged in full, so it is used only while the budget has slack.
    pub(super) fn buffer(&mut self, bytes: &[u8], capacity: usize) -> io::Result<Buffer> {
        if self.budget.has_slack() {
            self.pool.acquire_with(bytes, capacity)
        } else {
            Buffer::with_contents([bytes, &[]], capacity)
        }
    }

    /// A recycled buffer for `capacity` bytes or more, if there is one, for work outside of the event loop: there a fresh
    /// one costs the clearing of its pages, and nothing on the event loop.
    pub(super) fn spare_buffer(&mut self, capacity: usize) -> Option<Buffer> {
        if self.budget.has_slack() { self.pool.take_spare(capacity) } else { None }
    }

    /// Keeps a buffer for the next large request, unless memory is short: the pool is charged to no connection.
    ///
    /// A large buffer that is not kept goes to [`Context::retired`], with the part of `charge` that covers it.
    pub(super) fn recycle(&mut self, buffer: Buffer, charge: Option<&mut Charge>) {
        let left = if self.budget.has_slack() { self.pool.release(buffer) } else { Some(buffer) };
        if let Some(buffer) = left.filter(|buffer| buffer.resident() >= MIN_DEFERRED_FREE) {
            let charge = charge.map(|charge| charge.split(buffer.resident()));
            self.retired.append(Retired::new(vec![buffer], charge));
        }
    }
}
