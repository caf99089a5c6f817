//! `retortd`, a TCP daemon that answers, and `retort`, its client.
//!
//! The floor plan, from the door inward; a module imports only from those below it:
//!
//! | module | what lives there |
//! |---|---|
//! | [`daemon`] | the daemon's lifecycle: options, log, listeners, signals, systemd |
//! | [`client`] | `retort`: send, ping, bench, check |
//! | [`server`] | the event loop: workers, accepting, deadlines, heavy work |
//! | [`connection`] | one client, over any `Read + Write` |
//! | [`protocol`] | wire formats, no I/O: one file each |
//! | [`transform`] | pure text functions |
//!
//! `sys` wraps system calls in safe functions, and holds all unsafe code; `server`, `daemon` and `client` use it.
//! `daemon` and `client` do not know each other: the client shares only `protocol`, `transform` and `sys`.

#[cfg(test)]
extern crate self as retortd;

pub mod client;
pub mod connection;
pub mod daemon;

pub mod protocol;
pub mod server;
mod sys;
pub mod transform;
