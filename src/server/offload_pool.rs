//! The threads that process large requests, so that small ones never wait for them.
//!
//! A thread starts when there is a request, up to a fixed number, and ends when there has been none for a while. The
//! threads run at the lowest priority: a worker with a small request goes first.
//!
//! Order: fair queueing. Requests start in the order in which they would end if all waiting connections shared the
//! threads equally (Demers, Keshav, Shenker: "Analysis and Simulation of a Fair Queueing Algorithm"). So a short
//! request overtakes long ones, and a long one is overtaken for a bounded time only. A request whose connection closes
//! is recalled. One that runs already stops at its next look at [`Cancel`] (shuffle and random, once a millisecond) or
//! runs to its end: of the other actions title-case takes longest, 0.9 s of CPU for the longest message.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use log::debug;

use super::channels::Channels;
use super::histogram::{Histogram, HistogramSnapshot, SavedHistogram};
use super::message::WorkerMessage;
use super::poller::Token;
use super::sync::{Mutex, lock};
use crate::connection::{OffloadJob, has_headroom};
use crate::protocol::{Cancel, RequestRng};
use crate::sys::{self, unix_time};

/// The time without a request after which a thread ends. Chosen without tuning.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that a thread takes of limited memory. Derived: the default size of its stack (`std::thread`).
const STACK_SIZE: usize = 2 * 1024 * 1024;

/// The bounds of the histogram of the time that requests wait for a thread, in seconds. Chosen: from a wait that a
/// client does not notice to one that comes near the time for which clients wait for a reply; 1 and 5 times each power
/// of ten.
const WAIT_BOUNDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// The connection that a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The worker that serves it.
    pub worker: usize,
    /// Its token there.
    pub token: Token,
}

/// A place in the queue; the least is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// The virtual time at which the request would be done.
    end: u64,
    arrival: u64,
}

/// A request, and the connection that its result goes to.
#[derive(Debug)]
struct Task {
    job: Box<OffloadJob>,
    owner: Owner,
    submitted: Instant,
}

#[derive(Debug)]
struct Queue {
    tasks: BTreeMap<Place, Task>,
    places: HashMap<Owner, Place>,
    running: HashMap<Owner, Cancel>,
    /// Requests that have begun, and whose results are not sent yet.
    begun: usize,
    /// No request begins.
    is_paused: bool,
    /// Bytes of requests processed for each waiting connection, since the start.
    virtual_time: u64,
    arrivals: u64,
    threads: usize,
    idle: usize,
    /// How long the requests that have begun had waited.
    waits: Histogram<{ WAIT_BOUNDS.len() }>,
}

impl Queue {
    fn new() -> Self {
        Self {
            tasks: BTreeMap::new(),
            places: HashMap::new(),
            running: HashMap::new(),
            begun: 0,
            is_paused: false,
            virtual_time: 0,
            arrivals: 0,
            threads: 0,
            idle: 0,
            waits: Histogram::new(&WAIT_BOUNDS),
        }
    }

    fn push(&mut self, task: Task) {
        let end = self.virtual_time + task.job.length() as u64;
        let place = Place { end, arrival: self.arrivals };
        self.arrivals += 1;
        self.places.insert(task.owner, place);
        self.tasks.insert(place, task);
    }

    fn pop(&mut self) -> Option<Task> {
        let waiting = self.tasks.len() as u64;
        let (_, task) = self.tasks.pop_first()?;
        self.places.remove(&task.owner);
        self.running.insert(task.owner, task.job.cancel());
        self.begun += 1;
        self.virtual_time += task.job.length() as u64 / waiting;
        self.waits.record(task.submitted.elapsed());
        Some(task)
    }

    /// Removes and returns a request that has not begun; stops it if it runs.
    fn recall(&mut self, owner: Owner) -> Option<Task> {
        if let Some(cancel) = self.running.get(&owner) {
            cancel.set();
        }
        self.remove(owner)
    }

    /// Removes and returns a request that has not begun.
    fn remove(&mut self, owner: Owner) -> Option<Task> {
        let place = self.places.remove(&owner)?;
        self.tasks.remove(&place)
    }
}

/// The threads and their queue.
#[derive(Debug)]
pub struct OffloadPool {
    queue: Mutex<Queue>,
    ready: Condvar,
    max_threads: usize,
    seed: Option<u64>,
    channels: Channels,
}

impl OffloadPool {
    /// A pool of up to `max_threads` threads, none of which is started yet.
    #[must_use]
    pub fn new(max_threads: usize, seed: Option<u64>, channels: Channels) -> Arc<Self> {
        Arc::new(Self { queue: Mutex::new(Queue::new()), ready: Condvar::new(), max_threads, seed, channels })
    }

