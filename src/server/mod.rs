//! The event loop: any number of connections on a few threads.
//!
//! [`Server::start`] takes listeners and a [`ServerConfig`]. Each worker is a thread with an epoll instance of its own;
//! all accept from the same listeners. The caller may then read statistics, change limits, check that the workers are
//! alive, and stop them: see the methods of [`Server`]. Nothing here reads options, environment or signals.
//!
//! | file | content |
//! |---|---|
//! | `config`, `start_error` | the configuration, and its per-connection part; why a server does not start |
//! | `worker` | one thread: the loop, accepting, driving connections, draining |
//! | `listener`, `listener_profile`, `numbering`, `acceptor`, `accept_batch`, `accept_error` | a listening socket, and what its connections share; one worker's state of it |
//! | `admission`, `access`, `rate_limit` | limits on connections, choice of the worker; networks; rates |
//! | `connection_table`, `timers`, `exact_timers` | the connections of one worker, and when to visit them |
//! | `peer` | a client's socket, address and label |
//! | `client_stream`, `pipes` | the socket of a client; pipes through which it sends input back in the kernel |
//! | `message`, `mailbox`, `channels`, `notifier` | messages between the threads |
//! | `offload_pool` | threads for large requests |
//! | `memory_queue`, `shared_memory`, `reclaim` | connections that wait for memory; giving it back to the system |
//! | `lifecycle`, `heartbeat` | the phase of the server; workers that accept, run, have ended, are stuck |
//! | `condition`, `warnings` | log messages at a bounded rate |
//! | `stats`, `histogram`, `longest_iteration` | the statistics |
//! | `observer` | what threads beside the workers may ask |
//! | `poller` | epoll |
//! | `shared` | the parts that all threads share |
//! | `start`, `hand_over` | [`Server::start`]; [`Server::freeze`] and what follows from it |
//! | `freeze` | a worker in the hands of its owner |
//! | `saved`, `taken_over`, `continued_totals` | what a successor continues from, how it reads that, its first statistics |
//! | `clock`, `sync` | time in milliseconds; locks that can be model-checked |

mod accept_batch;
mod accept_error;
mod acceptor;
mod access;
mod admission;
mod channels;
mod client_stream;
mod clock;
mod condition;
mod config;
mod connection_table;
mod continued_totals;
mod exact_timers;
mod freeze;
mod hand_over;
#[cfg(test)]
mod hand_over_tests;
mod heartbeat;
mod histogram;
mod lifecycle;
mod listener;
mod listener_profile;
mod longest_iteration;
mod mailbox;
mod memory_queue;
mod message;
#[cfg(test)]
mod models;
mod notifier;
mod numbering;
mod observer;
mod offload_pool;
mod peer;
mod pipes;
mod poller;
mod rate_limit;
mod reclaim;
mod saved;
mod shared;
mod shared_memory;
mod start;
mod start_error;
mod stats;
mod sync;
#[cfg(test)]
mod sync_model;
mod taken_over;
mod timers;
mod warnings;
mod worker;

use std::iter;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use access::{AccessList, NetworkSet, Verdict};
pub use config::{CONNECTION_MEMORY, ServerConfig, ServerLimits, WORKER_MEMORY};
pub use freeze::Saved;
pub use hand_over::{FreezeError, Frozen};
pub use histogram::HistogramSnapshot;
pub use lifecycle::Phase;
pub use listener::{Listener, ListenerOptions, Origin, ProxyReceiver};
pub use observer::Observer;
pub use pipes::MAX_PIPES;
pub use rate_limit::{Rate, Rates};
pub use saved::{CONNECTIONS, SavedServer};
pub use start::{AdoptedConnection, TakeOverCounts};
pub use start_error::StartError;
pub use stats::{Gauges, ProtocolStats, StatsSnapshot};
pub use taken_over::TakenOver;

pub use crate::connection::{
    CloseReason, Fault, FaultAfter, ImpairmentKind, Impairments, Probability, ProxyResult, Totals,
};

use message::{Reconfiguration, WorkerMessage};
use shared::Shared;

use crate::connection::Millis;

/// A running server.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    taken_over: TakeOverCounts,
}

