//! How the threads of a server reach each other: a mailbox for each worker, and a notifier for the owner of the server.

use std::sync::Arc;

use super::mailbox::Mailbox;
use super::message::WorkerMessage;
use super::notifier::Notifier;
use crate::sys::{Errno, EventFd};

/// The mailboxes of all workers, and the notifier of the thread that owns the server; clones reach the same ones.
#[derive(Debug)]
pub struct Channels<N = EventFd> {
    mailboxes: Arc<[Mailbox<N>]>,
    owner: Arc<N>,
}

impl Channels {
    /// Mailboxes for this number of workers.
    ///
    /// # Errors
    /// As [`EventFd::new`].
    pub fn new(workers: usize) -> Result<Self, Errno> {
        let notifiers: Result<Vec<EventFd>, Errno> = (0..workers).map(|_| EventFd::new()).collect();
        Ok(Self::with_notifiers(notifiers?, EventFd::new()?))
    }
}

impl<N: Notifier> Channels<N> {
    /// A mailbox for each of these notifiers, and the owner's notifier.
    pub fn with_notifiers(workers: Vec<N>, owner: N) -> Self {
        Self { mailboxes: workers.into_iter().map(Mailbox::new).collect(), owner: Arc::new(owner) }
    }

    /// The mailbox of a worker.
    #[must_use]
    pub fn mailbox(&self, worker: usize) -> &Mailbox<N> {
        &self.mailboxes[worker]
    }

    /// Sends a message to one worker.
    ///
    /// # Errors
    /// The message, if the worker has ended.
    pub fn send(&self, worker: usize, message: WorkerMessage) -> Result<(), WorkerMessage> {
        self.mailbox(worker).send(message)
    }

    /// Sends a message to every worker that has not ended.
    pub fn send_all(&self, message: impl Fn() -> WorkerMessage) {
        self.mailboxes.iter().for_each(|mailbox| drop(mailbox.send(message())));
    }

    /// Wakes the owner: [`Channels::owner`] is set.
    pub fn notify_owner(&self) {
        self.owner.notify();
    }

    /// The notifier of the thread that owns the server.
    #[must_use]
    pub fn owner(&self) -> &N {
        &self.owner
    }
}

impl<N> Clone for Channels<N> {
    fn clone(&self) -> Self {
        Self { mailboxes: Arc::clone(&self.mailboxes), owner: Arc::clone(&self.owner) }
    }
}
