//! One client, over any [`Stream`]: reads, lets the protocol process what has arrived, writes, and knows what it waits
//! for.
//!
//! Deterministic: no socket, no thread, and no clock but for the durations in the log. [`Connection`] has the contract
//! between a connection and its caller. Input is read into the worker's read buffer, processed there, and replied to
//! from there with one write; only what is unfinished is kept, so an idle connection has no memory of its own. A large
//! request is read into a buffer of its own, transformed there where the text allows, and sent from there.
//!
//! Guarantees: replies in the order of the requests; no reading while replies wait for the client; every request that
//! arrived before the client half-closed is replied to; a bounded amount of work in each call; a close waits until the
//! client has what was counted as answered. Every connection ends with a [`CloseReason`].
//!
//! `Connection::drive` (`drive.rs`) alone decides what happens next. `read`, `process`, `write` and `offload` each do
//! one thing and return an outcome. Between two calls a connection is in one of these states:
//!
//! | state | interest | timer | next state |
//! |---|---|---|---|
//! | Handshake | read | closes: `proxy-timeout` | Idle, Generating (the header is complete and its client admitted), Lingering |
//! | Idle | read | closes: `idle-timeout` | Receiving (a request starts), Lingering |
//! | Receiving | read | closes: `request-timeout` | Idle (replied), Skipping, Replying, `WaitingForMemory`, Offloaded, Lingering |
//! | Skipping | read | closes: `request-timeout` | Receiving (discarded), Lingering |
//! | Replying | write | closes: `write-timeout`, `min-rate`; continues while the client takes bytes | Idle, Receiving, Skipping, Generating, Lingering |
//! | `WaitingForMemory` | none | none: the budget serves all that wait in turn | Receiving, Lingering |
//! | Offloaded | none | none: the pool ends every job | Replying, `WaitingForMemory` (recalled), Lingering |
//! | Generating | read, write | closes: `write-timeout`; continues while the client takes bytes | Receiving, Lingering |
//! | Lingering | read | continues while the client takes bytes, then closes for the reason that it lingers for | |
//!
//! A timer that closes is put off while the stream itself holds something back ([`Stream::last_held`]).
//!
//! Every state may also end with [`Next::Close`]. A connection of a listener that expects a PROXY header begins in
//! Handshake, in front of the protocol: what it has read beyond the header becomes the first batch.
//!
//! | file | content |
//! |---|---|
//! | `state`, `transitions` | [`Connection`] and its states; which of them may follow which |
//! | `stream` | [`Stream`]: what a connection reads from and writes to |
//! | `drive`, `next` | the driver, and what it obliges the caller to do |
//! | `handshake`, `first_input` | the PROXY header in front of the protocol; what is special about the first input |
//! | `read`, `process`, `write` | one read, one call of the protocol, one write |
//! | `passthrough` | large input that is dropped or sent back without reading it |
//! | `in_flight` | buffers and timers of an unfinished request |
//! | `offload` | a request on its way to the thread pool and back |
//! | `saved` | a connection in a form that another process continues from |
//! | `timers`, `linger`, `quiet` | deadlines, and the end of a connection |
//! | `impairment` | [`Impaired`]: delays, limits and faults of the output |
//! | `memory` | the budget of all connections, buffers, and the pool of a worker |
//! | `context`, `limits`, `millis` | what a worker lends, what one connection may take, and times |
//! | `close_reason`, `proxy_result`, `counter`, `counters`, `counts_by_name`, `durations`, `traffic`, `log`, `log_lines` | what is counted and logged |

use std::io;

mod close_reason;
mod context;
mod counter;
mod counters;
mod counts_by_name;
mod drive;
mod durations;
mod first_input;
mod handshake;
mod impairment;
mod in_flight;
mod limits;
mod linger;
mod log;
mod log_lines;
mod memory;
mod millis;
mod next;
mod offload;
mod passthrough;
mod process;
mod proxy_result;
mod quiet;
mod read;
mod saved;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod timers;
mod traffic;
mod transitions;
mod write;

