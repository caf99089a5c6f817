//! What a connection obliges its caller to do.

use super::close_reason::CloseReason;
use super::memory::Demand;
use super::offload::OffloadJob;
use crate::protocol::proxy_header::ProxyHeader;

/// What the caller has to do next for the connection.
#[derive(Debug)]
pub enum Next {
    /// Wait for what [`Connection::interest`](super::Connection::interest) and
    /// [`Connection::deadline`](super::Connection::deadline) say.
    Wait,
    /// The budget has too little: call [`Connection::resume`](super::Connection::resume) with a charge for this demand
    /// when it has enough.
    WaitForMemory(Demand),
    /// Run this on another thread, then call [`Connection::offload_done`](super::Connection::offload_done).
    Offload(Box<OffloadJob>),
    /// The PROXY header is complete: judge the client that it announces, then call
    /// [`Connection::admit`](super::Connection::admit), or close the stream.
    Announced(Box<ProxyHeader>),
    /// Close the stream.
    Close(CloseReason),
}
