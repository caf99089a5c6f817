//! The threads that transform large messages, so that small ones never wait for them.
//!
//! They start when there is work, up to a fixed number, and end when there has been none for a while. They run at the
//! lowest priority: a worker with a small request goes first.
//!
//! Order: fair queueing. Requests start in the order in which they would end if all connections that wait shared the threads
//! equally (Demers, Keshav, Shenker: "Analysis and Simulation of a Fair Queueing Algorithm"). So a short request passes long
//! ones, and a long one is passed for a bounded time only. A request whose connection has closed is dropped. One that runs is
//! stopped at its next look at [`Cancel`] (shuffle and random, once a millisecond) or runs to its end: of the other actions
//! title-case takes longest, 0.9 s of CPU for the longest message.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use log::debug;

use super::mailbox::{Mail, Mailbox};
use super::poller::Token;
use crate::connection::{OffloadJob, has_headroom};
use crate::protocol::{Cancel, RequestRng};
use crate::sys;

/// How long a thread waits for work before it ends; chosen without tuning.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a thread takes of limited memory, in bytes: the default size of its stack (`std::thread`).
const STACK: usize = 2 * 1024 * 1024;

/// The connection that a request belongs to: its worker, and its token there.
type Owner = (usize, Token);
/// A place in the order: the virtual time at which the request would be done, then the order of arrival.
type Place = (u64, u64);

/// One piece of work, and where its result goes.
struct Order {
    job: Box<OffloadJob>,
    owner: Owner,
    mailbox: Arc<Mailbox>,
}

#[derive(Default)]
struct Queue {
    orders: BTreeMap<Place, Order>,
    places: HashMap<Owner, Place>,
    running: HashMap<Owner, Cancel>,
    /// Bytes of requests served for each connection that waited, since the start.
    virtual_time: u64,
    arrivals: u64,
    threads: usize,
    idle: usize,
}

impl Queue {
    fn push(&mut self, order: Order) {
        let place = (self.virtual_time + order.job.length() as u64, self.arrivals);
        self.arrivals += 1;
        self.places.insert(order.owner, place);
        self.orders.insert(place, order);
    }

    fn pop(&mut self) -> Option<Order> {
        let waiting = self.orders.len() as u64;
        let (_, order) = self.orders.pop_first()?;
        self.places.remove(&order.owner);
        self.running.insert(order.owner, order.job.cancel());
        self.virtual_time += order.job.length() as u64 / waiting;
        Some(order)
    }

    /// Takes out the request of a connection that has closed; stops it if it runs.
    fn cancel(&mut self, owner: Owner) -> Option<Order> {
        if let Some(cancel) = self.running.get(&owner) {
            cancel.set();
        }
        let place = self.places.remove(&owner)?;
        self.orders.remove(&place)
    }
}

/// The heavy threads and their queue.
pub struct Heavy {
    queue: Mutex<Queue>,
    ready: Condvar,
    most: usize,
    seed: Option<u64>,
}

impl Heavy {
    /// Up to `most` threads; none is started yet.
    #[must_use]
    pub fn new(most: usize, seed: Option<u64>) -> Arc<Self> {
        Arc::new(Self { queue: Mutex::default(), ready: Condvar::new(), most, seed })
    }

    /// Has `job` done; the result is posted to `mailbox`, for the token in `owner`.
    ///
    /// # Errors
    /// When a thread that is needed cannot be started: call [`Heavy::run_one`] then.
    pub fn submit(self: &Arc<Self>, job: Box<OffloadJob>, owner: Owner, mailbox: Arc<Mailbox>) -> io::Result<()> {
        let mut queue = self.lock();
        queue.push(Order { job, owner, mailbox });
        if queue.idle >= queue.orders.len() || queue.threads == self.most {
            self.ready.notify_one();
            return Ok(());
        }
        if !has_headroom(STACK) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        queue.threads += 1;
        drop(queue);
        let heavy = Arc::clone(self);
        let started = thread::Builder::new().name("heavy".into()).spawn(move || heavy.work());
        started.map(drop).inspect_err(|_| self.lock().threads -= 1)
    }