    /// Queues `job`; its result is sent to the worker of `owner`.
    ///
    /// # Errors
    /// When a thread that is needed cannot be started: the job is queued, call [`OffloadPool::run_inline`].
    pub fn submit(self: &Arc<Self>, job: Box<OffloadJob>, owner: Owner) -> io::Result<()> {
        let mut queue = self.lock();
        queue.push(Task { job, owner, submitted: Instant::now() });
        if queue.idle >= queue.tasks.len() || queue.threads == self.max_threads {
            self.ready.notify_one();
            return Ok(());
        }
        if !has_headroom(STACK_SIZE) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        queue.threads += 1;
        drop(queue);
        let pool = Arc::clone(self);
        let run = move || {
            sys::block_all_signals();
            pool.run_thread();
        };
        let started = thread::Builder::new().name("offload".into()).spawn(run);
        started.map(drop).inspect_err(|_| self.lock().threads -= 1)
    }

    /// Takes the request of a connection back: returns it, with its input unchanged, if it has not begun. One that runs
    /// is stopped as soon as its action allows, and its result is sent nevertheless.
    #[must_use]
    pub fn recall(&self, owner: Owner) -> Option<Box<OffloadJob>> {
        self.lock().recall(owner).map(|task| task.job)
    }

    /// Takes the request of a connection back if it has not begun. One that runs goes on.
    #[must_use]
    pub fn take_queued(&self, owner: Owner) -> Option<Box<OffloadJob>> {
        self.lock().remove(owner).map(|task| task.job)
    }

    /// From now on no request begins. The owner of the server is notified when the last one that has begun is done.
    pub fn pause(&self) {
        self.lock().is_paused = true;
    }

