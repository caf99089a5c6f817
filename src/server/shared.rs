//! What all workers share: who is admitted, who has how many connections, where to post.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use log::warn;

use super::condition::{Condition, Due};
use super::mailbox::{Mail, Mailbox};
use super::memory_queue::MemoryQueue;
use super::offload_pool::Heavy;
use super::reclaim::Reclaimer;
use super::stats::Totals;
use super::{ServerLimits, Settings};
use crate::connection::{Budget, Counters, MIN_DEFERRED_FREE, NEVER, Retired};
use crate::sys::{Errno, EventFd};

/// Connections that are given memory at once, at most; the next thread that looks goes on. Chosen without tuning.
const MOST_GRANTS: u32 = 64;

/// Whether one more connection may be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Yes; it is counted already.
    Granted,
    /// No: there are as many as there may be.
    Full,
}

/// What all workers share.
pub struct Shared {
    pub(super) start: Instant,
    pub(super) budget: Arc<Budget>,
    pub(super) counters: Vec<Arc<Counters>>,
    pub(super) mailboxes: Vec<Arc<Mailbox>>,
    pub(super) heavy: Arc<Heavy>,
    /// Connections that wait for memory.
    pub(super) memory_queue: MemoryQueue,
    reclaimer: Reclaimer,
    /// For the thread that frees memory, which is not to keep this alive.
    this: Weak<Shared>,
    /// Written when a worker ends, and when the last connection of a server without listeners does.
    pub(super) notice: EventFd,
    /// Open connections of each worker.
    loads: Vec<AtomicUsize>,
    /// The last [`Mail::Beat`] that each worker has answered.
    beats: Vec<AtomicU64>,
    open: AtomicUsize,
    /// Connections accepted so far.
    accepted: AtomicU64,
    /// Workers that still accept, and may hand a connection to another.
    accepting: AtomicUsize,
    most: AtomicUsize,
    /// A listener is switched off because there were too many connections.
    full: Condition,
    /// Connections that cannot be watched, answers that there is no memory for, threads that cannot be started.
    pub(super) no_watch: Condition,
    pub(super) no_memory: Condition,
    pub(super) no_thread: Condition,
    /// A connection was handed in from outside ([`super::Server::serve`]).
    given: AtomicBool,
    running: AtomicUsize,
    per_source: AtomicUsize,
    sources: Mutex<HashMap<IpAddr, usize>>,
    failure: Mutex<Option<String>>,
}

impl Shared {
    /// For so many workers and such limits.
    pub fn new(settings: &Settings) -> Result<Arc<Self>, Errno> {
        let Settings { workers, limits, seed, .. } = settings;
        let mailboxes: Result<Vec<_>, Errno> = (0..*workers).map(|_| Mailbox::new().map(Arc::new)).collect();
        let (mailboxes, notice) = (mailboxes?, EventFd::new()?);
        Ok(Arc::new_cyclic(|this| Self {
            start: Instant::now(),
            budget: Arc::new(Budget::new(limits.buffered.unwrap_or(u64::MAX))),
            counters: (0..*workers).map(|_| Arc::default()).collect(),
            mailboxes,
            heavy: Heavy::new(*workers, *seed),
            memory_queue: MemoryQueue::default(),
            reclaimer: Reclaimer::default(),
            this: this.clone(),
            notice,
            loads: (0..*workers).map(|_| AtomicUsize::new(0)).collect(),
            beats: (0..*workers).map(|_| AtomicU64::new(0)).collect(),
            open: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            accepting: AtomicUsize::new(*workers),
            most: AtomicUsize::new(limits.connections.unwrap_or(usize::MAX)),
            full: Condition::default(),
            no_watch: Condition::default(),
            no_memory: Condition::default(),
            no_thread: Condition::default(),
            given: AtomicBool::new(false),
            running: AtomicUsize::new(*workers),
            per_source: AtomicUsize::new(limits.per_source.unwrap_or(0)),
            sources: Mutex::default(),
            failure: Mutex::default(),
        }))
    }

    /// Milliseconds since the start.
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Posts one message to every worker.
    pub fn post_all(&self, message: impl Fn() -> Mail) {
        // a worker that has ended needs no message
        self.mailboxes.iter().for_each(|mailbox| drop(mailbox.post(message())));
    }

