//! `retortd`, a TCP daemon for framed text transforms, echo and other small protocols, and `retort`, its client.
//!
//! # Layers
//!
//! A module imports only from those below it; `daemon` and `client` do not know each other.
//!
//! | module | concern |
//! |---|---|
//! | [`daemon`] | the process `retortd`: configuration, log, sockets, signals, systemd, metrics |
//! | [`client`] | `retort`: send, ping, bench, check, check-client |
//! | [`server`] | the event loop: workers, listeners, admission, timers, the offload pool |
//! | [`connection`] | one client over any stream: a state machine without sockets and clocks |
//! | [`protocol`] | wire formats without I/O: one file each, and the list of them |
//! | [`transform`] | functions from text to text |
//! | [`units`] | numbers with units in options: sizes, times, counts |
//! | `sys` | the system calls: the only module with unsafe code |
//!
//! # The life of a request
//!
//! 1. A worker waits in `sys::Poller::wait` (epoll) and gets an event for a connection.
//! 2. It looks the connection up in its `ConnectionTable` by the event's token, and calls
//!    [`connection::Connection::readable`].
//! 3. `Connection::drive` (`drive.rs`) reads once into the worker's read buffer (`read.rs`),
//! 4. and shows the input to the protocol (`process.rs`), as an [`protocol::Exchange`].
//! 5. [`protocol::Protocol::process`] consumes whole requests and leaves replies: in place of the request, or in the
//!    worker's reply buffer. What it returns ([`protocol::Progress`]) says what is missing for more.
//! 6. `drive` sends the replies with one write (`write.rs`).
//! 7. An incomplete request is saved (`in_flight.rs`), and so are replies that the client does not take yet.
//! 8. A request that takes long goes to the offload pool, which posts the result to the worker's mailbox.
//! 9. The worker updates what epoll watches for and the connection's timer, as the connection's state says.
//! 10. When the connection closes, its [`connection::CloseReason`] is counted and logged.
//!
//! # Glossary
//!
//! | word | meaning |
//! |---|---|
//! | worker | a thread with an event loop of its own |
//! | listener | a listening socket and its protocol; all workers accept from all listeners |
//! | admission | whether one more connection may be accepted, and which worker gets it |
//! | exchange | input and replies of one call of a protocol |
//! | balancer | a load balancer: the peer that connects in place of its clients |
//! | PROXY header | bytes by which a balancer names its client, in front of the client's own bytes |
//! | announce | to name a client in a PROXY header |
//! | source | what limits for each client count: an address or network, a user, or a virtual machine |
//! | access list | the networks whose clients are served or denied |
//! | in flight | a request that has arrived in part, or whose reply the client has not taken in full |
//! | offload | to process a long request on a thread of the offload pool |
//! | preprocess | to transform the part of a message that has arrived, while the rest is on its way |
//! | budget | the memory that all connections together may hold |
//! | charge | the part of the budget that one connection uses |
//! | grant | the part of the budget that a connection gets after it has waited for memory |
//! | linger | to wait, half-closed, until the client has what was sent to it |
//! | drain | to stop accepting, and to finish what has arrived |
//! | lameduck | the phase before a delayed drain: not ready, but accepting and serving |
//! | hand over | to give all connections to another process, which takes them over, without closing them |
//! | predecessor, successor | the process that hands connections over, and the one that takes them over |
//! | prepare | the phase before a hand-over: serving, while requests on the offload pool end |
//! | freeze | to stop all workers between two iterations, so that connections can be handed over |
//! | cookie | the kernel's number of a socket (SO_COOKIE), by which a descriptor and its record match |
//! | side service | a service beside the workers, for operators: metrics and health, agent-check |
//! | generator | a protocol that sends without requests, such as `chargen` |
//! | peer | the other end of a socket: the client, or a balancer that announces it |

#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        reason = "lengths of tests are small; the build without tests checks the others"
    )
)]

#[cfg(test)]
extern crate self as retortd;

pub mod client;
pub mod connection;
pub mod daemon;
pub mod protocol;
pub mod server;
mod sys;
pub mod transform;
pub mod units;
