//! Driving one connection: a call, then its new interest and deadline, then the step that the connection requires.

use std::io;
use std::sync::Arc;

use super::Worker;
use super::drain::Phase;
use crate::connection::{Charge, CloseReason, Connection, Context, Demand, Impaired, Next, OffloadJob, OffloadResult};
use crate::server::client_stream::ClientStream;
use crate::server::connection_table::{ClientRecord, Session};
use crate::server::exact_timers::ExactTimers;
use crate::server::memory_queue::Waiter;
use crate::server::message::WorkerMessage;
use crate::server::offload_pool::Owner;
use crate::server::peer::{self, Client, Peer};
use crate::server::pipes::Pipes;
use crate::server::poller::{Event, Poller, Source, Token};
use crate::server::shared::Shared;
use crate::server::timers::SweepTimer;
use crate::server::warnings::Shortage;

/// The state of a worker that each call of a connection uses.
pub struct Driver {
    pub poller: Poller,
    pub timer: SweepTimer,
    /// When impaired connections send next.
    pub impaired_timers: ExactTimers,
    /// Bytes that the impairments of one connection may delay.
    pub max_delayed: usize,
    pub context: Context,
    /// Pipes for connections that send their input back.
    pub pipes: Pipes,
    pub phase: Phase,
    pub shared: Arc<Shared>,
}

/// The socket has input, or its end, or an error.
fn readable(connection: &mut Connection, stream: &mut Impaired<ClientStream>, context: &mut Context) -> Next {
    match stream.plain() {
        Some(stream) => connection.readable(stream, context),
        None => connection.readable(stream, context),
    }
}

/// The socket has room, or something is due: sends that, and goes on with what had to wait for it.
pub fn send_due(connection: &mut Connection, stream: &mut Impaired<ClientStream>, context: &mut Context) -> Next {
    if let Err(error) = stream.send_due() {
        return connection.on_stream_error(&error);
    }
    let wanted = connection.interest();
    if wanted.write && stream.interest(wanted).write { connection.writable(stream, context) } else { Next::Wait }
}

impl Driver {
    /// Makes a call of a connection; returns the next step for it ([`Worker::take_step`]).
    pub fn drive_connection(
        &mut self,
        token: Token,
        session: &mut Session,
        call: impl FnOnce(&mut Connection, &mut Impaired<ClientStream>, &mut Context) -> Next,
    ) -> Next {
        self.context.select(session.listener.place());
        self.name_late(session);
        session.stream.begin_call(self.context.now, self.max_delayed);
        if session.connection.wants_send_back(&self.context) {
            self.lend_pipe(session);
        }
        let next = call(&mut session.connection, &mut session.stream, &mut self.context);
        if let Some(pipe) = session.stream.get_mut().take_spare_pipe() {
            self.pipes.take_back(pipe);
        }
        if self.context.found_proxy_header {
            self.report_found_header(session);
        }
        self.after_call(token, session, next)
    }

    /// Lends a connection that sends its input back a pipe, if its socket can use one.
    #[cold]
    #[inline(never)]
    fn lend_pipe(&mut self, session: &mut Session) {
        let stream = session.stream.plain().filter(|stream| stream.wants_pipe());
        let Some(stream) = stream else { return };
        if let Some(pipe) = self.pipes.lend() {
            stream.lend(pipe);
        }
    }

    /// Names the client of a connection that was accepted before the log level was raised.
    #[inline]
    pub fn name_late(&self, session: &mut Session) {
        if session.connection.label().is_none() && peer::log_wants_labels() {
            self.name_client(session);
        }
    }

    #[cold]
    #[inline(never)]
    fn name_client(&self, session: &mut Session) {
        let profile = self.shared.profile(session.listener);
        let label = match session.client.as_deref() {
            Some(ClientRecord::Awaiting(peer)) => peer::label(Client::Direct(Some(*peer)), profile.protocol.name),
            _ => peer::late_label(session.stream.get_ref(), profile.protocol.name, profile.options().proxy.is_some()),
        };
        session.connection.set_label(label);
    }

    /// The input of a connection begins like a PROXY header that its listener does not expect.
    #[cold]
    fn report_found_header(&mut self, session: &Session) {
        self.context.found_proxy_header = false;
        let profile = self.shared.profile(session.listener);
        profile.warn_found_header(Peer::of(session.stream.get_ref()).ok(), self.context.now);
    }

    /// Visits a connection while the worker drains.
    pub fn visit(&mut self, token: Token, session: &mut Session) -> Next {
        self.context.select(session.listener.place());
        session.stream.begin_call(self.context.now, self.max_delayed);
        self.after_call(token, session, Next::Wait)
    }

    /// Ends each call. While the worker drains, winds the connection up. Unless it is to be closed, schedules its
    /// deadline and changes the events that epoll watches for.
    fn after_call(&mut self, token: Token, session: &mut Session, next: Next) -> Next {
        let next = match (&mut self.phase, next) {
            (Phase::Draining(drain), Next::Wait) => {
                drain.drain_connection(&mut session.connection, &mut session.stream, &mut self.context)
            }
            (_, next) => next,
        };
        let is_impaired = session.stream.impairment().is_some();
        let next = if is_impaired { self.after_impaired_call(session, next) } else { next };
        if let Next::Close(reason) = next {
            self.warn_if_no_memory(session, reason);
            return next;
        }
        self.timer.schedule(session.connection.deadline(&self.context));
        if is_impaired {
            self.impaired_timers.set(token, session.stream.deadline(), self.context.now);
        }
        self.watch(token, session, next)
    }