    /// The connection has closed: its request is not worth any work. Returns one that had not begun, to be freed.
    #[must_use]
    pub fn cancel(&self, owner: Owner) -> Option<Box<OffloadJob>> {
        self.lock().cancel(owner).map(|order| order.job)
    }

    /// No thread could be had: if there is none at all, does one request's work here. Says whether to call again.
    #[must_use]
    pub fn run_one(&self) -> bool {
        let mut queue = self.lock();
        if queue.threads > 0 {
            return false;
        }
        let Some(order) = queue.pop() else { return false };
        drop(queue);
        self.run(order, &mut RequestRng::new(self.seed));
        true
    }

    /// A thread's life.
    fn work(&self) {
        if let Err(error) = sys::lower_priority() {
            debug!("large messages run at the same priority as small ones: {error}");
        }
        let mut random = RequestRng::new(self.seed);
        while let Some(order) = self.next() {
            self.run(order, &mut random);
        }
    }

    /// The next order; none after a long time without.
    fn next(&self) -> Option<Order> {
        let mut queue = self.lock();
        queue.idle += 1;
        let waited = self.ready.wait_timeout_while(queue, PATIENCE, |queue| queue.orders.is_empty());
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.idle -= 1;
        let order = queue.pop();
        queue.threads -= usize::from(order.is_none());
        order
    }

    /// Does the work, and posts the result.
    fn run(&self, order: Order, random: &mut RequestRng) {
        let Order { job, owner, mailbox } = order;
        let finished = job.run(random, sys::unix_time);
        self.lock().running.remove(&owner);
        // a worker that has ended has counted the request with its connection
        drop(mailbox.post(Mail::Finished(owner.1, finished.map(Box::new))));
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(number: u32, length: usize) -> Order {
        let mailbox = Arc::new(Mailbox::new().expect("an eventfd"));
        Order { job: Box::new(OffloadJob::of_length(length)), owner: owner(number), mailbox }
    }

    fn owner(number: u32) -> Owner {
        (0, Token { slot: number, sequence: number.into() })
    }

    fn slot(order: Option<Order>) -> Option<u32> {
        order.map(|order| order.owner.1.slot)
    }

    /// Fault 38: a small request behind large ones.
    #[test]
    fn a_short_request_passes_long_ones() {
        let mut queue = Queue::default();
        for number in 0..16 {
            queue.push(order(number, 100 << 20));
        }
        assert_eq!(slot(queue.pop()), Some(0));
        queue.push(order(99, 70_000));
        assert_eq!([slot(queue.pop()), slot(queue.pop())], [Some(99), Some(1)]);
    }

    #[test]
    fn without_threads_requests_are_done_one_at_a_time() {
        let heavy = Heavy::new(1, None);
        let queued = || heavy.lock().orders.len();
        (0..2).for_each(|number| heavy.lock().push(order(number, 10)));
        assert!(heavy.run_one() && queued() == 1);
        heavy.lock().threads = 1;
        assert!(!heavy.run_one() && queued() == 1, "there is a thread for it");
        heavy.lock().threads = 0;
        assert!(heavy.run_one() && !heavy.run_one() && queued() == 0);
    }

    #[test]
    fn a_long_request_is_passed_for_a_bounded_time() {
        let mut queue = Queue::default();
        queue.push(order(0, 1 << 20));
        let mut passed = 0;
        loop {
            queue.push(order(1 + passed, 64 << 10));
            if slot(queue.pop()) == Some(0) {
                break;
            }
            passed += 1;
        }
        // an equal share for each of two connections: it waits for as many bytes as it has, twice
        assert!((16..=33).contains(&passed), "{passed}");
    }

    #[test]
    fn a_request_is_dropped_with_its_connection() {
        let mut queue = Queue::default();
        queue.push(order(0, 10));
        queue.push(order(1, 20));
        assert_eq!(slot(queue.cancel(owner(0))), Some(0));
        assert!(queue.cancel(owner(0)).is_none());
        let running = queue.pop().expect("the other");
        assert!(!running.job.cancel().is_set());
        assert!(queue.cancel(owner(1)).is_none(), "it has begun");
        assert!(running.job.cancel().is_set(), "and stops at its next look");
        assert!(queue.pop().is_none());
    }
}
