//! Closing connections that are not served.

use log::Level;

use super::Worker;
use crate::connection::{ClientLabel, CloseReason, Traffic};
use crate::server::connection_table::{ClientRecord, Session};
use crate::server::listener::ListenerIndex;
use crate::server::message::{NewConnection, WorkerMessage};
use crate::server::peer::{self, Client, Peer};
use crate::server::warnings::Shortage;

impl Worker {
    /// There is no memory for one more connection. It has no line of its own in the log, which would need memory, too:
    /// with a line for each, the daemon is out of memory soon (measured).
    pub(super) fn reject_session(&self, session: Session) {
        self.shared.warnings.warn(Shortage::Memory, format_args!("no memory for another connection"));
        if let Some(ClientRecord::Counted(source)) = session.client.as_deref() {
            self.shared.admission.release_source(*source);
        }
        let listener = session.listener;
        drop(session);
        self.count_rejected(listener, CloseReason::Resources, self.number);
    }

    /// Closes a connection that is not admitted, before anything was read: it does not count for the rate of its
    /// listener. `label` names the client in the log.
    pub(super) fn reject(&self, listener: ListenerIndex, label: Option<Box<str>>, reason: CloseReason) {
        self.log_rejected(label, reason);
        self.shared.give_rate_back(listener, self.driver.context.now);
        self.count_rejected(listener, reason, self.number);
    }

    /// Logs that a connection closes that has carried nothing: a probe, if the client has reset it.
    fn log_rejected(&self, label: Option<Box<str>>, reason: CloseReason) {
        let now = self.driver.context.now;
        let level = if reason == CloseReason::Reset { Level::Debug } else { Level::Info };
        ClientLabel::new(label).log_closed(level, reason, &Traffic::new(now), now);
    }

    /// Counts an accepted connection of `worker` that was closed before anything was read.
    fn count_rejected(&self, listener: ListenerIndex, reason: CloseReason, worker: usize) {
        self.driver.context.counters.of(listener.place()).close(reason, 0);
        self.shared.admission.connection_closed(worker);
    }

    /// Drops a message that worker `to` will never handle: a connection in it is closed and counted.
    pub(super) fn discard(&self, message: WorkerMessage, to: usize) {
        if let WorkerMessage::Connection(connection) = message {
            let NewConnection { stream, listener, peer, .. } = connection;
            self.driver.context.counters.of(listener.place()).accepted.add(1);
            let peer = peer.or_else(|| if peer::log_wants_labels() { Peer::of(&stream).ok() } else { None });
            let label = peer::label(Client::Direct(peer), self.shared.profile(listener).protocol.name);
            self.log_rejected(label, CloseReason::Forced);
            drop(stream);
            self.count_rejected(listener, CloseReason::Forced, to);
        }
    }
}