    /// Has epoll watch for the events that a connection needs before its `next` step.
    #[inline]
    fn watch(&mut self, token: Token, session: &mut Session, next: Next) -> Next {
        let interest = session.wanted();
        if session.interest == Some(interest) {
            return next;
        }
        let (stream, source) = (session.stream.get_ref(), Source::connection(token));
        let watched = match session.interest.replace(interest) {
            Some(_) => self.poller.change(stream, source, interest),
            None => self.poller.add(stream, source, interest),
        };
        match watched {
            Ok(()) => next,
            Err(error) => self.cannot_watch(session, &error, next),
        }
    }

    /// Warns if a connection closes because there is no memory for what it needs.
    fn warn_if_no_memory(&self, session: &Session, reason: CloseReason) {
        if reason == CloseReason::Resources {
            let message = format_args!("{}: no memory for a request or its reply", session.connection.label());
            self.shared.warnings.warn(Shortage::Memory, message);
        }
    }

    /// epoll does not watch a connection: it must be closed, in place of its `next` step.
    fn cannot_watch(&mut self, session: &Session, error: &io::Error, next: Next) -> Next {
        let message = format_args!("{}: cannot watch the connection: {error}", session.connection.label());
        self.shared.warnings.warn(Shortage::Epoll, message);
        if let Next::Offload(job) = next {
            self.context.retired.append(job.retire());
        }
        Next::Close(CloseReason::Resources)
    }
}

impl Worker {
    /// Handles an event of a connection.
    pub(super) fn on_connection_event(&mut self, event: Event) {
        let Some((token, session)) = self.table.find(event.key) else { return };
        let interest = session.interest.unwrap_or_else(|| session.wanted());
        let is_broken = event.hung_up;
        let mut next = Next::Wait;
        if is_broken && !interest.read && !interest.write {
            // epoll reports this whatever it watches for, and would do so again
            next = session.connection.on_stream_error(&io::ErrorKind::ConnectionReset.into());
        }
        if interest.write && (event.writable || is_broken) {
            next = self.driver.drive_connection(token, session, send_due);
        }
        if interest.read && (event.readable || event.ended) && matches!(next, Next::Wait) {
            next = self.driver.drive_connection(token, session, readable);
        }
        // the usual case costs no call
        if !matches!(next, Next::Wait) {
            self.take_step(token, next);
        }
    }

    /// Makes a call of the connection with this token, if it is open.
    pub(super) fn drive(
        &mut self,
        token: Token,
        call: impl FnOnce(&mut Connection, &mut Impaired<ClientStream>, &mut Context) -> Next,
    ) {
        let Some(session) = self.table.get_mut(token) else { return };
        let next = self.driver.drive_connection(token, session, call);
        self.take_step(token, next);
    }

    /// Takes the next step for a connection.
    pub(super) fn take_step(&mut self, token: Token, next: Next) {
        match next {
            Next::Wait => {}
            Next::WaitForMemory(demand) => self.wait_for_memory(token, demand),
            Next::Offload(job) => self.submit(token, job),
            Next::Announced(header) => self.on_announced(token, *header),
            Next::Close(reason) => self.close(token, reason),
        }
    }

    fn wait_for_memory(&mut self, token: Token, demand: Demand) {
        let place = self.shared.memory.wait(Waiter { worker: self.number, token, demand });
        self.memory_waits.insert(token, place);
    }

    /// The memory that a connection waits for is granted.
    pub(super) fn on_memory_granted(&mut self, token: Token, charge: Charge) {
        self.memory_waits.remove(token);
        self.drive(token, |connection, stream, context| connection.resume(stream, context, charge));
    }

    /// Has a thread process a request; without threads this one does.
    pub(super) fn submit(&self, token: Token, job: Box<OffloadJob>) {
        let owner = Owner { worker: self.number, token };
        if let Err(error) = self.shared.offload_pool.submit(job, owner) {
            let message = format_args!("cannot start a thread for a large message: {error}; small ones have to wait");
            self.shared.warnings.warn(Shortage::Threads, message);
            self.run_offloaded_later();
        }
    }

    /// Processes an offloaded request on this thread, for want of another, after the other messages.
    fn run_offloaded_later(&self) {
        // open: only this worker closes it
        drop(self.shared.channels.send(self.number, WorkerMessage::RunOffloaded));
    }

    /// Processes one offloaded request on this thread, if there is no other.
    pub(super) fn run_offloaded(&self) {
        if self.shared.offload_pool.run_inline() {
            self.run_offloaded_later();
        }
    }

    /// An offloaded request was processed; its connection may have closed meanwhile.
    pub(super) fn on_offload_finished(&mut self, token: Token, finished: OffloadResult) {
        if self.table.get_mut(token).is_none() {
            return self.driver.context.retired.append(finished.retire());
        }
        self.drive(token, |connection, stream, context| connection.offload_done(stream, context, finished));
    }

    /// An offloaded request could not be processed for want of memory.
    pub(super) fn on_offload_failed(&mut self, token: Token, error: &io::Error) {
        let Some(session) = self.table.get_mut(token) else { return };
        let message = format_args!("{}: no memory for a reply: {error}", session.connection.label());
        self.shared.warnings.warn(Shortage::Memory, message);
        let next = self.driver.drive_connection(token, session, Connection::offload_failed);
        self.take_step(token, next);
    }
}
