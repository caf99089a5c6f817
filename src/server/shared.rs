//! The parts of a server that all its threads share.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::admission::Admission;
use super::channels::Channels;
use super::clock::Clock;
use super::config::{ServerConfig, ServerLimits};
use super::heartbeat::Heartbeats;
use super::histogram::SavedHistogram;
use super::lifecycle::Lifecycle;
use super::listener::{ListenerIndex, ListenerOptions};
use super::listener_profile::ListenerProfile;
use super::longest_iteration::LongestIterations;
use super::message::WorkerMessage;
use super::offload_pool::OffloadPool;
use super::reclaim::Reclaimer;
use super::saved::{SavedListenerState, SavedServer};
use super::shared_memory::SharedMemory;
use super::stats::{Gauges, ProtocolStats, StatsSnapshot};
use super::warnings::Warnings;
use crate::connection::{Impairments, Millis, Totals, WorkerCounters};
use crate::protocol::{PROTOCOLS, ProtocolInfo, RequestRng};
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
    /// The profile of each listener, by its index.
    profiles: Vec<ListenerProfile>,
    /// How many of the profiles have a listening socket; they are in front of the others.
    listening: usize,
    /// The counters of each worker, by the index of the listener.
    pub counters: Vec<WorkerCounters>,
    pub longest_iterations: LongestIterations,
    /// What impairments choose follows from this.
    pub impairment_seed: u64,
    /// The statistics of the predecessor, by the name of the protocol; never set without one.
    continued: OnceLock<HashMap<&'static str, Totals>>,
}

impl Shared {
    /// The parts for `config.workers` workers, none of which runs yet, and listeners with these profiles, of which the
    /// first `listening` have sockets.
    ///
    /// # Errors
    /// As [`Channels::new`].
    pub fn new(
        config: &ServerConfig,
        profiles: Vec<ListenerProfile>,
        listening: usize,
        clock: Clock,
    ) -> Result<Arc<Self>, Errno> {
        let ServerConfig { workers, seed, limits, .. } = config;
        let channels = Channels::new(*workers)?;
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
            counters: (0..*workers).map(|_| WorkerCounters::new(profiles.len())).collect(),
            longest_iterations: LongestIterations::new(*workers),
            impairment_seed: seed.unwrap_or_else(|| RequestRng::new(None).seed()),
            continued: OnceLock::new(),
            profiles,
            listening,
            channels,
        }))
    }

    /// Applies changed limits, except those of single connections.
    pub fn set_limits(&self, limits: &ServerLimits) {
        self.admission.set_limits(limits);
        self.memory.resize(limits.budget());
    }

    /// The profile of a listener.
    #[must_use]
    pub fn profile(&self, listener: ListenerIndex) -> &ListenerProfile {
        &self.profiles[listener.place()]
    }

    /// Replaces the options of every listener; `options` in the order of [`ServerConfig::listeners`].
    pub fn set_listener_options(&self, options: &[Arc<ListenerOptions>]) {
        for (profile, options) in self.profiles.iter().zip(options) {
            profile.set_options(Arc::clone(options));
        }
    }

    /// Gives back the place within the rate of `listener` that was taken for a connection that is not served.
    pub fn give_rate_back(&self, listener: ListenerIndex, now: Millis) {
        if self.profile(listener).rate_limiter.give_back(now) {
            self.channels.send_all(|| WorkerMessage::RateFreed);
        }
    }

    /// Whether a client waits in the backlog until the rate of its listener allows another connection.
    #[must_use]
    pub fn has_client_over_rate(&self) -> bool {
        let now = self.clock.now();
        self.profiles.iter().any(|profile| profile.rate_limiter.has_waiting(now))
    }

    /// Sends every worker a heartbeat; returns its number.
    pub fn send_heartbeat(&self) -> u64 {
        let number = self.heartbeats.next();
        self.channels.send_all(|| WorkerMessage::Heartbeat(number));
        number
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

    /// The current statistics.
    #[must_use]
    pub fn stats(&self) -> StatsSnapshot {
        StatsSnapshot::new(PROTOCOLS.iter().map(|protocol| self.protocol_stats(protocol)).collect(), self.gauges())
    }

    fn protocol_stats(&self, protocol: &'static ProtocolInfo) -> ProtocolStats {
        // the workers close them when a stop begins
        let listening = if self.lifecycle.any_accepting() { self.listening } else { 0 };
        let listeners = self.places(protocol).filter(|place| *place < listening).count();
        ProtocolStats::new(protocol, self.totals(protocol), listeners as u64)
    }

    /// The places of the profiles of a protocol.
    fn places(&self, protocol: &'static ProtocolInfo) -> impl Iterator<Item = usize> {
        let places = self.profiles.iter().enumerate().filter(move |(_, profile)| profile.protocol == protocol);
        places.map(|(place, _)| place)
    }

    /// The sums of a protocol over all its listeners, those of the predecessor included.
    fn totals(&self, protocol: &'static ProtocolInfo) -> Totals {
        let mut totals = self.continued.get().and_then(|totals| totals.get(protocol.name)).cloned().unwrap_or_default();
        for place in self.places(protocol) {
            self.counters.iter().for_each(|worker| totals.read(worker.of(place)));
        }
        totals
    }

    /// Continues with the statistics of a predecessor, and with its numbers of connections. To be called at most once,
    /// before a worker runs.
    pub fn continue_from(&self, totals: HashMap<&'static str, Totals>, numbered: u64, waits: &SavedHistogram) {
        let is_first = self.continued.set(totals).is_ok();
        debug_assert!(is_first, "a server has one predecessor");
        self.admission.continue_numbers(numbered);
        self.offload_pool.continue_waits(waits);
    }

    /// What a successor continues beside the connections, when `elapsed` is the time of the clock.
    #[must_use]
    pub fn save(&self, elapsed: Duration) -> SavedServer {
        let totals = PROTOCOLS.iter().map(|protocol| (protocol.name.to_string(), self.totals(protocol)));
        SavedServer {
            elapsed,
            numbered: self.admission.numbered(),
            totals: totals.filter(|(_, totals)| *totals != Totals::default()).collect(),
            offload_waits: self.offload_pool.save_waits(),
            impaired: self.profiles.iter().filter_map(SavedListenerState::of).collect(),
        }
    }

    /// Continues the impairments of the listeners of a predecessor. To be called at most once, before a connection is
    /// served.
    pub fn continue_impairments(&self, impaired: &[SavedListenerState]) {
        for profile in &self.profiles {
            let saved = impaired.iter().find(|saved| saved.is_of(profile));
            match saved {
                Some(saved) => profile.continue_impairments(&saved.impairments, saved.accepted),
                None => profile.continue_impairments(&Impairments::default(), 0),
            }
        }
    }

    fn gauges(&self) -> Gauges {
        let budget = &self.memory.budget;
        Gauges {
            workers: self.counters.len() as u64,
            connections_limit: self.admission.connections_limit(),
            // what is given back between two looks could make it negative
            buffered: u64::try_from(budget.used()).unwrap_or(0),
            buffered_limit: budget.limit(),
            waiting_for_memory: self.memory.waiting(),
            offload_queue_length: self.offload_pool.queue_length(),
            offload_wait: self.offload_pool.waits(),
            longest_iteration: self.longest_iterations.longest(self.clock.now()),
        }
    }
}
