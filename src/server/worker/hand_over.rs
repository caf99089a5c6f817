//! Stopping for the owner, saving connections for a successor, and continuing those of a predecessor.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{self, Sender};

use log::debug;

use super::Worker;
use super::accept::AcceptedConnection;
use crate::connection::{Connection, Impaired, has_headroom};
use crate::server::acceptor::Acceptor;
use crate::server::connection_table::ClientRecord;
use crate::server::freeze::{FreezeRequest, FrozenWorker, Saved};
use crate::server::listener::{Listener, ListenerIndex};
use crate::server::message::WorkerMessage;
use crate::server::offload_pool::Owner;
use crate::server::peer::{Client, SocketInfo};
use crate::server::saved::{CONNECTIONS, SavedSession};
use crate::server::taken_over::{MAX_LINE, TakenSession};
use crate::sys::{self, DescriptorSender, MAX_DESCRIPTORS};

/// A worker in the hands of its owner; dropping this returns it to its thread.
struct Paused {
    /// `None` once it has ended.
    worker: Option<Worker>,
    back: Sender<Worker>,
}

impl Paused {
    fn worker(&mut self) -> &mut Worker {
        self.worker.as_mut().expect("only its end takes it")
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            // received: the thread waits for nothing else
            let _ = self.back.send(worker);
        }
    }
}

impl FrozenWorker for Paused {
    fn settle(&mut self) {
        self.worker().settle();
    }

    fn save(&mut self, to: &mut dyn Write, sockets: &DescriptorSender) -> io::Result<Saved> {
        self.worker().save(to, sockets)
    }

    fn listeners(&self) -> Vec<&Listener> {
        let acceptors = self.worker.iter().flat_map(|worker| &worker.accepting.acceptors);
        acceptors.map(Acceptor::listener).collect()
    }

    fn end(mut self: Box<Self>) {
        drop(self.worker.take());
    }
}

/// Passes a worker to its owner, and waits; returns it, or `None` if it has ended.
///
/// An owner that does not wait any more drops the worker, and so returns it at once.
pub fn pause(worker: Worker, request: FreezeRequest) -> Option<Worker> {
    let (back, returned) = mpsc::channel();
    drop(request.send(Box::new(Paused { worker: Some(worker), back })));
    // without it, the owner notices at once that no more workers come
    drop(request);
    let mut worker = returned.recv().ok()?;
    worker.go_on();
    Some(worker)
}

impl Worker {
    /// Receives connections and processed requests, completes a reload, and takes those requests back that have not
    /// begun. Other messages wait until the worker goes on.
    pub(super) fn settle(&mut self) {
        self.set_time(self.shared.clock.elapsed());
        self.drain_mailbox();
        let mut others = VecDeque::new();
        while let Some(message) = self.inbox.pop_front() {
            match message {
                WorkerMessage::Connection(_) | WorkerMessage::OffloadFinished(..) => self.handle_message(message),
                other => others.push_back(other),
            }
        }
        self.inbox = others;
        self.renew_impairments();
        self.recall_queued();
        self.take_held();
        self.record_durations();
        self.shared.reclaimer.free(mem::take(&mut self.driver.context.retired));
    }

    /// Records the requests that were replied to outside of an iteration of the loop.
    fn record_durations(&mut self) {
        let now = self.shared.clock.elapsed();
        self.driver.context.record_durations(self.shared.clock.nanoseconds(now));
    }

    /// Takes replies out of streams that hold them. Without memory for that, the connection cannot be saved.
    fn take_held(&mut self) {
        for slot in 0..self.table.slots() {
            let Some((_, session)) = self.table.at(slot) else { continue };
            if let Err(error) = session.connection.take_held(&mut session.stream, &mut self.driver.context) {
                debug!("cannot hand a connection over: {error}");
            }
            if let Some(pipe) = session.stream.get_mut().take_spare_pipe() {
                self.driver.pipes.take_back(pipe);
            }
        }
    }

    /// Takes requests back from the offload pool, unless they have begun.
    fn recall_queued(&mut self) {
        for slot in 0..self.table.slots() {
            let Some((token, session)) = self.table.at(slot) else { continue };
            if !session.connection.is_offloaded() {
                continue;
            }
            let owner = Owner { worker: self.number, token };
            let Some(job) = self.shared.offload_pool.take_queued(owner) else { continue };
            match session.connection.recall(job) {
                Ok(()) => self.recalled.push(token),
                // no memory: it is processed here, or not at all
                Err(job) => self.submit(token, job),
            }
        }
    }

