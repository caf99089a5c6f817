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
//! | `listener`, `acceptor`, `accept_error` | a listening socket, and what its connections share; one worker's state of it |
//! | `admission`, `access`, `rate_limit` | limits on connections, choice of the worker; networks; rates |
//! | `connection_table`, `timers` | the connections of one worker, and when to visit them |
//! | `peer` | a client's socket, address and label |
//! | `message`, `mailbox`, `channels`, `notifier` | messages between the threads |
//! | `offload_pool` | threads for large requests |
//! | `memory_queue`, `shared_memory`, `reclaim` | connections that wait for memory; giving it back to the system |
//! | `lifecycle`, `heartbeat` | the phase of the server; workers that accept, run, have ended, are stuck |
//! | `condition`, `warnings` | log messages at a bounded rate |
//! | `stats`, `histogram`, `longest_iteration` | the statistics |
//! | `observer` | what threads beside the workers may ask |
//! | `poller` | epoll |
//! | `shared` | the parts that all threads share |
//! | `clock`, `sync` | time in milliseconds; locks that can be model-checked |

mod accept_error;
mod acceptor;
mod access;
mod admission;
mod channels;
mod clock;
mod condition;
mod config;
mod connection_table;
mod heartbeat;
mod histogram;
mod lifecycle;
mod listener;
mod longest_iteration;
mod mailbox;
mod memory_queue;
mod message;
#[cfg(test)]
mod models;
mod notifier;
mod observer;
mod offload_pool;
mod peer;
mod poller;
mod rate_limit;
mod reclaim;
mod shared;
mod shared_memory;
mod start_error;
mod stats;
mod sync;
#[cfg(test)]
mod sync_model;
mod timers;
mod warnings;
mod worker;

use std::io;
use std::iter;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use access::{AccessList, NetworkSet, Verdict};
pub use config::{CONNECTION_MEMORY, ServerConfig, ServerLimits, WORKER_MEMORY};
pub use histogram::HistogramSnapshot;
pub use lifecycle::Phase;
pub use listener::{Listener, ListenerOptions, Origin, ProxyReceiver};
pub use observer::Observer;
pub use rate_limit::{Rate, Rates};
pub use start_error::StartError;
pub use stats::{Gauges, ProtocolStats, StatsSnapshot};

pub use crate::connection::{CloseReason, ProxyResult, Totals};

use listener::{ListenerIndex, ListenerProfile};
use message::{NewConnection, Reconfiguration, WorkerMessage};
use shared::Shared;
use worker::Worker;

use crate::connection::{self, Millis};
use crate::protocol::ProtocolInfo;
use crate::sys::{self, StreamSocket};

/// A connection that no listener of the server accepted.
#[derive(Debug)]
pub struct AdoptedConnection {
    /// Its socket; non-blocking.
    pub stream: StreamSocket,
    /// Its protocol.
    pub protocol: &'static ProtocolInfo,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    /// The last worker closes a listener.
    listeners: Vec<Weak<Listener>>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts to serve on `listeners`, and to serve `connection`, for which there is a listener's profile behind
    /// theirs.
    ///
    /// # Errors
    /// When the system refuses a thread, an epoll instance or an eventfd. No thread runs then.
    pub fn start(
        listeners: Vec<Listener>,
        connection: Option<AdoptedConnection>,
        config: &ServerConfig,
    ) -> Result<Self, StartError> {
        connection::keep_headroom(sys::memory_left);
        let names = listeners.iter().map(|listener| (listener.protocol, listener.name.as_str()));
        let names = names.chain(connection.iter().map(|connection| (connection.protocol, connection.protocol.name)));
        let profiles = names
            .zip(&config.listeners)
            .map(|((protocol, name), options)| ListenerProfile::new(protocol, name.into(), options))
            .collect();
        let adopted_listener = ListenerIndex::of(listeners.len());
        let shared = Shared::new(config, profiles, listeners.len()).map_err(StartError::when("create an eventfd"))?;
        let listeners: Vec<Arc<Listener>> = listeners.into_iter().map(Arc::new).collect();
        let workers: io::Result<Vec<Worker>> =
            (0..config.workers).map(|number| Worker::new(number, &listeners, &shared, config)).collect();
        let listeners = listeners.iter().map(Arc::downgrade).collect();
        let mut server = Self { shared, listeners, threads: Vec::new() };
        for worker in workers.map_err(StartError::when("set up epoll"))? {
            let name = format!("worker-{}", worker.number());
            let run = move || {
                // signals are for the thread of the caller, which may block them
                sys::block_all_signals();
                worker.run();
            };
            match thread::Builder::new().name(name).spawn(run) {
                Ok(thread) => server.threads.push(thread),
                Err(error) => {
                    server.abort();
                    let _ = server.join();
                    return Err(StartError::when("start a worker thread")(error));
                }
            }
        }
        if let Some(AdoptedConnection { stream, .. }) = connection {
            server.adopt(NewConnection { stream, listener: adopted_listener, peer: None });
        }
        Ok(server)
    }

    /// Serves a connection on the first worker.
    fn adopt(&self, connection: NewConnection) {
        let worker = 0;
        self.shared.admission.adopt(worker);
        let message = WorkerMessage::Connection(connection);
        if self.shared.channels.send(worker, message).is_err() {
            self.shared.admission.connection_closed(worker);
        }
    }

    /// A descriptor that becomes readable when a worker has ended, when a connection of a server with an adopted one
    /// closes, and when [`Server::recovery_due_in`] has become less.
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

    /// The listeners that are not closed, in the order in which the server got them. A worker cannot close a listener
    /// while there is another reference: keep them only while no worker runs.
    #[must_use]
    pub fn listeners(&self) -> Vec<Arc<Listener>> {
        self.listeners.iter().filter_map(Weak::upgrade).collect()
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
    /// [`ServerConfig::listeners`]. Open connections stay, also above the limit.
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
