//! The parts of a server that all its threads share.

use std::sync::Arc;

use super::admission::Admission;
use super::channels::Channels;
use super::clock::Clock;
use super::config::{ServerConfig, ServerLimits};
use super::heartbeat::Heartbeats;
use super::lifecycle::Lifecycle;
use super::offload_pool::OffloadPool;
use super::reclaim::Reclaimer;
use super::shared_memory::SharedMemory;
use super::stats::StatsSnapshot;
use super::warnings::Warnings;
use crate::connection::{Counters, Millis};
use crate::sys::Errno;

/// The parts of a server that all its threads share.
#[derive(Debug)]
pub struct Shared {
    pub clock: Clock,
    pub channels: Channels,
    pub admission: Admission,
    pub lifecycle: Lifecycle,
    pub heartbeats: Heartbeats,
    pub warnings: Warnings,
    pub memory: Arc<SharedMemory>,
    pub reclaimer: Reclaimer,
    pub offload_pool: Arc<OffloadPool>,
    /// The counters of each worker.
    pub counters: Vec<Arc<Counters>>,
}

impl Shared {
    /// The parts for `config.workers` workers, none of which runs yet.
    ///
    /// # Errors
    /// As [`Channels::new`].
    pub fn new(config: &ServerConfig) -> Result<Arc<Self>, Errno> {
        let ServerConfig { workers, seed, limits, .. } = config;
        let (clock, channels) = (Clock::start(), Channels::new(*workers)?);
        let memory = Arc::new(SharedMemory::new(limits.budget(), clock, channels.clone()));
        Ok(Arc::new(Self {
            clock,
            admission: Admission::new(*workers, limits, clock, channels.clone()),
            lifecycle: Lifecycle::new(*workers, channels.clone()),
            heartbeats: Heartbeats::new(*workers),
            warnings: Warnings::new(clock, channels.clone()),
            reclaimer: Reclaimer::new(Arc::clone(&memory)),
            memory,
            offload_pool: OffloadPool::new(*workers, *seed, channels.clone()),
            counters: (0..*workers).map(|_| Arc::default()).collect(),
            channels,
        }))
    }

    /// Applies changed limits, except those of single connections.
    pub fn set_limits(&self, limits: &ServerLimits) {
        self.admission.set_limits(limits);
        self.memory.resize(limits.budget());
    }

    /// When to call [`Shared::log_recoveries`].
    #[must_use]
    pub fn recovery_due(&self) -> Millis {
        self.admission.recovery_due().min(self.warnings.recovery_due())
    }

    /// Logs which conditions have ended.
    pub fn log_recoveries(&self) {
        self.admission.log_recovery();
        self.warnings.log_recoveries();
    }

    /// The sum of all workers' counters.
    #[must_use]
    pub fn stats(&self) -> StatsSnapshot {
        StatsSnapshot::of(&self.counters.iter().map(AsRef::as_ref), self.admission.open_connections())
    }
}
