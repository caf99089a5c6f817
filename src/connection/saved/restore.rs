//! Continuing with a connection that was written down.

use super::super::context::Context;
use super::super::drive::Step;
use super::super::in_flight::{InFlight, Output};
use super::super::linger::HALF_CLOSE_TIME;
use super::super::log::ClientLabel;
use super::super::memory::{Buffer, Charge};
use super::super::millis::Millis;
use super::super::next::Next;
use super::super::state::{Connection, Handshake, Phase, Resume, State, Then};
use super::super::stream::Stream;
use super::record::{SavedConnection, SavedRequest, SavedState};
use crate::protocol::{InvalidState, Needed, Protocol, Unconsumed};

impl Connection {
    /// The connection that was [saved](Connection::save), with the [bytes](Connection::saved_bytes) that it held, and a
    /// new server's side of its protocol: none if it [awaits a header](SavedConnection::awaits_header). Charges what it
    /// holds to the budget. [`Connection::continue_service`] must be the next call.
    ///
    /// # Errors
    /// If no connection can have been in this state. Whatever the parts are, there is no panic, here or later.
    pub fn restore(
        saved: SavedConnection,
        bytes: [Buffer; 2],
        mut protocol: Option<Box<dyn Protocol>>,
        context: &Context,
    ) -> Result<Self, InvalidState> {
        saved.check(&bytes, protocol.as_deref())?;
        let needed = match protocol.as_deref_mut() {
            Some(protocol) if !saved.state.is_closing() => {
                restore_protocol(protocol, &saved, bytes[0].filled(), context)?
            }
            _ => Needed::default(),
        };
        Ok(Self {
            protocol,
            state: restore_state(saved.state, bytes, needed, context),
            label: ClientLabel::new(saved.label),
            unacknowledged: saved.unacknowledged,
            read_closed: saved.read_closed,
            served_any: saved.served_any,
            first_input: saved.first_input,
            is_logged: saved.is_logged,
            traffic: saved.traffic,
        })
    }

    /// Goes on after [`Connection::restore`], in place of [`Connection::open`]; or after [`Connection::recall`], if the
    /// connection is not handed over after all.
    pub fn continue_service<S: Stream>(&mut self, stream: &mut S, context: &mut Context) -> Next {
        let State::Busy(phase, in_flight) = &mut self.state else { return Next::Wait };
        match *phase {
            Phase::Receiving => {}
            // the client is not to blame for the time in which it was not read from
            Phase::WaitingForMemory(Resume::Read) => in_flight.request.start += context.now - in_flight.waiting_since,
            Phase::WaitingForMemory(Resume::Offload) => {
                let nothing = Charge::new(&context.budget);
                return self.resume(stream, context, nothing);
            }
            Phase::Replying(_) | Phase::Skipping(_) | Phase::Offloaded => return Next::Wait,
        }
        // what the request needs is the protocol's to say, under the limits of this process; nothing is read yet, because
        // all connections continue before the first one is accepted
        self.drive(stream, context, Step::ProcessSaved, 0)
    }
}

/// Restores the state of the protocol; returns what is known of the need of the request at the front of `input`.
fn restore_protocol(
    protocol: &mut dyn Protocol,
    saved: &SavedConnection,
    input: &[u8],
    context: &Context,
) -> Result<Needed, InvalidState> {
    let request = saved.state.request();
    let preprocessed = request.map_or(0, |request| request.preprocessed);
    protocol.restore(&saved.protocol, Unconsumed { input, preprocessed })?;
    let needed = match request.and_then(|request| request.offload) {
        Some(_) => protocol
            .offload_again(input, context.limits.of_request(&context.budget))
            .ok_or(InvalidState("the request to offload is not there"))?,
        None => Needed::default(),
    };
    Ok(Needed { preprocessed, ..needed })
}

fn restore_state(saved: SavedState, [input, output]: [Buffer; 2], needed: Needed, context: &Context) -> State {
    match saved {
        SavedState::Handshake { since, deadline } => {
            State::Handshake(Box::new(Handshake { received: input.filled().to_vec(), since, deadline }))
        }
        SavedState::Idle { since } => State::Idle { since, passes_bulk: false },
        SavedState::Busy { phase, request } => {
            let phase = match phase {
                // what the request needs is not saved
                Phase::Replying(Then::Receive) if !input.is_empty() => Phase::Replying(Then::Process),
                other => other,
            };
            let mut in_flight = restore_request(&request, input, output, needed);
            in_flight.update_charge(&context.budget);
            State::Busy(phase, Box::new(in_flight))
        }
        SavedState::Generating { last_write } => State::Generating { last_write },
        SavedState::Lingering { reason, unanswered, until, next_look } => {
            // a client that has half-closed is waited for by this look alone
            let next_look = next_look.min(context.now + HALF_CLOSE_TIME);
            State::Lingering { reason, unanswered, until, next_look }
        }
    }
}

fn restore_request(saved: &SavedRequest, input: Buffer, output: Buffer, needed: Needed) -> InFlight {
    let mut in_flight = InFlight::starting(Millis::ZERO);
    in_flight.needed = needed;
    if let Some(offload) = saved.offload {
        (in_flight.seed, in_flight.is_recalled) = (offload.seed, offload.is_counted);
    }
    in_flight.received = input.len() as u64;
    in_flight.input = input;
    let unsent = 0..output.len();
    in_flight.output = Output::new(output, unsent);
    in_flight.pending_replies = saved.pending_replies;
    in_flight.request = saved.time;
    in_flight.begun = saved.begun;
    in_flight.last_write = saved.last_write;
    in_flight.waiting_since = saved.waiting_since;
    in_flight
}