    /// Asks for the place of one more connection, before it is accepted: the limit is never passed, not even briefly.
    pub fn admit(&self) -> Admission {
        let most = self.most.load(Ordering::Relaxed);
        let admitted =
            self.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |open| (open < most).then(|| open + 1));
        if admitted.is_ok() {
            return Admission::Granted;
        }
        if let Some(times) = self.full.begin(self.now()) {
            warn!("there are {most} connections, as many as allowed: further clients wait in the backlog{times}");
        }
        // one may have ended between the two looks: then its worker has not seen that we wait
        if self.open.load(Ordering::SeqCst) < most {
            self.wake_full();
        }
        Admission::Full
    }

    /// The place that [`Shared::admit`] gave was not needed, or its connection has ended.
    pub fn release(&self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
        self.wake_full();
    }

    fn wake_full(&self) {
        if self.full.is_on() && self.end_full() {
            self.post_all(|| Mail::Retry);
        }
    }

    /// Whether there were too many connections until now.
    fn end_full(&self) -> bool {
        let ended = self.full.end(self.now());
        if ended == Some(Due::Sooner) {
            self.tell();
        }
        ended.is_some()
    }

    /// Warns that something failed, at a bounded rate.
    pub fn warn(&self, condition: &Condition, message: fmt::Arguments<'_>) {
        let (times, due) = condition.occurred(self.now());
        if due == Due::Sooner {
            self.tell();
        }
        if let Some(times) = times {
            warn!("{message}{times}");
        }
    }

    /// Every condition, and what is logged when it has ended.
    fn conditions(&self) -> [(&Condition, &str); 4] {
        [
            (&self.full, "there is room for connections again"),
            (&self.no_watch, "connections can be watched again"),
            (&self.no_memory, "there is memory again"),
            (&self.no_thread, "threads for large messages can be started again"),
        ]
    }

    /// See [`super::Server::report_in`]; in milliseconds since the start.
    pub fn report_due(&self) -> u64 {
        self.conditions().map(|(condition, _)| condition.due()).into_iter().min().unwrap_or(NEVER)
    }

    /// See [`super::Server::report`].
    pub fn report(&self) {
        for (condition, message) in self.conditions() {
            if let Some(past) = condition.settle(self.now()) {
                warn!("{message}{past}");
            }
        }
    }

    /// Counts a connection that was not accepted here, for the first worker; its end is to be noticed.
    pub fn admit_given(&self) {
        self.open.fetch_add(1, Ordering::SeqCst);
        self.loads[0].fetch_add(1, Ordering::Relaxed);
        self.given.store(true, Ordering::Relaxed);
    }

    /// The number of a connection that has just been accepted, from 1.
    pub fn number_connection(&self) -> u64 {
        self.accepted.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The worker that a connection accepted by `worker` goes to: its own, unless another has clearly fewer.
    pub fn assign(&self, worker: usize) -> usize {
        let load = |number: usize| self.loads[number].load(Ordering::Relaxed);
        let own = load(worker);
        let least = (0..self.loads.len()).min_by_key(|number| load(*number)).unwrap_or(worker);
        let slack = 1 + own / 16;
        let chosen = if own > load(least) + slack { least } else { worker };
        self.loads[chosen].fetch_add(1, Ordering::Relaxed);
        chosen
    }

    /// A connection of that worker has ended.
    pub fn leave(&self, worker: usize) {
        self.loads[worker].fetch_sub(1, Ordering::Relaxed);
        self.release();
        if self.given.load(Ordering::Relaxed) {
            self.tell();
        }
    }

    /// Whether connections are counted by source.
    pub fn counts_sources(&self) -> bool {
        self.per_source.load(Ordering::Relaxed) > 0
    }

    /// Counts one more from `source`; false if it has as many as allowed.
    pub fn admit_source(&self, source: IpAddr) -> bool {
        let most = self.per_source.load(Ordering::Relaxed);
        let mut sources = lock(&self.sources);
        let count = sources.entry(source).or_default();
        let admitted = *count < most;
        *count += usize::from(admitted);
        admitted
    }

    /// A connection that [`Shared::admit_source`] counted has ended.
    pub fn release_source(&self, source: IpAddr) {
        let mut sources = lock(&self.sources);
        if let Some(count) = sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                sources.remove(&source);
            }
        }
    }

    /// Frees memory; on a thread of its own where that takes long.
    pub fn free(&self, retired: Retired) {
        if retired.resident() >= MIN_DEFERRED_FREE {
            self.reclaimer.free(retired, &self.this);
        }
    }

    /// Gives back what the allocator keeps of the memory of connections that have gone.
    pub fn trim(&self) {
        self.reclaimer.trim(&self.this);
    }

    /// Gives memory to connections that wait for it, if any was given back since the last look.
    pub fn serve_waiting(&self) {
        if !self.memory_queue.is_empty() && self.budget.take_released_flag() {
            self.grant_memory();
        }
    }

    /// Gives the memory that there is to connections that wait for it.
    pub fn grant_memory(&self) {
        for _ in 0..MOST_GRANTS {
            let Some((waiter, charge)) = self.memory_queue.pop(&self.budget, self.now()) else { return };
            // the charge of a worker that has ended goes back to the budget
            drop(self.mailboxes[waiter.worker].post(Mail::Memory(waiter.token, charge)));
        }
        // there may be more: the worker that has just got something looks again
        self.budget.set_released_flag();
    }

    /// See [`super::Server::renew`].
    pub fn set_limits(&self, limits: &ServerLimits) {
        self.most.store(limits.connections.unwrap_or(usize::MAX), Ordering::Relaxed);
        self.per_source.store(limits.per_source.unwrap_or(0), Ordering::Relaxed);
        self.budget.resize(limits.buffered.unwrap_or(u64::MAX));
        self.end_full();
        self.post_all(|| Mail::Retry);
        self.grant_memory();
    }

    /// A worker answers a [`Mail::Beat`].
    pub fn beat(&self, worker: usize, round: u64) {
        self.beats[worker].store(round, Ordering::Relaxed);
    }

    /// Whether all have answered that round.
    pub fn alive_since(&self, round: u64) -> bool {
        self.beats.iter().all(|beat| beat.load(Ordering::Relaxed) >= round)
    }

    /// A worker accepts no more; the last one wakes those that wait for that.
    pub fn stopped_accepting(&self) {
        if self.accepting.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.post_all(|| Mail::Retry);
        }
    }

    /// Whether a worker may still hand a connection to another.
    pub fn accepts(&self) -> bool {
        self.accepting.load(Ordering::SeqCst) > 0
    }

    /// A worker has ended; it may say why.
    pub fn worker_ended(&self, why: Option<String>) {
        if let Some(why) = why {
            lock(&self.failure).get_or_insert(why);
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        self.tell();
    }

    /// Whether every worker has ended.
    pub fn has_ended(&self) -> bool {
        self.running.load(Ordering::SeqCst) == 0
    }

    fn tell(&self) {
        self.notice.notify();
    }

    /// The first thing that broke.
    pub fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }

    /// The sum of all counters.
    pub fn totals(&self) -> Totals {
        let open = self.loads.iter().map(|load| load.load(Ordering::Relaxed) as u64).sum();
        Totals::of(&self.counters.iter().map(AsRef::as_ref), open)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("open", &self.open).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(connections: usize, per_source: usize) -> Arc<Shared> {
        let limits = ServerLimits {
            message: 1,
            buffered: None,
            connections: Some(connections),
            per_source: Some(per_source),
            idle: None,
            request: None,
            write: None,
            line: None,
            min_rate: None,
        };
        Shared::new(&Settings { workers: 1, limits, seed: None, protocols: Arc::default() }).expect("an eventfd")
    }

    #[test]
    fn an_address_is_forgotten_with_its_last_connection() {
        let shared = shared(1, 2);
        let address = IpAddr::from([192, 0, 2, 1]);
        let admitted: Vec<bool> = (0..3).map(|_| shared.admit_source(address)).collect();
        assert_eq!(admitted, [true, true, false]);
        for left in [1, 0] {
            shared.release_source(address);
            assert_eq!(lock(&shared.sources).len(), left);
        }
    }
}
