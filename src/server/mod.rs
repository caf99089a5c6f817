//! The event loop: any number of connections on a few threads.
//!
//! [`Server::start`] takes all that it needs as values: listeners, settings. Each worker is a thread with an epoll
//! instance of its own; all wait on the same listeners. What the caller may then do is in the methods of [`Server`]:
//! look at the figures, change limits, ask for a sign of life, stop. Nothing here reads options, environment or
//! signals.

mod condition;
mod connection_table;
mod listener;
mod mailbox;
mod memory_queue;
mod offload_pool;
mod poller;
mod reclaim;
mod shared;
mod stats;
mod timers;
mod worker;

use std::fmt;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use condition::Condition;
use mailbox::Mail;
use shared::Shared;
pub use stats::Totals;
use worker::Worker;

use crate::connection::{self, Limits, NEVER};
use crate::protocol::{ProtocolInfo, ProtocolSettings};
use crate::sys;

/// A socket that listens, and what is spoken there.
#[derive(Debug)]
pub struct BoundListener {
    /// The socket; non-blocking.
    pub socket: TcpListener,
    /// The protocol.
    pub entry: &'static ProtocolInfo,
    /// How it is called in messages: `frame=[::]:8083`.
    pub name: String,
    /// It came from the service manager: what still queues there when we stop is our successor's.
    pub inherited: bool,
    /// It cannot accept; one condition for all workers.
    failing: Condition,
}

impl BoundListener {
    /// A listener called `name`, from the service manager if `inherited`.
    #[must_use]
    pub fn new(socket: TcpListener, entry: &'static ProtocolInfo, name: String, inherited: bool) -> Self {
        Self { socket, entry, name, inherited, failing: Condition::default() }
    }
}

/// What the server is to keep to; `None` is without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// The longest message, in bytes.
    pub message: usize,
    /// Bytes that all connections together may hold.
    pub buffered: Option<u64>,
    /// Connections at once.
    pub connections: Option<usize>,
    /// Connections at once from one address.
    pub per_source: Option<usize>,
    /// Nothing asked for so long.
    pub idle: Option<Duration>,
    /// A request must be complete in so long, longer by what arrives at [`Limits::REQUEST_RATE`].
    pub request: Option<Duration>,
    /// An answer must make progress in so long.
    pub write: Option<Duration>,
    /// The longest line, in bytes, where a request is a line.
    pub line: Option<usize>,
    /// Bytes a second that a client must take of a reply above 16 KiB, once other clients have waited for memory for five
    /// seconds.
    pub min_rate: Option<u64>,
}

impl ServerLimits {
    /// The part that a single connection has to keep to.
    fn of_connection(&self) -> Limits {
        Limits {
            message: self.message,
            idle: milliseconds(self.idle),
            request: milliseconds(self.request),
            write: milliseconds(self.write),
            line: self.line.unwrap_or(self.message),
            min_rate: self.min_rate.unwrap_or(0),
        }
    }
}

fn milliseconds(time: Option<Duration>) -> u64 {
    time.map_or(NEVER, |time| u64::try_from(time.as_millis()).unwrap_or(NEVER))
}

/// How the server is to run.
#[derive(Debug)]
pub struct Settings {
    /// Threads that serve; each also may start one for large messages.
    pub workers: usize,
    /// What it is to keep to.
    pub limits: ServerLimits,
    /// Makes shuffle and random repeatable.
    pub seed: Option<u64>,
    /// Configuration of single protocols.
    pub protocols: Arc<ProtocolSettings>,
}

/// Why the server could not start.
#[derive(Debug)]
pub struct StartError {
    what: &'static str,
    error: io::Error,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.what, self.error)
    }
}

fn failed<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> StartError {
    move |error| StartError { what, error: error.into() }
}

