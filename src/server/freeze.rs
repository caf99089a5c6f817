//! How a worker stops for its owner: between two iterations of its loop it passes itself to the thread that has asked
//! for it, and waits until it gets itself back.
//!
//! So the owner has all workers in its hands, and nothing is read, written or accepted while it saves their
//! connections.

use std::io::{self, Write};
use std::sync::mpsc::Sender;

use super::listener::Listener;
use crate::sys::DescriptorSender;

/// Where a worker passes itself to.
pub type FreezeRequest = Sender<Box<dyn FrozenWorker>>;

/// What became of the connections of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Connections that were saved.
    pub handed_over: u64,
    /// Connections that could not be saved: those with a request that is still being processed.
    pub left: u64,
}

/// A worker that waits. It goes on when this is dropped.
pub trait FrozenWorker: Send {
    /// Receives the messages that must not be left behind: connections on their way to the worker, processed requests.
    /// Takes requests that have not begun back from the offload pool.
    fn settle(&mut self);

    /// Writes all connections to `to`, and sends their sockets. They stay as they are.
    ///
    /// # Errors
    /// As `to` and `sockets`.
    fn save(&mut self, to: &mut dyn Write, sockets: &DescriptorSender) -> io::Result<Saved>;

    /// The listeners that it accepts from.
    fn listeners(&self) -> Vec<&Listener>;

    /// The worker ends. Its connections are neither counted nor logged as closed: another process has them.
    fn end(self: Box<Self>);
}