pub use close_reason::CloseReason;
pub use context::{
    Context, FAIR_READ_SIZE, MAX_BUFFERED_WRITE, MAX_WRITE, READ_BUF_SIZE, REPLY_BUF_SIZE, SCARCE_REPLY_BUF_SIZE,
    SMALL_REQUEST, UNCHARGED_BYTES,
};
pub use counter::Counter;
pub use counters::{Counters, Totals, WorkerCounters};
use drive::Step;
pub use durations::DurationTotals;
pub use impairment::{
    Fault, FaultAfter, Impaired, Impairment, ImpairmentKind, Impairments, Probability, SavedImpairment,
    UNCHARGED_DELAYED,
};
pub use limits::Limits;
pub use log::ClientLabel;
pub use memory::{
    Budget, Buffer, Charge, Demand, MIN_DEFERRED_FREE, POOL_CAPACITY, Pool, Retired, has_headroom, keep_headroom,
};
pub use millis::Millis;
pub use next::Next;
pub use offload::{OffloadJob, OffloadResult};
use process::Call;
pub use proxy_result::ProxyResult;
pub use saved::SavedConnection;
pub use state::Connection;
use state::{Phase, Resume, State, Then};
pub use stream::{Interest, SentBack, Stream};
use timers::TimerOutcome;
pub use traffic::Traffic;

use crate::protocol::{Progress, Protocol};

/// How often a large request is read from at one wake-up. Measured: beside 4 clients that send 4 MiB each, a small
/// request's p99 is 1.8 ms with 2 and 4.0 ms with 8, and the throughput of the four does not differ.
const DIRECT_READS: u32 = 2;

/// Unacknowledged bytes that the end of our output counts as. Derived: a FIN counts as one byte
/// ([`Stream::unacknowledged`]).
const FIN: u32 = 1;

/// Whether a connection that has sent no request may still send one while the server drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// It may.
    Given,
    /// It may not: it closes unless a request has arrived.
    Over,
}

