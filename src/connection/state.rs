//! The states of a connection, and what each of them waits for.
//!
//! Except for the charge to the budget (`InFlight::charge`), the states hold neither an `Arc` nor a function pointer:
//! `saved/` writes their data down, for another process.

use serde::{Deserialize, Serialize};

use super::close_reason::CloseReason;
use super::first_input::FirstInput;
use super::in_flight::InFlight;
use super::log::ClientLabel;
use super::memory::Retired;
use super::millis::Millis;
use super::stream::Interest;
use super::traffic::Traffic;
use super::transitions::{Kind, check_transition};
use crate::protocol::Protocol;

/// One client: the protocol's state, and what the connection waits for.
///
/// The contract between a connection and its caller (a worker), in the order of a connection's life:
///
/// 1. [`Connection::open`] is called once, before any other call; for a connection of [`Connection::restore`],
///    [`Connection::continue_service`] in its place.
/// 2. Every call gets the same stream, and a [`Context`](super::Context) in which [`Context::now`](super::Context::now)
///    never goes back.
/// 3. Every call that returns [`Next`](super::Next) obliges the caller to do what it says before the next call for this
///    connection:
///    * [`Next::Wait`](super::Next::Wait): watch the stream for [`Connection::interest`], and call
///      [`Connection::readable`] or [`Connection::writable`] when it is ready; call [`Connection::expire`] at
///      [`Connection::deadline`];
///    * [`Next::WaitForMemory`](super::Next::WaitForMemory): call [`Connection::resume`] with what
///      [`Budget::grant`](super::Budget::grant) gave for the demand, or with an empty charge when the budget will never
///      have it;
///    * [`Next::Offload`](super::Next::Offload): run the job on another thread, then call [`Connection::offload_done`]
///      with its result or [`Connection::offload_failed`];
///    * [`Next::Announced`](super::Next::Announced): judge the announced client, then call [`Connection::admit`], or
///      close as for [`Next::Close`](super::Next::Close);
///    * [`Next::Close`](super::Next::Close): count the reason and [`Connection::unanswered`], log it by
///      [`Connection::log_closed`], free the memory of [`Connection::retire`], and close the stream. No call may
///      follow.
/// 4. Memory in [`Context::retired`](super::Context::retired) is freed by the caller after the call.
/// 5. [`Connection::save`] and [`Connection::saved_bytes`] change nothing: they may be called between any two calls, but
///    not while the caller has an unanswered [`Next::Announced`](super::Next::Announced). Before that,
///    [`Connection::recall`] takes back the job of [`Next::Offload`](super::Next::Offload), if it has not begun; a
///    connection that then continues here needs [`Connection::continue_service`].
///
/// Each call does a bounded amount of work: it reads at most [`MAX_WRITE`](super::MAX_WRITE) bytes or two
/// pieces of a large request, sends at most [`MAX_WRITE`](super::MAX_WRITE) bytes, and processes no more than it has
/// read.
pub struct Connection {
    /// `None` exactly in front of the protocol, and while the connection is offloaded: then the job has it.
    pub(super) protocol: Option<Box<dyn Protocol>>,
    pub(super) state: State,
    pub(super) label: ClientLabel,
    /// Bytes that the client's kernel had not acknowledged at the last look; 0 before the first look since a send.
    pub(super) unacknowledged: u32,
    /// The client has half-closed: no more input will come.
    pub(super) read_closed: bool,
    /// A request has been processed on this connection.
    pub(super) served_any: bool,
    /// What is special about its first input.
    pub(super) first_input: FirstInput,
    /// The log has the line that it was accepted, or does not want it.
    pub(super) is_logged: bool,
    /// What it has carried.
    pub(super) traffic: Traffic,
}

/// What a connection is doing. Times are those of [`Context::now`](super::Context::now). The table in `transitions.rs`
/// lists which state may follow which.
#[derive(Debug)]
pub(super) enum State {
    /// In front of the protocol. Reads; closes at its deadline.
    Handshake(Box<Handshake>),
    /// No request in progress, no reply pending. Reads; closes at the idle timeout.
    Idle {
        /// The end of the last request, or the start of the connection.
        since: Millis,
        /// The last input was so large that the next is better not read ([`Protocol::passthrough`]).
        passes_bulk: bool,
    },
    /// A request or its reply is in progress.
    Busy(Phase, Box<InFlight>),
    /// The protocol sends without requests. Reads and writes; closes at the write timeout.
    Generating {
        /// The last time that the client has taken bytes.
        last_write: Millis,
    },
    /// Our side has half-closed. Reads and discards until the client has everything and has half-closed, too.
    Lingering {
        reason: CloseReason,
        /// Requests that were read and not answered.
        unanswered: u32,
        /// When to close, unless the client has taken more by then.
        until: Millis,
        /// When to look at what the client has taken.
        next_look: Millis,
    },
}

/// What has arrived in front of the protocol.
#[derive(Debug)]
pub(super) struct Handshake {
    /// All bytes so far; when the header is complete, those behind it.
    pub(super) received: Vec<u8>,
    /// When it began.
    pub(super) since: Millis,
    /// When to close. Bytes that arrive do not extend it.
    pub(super) deadline: Millis,
}

/// What a request in progress waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    /// The start of a request has arrived. Reads; closes at the request timeout.
    Receiving,
    /// The rest of a rejected request is discarded, this number of bytes. Reads; closes at the request timeout.
    Skipping(u64),
    /// Replies wait for the client. Writes; closes at the write timeout, or for `--min-rate`.
    Replying(Then),
    /// The budget has too little for the next step. Waits for a grant, without a time-out.
    WaitingForMemory(Resume),
    /// The protocol and its request are on the thread pool. Waits for the result, without a time-out.
    Offloaded,
}

