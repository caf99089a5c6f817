//! Connections that their listeners impair: what follows from each call, their timers, and changed impairments.

use std::sync::Arc;
use std::time::Instant;

use super::Worker;
use super::drain::Phase;
use super::drive::{Driver, send_due};
use super::steps::MAX_STEP_TIME;
use crate::connection::{
    ClientLabel, CloseReason, Fault, Grace, Impaired, Impairment, ImpairmentKind, Impairments, Millis, Next,
};
use crate::server::client_stream::ClientStream;
use crate::server::connection_table::Session;
use crate::server::listener::{ListenerIndex, ListenerOptions};
use crate::server::numbering::ListenerNumber;
use crate::server::peer::{self, Client, Peer};
use crate::server::poller::Token;
use crate::sys::{StreamSocket, close_with_reset};

impl Driver {
    /// What impairs the connection of a listener with this number.
    pub fn impairment(&self, impairments: &Arc<Impairments>, number: ListenerNumber) -> Option<Impairment> {
        let (seed, number, context) = (self.shared.impairment_seed, number.number, &self.context);
        let applies = impairments.applies_to(seed, number);
        applies.then(|| Impairment::new(Arc::clone(impairments), seed, number, &context.budget, context.now))
    }

    /// Whether the connection of a listener with this number is to be reset before anything is read.
    pub fn refuses(&self, options: &ListenerOptions, number: ListenerNumber) -> bool {
        let impairments = &options.impairments;
        impairments.refuses(number.number) && impairments.applies_to(self.shared.impairment_seed, number.number)
    }

    /// Ends each call of an impaired connection: counts and logs what has acted, and ends the connection if it is cut,
    /// reset, or cannot send before the drain is over.
    #[cold]
    pub fn after_impaired_call(&mut self, session: &mut Session, next: Next) -> Next {
        self.report_acted(session);
        let next = match (next, session.stream.end()) {
            (Next::Close(reason), _) => return Next::Close(reason),
            (Next::Offload(job), Some(Fault::Reset)) => {
                self.context.retired.append(job.retire());
                return Next::Close(CloseReason::Impaired);
            }
            (_, Some(Fault::Reset)) => return Next::Close(CloseReason::Impaired),
            (Next::Wait, Some(fault)) => session.connection.on_fault(&mut session.stream, &mut self.context, fault),
            (next, _) => next,
        };
        match (&self.phase, next) {
            (Phase::Draining(drain), Next::Wait) if drain.is_over_before(held_until(&session.stream)) => {
                Next::Close(abandoned(session))
            }
            (_, next) => next,
        }
    }

    /// Counts and logs the impairments that have acted on a connection for the first time.
    fn report_acted(&mut self, session: &mut Session) {
        for kind in session.stream.take_acted() {
            self.context.counters.impaired[kind as usize].add(1);
            session.connection.log_impaired(kind, session.stream.sent());
        }
    }
}

/// When the stream will send next; `None` unless it holds something back.
fn held_until(stream: &Impaired<ClientStream>) -> Option<Millis> {
    stream.holds_back().then(|| stream.next_send())
}

/// Why a connection closes whose output cannot be sent before the drain is over: by force only if it loses something.
fn abandoned(session: &Session) -> CloseReason {
    let connection = &session.connection;
    if connection.is_pending(Grace::Given) || session.stream.delayed_bytes().next().is_some() {
        return CloseReason::Forced;
    }
    connection.lingers_for().unwrap_or(CloseReason::Stopped)
}

impl Worker {
    /// Sends what is due on impaired connections, each of them once, for about 50 us; the others go on in the next
    /// iteration.
    pub(super) fn run_impaired_timers(&mut self) {
        let now = self.driver.context.now;
        if self.driver.impaired_timers.due().is_none_or(|due| due > now) {
            return;
        }
        let begun = Instant::now();
        for _ in 0..self.driver.impaired_timers.len() {
            let Some(token) = self.driver.impaired_timers.take_due(now) else { return };
            self.drive(token, send_due);
            if begun.elapsed() >= MAX_STEP_TIME {
                return;
            }
        }
    }

    /// Applies the present impairments to all connections whose listeners had others, without waiting for a sweep: they
    /// are on their way to a successor, which knows the present ones only, or from a predecessor.
    pub(super) fn renew_impairments(&mut self) {
        for slot in 0..self.table.slots() {
            let Some((token, session)) = self.table.at(slot) else { continue };
            if session.revision != self.shared.profile(session.listener).revision() {
                self.renew_impairment(token);
            }
        }
    }

    /// The impairments of the listener have changed since they were applied to this connection: applies the present
    /// ones.
    #[cold]
    pub(super) fn renew_impairment(&mut self, token: Token) {
        let Some(session) = self.table.get_mut(token) else { return };
        let driver = &mut self.driver;
        let (impairments, number) = self.shared.profile(session.listener).renew();
        let impairment = driver.impairment(&impairments, number);
        session.revision = number.revision;
        session.stream.begin_call(driver.context.now, driver.max_delayed);
        let impaired = session.connection.impair(&mut session.stream, impairment, &mut driver.context);
        // that of what it had; the call sets another
        driver.impaired_timers.remove(token);
        match impaired {
            Ok(()) => self.drive(token, send_due),
            Err(error) => self.drive(token, |connection, _, _| connection.on_stream_error(&error)),
        }
    }

    /// Resets a connection before anything is read.
    pub(super) fn refuse(&mut self, stream: StreamSocket, listener: ListenerIndex, peer: Option<Peer>) {
        let label = peer::label(Client::Direct(peer), self.shared.profile(listener).protocol.name);
        let counters = self.driver.context.counters.of(listener.place());
        counters.impaired[ImpairmentKind::Refuse as usize].add(1);
        ClientLabel::new(label.clone()).log_impaired(ImpairmentKind::Refuse, 0);
        close_with_reset(stream);
        self.reject(listener, label, CloseReason::Impaired);
    }
}