impl Connection {
    /// Starts the service: a protocol that speaks first does so now. In front of the protocol this waits for the header.
    pub fn open<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        self.log_opened();
        if let State::Handshake(_) = self.state {
            return Next::Wait;
        }
        self.drive(stream, context, Step::Process(Call::Open), 0)
    }

    /// The client that [`Next::Announced`] has announced is admitted: starts its service. The first input is what has
    /// arrived behind the header.
    pub fn admit<S: Stream>(&mut self, protocol: Box<dyn Protocol>, stream: &mut S, context: &mut Context) -> Next {
        let State::Handshake(_) = self.state else { return Next::Wait };
        self.protocol = Some(protocol);
        self.drive(stream, context, Step::Admit, 0)
    }

    /// The stream has input, or its end, or an error.
    pub fn readable<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        match self.state {
            State::Lingering { .. } if self.read_closed => return Next::Wait,
            State::Lingering { .. } => return self.discard_input(stream, context).map_or(Next::Wait, Next::Close),
            State::Handshake(_) => return self.read_header(stream, context),
            _ => {}
        }
        if !self.interest().read {
            return Next::Wait;
        }
        self.drive(stream, context, Step::Read, DIRECT_READS)
    }

    /// The stream has room for output, or an error.
    pub fn writable<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        match self.state {
            State::Busy(Phase::Replying(_), _) => self.drive(stream, context, Step::Write, 0),
            State::Generating { .. } => self.drive(stream, context, Step::Generate, 0),
            _ => Next::Wait,
        }
    }

    /// The budget has granted what [`Next::WaitForMemory`] demanded, or, where `grant` is empty, never will.
    pub fn resume<S: Stream>(&mut self, stream: &mut S, context: &mut Context, grant: Charge) -> Next {
        let State::Busy(Phase::WaitingForMemory(resume), in_flight) = &mut self.state else { return Next::Wait };
        let step = match resume {
            Resume::Read => Step::Read,
            Resume::Offload => Step::Offload,
        };
        // the client is not to blame for the time in which we did not read
        in_flight.request.start += context.now - in_flight.waiting_since;
        in_flight.charge(&context.budget).absorb(grant);
        self.set_phase(Phase::Receiving);
        self.drive(stream, context, step, DIRECT_READS)
    }

    /// The job of [`Next::Offload`] is done.
    pub fn offload_done<S: Stream>(&mut self, stream: &mut S, context: &mut Context, result: OffloadResult) -> Next {
        let then = match self.take_back(context, result) {
            Progress::Close(cause) => Then::Close(self.end_input(context, cause, false)),
            _ if self.start_request(context.now).input.is_empty() => Then::Receive,
            _ => Then::Process,
        };
        self.set_phase(Phase::Replying(then));
        self.drive(stream, context, Step::Write, 0)
    }

    /// The job of [`Next::Offload`] could not be done, for want of memory.
    pub fn offload_failed<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        self.drive(stream, context, Step::Linger(CloseReason::Resources), 0)
    }

    /// The time of [`Connection::deadline`] has come, or may have.
    pub fn expire<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        match self.run_timer(stream, context) {
            TimerOutcome::Continue => Next::Wait,
            TimerOutcome::Close(reason) => self.drive(stream, context, Step::Linger(reason), 0),
            TimerOutcome::CloseNow(reason) => Next::Close(reason),
        }
    }

    /// The server drains: processes what has arrived, and closes a connection without a request in progress.
    ///
    /// To be called after every other call while the server drains, and again after the other connections while it
    /// [`Connection::is_idle`] with [`Grace::Over`].
    pub fn drain<S: Stream>(&mut self, stream: &mut S, context: &mut Context, grace: Grace) -> Next {
        match self.state {
            State::Handshake(_) => return self.drain_handshake(stream, context, grace),
            // no request waits for a reply here, and a client that does not read must not delay the drain
            State::Generating { .. } => return Next::Close(CloseReason::Stopped),
            State::Lingering { .. } => {
                self.hurry_linger(context);
                return Next::Wait;
            }
            State::Busy(..) => return Next::Wait,
            State::Idle { .. } => {}
        }
        let before = context.counters.bytes_in.get();
        match self.readable(stream, context) {
            Next::Wait if context.counters.bytes_in.get() > before => Next::Wait,
            Next::Wait if self.is_idle() && (self.served_any || grace == Grace::Over) => {
                self.drive(stream, context, Step::Linger(CloseReason::Stopped), 0)
            }
            next => next,
        }
    }

    /// While the server drains: a header that is complete is served as ever; without one, the connection closes when the
    /// grace is over.
    fn drain_handshake<S: Stream>(&mut self, stream: &mut S, context: &mut Context, grace: Grace) -> Next {
        match self.read_header(stream, context) {
            Next::Wait if grace == Grace::Over => Next::Close(CloseReason::Stopped),
            next => next,
        }
    }

    /// The stream was cut or reset by an impairment ([`Impaired::end`]): closes for [`CloseReason::Impaired`]. A stream
    /// that was cut is lingered for first, one that was reset is to be reset by the caller.
    ///
    /// To be called again after later calls, while the connection is open: an offloaded request ends first.
    pub fn on_fault<S: Stream>(&mut self, stream: &mut S, context: &mut Context, fault: Fault) -> Next {
        match &mut self.state {
            _ if fault == Fault::Reset => Next::Close(CloseReason::Impaired),
            State::Busy(Phase::Offloaded, _) => Next::Wait,
            State::Lingering { reason, .. } => {
                *reason = CloseReason::Impaired;
                Next::Wait
            }
            _ => self.drive(stream, context, Step::Linger(CloseReason::Impaired), 0),
        }
    }

    /// The stream has failed ([`Impaired::send_due`]).
    #[must_use]
    pub fn on_stream_error(&self, error: &io::Error) -> Next {
        match self.state {
            State::Lingering { reason, .. } => Next::Close(reason),
            _ => self.broken(CloseReason::of(error)),
        }
    }

    /// Whether a drain has to wait for its client: a request is in progress, or the client has not taken all replies.
    /// Replies that the kernel has taken count only once the grace is over: until then, the client's acknowledgement may
    /// still be on its way.
    #[must_use]
    pub fn is_pending(&self, grace: Grace) -> bool {
        match self.state {
            State::Busy(..) => true,
            State::Lingering { .. } => grace == Grace::Over && self.unacknowledged > FIN,
            State::Handshake(_) | State::Idle { .. } | State::Generating { .. } => false,
        }
    }
}