/// What follows when the client has taken all replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Then {
    /// Read the rest of a request, or the next one.
    Receive,
    /// Process buffered input.
    Process,
    /// Discard this number of bytes, then tell the protocol.
    Skip(u64),
    /// Offload the request at the front of the buffered input.
    Offload,
    /// Generate again.
    Generate,
    /// Close.
    Close(CloseReason),
}

/// What memory is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Resume {
    /// The next piece of a large request.
    Read,
    /// The reply of a request that is to be offloaded.
    Offload,
}

impl Connection {
    /// A connection that starts at `now`; `label` names the client in the log.
    #[must_use]
    pub fn new(protocol: Box<dyn Protocol>, label: Option<Box<str>>, now: Millis) -> Self {
        let state = State::before_requests(&*protocol, now);
        Self { protocol: Some(protocol), first_input: FirstInput::NoHeader, ..Self::in_state(state, label, now) }
    }

    /// A connection in front of its protocol that starts at `now`: it closes after `timeout`, unless a PROXY header is
    /// complete by then. `label` names the peer in the log.
    #[must_use]
    pub fn awaiting_header(label: Option<Box<str>>, now: Millis, timeout: Millis) -> Self {
        let handshake = Handshake { received: Vec::new(), since: now, deadline: now + timeout };
        Self::in_state(State::Handshake(Box::new(handshake)), label, now)
    }

    fn in_state(state: State, label: Option<Box<str>>, now: Millis) -> Self {
        let (is_logged, traffic) = (label.is_none(), Traffic::new(now));
        let (label, unacknowledged) = (ClientLabel::new(label), 0);
        let (read_closed, served_any, first_input) = (false, false, FirstInput::Any);
        Self { protocol: None, state, label, unacknowledged, read_closed, served_any, first_input, is_logged, traffic }
    }

    /// Names the client in the log from now on.
    pub fn set_label(&mut self, label: Option<Box<str>>) {
        self.label = ClientLabel::new(label);
    }

    /// The label of the client in the log.
    #[must_use]
    pub fn label(&self) -> &ClientLabel {
        &self.label
    }

    /// Whether no request is in progress and no reply is pending.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle { .. })
    }

    /// Whether a job of [`Next::Offload`](super::Next::Offload) has its request.
    #[must_use]
    pub fn is_offloaded(&self) -> bool {
        matches!(self.state, State::Busy(Phase::Offloaded, _))
    }

    /// What it waits for from its stream: follows from the state alone.
    #[must_use]
    #[inline]
    pub fn interest(&self) -> Interest {
        let (read, write) = match &self.state {
            State::Handshake(_) | State::Idle { .. } | State::Busy(Phase::Receiving | Phase::Skipping(_), _) => {
                (true, false)
            }
            State::Lingering { .. } => (!self.read_closed, false),
            State::Busy(Phase::Replying(_), _) => (false, true),
            State::Busy(Phase::WaitingForMemory(_) | Phase::Offloaded, _) => (false, false),
            State::Generating { .. } => (!self.read_closed, true),
        };
        Interest { read, write }
    }

    /// Requests that were read, and whose replies the client did not get.
    #[must_use]
    pub fn unanswered(&self) -> u32 {
        match &self.state {
            State::Busy(phase, in_flight) => {
                in_flight.unanswered() + u32::from(*phase == Phase::Offloaded || in_flight.is_recalled)
            }
            State::Lingering { unanswered, .. } => *unanswered,
            State::Handshake(_) | State::Idle { .. } | State::Generating { .. } => 0,
        }
    }

    /// The memory that it holds, with what is charged for it.
    #[must_use]
    pub fn retire(self) -> Retired {
        if let State::Busy(_, in_flight) = self.state { in_flight.retire() } else { Retired::default() }
    }

    /// The request in progress; one starts at `now` if there is none.
    pub(super) fn start_request(&mut self, now: Millis) -> &mut InFlight {
        if !matches!(self.state, State::Busy(..)) {
            let mut in_flight = Box::new(InFlight::starting(now));
            in_flight.passes_bulk = self.passes_bulk();
            self.set_state(State::Busy(Phase::Receiving, in_flight));
        }
        match &mut self.state {
            State::Busy(_, in_flight) => in_flight,
            _ => unreachable!("the state has just been set"),
        }
    }

    /// Changes what the request in progress waits for.
    pub(super) fn set_phase(&mut self, next: Phase) {
        let from = self.state.kind();
        if let State::Busy(phase, _) = &mut self.state {
            *phase = next;
        }
        check_transition(from, self.state.kind());
    }

    /// Changes the state; returns the one before.
    pub(super) fn set_state(&mut self, next: State) -> State {
        check_transition(self.state.kind(), next.kind());
        std::mem::replace(&mut self.state, next)
    }
}

impl State {
    /// The state in which a protocol starts.
    pub(super) fn before_requests(protocol: &dyn Protocol, now: Millis) -> Self {
        if protocol.is_generator() {
            Self::Generating { last_write: now }
        } else {
            Self::Idle { since: now, passes_bulk: false }
        }
    }

    /// The state without its data.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Handshake(_) => Kind::Handshake,
            Self::Idle { .. } => Kind::Idle,
            Self::Busy(Phase::Receiving, _) => Kind::Receiving,
            Self::Busy(Phase::Skipping(_), _) => Kind::Skipping,
            Self::Busy(Phase::Replying(_), _) => Kind::Replying,
            Self::Busy(Phase::WaitingForMemory(_), _) => Kind::WaitingForMemory,
            Self::Busy(Phase::Offloaded, _) => Kind::Offloaded,
            Self::Generating { .. } => Kind::Generating,
            Self::Lingering { .. } => Kind::Lingering,
        }
    }
}
