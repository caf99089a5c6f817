//! Handling messages: commands at once, the others a bounded number in each iteration of the loop.

use std::time::Instant;

use super::Worker;
use super::accept::MAX_ACCEPTS;
use super::drain::Phase;
use super::steps::MAX_STEP_TIME;
use crate::server::message::{Reconfiguration, WorkerMessage};

/// Messages handled in one iteration of the loop, at most. Chosen: as many as connections are accepted in one, because
/// most of them are accepted connections.
const MAX_MESSAGES: usize = MAX_ACCEPTS as usize;

impl Worker {
    /// Drains the mailbox: commands are executed at once, the other messages wait for their turn.
    pub(super) fn drain_mailbox(&mut self) {
        for message in self.shared.channels.mailbox(self.number).drain() {
            match message {
                WorkerMessage::Heartbeat(number) => self.shared.heartbeats.acknowledge(self.number, number),
                WorkerMessage::Reconfigure(settings) => self.reconfigure(settings),
                WorkerMessage::Lameduck(delay) => self.begin_lameduck(delay),
                WorkerMessage::Drain(timeout) => self.begin_drain(timeout),
                WorkerMessage::CountPending(counted) => self.count_pending(&counted),
                WorkerMessage::Freeze(request) => self.freeze_request = Some(request),
                WorkerMessage::Abort => self.driver.phase = Phase::Stopping,
                message => self.inbox.push_back(message),
            }
        }
    }

    /// Handles a batch of the other messages, oldest first.
    pub(super) fn handle_messages(&mut self) {
        if self.inbox.is_empty() {
            return;
        }
        let begun = Instant::now();
        for _ in 0..MAX_MESSAGES {
            let Some(message) = self.inbox.pop_front() else { return };
            self.handle_message(message);
            if begun.elapsed() >= MAX_STEP_TIME {
                return;
            }
        }
    }

    /// Handles one of the other messages.
    pub(super) fn handle_message(&mut self, message: WorkerMessage) {
        match message {
            WorkerMessage::Connection(connection) => self.add_connection(connection),
            WorkerMessage::OffloadFinished(token, Ok(finished)) => self.on_offload_finished(token, *finished),
            WorkerMessage::OffloadFinished(token, Err((error, retired))) => {
                self.driver.context.retired.append(retired);
                self.on_offload_failed(token, &error);
            }
            WorkerMessage::MemoryGranted(token, charge) => self.on_memory_granted(token, charge),
            WorkerMessage::MemoryContention => self.on_memory_contention(),
            WorkerMessage::RunOffloaded => self.run_offloaded(),
            WorkerMessage::SlotsFreed => self.on_slots_freed(),
            WorkerMessage::RateFreed => self.on_rates_freed(),
            // executed when the mailbox was drained
            WorkerMessage::Heartbeat(_)
            | WorkerMessage::Reconfigure(_)
            | WorkerMessage::Lameduck(_)
            | WorkerMessage::Drain(_)
            | WorkerMessage::CountPending(_)
            | WorkerMessage::Freeze(_)
            | WorkerMessage::Abort => {}
        }
    }

    /// The deadlines of clients that take their replies slowly begin now: visits all connections.
    fn on_memory_contention(&mut self) {
        self.driver.context.contended_since = self.shared.memory.contended_since();
        self.driver.timer.schedule(self.driver.context.now);
    }

    /// Applies new limits; visits all connections, because a shorter timeout may have passed and the impairments of their
    /// listeners may have changed, and tries to accept again, because a rate may have been raised.
    fn reconfigure(&mut self, Reconfiguration { limits, max_delayed, applied }: Reconfiguration) {
        self.driver.context.limits = limits;
        self.driver.max_delayed = max_delayed;
        self.sweep.restart();
        self.on_rates_freed();
        drop(applied);
    }
}
