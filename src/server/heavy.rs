//! The threads that transform large messages, so that small ones never wait for them.
//!
//! They start when there is work, up to a fixed number, and end when there has been none for a while. They run at the
//! lowest priority: a worker with a small request goes first.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use log::{debug, warn};

use super::mailbox::{Mail, Mailbox};
use super::poller::Token;
use crate::connection::Job;
use crate::kernel;
use crate::protocol::Random;

/// How long a thread waits for work before it ends.
const PATIENCE: Duration = Duration::from_secs(10);

/// One piece of work, and whom to tell.
struct Order {
    job: Box<Job>,
    token: Token,
    mailbox: Arc<Mailbox>,
}

#[derive(Default)]
struct Queue {
    orders: VecDeque<Order>,
    threads: usize,
    idle: usize,
    /// The system did not give the last thread that was asked for.
    refused: bool,
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

    /// Has `job` done; the result is posted to `mailbox` for `token`.
    pub fn submit(self: &Arc<Self>, job: Box<Job>, token: Token, mailbox: Arc<Mailbox>) {
        let mut queue = self.lock();
        queue.orders.push_back(Order { job, token, mailbox });
        if queue.idle >= queue.orders.len() || queue.threads == self.most {
            self.ready.notify_one();
            return;
        }
        queue.threads += 1;
        drop(queue);
        let heavy = Arc::clone(self);
        if let Err(error) = thread::Builder::new().name("heavy".into()).spawn(move || heavy.work()) {
            self.do_without(&error);
        }
    }

    /// No thread could be had: if there is none at all, the work is done here. Said once, until one can be had again.
    fn do_without(&self, error: &std::io::Error) {
        let mut queue = self.lock();
        queue.threads -= 1;
        let said = std::mem::replace(&mut queue.refused, true);
        // all of them: another worker may have left its own to the thread that we did not get
        let orders = if queue.threads == 0 { std::mem::take(&mut queue.orders) } else { VecDeque::new() };
        drop(queue);
        if !said {
            warn!("cannot start a thread for a large message: {error}; small ones have to wait for it");
        }
        let mut random = Random::new(self.seed);
        for order in orders {
            order.run(&mut random);
        }
    }

    /// A thread's life.
    fn work(&self) {
        if let Err(error) = kernel::lower_priority() {
            debug!("large messages run at the same priority as small ones: {error}");
        }
        self.lock().refused = false;
        let mut random = Random::new(self.seed);
        while let Some(order) = self.next() {
            order.run(&mut random);
        }
    }

    /// The next order; none after a long time without.
    fn next(&self) -> Option<Order> {
        let mut queue = self.lock();
        queue.idle += 1;
        let waited = self.ready.wait_timeout_while(queue, PATIENCE, |queue| queue.orders.is_empty());
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.idle -= 1;
        let order = queue.orders.pop_front();
        queue.threads -= usize::from(order.is_none());
        order
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Order {
    fn run(self, random: &mut Random) {
        let finished = self.job.run(random, unix_time);
        self.mailbox.post(Mail::Finished(self.token, finished.map(Box::new)));
    }
}

/// Seconds since 1970; 0 for a clock that is set to before that.
pub fn unix_time() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
