//! One thread of the server: waits for events, and accepts, drives and closes connections.
//!
//! A worker owns its connections and its epoll instance; other threads reach it by messages. Its work in each iteration
//! is bounded in every direction, so that no client delays the others and every command is handled soon: the time of
//! each step; the number of accepted connections, of connections that end and of messages; the bytes that one connection
//! reads and writes ([`crate::connection`]).
//!
//! | file | content |
//! |---|---|
//! | `events` | waiting for events, and handling them |
//! | `accept` | listeners, admission, the first call of a connection |
//! | `reject` | connections that are closed before they are served |
//! | `handshake` | PROXY headers: the peers that may send them, the clients that they announce |
//! | `impaired` | connections that their listeners impair: their timers, and what follows from each call |
//! | `close` | closing connections |
//! | `ended` | connections that clients end, many at once |
//! | `drive` | events of connections, and what follows from each call |
//! | `messages` | messages from other threads |
//! | `sweep` | visiting all connections |
//! | `lameduck` | the time before a drain, in which quiet connections are closed |
//! | `drain` | the phases of a worker; all rules of a drain |
//! | `memory_waits` | connections that wait for memory |
//! | `hand_over` | stopping for the owner; connections on their way to a successor, and from a predecessor |
//! | `steps` | the time that each part of an iteration takes |

mod accept;
mod close;
mod drain;
mod drive;
mod ended;
mod events;
mod hand_over;
mod handshake;
mod impaired;
mod lameduck;
mod memory_waits;
mod messages;
mod reject;
mod steps;
mod sweep;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use accept::Accepting;
use drain::Phase;
use drive::Driver;
use ended::Ended;
use memory_waits::MemoryWaits;
use steps::{Step, Steps};
use sweep::Sweep;

use super::acceptor::Acceptor;
use super::config::ServerConfig;
use super::connection_table::ConnectionTable;
use super::exact_timers::ExactTimers;
use super::freeze::FreezeRequest;
use super::listener::{Listener, ListenerIndex};
use super::message::WorkerMessage;
use super::pipes::Pipes;
use super::poller::{Poller, Source, Token};
use super::shared::Shared;
use super::timers::SweepTimer;
use crate::connection::{Buffer, CloseReason, Context, Millis, Pool, READ_BUF_SIZE, REPLY_BUF_SIZE, Retired};
use crate::protocol::RequestRng;
use crate::sys::{Interest, monotonic_nanoseconds, unix_time};

/// One thread of the server.
pub struct Worker {
    /// Its number, counted from 0.
    number: usize,
    table: ConnectionTable,
    driver: Driver,
    /// The events of the poller that are still to be handled.
    events: Range<usize>,
    accepting: Accepting,
    ended: Ended,
    memory_waits: MemoryWaits,
    sweep: Sweep,
    /// Messages that were taken from the mailbox and are not handled yet.
    inbox: VecDeque<WorkerMessage>,
    shared: Arc<Shared>,
    /// The owner wants the worker to wait, once this iteration of the loop is complete.
    freeze_request: Option<FreezeRequest>,
    /// The connections whose requests were taken back from the offload pool for a hand-over.
    recalled: Vec<Token>,
    /// Why it ends before the server does.
    failure: Option<String>,
}

