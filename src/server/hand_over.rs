//! Handing all connections over to a successor.
//!
//! 1. [`Server::prepare_hand_over`]: requests on the offload pool come to their ends, and no more begin.
//! 2. [`Server::freeze`]: all workers wait for the owner.
//! 3. [`Frozen::save_sessions`] writes the connections; they stay where they are.
//! 4. [`Frozen::commit`] ends the workers. Until then everything is undone by dropping [`Frozen`], and by
//!    [`Server::cancel_hand_over`].

use std::fmt;
use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::Server;
use super::freeze::{FrozenWorker, Saved};
use super::lifecycle::Phase;
use super::listener::Listener;
use super::message::WorkerMessage;
use super::saved::SavedServer;
use crate::sys::DescriptorSender;

/// Why a server is not frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreezeError {
    /// It drains, or has stopped.
    Stopping,
    /// A worker has not stopped in time.
    Timeout,
    /// A worker has ended.
    WorkerEnded,
}

impl fmt::Display for FreezeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopping => "the server is stopping",
            Self::Timeout => "a worker does not respond in time",
            Self::WorkerEnded => "a worker has failed",
        })
    }
}

impl std::error::Error for FreezeError {}

/// A server whose workers wait. They go on when this is dropped.
pub struct Frozen<'a> {
    server: &'a Server,
    workers: Vec<Box<dyn FrozenWorker>>,
    /// The time of the server's clock when the workers had stopped.
    elapsed: Duration,
}

impl Server {
    /// No more requests begin on the offload pool. [`Server::notice_fd`] becomes readable when those that have begun
    /// are done. Everything else is served as before.
    pub fn prepare_hand_over(&self) {
        self.shared.offload_pool.pause();
    }

    /// After [`Server::prepare_hand_over`]: whether every connection can be handed over.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        self.shared.offload_pool.is_quiet()
    }

    /// Takes [`Server::prepare_hand_over`] back.
    pub fn cancel_hand_over(&self) {
        if self.shared.offload_pool.resume() {
            // of all workers one may have ended
            self.shared.channels.send_all(|| WorkerMessage::RunOffloaded);
        }
    }

    /// Stops all workers between two iterations of their loops; waits at most `timeout` for them.
    ///
    /// # Errors
    /// Why not; those that have stopped go on then.
    pub fn freeze(&self, timeout: Duration) -> Result<Frozen<'_>, FreezeError> {
        if !matches!(self.phase(), Phase::Running | Phase::Lameduck) {
            return Err(FreezeError::Stopping);
        }
        let until = Instant::now() + timeout;
        let (request, frozen) = mpsc::channel();
        self.shared.channels.send_all(|| WorkerMessage::Freeze(request.clone()));
        drop(request);
        let mut workers = Vec::with_capacity(self.threads.len());
        while workers.len() < self.threads.len() {
            match frozen.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(worker) => workers.push(worker),
                Err(RecvTimeoutError::Timeout) => return Err(FreezeError::Timeout),
                Err(RecvTimeoutError::Disconnected) => return Err(FreezeError::WorkerEnded),
            }
        }
        for worker in &mut workers {
            worker.settle();
        }
        Ok(Frozen { server: self, workers, elapsed: self.shared.clock.elapsed() })
    }
}

impl Frozen<'_> {
    /// The listeners that the workers accept from.
    #[must_use]
    pub fn listeners(&self) -> Vec<&Listener> {
        self.workers.first().map(|worker| worker.listeners()).unwrap_or_default()
    }

    /// What the successor continues beside the connections.
    #[must_use]
    pub fn saved_server(&self) -> SavedServer {
        self.server.shared.save(self.elapsed)
    }

    /// Writes the connections to `to`, which should be buffered, and sends their sockets in messages with the payload
    /// [`CONNECTIONS`](super::CONNECTIONS). They stay as they are.
    ///
    /// # Errors
    /// As `to` and `sockets`.
    pub fn save_sessions(&mut self, to: &mut dyn Write, sockets: &DescriptorSender) -> io::Result<Saved> {
        let mut sum = Saved::default();
        for worker in &mut self.workers {
            let saved = worker.save(to, sockets)?;
            sum = Saved { handed_over: sum.handed_over + saved.handed_over, left: sum.left + saved.left };
        }
        to.flush()?;
        Ok(sum)
    }

    /// Ends the workers. Their connections are neither counted nor logged as closed, and the files of Unix sockets
    /// stay: another process has them.
    pub fn commit(self) {
        self.server.shared.lifecycle.begin(Phase::Stopping);
        for listener in self.listeners() {
            listener.leave_file();
        }
        for worker in self.workers {
            worker.end();
        }
    }
}