/// A server at work.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts serving on `listeners`.
    ///
    /// # Errors
    /// When the system refuses a thread, an epoll instance or an eventfd. Nothing runs then.
    pub fn start(listeners: Vec<BoundListener>, settings: &Settings) -> Result<Self, StartError> {
        connection::keep_headroom(sys::memory_left);
        let shared = Shared::new(settings).map_err(failed("create an eventfd"))?;
        let listeners: Vec<Arc<BoundListener>> = listeners.into_iter().map(Arc::new).collect();
        let workers: Result<Vec<Worker>, io::Error> = (0..settings.workers)
            .map(|number| Worker::new(number, &listeners, Arc::clone(&shared), settings))
            .collect();
        let mut server = Self { shared, threads: Vec::new() };
        for worker in workers.map_err(failed("set up epoll"))? {
            match thread::Builder::new().name(format!("worker-{}", worker.number())).spawn(move || worker.run()) {
                Ok(thread) => server.threads.push(thread),
                Err(error) => {
                    server.shared.post_all(|| Mail::StopNow);
                    let _ = server.join();
                    return Err(failed("start a worker thread")(error));
                }
            }
        }
        Ok(server)
    }

    /// Serves one connection that is there already, on the first worker.
    pub fn serve(&self, stream: TcpStream, entry: &'static ProtocolInfo) {
        self.shared.admit_given();
        if self.shared.mailboxes[0].post(Mail::Accepted(stream, entry)).is_err() {
            self.shared.leave(0);
        }
    }

    /// Becomes readable when a worker has ended, or the last connection, or when [`Server::report_in`] has become less.
    #[must_use]
    pub fn notice_fd(&self) -> BorrowedFd<'_> {
        self.shared.notice.as_fd()
    }

    /// What [`Server::notice_fd`] told has been seen.
    pub fn clear_notice(&self) {
        self.shared.notice.clear();
    }

    /// Whether every worker has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.shared.has_ended()
    }

    /// What broke, if a worker ended because of it.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.failure()
    }

    /// In what time [`Server::report`] is to be called; None if there is no reason. [`Server::notice_fd`] becomes
    /// readable when that changes.
    #[must_use]
    pub fn report_in(&self) -> Option<Duration> {
        let due = self.shared.report_due();
        (due != NEVER).then(|| Duration::from_millis(due.saturating_sub(self.shared.now())))
    }

    /// Logs which conditions have ended.
    pub fn report(&self) {
        self.shared.report();
    }

    /// The figures now.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.shared.totals()
    }

    /// Keeps to these limits and gives new connections this configuration of protocols from now on; what is over the limits already may stay.
    ///
    /// Waits for the workers to take them over, at most for `patience`; false when one had no time for that yet.
    #[must_use]
    pub fn renew(&self, limits: &ServerLimits, protocols: &Arc<ProtocolSettings>, patience: Duration) -> bool {
        self.shared.set_limits(limits);
        let (renewal, done) = mpsc::channel();
        self.shared.post_all(|| Mail::Renew(limits.of_connection(), Arc::clone(protocols), Sender::clone(&renewal)));
        drop(renewal);
        // nothing is ever sent: the channel closes when the last worker drops its end
        done.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected)
    }

    /// Asks every worker for a sign of life; [`Server::answered`] tells whether all gave it.
    pub fn ask_for_life(&self, round: u64) {
        self.shared.post_all(|| Mail::Beat(round));
    }

    /// Whether every worker's loop has come round since [`Server::ask_for_life`] with that number.
    #[must_use]
    pub fn answered(&self, round: u64) -> bool {
        self.shared.alive_since(round)
    }

    /// Accepts no more, answers what was asked, and ends; what is not done by `drain` is cut off.
    pub fn stop(&self, drain: Option<Duration>) {
        self.shared.post_all(|| Mail::Stop(milliseconds(drain)));
    }

    /// Ends at once.
    pub fn stop_now(&self) {
        self.shared.post_all(|| Mail::StopNow);
    }

    /// Waits for every worker to end; the figures are final then.
    #[must_use]
    pub fn join(self) -> Totals {
        for thread in self.threads {
            // a worker that panicked has said so on stderr; its figures are still there
            let _ = thread.join();
        }
        self.shared.totals()
    }
}
