//! Closing connections, and giving back the memory that they leave behind.

use super::Worker;
use crate::connection::{CloseReason, Fault, ProxyResult};
use crate::server::connection_table::{ClientRecord, Session};
use crate::server::offload_pool::Owner;
use crate::server::poller::Token;
use crate::sys::close_with_reset;

impl Worker {
    /// Closes a connection, and gives back everything that it holds.
    pub(super) fn close(&mut self, token: Token, reason: CloseReason) {
        let Some(mut session) = self.table.remove(token) else { return };
        self.driver.name_late(&mut session);
        let Session { stream, mut connection, client, listener, .. } = session;
        let context = &mut self.driver.context;
        let counters = context.counters.of(listener.place());
        if let Some(ClientRecord::Awaiting(_)) = client.as_deref() {
            counters.proxy[ProxyResult::of_close(reason) as usize].add(1);
        }
        counters.close(reason, connection.unanswered().into());
        connection.log_closed(reason, context.now);
        match (client.as_deref(), reason) {
            (Some(ClientRecord::Awaiting(peer)), CloseReason::ProxyHeader | CloseReason::ProxyTimeout) => {
                self.shared.profile(listener).warn_missing_header(*peer, context.now);
            }
            (Some(ClientRecord::Counted(source)), _) => self.shared.admission.release_source(*source),
            _ => {}
        }
        if let Some(place) = self.memory_waits.remove(token) {
            self.shared.memory.stop_waiting(place);
        }
        if connection.is_offloaded() {
            let job = self.shared.offload_pool.recall(Owner { worker: self.number, token });
            context.retired.append(job.map(|job| job.retire()).unwrap_or_default());
        }
        context.retired.append(connection.retire());
        self.driver.impaired_timers.remove(token);
        match stream.end() {
            Some(Fault::Reset) => close_with_reset(stream.into_inner().into_socket()),
            _ => drop(stream),
        }
        self.shared.admission.connection_closed(self.number);
        self.trim();
    }

    /// Gives back the memory of connections that have closed, when many have.
    fn trim(&mut self) {
        let has_receded = self.table.has_receded();
        if has_receded {
            self.shared.reclaimer.trim_heap();
        }
        if self.table.is_empty() {
            self.table.shrink();
            self.memory_waits.shrink();
            self.driver.impaired_timers.shrink();
        }
        if has_receded || self.table.is_empty() {
            self.driver.pipes.clear();
            let context = &mut self.driver.context;
            context.retired.append(context.pool.clear());
        }
    }

    pub(super) fn close_all(&mut self, reason: CloseReason) {
        for slot in 0..self.table.slots() {
            if let Some((token, _)) = self.table.at(slot) {
                self.close(token, reason);
            }
        }
    }
}
