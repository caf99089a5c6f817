//! Closing and counting connections that were accepted, and that the worker does not serve.

use log::Level;

use super::Worker;
use crate::connection::{ClientLabel, CloseReason, Traffic};
use crate::server::connection_table::{ClientRecord, Session};
use crate::server::listener::ListenerIndex;
use crate::server::message::WorkerMessage;
use crate::server::warnings::Shortage;

impl Worker {
    /// There is no memory for one more connection.
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
        let now = self.driver.context.now;
        ClientLabel::new(label).log_closed(Level::Info, reason, &Traffic::new(now), now);
        self.shared.give_rate_back(listener, now);
        self.count_rejected(listener, reason, self.number);
    }

    /// Counts an accepted connection of `worker` that was closed before anything was read.
    fn count_rejected(&self, listener: ListenerIndex, reason: CloseReason, worker: usize) {
        self.driver.context.counters.of(listener.place()).close(reason, 0);
        self.shared.admission.connection_closed(worker);
    }

    /// Drops a message that worker `to` will never handle: a connection in it is closed and counted.
    pub(super) fn discard(&self, message: WorkerMessage, to: usize) {
        if let WorkerMessage::Connection(connection) = message {
            let listener = connection.listener;
            self.driver.context.counters.of(listener.place()).accepted.add(1);
            drop(connection);
            self.count_rejected(listener, CloseReason::Forced, to);
        }
    }
}