    /// Whether no request runs or begins, and all results were sent.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let queue = self.lock();
        queue.is_paused && queue.begun == 0
    }

    /// Requests begin again. Returns whether to call [`OffloadPool::run_inline`], for want of threads.
    #[must_use]
    pub fn resume(&self) -> bool {
        let mut queue = self.lock();
        queue.is_paused = false;
        self.ready.notify_all();
        queue.threads == 0 && !queue.tasks.is_empty()
    }

    /// Requests that wait for a thread.
    #[must_use]
    pub fn queue_length(&self) -> u64 {
        self.lock().tasks.len() as u64
    }

    /// How long requests have waited for a thread.
    #[must_use]
    pub fn waits(&self) -> HistogramSnapshot {
        self.lock().waits.snapshot()
    }

    /// The same, for a successor.
    #[must_use]
    pub fn save_waits(&self) -> SavedHistogram {
        self.lock().waits.save()
    }

    /// Continues the count of a predecessor.
    pub fn continue_waits(&self, saved: &SavedHistogram) {
        self.lock().waits.add(saved);
    }

    /// If there are no threads, processes one request on the calling thread. Returns whether to call again.
    #[must_use]
    pub fn run_inline(&self) -> bool {
        let mut queue = self.lock();
        if queue.threads > 0 || queue.is_paused {
            return false;
        }
        let Some(task) = queue.pop() else { return false };
        drop(queue);
        self.run(task, &mut RequestRng::new(self.seed));
        true
    }

    /// Begins the next request, and returns it to be processed.
    #[cfg(test)]
    pub fn begin_next(&self) -> Option<Box<OffloadJob>> {
        self.lock().pop().map(|task| task.job)
    }

    /// Processes requests until there has been none for [`IDLE_TIMEOUT`].
    fn run_thread(&self) {
        if let Err(error) = sys::lower_priority() {
            debug!("large messages run at the same priority as small ones: {error}");
        }
        let mut random = RequestRng::new(self.seed);
        while let Some(task) = self.next() {
            self.run(task, &mut random);
        }
    }

    /// Waits for the next request; `None` after [`IDLE_TIMEOUT`] without one: the thread must end.
    fn next(&self) -> Option<Task> {
        let mut queue = self.lock();
        queue.idle += 1;
        let must_wait = |queue: &mut Queue| queue.is_paused || queue.tasks.is_empty();
        loop {
            let waited = self.ready.wait_timeout_while(queue, IDLE_TIMEOUT, must_wait);
            (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
            // requests that are queued during a pause count on this thread
            if !queue.is_paused {
                break;
            }
        }
        queue.idle -= 1;
        let task = queue.pop();
        queue.threads -= usize::from(task.is_none());
        task
    }

    /// Processes a request and sends the result.
    fn run(&self, task: Task, random: &mut RequestRng) {
        let Task { job, owner, .. } = task;
        let finished = job.run(random, unix_time);
        self.lock().running.remove(&owner);
        let message = WorkerMessage::OffloadFinished(owner.token, finished.map(Box::new));
        // a worker that has ended has counted the request with its connection
        drop(self.channels.send(owner.worker, message));
        let mut queue = self.lock();
        queue.begun -= 1;
        if queue.is_paused && queue.begun == 0 {
            self.channels.notify_owner();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(number: u32, length: usize) -> Task {
        Task { job: Box::new(OffloadJob::of_length(length)), owner: owner(number), submitted: Instant::now() }
    }

    fn owner(number: u32) -> Owner {
        Owner { worker: 0, token: Token { slot: number, sequence: number.into() } }
    }

    fn slot(task: Option<Task>) -> Option<u32> {
        task.map(|task| task.owner.token.slot)
    }

    #[test]
    fn a_short_request_overtakes_long_ones() {
        let mut queue = Queue::new();
        for number in 0..16 {
            queue.push(task(number, 100 << 20));
        }
        assert_eq!(slot(queue.pop()), Some(0));
        assert_eq!(queue.waits.snapshot().counts.last(), Some(&1), "those that wait still do not count");
        queue.push(task(99, 70_000));
        assert_eq!([slot(queue.pop()), slot(queue.pop())], [Some(99), Some(1)]);
    }

    #[test]
    fn without_threads_requests_are_processed_inline_one_at_a_time() {
        let pool = OffloadPool::new(1, None, Channels::new(1).expect("eventfds"));
        let queued = || pool.lock().tasks.len();
        (0..2).for_each(|number| pool.lock().push(task(number, 10)));
        assert!(pool.run_inline() && queued() == 1);
        pool.lock().threads = 1;
        assert!(!pool.run_inline() && queued() == 1, "there is a thread for it");
        pool.lock().threads = 0;
        assert!(pool.run_inline() && !pool.run_inline() && queued() == 0);
    }

    #[test]
    fn a_long_request_is_overtaken_for_a_bounded_time() {
        let mut queue = Queue::new();
        queue.push(task(0, 1 << 20));
        let mut overtaken = 0;
        loop {
            queue.push(task(1 + overtaken, 64 << 10));
            if slot(queue.pop()) == Some(0) {
                break;
            }
            overtaken += 1;
        }
        // two connections have equal shares: it waits for up to twice its own bytes
        assert!((16..=33).contains(&overtaken), "{overtaken}");
    }

    #[test]
    fn during_a_pause_requests_are_queued_and_can_be_taken_back() {
        let channels = Channels::new(1).expect("eventfds");
        let pool = OffloadPool::new(1, None, channels.clone());
        pool.lock().push(task(0, 10));
        let running = pool.lock().pop().expect("a request");
        let cancel = running.job.cancel();
        pool.pause();
        assert!(!pool.is_quiet(), "one runs");
        pool.lock().push(task(1, 10));
        assert!(!pool.run_inline() && pool.take_queued(owner(0)).is_none() && !cancel.is_set(), "it goes on");
        channels.owner().clear();
        pool.run(running, &mut RequestRng::new(None));
        assert!(crate::sys::is_readable(channels.owner()) && pool.is_quiet(), "the owner is notified");
        assert!(matches!(channels.mailbox(0).drain()[..], [WorkerMessage::OffloadFinished(..)]));
        assert!(pool.take_queued(owner(1)).is_some() && pool.queue_length() == 0);
        assert!(!pool.resume(), "there is nothing to do");
        pool.lock().push(task(2, 10));
        assert!(pool.resume() && pool.run_inline() && !pool.is_quiet(), "there is no thread");
    }

    #[test]
    fn a_thread_of_a_paused_pool_waits_for_the_end_of_the_pause() {
        let channels = Channels::new(1).expect("eventfds");
        let pool = OffloadPool::new(1, None, channels.clone());
        pool.pause();
        pool.submit(Box::new(OffloadJob::of_length(10)), owner(0)).expect("a thread");
        while pool.lock().idle == 0 {
            thread::yield_now();
        }
        assert!(pool.is_quiet() && pool.queue_length() == 1);
        assert!(!pool.resume(), "there is a thread");
        crate::sys::wait_readable([std::os::fd::AsFd::as_fd(channels.mailbox(0))], None).expect("poll");
        assert!(matches!(channels.mailbox(0).drain()[..], [WorkerMessage::OffloadFinished(..)]));
    }

    #[test]
    fn a_request_is_dropped_with_its_connection() {
        let mut queue = Queue::new();
        queue.push(task(0, 10));
        queue.push(task(1, 20));
        assert_eq!(slot(queue.recall(owner(0))), Some(0));
        assert!(queue.recall(owner(0)).is_none());
        let running = queue.pop().expect("the other");
        assert!(!running.job.cancel().is_set());
        assert!(queue.recall(owner(1)).is_none(), "it has begun");
        assert!(running.job.cancel().is_set(), "and stops at its next look");
        assert!(queue.pop().is_none());
    }
}
