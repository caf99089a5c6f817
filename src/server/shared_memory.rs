//! The memory budget of all connections, those that wait for it, and the thread that gives memory back to the system.

use std::sync::Arc;

use super::channels::Channels;
use super::clock::Clock;
use super::memory_queue::{MemoryQueue, Place, Waiter};
use super::message::WorkerMessage;
use crate::connection::{Budget, Millis};

/// Connections that are granted memory in a row, at most; the next thread that looks goes on. Chosen without tuning.
const MAX_GRANTS: u32 = 64;

/// The budget, and the queue of connections that wait for a part of it.
#[derive(Debug)]
pub struct SharedMemory {
    /// The memory that all connections share.
    pub budget: Arc<Budget>,
    queue: MemoryQueue,
    clock: Clock,
    channels: Channels,
}

impl SharedMemory {
    /// A budget of this number of bytes, and no connection that waits.
    #[must_use]
    pub fn new(budget: u64, clock: Clock, channels: Channels) -> Self {
        Self { budget: Arc::new(Budget::new(budget)), queue: MemoryQueue::default(), clock, channels }
    }

    /// Adds a connection to the queue. If it is the only one, all workers check the deadlines of slow readers.
    pub fn wait(&self, waiter: Waiter) -> Place {
        let (place, is_first) = self.queue.push(waiter, self.clock.now());
        if is_first {
            self.channels.send_all(|| WorkerMessage::MemoryContention);
        }
        place
    }

    /// Removes a connection that has closed from the queue.
    pub fn stop_waiting(&self, place: Place) {
        self.queue.remove(place, &self.budget, self.clock.now());
    }

    /// If any connection waits: since when memory has been short ([`MemoryQueue::since`]).
    #[must_use]
    pub fn contended_since(&self) -> Option<Millis> {
        self.queue.since()
    }

    /// Grants memory to the connections that wait, if any was given back since the last look.
    pub fn grant_released(&self) {
        if !self.queue.is_empty() && self.budget.take_released_flag() {
            self.grant();
        }
    }

    /// Grants the memory that there is to the connections that wait.
    pub fn grant(&self) {
        for _ in 0..MAX_GRANTS {
            let Some((waiter, charge)) = self.queue.pop(&self.budget, self.clock.now()) else { return };
            // the charge of a worker that has ended goes back to the budget
            drop(self.channels.send(waiter.worker, WorkerMessage::MemoryGranted(waiter.token, charge)));
        }
        // more connections may wait: the worker of the last one looks again
        self.budget.set_released_flag();
    }

    /// The number of connections that wait.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.queue.len() as u64
    }

    /// Changes the budget to this number of bytes.
    pub fn resize(&self, bytes: u64) {
        self.budget.resize(bytes);
        self.grant();
    }
}
