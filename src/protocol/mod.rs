//! The wire formats: state machines from bytes to bytes, without I/O.
//!
//! A [`Protocol`] is one connection's server side. Each call gets the input that has arrived in an [`Exchange`] and
//! writes its replies there. A protocol owns no socket, clock or log; what it needs from outside is in [`CallContext`],
//! and what it is constructed from in [`ProtocolSettings`] and [`ConnectionInfo`].
//!
//! To add a protocol, write `services/NAME.rs` with its descriptor ([`ProtocolInfo`]), name the file in
//! `services/mod.rs`, and add a line to [`PROTOCOLS`].

pub mod calendar;
mod call_context;
mod cancel;
mod chunk;
pub mod client_side;
mod contract;
mod example;
mod exchange;
mod framed_text;
mod info;
mod opening;
mod passthrough;
mod progress;
#[cfg(test)]
mod proptests;
pub mod proxy_header;
mod refusal;
mod registry;
mod request_head;
mod rng;
mod saved;
pub mod services;
mod settings;
#[cfg(test)]
mod test_util;
#[cfg(test)]
mod tests;

pub use call_context::{CallContext, RequestLimits};
pub use cancel::Cancel;
pub use contract::{MIN_REPLY_SPACE, Protocol};
pub use example::{Example, Reply};
pub use exchange::{Exchange, LogEvent, RequestCounts, RequestRecord};
pub use info::{Input, ProtocolInfo, SocketUnit};
pub use passthrough::Passthrough;
pub use progress::{CloseCause, Needed, Progress};
pub use refusal::Refusal;
pub use registry::{PROTOCOLS, by_name};
pub use rng::RequestRng;
pub use saved::{InvalidState, ProtocolState, Unconsumed};
pub use settings::{ConnectionInfo, ProtocolSettings};
