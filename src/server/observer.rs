//! What threads beside the workers may ask of a running server.

use std::sync::Arc;

use super::lifecycle::Phase;
use super::shared::Shared;
use super::stats::StatsSnapshot;
use crate::sys::EventFd;

/// Reads the state of a server from any thread, and changes nothing about what it serves; also after the server has
/// ended.
#[derive(Clone, Debug)]
pub struct Observer(Arc<Shared>);

impl Observer {
    /// An observer of the server with these parts.
    #[must_use]
    pub fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }

    /// The current statistics.
    #[must_use]
    pub fn stats(&self) -> StatsSnapshot {
        self.0.stats()
    }

    /// The phase, from which readiness follows.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.0.lifecycle.phase()
    }

    /// Whether there are as many connections as allowed.
    #[must_use]
    pub fn is_at_limit(&self) -> bool {
        self.0.admission.is_at_limit()
    }

    /// Sends every worker a heartbeat; returns its number.
    #[must_use]
    pub fn send_heartbeat(&self) -> u64 {
        self.0.send_heartbeat()
    }

    /// The workers that have not acknowledged this heartbeat yet, and have not ended.
    #[must_use]
    pub fn silent_workers(&self, number: u64) -> Vec<usize> {
        self.0.heartbeats.silent_workers(number)
    }

    /// Makes this descriptor readable whenever a worker acknowledges a heartbeat. A later call has no effect.
    pub fn notify_of_heartbeats(&self, on_ack: Arc<EventFd>) {
        self.0.heartbeats.notify(on_ack);
    }
}
