//! The messages that a worker receives.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::mpsc::Sender;

use super::freeze::FreezeRequest;
use super::listener::ListenerIndex;
use super::numbering::ListenerNumber;
use super::peer::Peer;
use super::poller::Token;
use crate::connection::{Charge, Limits, Millis, OffloadResult, Retired};
use crate::sys::StreamSocket;

/// A connection that no worker serves yet. It holds a slot of [`super::admission::Admission`] and counts for the worker
/// that it is sent to.
#[derive(Debug)]
pub struct NewConnection {
    /// Its socket; non-blocking.
    pub stream: StreamSocket,
    /// Its listener.
    pub listener: ListenerIndex,
    /// Its number among the connections of the listener.
    pub number: ListenerNumber,
    /// Its peer; `None` if that is to be looked up: that of a Unix socket, and that of an adopted connection.
    pub peer: Option<Peer>,
}

/// The settings that a worker changes while it runs.
pub struct Reconfiguration {
    /// Limits of each connection, also of those that are open.
    pub limits: Limits,
    /// Bytes that the impairments of one connection may delay.
    pub max_delayed: usize,
    /// Nothing is sent here: the worker drops it when it has applied the settings.
    pub applied: Sender<Infallible>,
}

/// A message to a worker.
pub enum WorkerMessage {
    /// Serve this connection.
    Connection(NewConnection),
    /// The offloaded request of a connection was processed, or could not be for want of memory.
    OffloadFinished(Token, Result<Box<OffloadResult>, (io::Error, Retired)>),
    /// Acknowledge this heartbeat.
    Heartbeat(u64),
    /// Apply these settings.
    Reconfigure(Reconfiguration),
    /// The memory that this connection waits for.
    MemoryGranted(Token, Charge),
    /// A connection waits for memory, and none did before: check the deadlines of slow readers.
    MemoryContention,
    /// Process one offloaded request on this thread, if there is still no other thread for it.
    RunOffloaded,
    /// A connection slot may be free: listeners at the limit may accept again.
    SlotsFreed,
    /// A place within the rate of a listener was given back: listeners that wait for their rates may accept again.
    RateFreed,
    /// A drain begins after this time.
    Lameduck(Millis),
    /// Stop accepting, and finish the connections within this time.
    Drain(Option<Millis>),
    /// Send the number of connections that a drain has to wait for.
    CountPending(Sender<u64>),
    /// Pass yourself to the owner, and wait.
    Freeze(FreezeRequest),
    /// Close all connections and end.
    Abort,
}

impl fmt::Debug for WorkerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection(_) => "Connection",
            Self::OffloadFinished(..) => "OffloadFinished",
            Self::Heartbeat(_) => "Heartbeat",
            Self::Reconfigure(_) => "Reconfigure",
            Self::MemoryGranted(..) => "MemoryGranted",
            Self::MemoryContention => "MemoryContention",
            Self::RunOffloaded => "RunOffloaded",
            Self::SlotsFreed => "SlotsFreed",
            Self::RateFreed => "RateFreed",
            Self::Lameduck(_) => "Lameduck",
            Self::Drain(_) => "Drain",
            Self::CountPending(_) => "CountPending",
            Self::Freeze(_) => "Freeze",
            Self::Abort => "Abort",
        })
    }
}