    /// Writes the connections, and sends their sockets.
    fn save(&self, to: &mut dyn Write, sockets: &DescriptorSender) -> io::Result<Saved> {
        let mut saved = Saved::default();
        let (mut batch, mut line) = (Vec::with_capacity(MAX_DESCRIPTORS), Vec::new());
        for session in self.table.iter() {
            let Ok(connection) = session.connection.save() else {
                saved.left += 1;
                continue;
            };
            let profile = self.shared.profile(session.listener);
            let record = SavedSession {
                cookie: sys::socket_cookie(session.stream.get_ref())?,
                protocol: profile.protocol.name.into(),
                listener: profile.name().into(),
                client: session.client.as_deref().copied(),
                connection,
                impairment: session.stream.save(),
            };
            line.clear();
            serde_json::to_writer(&mut line, &record)?;
            line.push(b'\n');
            if line.len() as u64 > MAX_LINE {
                saved.left += 1;
                continue;
            }
            to.write_all(&line)?;
            let held = session.connection.saved_bytes().into_iter().chain(session.stream.delayed_bytes());
            held.into_iter().try_for_each(|bytes| to.write_all(bytes))?;
            saved.handed_over += 1;
            batch.push(session.stream.get_ref().as_fd());
            if batch.len() == MAX_DESCRIPTORS {
                send(sockets, &mut batch)?;
            }
        }
        send(sockets, &mut batch)?;
        Ok(saved)
    }

    /// Goes on after a hand-over that was undone.
    fn go_on(&mut self) {
        self.set_time(self.shared.clock.elapsed());
        for token in mem::take(&mut self.recalled) {
            self.drive(token, Connection::continue_service);
        }
    }

    /// Takes a connection of a predecessor into the table, and counts it; returns its requests that are not answered
    /// yet. Its first call comes with [`Worker::continue_sessions`].
    ///
    /// # Errors
    /// Why it cannot be served.
    pub fn restore(&mut self, taken: TakenSession, listener: ListenerIndex) -> Result<u32, &'static str> {
        let TakenSession { client, connection, bytes, impairment, stream } = taken;
        let profile = self.shared.profile(listener);
        let awaits_header = connection.awaits_header();
        let has_peer = matches!(client, Some(ClientRecord::Awaiting(_)));
        // one that was cut before its header lingers, and does not wait for the header any more
        if has_peer != awaits_header && !(has_peer && connection.is_lingering()) {
            return Err("a PROXY header is awaited without a peer, or the reverse");
        }
        // its facts and its number are in what it has sent
        let info = SocketInfo { stream: &stream, client: Client::Direct(None), number: 0 };
        let protocol = (!awaits_header).then(|| (profile.protocol.new)(&profile.options().protocols, &info));
        self.driver.context.select(listener.place());
        let connection = Connection::restore(connection, bytes, protocol, &self.driver.context);
        let connection = connection.map_err(|invalid| invalid.0)?;
        let context = &self.driver.context;
        let impairment =
            impairment.map(|(saved, delayed)| saved.restore(delayed.filled(), &context.budget, context.now));
        let impairment = impairment.transpose().map_err(|invalid| invalid.0)?;
        let unanswered = connection.unanswered();
        // that of a listener whose impairments are still those of the predecessor; otherwise the present ones follow
        let accepted = AcceptedConnection { stream: Impaired::new(stream.into(), impairment), listener, revision: 0 };
        let session = accepted.serve(connection, client.map(Box::new));
        if !has_headroom(0) || self.table.insert(session).is_err() {
            return Err("there is no memory for it");
        }
        self.shared.admission.take_over(self.number);
        if let Some(ClientRecord::Counted(source)) = client {
            self.shared.admission.take_over_source(source);
        }
        Ok(unanswered)
    }

    /// Continues the connections that were restored, before anything else.
    pub(super) fn continue_sessions(&mut self) {
        self.set_time(self.shared.clock.elapsed());
        for slot in 0..self.table.slots() {
            let Some((token, _)) = self.table.at(slot) else { continue };
            self.drive(token, Connection::continue_service);
        }
        self.renew_impairments();
        self.record_durations();
        self.free_memory();
    }
}

/// Sends a batch of sockets, if there are any.
fn send(sockets: &DescriptorSender, batch: &mut Vec<BorrowedFd<'_>>) -> io::Result<()> {
    if !batch.is_empty() {
        sockets.send(CONNECTIONS, batch)?;
        batch.clear();
    }
    Ok(())
}