impl Worker {
    /// Registers all `listeners`.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM, ENOSPC: `epoll_create(2)`, `epoll_ctl(2)`, mmap(2).
    pub fn new(
        number: usize,
        listeners: &[Arc<Listener>],
        shared: &Arc<Shared>,
        config: &ServerConfig,
    ) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(shared.channels.mailbox(number), Source::Mailbox, Interest::READ)?;
        let acceptors: io::Result<Vec<Acceptor>> = listeners
            .iter()
            .enumerate()
            .map(|(index, listener)| Acceptor::new(Arc::clone(listener), ListenerIndex::of(index), &poller))
            .collect();
        let context = new_context(number, shared, config)?;
        let (timer, impaired_timers, phase) = (SweepTimer::new(), ExactTimers::default(), Phase::Running);
        let max_delayed = config.limits.max_delayed;
        Ok(Self {
            number,
            table: ConnectionTable::new(),
            events: 0..0,
            driver: Driver {
                poller,
                timer,
                impaired_timers,
                max_delayed,
                context,
                pipes: Pipes::new(config.pipes),
                phase,
                shared: Arc::clone(shared),
            },
            accepting: Accepting::new(acceptors?),
            ended: Ended::default(),
            memory_waits: MemoryWaits::default(),
            sweep: Sweep::default(),
            inbox: VecDeque::new(),
            shared: Arc::clone(shared),
            freeze_request: None,
            recalled: Vec::new(),
            failure: None,
        })
    }

    /// Its number, counted from 0.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// The loop; returns when the worker has drained, is stopped, fails, or has handed its connections over.
    pub fn run(mut self) {
        self.continue_sessions();
        while self.is_running() {
            match self.wait() {
                Ok(()) => self.run_iteration(),
                Err(error) => self.fail(format!("cannot wait for events: {error}")),
            }
            if let Some(request) = self.freeze_request.take() {
                let Some(worker) = hand_over::pause(self, request) else { return };
                self = worker;
            }
        }
        self.close_all(CloseReason::Forced);
        self.accepting.acceptors.clear();
    }

    fn is_running(&self) -> bool {
        match self.driver.phase {
            Phase::Running | Phase::Lameduck(_) => true,
            // another worker may hand over a connection that it accepted before it began to drain
            Phase::Draining(_) => {
                !self.table.is_empty()
                    || self.shared.lifecycle.any_accepting()
                    || !self.inbox.is_empty()
                    || !self.shared.channels.mailbox(self.number).is_empty()
            }
            Phase::Stopping => false,
        }
    }

    fn fail(&mut self, why: String) {
        self.failure = Some(why);
        self.driver.phase = Phase::Stopping;
    }

    /// How long to wait for events at most; `None` until one comes.
    fn timeout(&self) -> Option<Millis> {
        if self.has_work() {
            return Some(Millis::ZERO);
        }
        let now = self.driver.context.now;
        let accept_timers = self.accepting.acceptors.iter().filter_map(Acceptor::timers_due);
        let phase = match &self.driver.phase {
            Phase::Lameduck(lameduck) => lameduck.due(self.table.slots()),
            Phase::Draining(drain) => drain.due(),
            Phase::Running | Phase::Stopping => None,
        };
        let due = accept_timers.chain(phase).chain(self.memory_waits.due()).chain(self.driver.impaired_timers.due());
        due.map(|due| due - now).chain(self.driver.timer.timeout(now)).min()
    }

    /// Whether there is work without waiting for an event.
    fn has_work(&self) -> bool {
        let continues_drain = match &self.driver.phase {
            Phase::Draining(drain) => drain.is_unsettled() || self.accepting.can_continue_drain(),
            Phase::Running | Phase::Lameduck(_) | Phase::Stopping => false,
        };
        continues_drain || self.ended.has_work() || self.sweep.is_in_progress() || !self.inbox.is_empty()
    }

    /// Handles events that the poller has returned, and does what is due.
    fn run_iteration(&mut self) {
        let mut steps = Steps::begin(self.shared.clock);
        self.set_time(steps.begun());
        self.accepting.begin_iteration();
        self.ended.begin_iteration();
        self.handle_events(&mut steps);
        self.handle_messages();
        steps.ended(Step::Messages);
        self.run_impaired_timers();
        steps.ended(Step::ImpairedTimers);
        self.sweep();
        steps.ended(Step::Sweep);
        self.run_accept_timers();
        steps.ended(Step::AcceptTimers);
        self.close_quiet_connections();
        self.drain();
        steps.ended(Step::Drain);
        self.free_memory();
        steps.ended(Step::Memory);
        self.end_iteration(&steps);
    }

    /// This is the time from now on, since the start of the server.
    fn set_time(&mut self, elapsed: Duration) {
        let context = &mut self.driver.context;
        context.now = elapsed.into();
        context.woken = self.shared.clock.nanoseconds(elapsed);
        context.contended_since = self.shared.memory.contended_since();
    }

    /// Frees memory that is not needed any more, and grants memory to connections that wait for it.
    fn free_memory(&mut self) {
        let context = &mut self.driver.context;
        if !context.retired.is_empty() {
            self.shared.reclaimer.free(mem::take(&mut context.retired));
        }
        if self.memory_waits.take_check(context.now) {
            self.shared.memory.grant();
        } else {
            self.shared.memory.grant_released();
        }
    }
}

/// However a worker ends (by a panic too, in builds in which panics unwind), the others and the owner are notified, and
/// its messages are discarded.
impl Drop for Worker {
    fn drop(&mut self) {
        if thread::panicking() {
            self.failure = Some("a worker panicked".into());
        }
        self.announce_stopped_accepting();
        let left = self.shared.channels.mailbox(self.number).close();
        for message in mem::take(&mut self.inbox).into_iter().chain(left) {
            self.discard(message, self.number);
        }
        self.shared.heartbeats.worker_ended(self.number);
        self.shared.lifecycle.worker_ended(self.failure.take());
    }
}

fn new_context(number: usize, shared: &Shared, config: &ServerConfig) -> io::Result<Context> {
    Ok(Context {
        read_buf: Buffer::zeroed(READ_BUF_SIZE)?,
        reply_buf: Buffer::zeroed(REPLY_BUF_SIZE)?,
        pool: Pool::default(),
        random: RequestRng::new(config.seed),
        unix_time,
        clock: monotonic_nanoseconds,
        limits: config.limits.per_connection(),
        budget: Arc::clone(&shared.memory.budget),
        counters: shared.counters[number].clone(),
        now: shared.clock.now(),
        woken: monotonic_nanoseconds(),
        replied: 0,
        draining: false,
        contended_since: None,
        found_proxy_header: false,
        write_left: 0,
        retired: Retired::default(),
    })
}