impl Server {
    /// A descriptor that becomes readable when a worker has ended, when a connection of a server with an adopted one,
    /// or without a listener, closes, and when [`Server::recovery_due_in`] has become less.
    #[must_use]
    pub fn notice_fd(&self) -> BorrowedFd<'_> {
        self.shared.channels.owner().as_fd()
    }

    /// Makes [`Server::notice_fd`] unreadable until the next event.
    pub fn clear_notice(&self) {
        self.shared.channels.owner().clear();
    }

    /// The number of worker threads.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.threads.len()
    }

    /// The phase, from which readiness follows.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.shared.lifecycle.phase()
    }

    /// Why the first worker that failed has ended.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.lifecycle.failure()
    }

    /// The time after which [`Server::log_recoveries`] must be called; `None` while there is no reason.
    /// [`Server::notice_fd`] becomes readable when it becomes less.
    #[must_use]
    pub fn recovery_due_in(&self) -> Option<Duration> {
        self.shared.recovery_due().if_ever().map(|due| (due - self.shared.clock.now()).into())
    }

    /// Logs which conditions have ended, such as a want of memory.
    pub fn log_recoveries(&self) {
        self.shared.log_recoveries();
    }

    /// The current statistics.
    #[must_use]
    pub fn stats(&self) -> StatsSnapshot {
        self.shared.stats()
    }

    /// Reads the state of the server from any thread.
    #[must_use]
    pub fn observer(&self) -> Observer {
        Observer::new(&self.shared)
    }

    /// The connections of the predecessor.
    #[must_use]
    pub fn taken_over(&self) -> TakeOverCounts {
        self.taken_over
    }

    /// Whether there are connections, those on their way to a worker included.
    #[must_use]
    pub fn has_connections(&self) -> bool {
        self.shared.admission.open_connections() > 0
    }

    /// Whether a client waits in the backlog until the rate of its listener allows another connection.
    #[must_use]
    pub fn has_client_over_rate(&self) -> bool {
        self.shared.has_client_over_rate()
    }

    /// Applies changed limits, and gives new connections the changed options of their `listeners`, in the order of
    /// [`ServerConfig::listeners`]. Open connections stay, also above the limit; impairments that have changed apply to
    /// them, too.
    ///
    /// Waits at most `timeout` for the workers to apply the limits; false if one has not by then, and will later.
    #[must_use]
    pub fn reconfigure(&self, limits: &ServerLimits, listeners: &[Arc<ListenerOptions>], timeout: Duration) -> bool {
        self.shared.set_limits(limits);
        self.shared.set_listener_options(listeners);
        let (applied, all_applied) = mpsc::channel();
        self.shared.channels.send_all(|| {
            WorkerMessage::Reconfigure(Reconfiguration {
                limits: limits.per_connection(),
                max_delayed: limits.max_delayed,
                applied: Sender::clone(&applied),
            })
        });
        drop(applied);
        // nothing is ever sent: the channel closes when the last worker drops its sender
        all_applied.recv_timeout(timeout) == Err(RecvTimeoutError::Disconnected)
    }

    /// Sends every worker a heartbeat; returns its number. See [`Server::heartbeat_acked`].
    #[must_use]
    pub fn send_heartbeat(&self) -> u64 {
        self.shared.send_heartbeat()
    }

    /// Whether every worker has acknowledged this heartbeat.
    #[must_use]
    pub fn heartbeat_acked(&self, number: u64) -> bool {
        self.shared.heartbeats.silent_workers(number).is_empty()
    }

    /// A drain will begin after this time: readiness fails at once, accepting and serving go on. Quiet connections are
    /// closed, spread over the time.
    pub fn begin_lameduck(&self, delay: Duration) {
        self.shared.lifecycle.begin(Phase::Lameduck);
        self.shared.channels.send_all(|| WorkerMessage::Lameduck(delay.into()));
    }

    /// Stops accepting, sends the replies to all requests that were received, and ends; connections that are left after
    /// `timeout` are closed.
    pub fn drain(&self, timeout: Option<Duration>) {
        self.shared.lifecycle.begin(Phase::Draining);
        self.shared.channels.send_all(|| WorkerMessage::Drain(timeout.map(Millis::from)));
    }

    /// The connections that a drain has to wait for: with a request in progress, or with replies that the client has not
    /// taken. Waits at most `timeout` for the workers to count theirs.
    #[must_use]
    pub fn pending(&self, timeout: Duration) -> u64 {
        let until = Instant::now() + timeout;
        let (counted, counts) = mpsc::channel();
        self.shared.channels.send_all(|| WorkerMessage::CountPending(Sender::clone(&counted)));
        drop(counted);
        let next = || counts.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
        iter::from_fn(next).sum()
    }

    /// Closes all connections and ends.
    pub fn abort(&self) {
        self.shared.lifecycle.begin(Phase::Stopping);
        self.shared.channels.send_all(|| WorkerMessage::Abort);
    }

    /// Waits for every worker to end; returns the final statistics.
    #[must_use]
    pub fn join(self) -> StatsSnapshot {
        for thread in self.threads {
            // a worker that panicked (where panics unwind: a release build aborts) has left its message to the panic
            // hook; its counters are still there
            let _ = thread.join();
        }
        self.shared.stats()
    }
}
